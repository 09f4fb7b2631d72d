package storage

// A plan is a flush that is to come, or has come and was the last that was planned.
type plan struct {
	at   int64  // the Unix second
	mark uint64 // as FlushAll has it
}

// FlushAll makes all items vanish: in so many seconds, even those that are stored until then, or at once. What is stored afterwards stays. Each
// call replaces the one before, if that is still to happen.
//
// mark is the flush mark that the members agree on, not below any version given by one of them until then (FlushMark): what is stored afterwards
// gets a greater version, here as there, and what is not above it is not installed any more, however late it comes. 0: this member is alone.
// One from a clock that is hours ahead is not believed: it would use up the versions of all others.
func (s *Store) FlushAll(in int64, mark uint64) {
	if own := s.FlushMark(in); mark == 0 || !s.credible(mark, in) {
		mark = own
	}
	if s.raise(s.Flushed()); in > 0 {
		for _, st := range s.stripe { // what is due already is not replaced: stripes that nobody has used since have yet to do it
			st.mu.Lock()
			st.settle()
			st.mu.Unlock()
		}
		s.planned.Store(&plan{at: s.clock.Now() + in, mark: mark})
		return
	}
	s.planned.Store(nil)
	s.flushUpTo(mark)
	s.raise(mark)
}

// flushUpTo drops what is not above a mark. By version, not by what came before: what two members have of an item comes and goes alike then, whenever each of them
// flushes.
func (s *Store) flushUpTo(mark uint64) {
	newer := false
	for _, st := range s.stripe {
		st.mu.Lock()
		st.settle()
		if max(st.clock, st.ahead) <= mark>>tagOfNodeBits {
			st.dropAll()
		} else {
			newer = true
		}
		st.mark(mark)
		st.mu.Unlock()
	}
	if !newer {
		return
	}
	s.each(func(st *stripe, g *segment, n uint32) {
		var it Item
		if st.tail(g, n, &it); it.Version>>tagOfNodeBits <= mark>>tagOfNodeBits {
			st.remove(g, n, flushed)
		}
		st.moving.release()
	})
}

// markSlack is what a mark of a flush to come is above the versions of its second: the members do not count the delay from the same moment.
const markSlack = 2000 << countBits // two seconds

// flushSlack is what the mark of a flush at once is above the versions of now: so it is also above what is made of an item by incr, append, touch or cas while the members agree on the mark, which
// else would stay. A flush lets the clock of versions run ahead by that, and the next one by no more.
const flushSlack = 250 << countBits // a quarter of a second

// FlushMark is not below any version that this member will have given in so many seconds, nor in the quarter of a second after.
func (s *Store) FlushMark(in int64) uint64 {
	if in <= 0 {
		return max(s.Latest(), (momentOf(s.clock.Milli())+flushSlack)<<tagOfNodeBits)
	}
	return max(s.Latest(), (momentOf((s.clock.Now()+in)*1000)+markSlack)<<tagOfNodeBits)
}

// flush drops all that the stripe has.
func (st *stripe) flush(mark uint64) {
	st.dropAll()
	st.mark(mark)
}

// mark puts the clock to a flush mark, and keeps what is not above it from being installed.
func (st *stripe) mark(mark uint64) {
	at := mark >> tagOfNodeBits
	st.flushed = max(st.flushed, at)
	st.clock = max(st.clock, at, st.moment())
}

// FlushPlan tells of a flush that is still to come: in how many seconds, and with what mark. 0: there is none.
func (s *Store) FlushPlan() (in int64, mark uint64) {
	if p := s.planned.Load(); p != nil {
		if in = p.at - s.clock.Now(); in > 0 {
			return in, p.mark
		}
	}
	return 0, 0
}

// Flushed is the greatest mark of all flushes that have come; 0: none has.
func (s *Store) Flushed() uint64 {
	mark := s.flushed.Load()
	if p := s.planned.Load(); p != nil && p.at <= s.clock.Now() {
		mark = max(mark, p.mark)
	}
	return mark
}

// credible reports whether a mark may be that of a flush in so many seconds.
func (s *Store) credible(mark uint64, in int64) bool {
	return mark>>tagOfNodeBits <= momentOf((s.clock.Now()+max(0, in))*1000)+maxAhead
}

// raise notes the mark of a flush that has come.
func (s *Store) raise(mark uint64) {
	for was := s.flushed.Load(); was < mark && !s.flushed.CompareAndSwap(was, mark); was = s.flushed.Load() {
	}
}

// FlushBefore makes all items vanish whose version is not above mark, a flush mark that other members may have set some time ago, and keeps
// them from being installed again. What is newer stays. It looks at every item, at some 150 ns each, unless a stripe has nothing newer. false if the
// mark is known here, or is not to be believed (see FlushAll).
func (s *Store) FlushBefore(mark uint64) bool {
	if mark <= s.Flushed() || !s.credible(mark, 0) {
		return false
	}
	s.raise(mark)
	s.flushUpTo(mark)
	return true
}
