package storage

import "runtime"

// A stripe is a store for its share of the hashes. Whatever has no lock in its name or comment needs all of mu.
type stripe struct {
	mu    stripeLock // guards all of it
	store *Store

	tables      []table
	segments    []*segment // by their id
	dead        []uint32   // bytes of their dead records: what compaction would win, but for the room left when they were closed
	free        []*segment // empty ones
	retired     []*segment // empty ones that the limit does not allow any more
	unreleased  int        // of these, those whose memory the process still has
	small, main log
	sections    []*section // of segments that do not need them
	made        int        // sections, those in use and these
	reclaimer   reclaimer

	limit   int // bytes of memory it may take
	charged int // and has taken
	laps    int // segments reclaimed

	clock   uint64 // the clock part of the latest version given here
	ahead   uint64 // of the latest that came from elsewhere, which clock may not have followed (maxAhead)
	flushed uint64 // of the latest flush: what is not above it was flushed
	settled *plan  // the planned flush that was done

	items   int    // live
	bytes   int64  // of them, as memcached counts
	squares uint64 // sum of these bytes squared, each without its last squaresShift bits: so those of 64 TB fit

	tombstones int // which are no items
	graves     int // bytes of them, about
	count      counts
	fates      fates

	compose scratch // for a record to be written
	reread  scratch // for a held item's value
	moving  scratch // for an item being moved
}

func newStripe(s *Store) *stripe {
	st := &stripe{store: s, tables: make([]table, s.tables), limit: s.share(s.cfg.MaxBytes)}
	st.mu.divide(s.stripes, runtime.GOMAXPROCS(0))
	st.fates = newFates(st.limit, s.clock.Now())
	st.chargeHeap(s.tables*tableHeadBytes + st.fates.bytes())
	return st
}

const tableHeadBytes = 56

// settle does the flush that is due, if any, and gives the second. Everything that looks at items calls it first.
func (st *stripe) settle() (now int64) {
	now = st.store.clock.Now()
	if p := st.due(now); p != nil {
		st.settled = p
		st.flush(p.mark)
	}
	return now
}

// due is the flush that is to be done; nil: none.
func (st *stripe) due(now int64) *plan {
	if p := st.store.planned.Load(); p != nil && now >= p.at && st.settled != p {
		return p
	}
	return nil
}

// there gives the reference of the item of this hash, or of its tombstone; 0 if there is neither. An expired one is removed.
func (st *stripe) there(hash uint64, now int64) uint32 {
	p := st.find(&st.tables[st.store.tableOf(hash)], hash)
	if p == nil {
		return 0
	}
	g, n := st.locate(*p)
	if m := g.meta(n); m.expired(now) {
		if !m.has(tombstone) {
			st.count.GetExpired++
		}
		if !st.lapse(g, n, now) {
			st.remove(g, n, expired)
			return 0
		}
	}
	return *p
}

// reference names record n of g.
func (st *stripe) reference(g *segment, n uint32) uint32 { return g.id<<st.store.recordBits | n }

// locate undoes reference, whatever the tag.
func (st *stripe) locate(ref uint32) (*segment, uint32) {
	ref &= 1<<(32-tagBits) - 1
	return st.segments[ref>>st.store.recordBits], ref & (1<<st.store.recordBits - 1)
}

func (st *stripe) meta(ref uint32) meta {
	g, n := st.locate(ref)
	return g.meta(n)
}

// itemLength is the length of all records of the item whose first is n of g.
func (st *stripe) itemLength(g *segment, n uint32) int {
	sum := 0
	for {
		m := g.extent(n)
		sum += int(m.length)
		if !m.has(continued) {
			return sum
		}
		g, n = g.after(n)
	}
}

// buryRecord marks a record dead.
func (st *stripe) buryRecord(g *segment, m *extent) {
	m.bits |= dead
	st.dead[g.id] += uint32(m.length)
}

// bury marks all records of the item dead and gives their length.
func (st *stripe) bury(g *segment, n uint32) int {
	sum := 0
	for {
		m := g.extent(n)
		sum += int(m.length)
		st.buryRecord(g, m)
		if !m.has(continued) {
			return sum
		}
		g, n = g.after(n)
	}
}

// A cause is why an item is no more.
type cause uint8

const (
	deleted cause = iota
	overwritten
	expired
	evicted
	flushed
	dropped
	causes
)

// remove takes the item, whose first record is n of g, out of the store.
func (st *stripe) remove(g *segment, n uint32, why cause) {
	m := g.meta(n)
	hash := m.key()
	t := &st.tables[st.store.tableOf(hash)]
	t.unlink(hash, tagOf(hash)<<(32-tagBits)|st.reference(g, n))
	st.forget(m, st.bury(g, n), why)
}

const squaresShift = 12

// squareOf is what an item whose records have this length adds to squares.
func squareOf(length int) uint64 {
	bytes := uint64(length + recordToMC)
	return bytes * bytes >> squaresShift
}

// forget counts an item out.
func (st *stripe) forget(m meta, length int, why cause) {
	if m.has(tombstone) {
		st.tombstones--
		st.graves -= length + graveBytes
		return
	}
	st.items--
	st.bytes -= int64(m.accounted(length))
	st.squares -= squareOf(length)
	st.count.Removed[why]++
	if !m.has(fetched) {
		switch why {
		case evicted:
			st.count.EvictedUnfetched++
		case expired:
			st.count.ExpiredUnfetched++
		}
	}
	switch why {
	case flushed:
		st.count.Reclaimed++
	case deleted:
		st.fates.note(m.key(), Deleted, st.store.clock.Now())
	case expired:
		st.fates.note(m.key(), Expired, int64(m.expiry))
	case dropped:
		st.fates.dropped = st.store.clock.Now()
	}
	if why != evicted {
		return
	}
	if m.has(hits) {
		st.count.EvictedActive++
	}
	if m.expiry != 0 {
		st.count.EvictedNonzero++
	}
	st.count.evictedAt = st.store.clock.Now()
	st.count.EvictedTime = max(0, st.count.evictedAt-int64(m.access))
	st.fates.note(m.key(), Evicted, st.count.evictedAt)
}

// dropAll removes all items at once: no item is looked at.
func (st *stripe) dropAll() {
	st.count.Removed[flushed] += uint64(st.items)
	st.count.Reclaimed += uint64(st.items)
	st.items, st.bytes, st.squares, st.tombstones, st.graves = 0, 0, 0, 0, 0
	for i := range st.tables {
		t := &st.tables[i]
		st.chargeHeap(-len(t.groups)*groupBytes - len(t.ghost)*ghostSetBytes)
		*t = table{}
	}
	for _, l := range []*log{&st.small, &st.main} {
		for l.oldest != nil {
			st.recycle(l.oldest)
		}
	}
	st.reclaimer = reclaimer{}
}
