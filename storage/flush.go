package storage

// FlushAll makes all items vanish: now, if the Unix second at is not in the future, else at that second, even those stored until then.
// What is stored afterwards stays. Each call replaces the one before, if that is still to happen.
func (s *Store) FlushAll(at int64) {
	if at > s.clock.Now() {
		for _, st := range s.stripe { // what is due already is not replaced: stripes that nobody has used since have yet to do it
			st.mu.Lock()
			st.settle()
			st.mu.Unlock()
		}
		s.flushAt.Store(at)
		return
	}
	s.flushAt.Store(0)
	for _, st := range s.stripe {
		st.mu.Lock()
		st.dropAll()
		st.clock = max(st.clock, st.moment())
		st.flushed = max(st.flushed, st.clock)
		st.mu.Unlock()
	}
}

// FlushAt is the second of a flush that is still to come; 0: there is none.
func (s *Store) FlushAt() int64 {
	if at := s.flushAt.Load(); at > s.clock.Now() {
		return at
	}
	return 0
}

// FlushBefore makes all items vanish whose CAS unique is not above cas, a flush mark that another member may have set some time ago, and keeps
// them from being installed again. What is newer stays. It looks at every item, at some 150 ns each, unless a stripe has nothing newer.
func (s *Store) FlushBefore(cas uint64) {
	mark := min(cas, maxCAS) >> tagOfNodeBits
	for _, st := range s.stripe {
		st.mu.Lock()
		st.settle()
		if st.clock <= mark {
			st.dropAll()
		}
		st.flushed = max(st.flushed, mark)
		st.clock = max(st.clock, mark)
		st.mu.Unlock()
	}
	s.each(func(uint64) bool { return true }, func(st *stripe, g *segment, n uint32) {
		var it Item
		if st.load(g, n, &it, &st.reread); it.CAS>>tagOfNodeBits <= mark {
			st.remove(g, n, flushed)
		}
		st.reread.release()
	})
}
