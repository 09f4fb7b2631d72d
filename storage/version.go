package storage

import "time"

// A version is a hybrid logical clock, so that of two versions of an item the later has the greater, whoever gave it:
//
//	| 0 | 42 bits: milliseconds since 2024 | 12 bits: count | 9 bits: node tag |
//
// The count goes on where the millisecond stands still, and runs over into it. A stripe's clock never goes back, and is put forward by what is
// installed; so a new version is greater than the one it replaces without looking at that. Only where something has come from a member whose clock
// is more than an hour before ours it is looked at. A version is the item's CAS unique too, unless a client has chosen one (Held.PutWithCAS).
const (
	tagOfNodeBits = 9
	countBits     = 12
	maxNodeTag    = 1<<tagOfNodeBits - 1
	epochMilli    = 1704067200000 // 2024-01-01 00:00 UTC
	maxVersion    = 1<<63 - 1
)

// maxAhead bounds how far the clock follows others before the system's. One member's clock that is wrong by hours must not take all with it; to
// stay behind one that is wrong by seconds would give what is stored here a smaller version than what it replaces had there.
const maxAhead = 3_600_000 << countBits // an hour

// moment is the clock part of a version given now.
func (st *stripe) moment() uint64 { return momentOf(st.store.clock.Milli()) }

// momentOf is the clock part of versions given in a Unix millisecond.
func momentOf(milli int64) uint64 { return uint64(max(0, milli-epochMilli)) << countBits }

// nextVersion is greater than all that the stripe has given before, and than all that is known of the key.
func (h *Held) nextVersion() uint64 {
	st := h.st
	st.clock = max(st.clock+1, st.moment())
	next := st.clock
	if st.ahead >= next {
		next = max(next, st.flushed+1, h.version()>>tagOfNodeBits+1)
		st.ahead = max(st.ahead, next)
	}
	return next<<tagOfNodeBits | uint64(st.store.cfg.NodeTag)
}

// Latest is a version as great as any that was given or installed so far.
func (s *Store) Latest() uint64 {
	latest := uint64(0)
	for _, st := range s.stripe {
		st.mu.Lock()
		latest = max(latest, st.clock, st.ahead, st.moment())
		st.mu.Unlock()
	}
	return latest << tagOfNodeBits
}

// Witness sees to it that all that is stored from now on gets a greater version than this, which another member has given, and tells how far the
// clock was behind it. From over an hour on it is not followed: then only what is stored over an item that is there gets a greater version than that.
func (s *Store) Witness(version uint64) (behind time.Duration) {
	for _, st := range s.stripe {
		st.mu.Lock()
		if was, is := max(st.clock, st.moment()), version>>tagOfNodeBits; is > was {
			behind = max(behind, time.Duration((is-was)>>countBits)*time.Millisecond)
		}
		st.witness(version)
		st.mu.Unlock()
	}
	return behind
}

// witness puts the clock forward to a version that came from elsewhere, so that the next is above it.
func (st *stripe) witness(version uint64) {
	came := version >> tagOfNodeBits
	st.clock = max(st.clock, min(came, st.moment()+maxAhead))
	st.ahead = max(st.ahead, came)
}
