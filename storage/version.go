package storage

// A CAS unique is a hybrid logical clock, so that of two versions of an item the later has the greater, whoever gave it:
//
//	| 0 | 42 bits: milliseconds since 2024 | 12 bits: count | 9 bits: node tag |
//
// The count goes on where the millisecond stands still, and runs over into it. A stripe's clock never goes back, and is put forward by what is
// installed; so a new version is greater than the one it replaces without looking at that (but for one from over an hour ahead).
const (
	tagOfNodeBits = 9
	countBits     = 12
	maxNodeTag    = 1<<tagOfNodeBits - 1
	epochMilli    = 1704067200000 // 2024-01-01 00:00 UTC
	maxCAS        = 1<<63 - 1
)

// moment is the clock part of a version given now.
func (st *stripe) moment() uint64 { return momentOf(st.store.clock.Milli()) }

// momentOf is the clock part of versions given in a Unix millisecond.
func momentOf(milli int64) uint64 { return uint64(max(0, milli-epochMilli)) << countBits }

// nextCAS gives a version that is greater than all given before.
func (st *stripe) nextCAS() uint64 {
	st.clock = max(st.clock+1, st.moment())
	return st.clock<<tagOfNodeBits | uint64(st.store.cfg.NodeTag)
}

// Latest is a CAS unique as great as any that was given or installed so far.
func (s *Store) Latest() uint64 {
	latest := uint64(0)
	for _, st := range s.stripe {
		st.mu.Lock()
		latest = max(latest, st.clock, st.moment())
		st.mu.Unlock()
	}
	return latest << tagOfNodeBits
}

// Witness sees to it that all that is stored from now on gets a greater CAS unique than cas, which another member has given (see maxAhead).
func (s *Store) Witness(cas uint64) {
	for _, st := range s.stripe {
		st.mu.Lock()
		st.witness(cas)
		st.mu.Unlock()
	}
}

// maxAhead bounds how far the clock follows others: a client may choose any CAS unique, and one from the far future must not use up those left.
const maxAhead = 3_600_000 << countBits // an hour

// witness puts the clock forward to a version that came from elsewhere, so that the next is above it.
func (st *stripe) witness(cas uint64) {
	st.clock = max(st.clock, min(cas>>tagOfNodeBits, st.moment()+maxAhead))
}
