package storage

// What is charged for memory on Go's heap, in fifths: the collector needs some more than is in use. (It holds if the process runs with
// GOGC=20 or a limit: see DESIGN.md.)
const heapFifths = 6

const (
	// leastSegments a stripe gets whatever the limit: one open in each log, the spare ones, and some to hold items.
	leastSegments = 6

	// While a stripe has not been through all its segments, what its index will need is not known: 1/16 is kept back for it.
	// Later, 1/64: item sizes change.
	reserveEarly = 16
	reserveLater = 64
)

func (st *stripe) chargeHeap(n int) { st.charged += n * heapFifths / 5 }

// affords reports whether n more bytes of heap are within the limit.
func (st *stripe) affords(n int) bool {
	return st.charged+n*heapFifths/5 <= st.store.stripeBytes
}

// ready gives the number of free segments, after it has added new ones up to want if the limit allows.
func (st *stripe) ready(want int) int {
	for len(st.free) < want && st.allowed() {
		g := &segment{id: uint32(len(st.segments)), records: st.store.arena.NewSegment()}
		st.segments = append(st.segments, g)
		st.free = append(st.free, g)
		st.charged += st.store.segmentBytes
	}
	return len(st.free)
}

// allowed reports whether the limit allows a further segment, with as much heap as the others have.
func (st *stripe) allowed() bool {
	have := len(st.segments)
	if have < leastSegments {
		return true
	}
	limit := st.store.stripeBytes
	if st.laps < have {
		limit -= limit / reserveEarly
	} else {
		limit -= limit / reserveLater
	}
	each := st.store.segmentBytes + (st.charged-have*st.store.segmentBytes)/have
	return st.charged+each <= limit && have < 1<<(32-tagBits-st.store.recordBits)
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
