package storage

import "github.com/memring/memring/storage/arena"

// What is charged for memory on Go's heap, in twentieths: the collector needs some more than is in use, and Go's allocator
// some for itself. (It holds if the process runs with GOGC=10: see DESIGN.md.)
const heapTwentieths = 24

const (
	// leastSegments a stripe gets whatever the limit: one open in each log, the spare ones, and some to hold items.
	leastSegments = 6

	// While a stripe has not been through all its segments, what its index will need is not known: 1/16 is kept back for it.
	// Later, 1/256: item sizes change.
	reserveEarly = 16
	reserveLater = 256

	// One in idleSections may be without a segment: segments that hold fewer records than those before them leave some, and others need them again.
	idleSections = 4
)

func heapCost(n int) int { return n * heapTwentieths / 20 }

func (st *stripe) chargeHeap(n int) { st.charged += heapCost(n) }

// chargeMap charges for n bytes of fastcache's map of g, and no more for what it had. The costs are subtracted, not the bytes: that goes on at
// every lap, so what is lost by rounding would add up.
func (st *stripe) chargeMap(g *segment, n int) {
	st.charged += heapCost(n) - heapCost(g.mapBytes)
	g.mapBytes = n
}

// dropMap charges no more for the map of g than is left of it.
func (st *stripe) dropMap(g *segment) {
	if n := arena.MapBytes(g.records.Mapped()); n < g.mapBytes {
		st.chargeMap(g, n)
	}
}

// affords reports whether n more bytes of heap are within the limit.
func (st *stripe) affords(n int) bool {
	return st.charged+heapCost(n) <= st.limit
}

// headroom is what is kept for metas, maps and index to grow into: less than what allowed leaves, lest segments come and go.
func (st *stripe) headroom() int { return st.limit / (2 * reserveLater) }

// keepHeadroom gives up a free segment if the heap has come near the limit: there are more items for the same bytes than there were. One segment
// pays for the metas of some hundred items; that it is one fewer makes the Puts that follow drain another.
func (st *stripe) keepHeadroom() {
	if st.charged > st.limit-st.headroom() && len(st.free) > 1 && st.inUse() > leastSegments {
		st.retireOne()
	}
}

// giveUp gives up free segments until n more bytes of heap are within the limit. false if there are too few.
func (st *stripe) giveUp(n int) bool {
	for !st.affords(n) {
		if len(st.free) <= 1 || st.inUse() <= leastSegments {
			return false
		}
		st.retireOne()
	}
	return true
}

// dropSections leaves those that are not needed to the collector, when they are so many that items must have become larger.
func (st *stripe) dropSections() {
	for k := len(st.sections); k > st.made/idleSections && k > 1; k-- {
		st.sections[k-1] = nil
		st.sections = st.sections[:k-1]
		st.made--
		st.chargeHeap(-sectionSize * metaBytes)
	}
}

// ready gives the number of free segments, after it has added new ones up to want if the limit allows.
func (st *stripe) ready(want int) int {
	for len(st.free) < want && st.allowed() {
		if k := len(st.retired); k > 0 {
			st.free = append(st.free, st.retired[k-1])
			st.retired = st.retired[:k-1]
			st.unreleased = max(0, st.unreleased-1)
		} else {
			g := &segment{id: uint32(len(st.segments)), records: st.store.arena.NewSegment()}
			st.segments, st.dead = append(st.segments, g), append(st.dead, 0)
			st.free = append(st.free, g)
		}
		st.charged += st.store.segmentBytes
	}
	return len(st.free)
}

// allowed reports whether the limit allows a further segment, with as much heap as the others have.
func (st *stripe) allowed() bool {
	have := st.inUse()
	if have < leastSegments {
		return true
	}
	limit := st.limit
	if st.laps < have {
		limit -= limit / reserveEarly
	} else {
		limit -= limit / reserveLater
	}
	each := st.store.segmentBytes + (st.charged-have*st.store.segmentBytes)/have
	return st.charged+each <= limit && len(st.segments) < 1<<(32-tagBits-st.store.recordBits)
}

// inUse is how many segments are not retired.
func (st *stripe) inUse() int { return len(st.segments) - len(st.retired) }

// over reports whether the limit was lowered below what is in use, and something can be done about it.
func (st *stripe) over() bool { return st.charged > st.limit && st.inUse() > leastSegments }

// retire takes free segments out of use while the limit is exceeded.
func (st *stripe) retire() {
	for len(st.free) > 0 && st.over() {
		st.retireOne()
	}
}

// retireOne takes a free segment out of use, and gives its memory back to the system where that can be done. There must be one.
func (st *stripe) retireOne() {
	k := len(st.free) - 1
	g := st.free[k]
	if !g.records.Release() {
		st.unreleased++
	}
	st.dropMap(g)
	st.chargeHeap(-cap(g.rows) * rowBytes)
	g.rows = nil
	st.retired = append(st.retired, g)
	st.free = st.free[:k]
	st.charged -= st.store.segmentBytes
}

// takeSegment gives an empty segment; nil if there is none.
func (st *stripe) takeSegment() *segment {
	k := st.ready(1)
	if k == 0 {
		return nil
	}
	g := st.free[k-1]
	st.free = st.free[:k-1]
	return g
}

// SetLimit changes MaxBytes while the store is in use. Lowering it evicts at once what is too much, even under NoEvict, a segment at a time so
// that others are let in between; the memory goes back to the system. An error says which limits are possible.
func (s *Store) SetLimit(maxBytes int64) error {
	cfg := s.cfg
	cfg.MaxBytes = maxBytes
	if err := cfg.Validate(); err != nil {
		return err
	}
	s.limit.Store(maxBytes)
	for _, st := range s.stripe {
		for more := true; more; {
			st.mu.Lock()
			st.settle()
			st.limit = s.share(maxBytes)
			more = st.shrink()
			st.mu.Unlock()
		}
	}
	return nil
}

// shrink drains a segment if the limit is exceeded; more is true if it still is.
func (st *stripe) shrink() (more bool) {
	if !st.over() {
		return false
	}
	st.retire()
	if !st.over() {
		return false
	}
	q := quota{examine: 1 << 30, move: st.store.segmentBytes, evict: true}
	done := st.drain(&q, true)
	st.retire()
	return done && st.over()
}
