package storage

// FlushAll makes all items vanish: now, if the Unix second at is not in the future, else at that second, even those stored until then.
// What is stored afterwards stays. Each call replaces the one before, if that is still to happen.
func (s *Store) FlushAll(at int64) {
	if at > s.clock.Now() {
		s.flushAt.Store(at)
		return
	}
	s.flushAt.Store(0)
	for _, st := range s.stripe {
		st.mu.Lock()
		st.dropAll()
		st.mu.Unlock()
	}
}
