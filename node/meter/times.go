package meter

import (
	"time"

	"github.com/memring/memring/protocol"
)

// The ops that are measured: a client's, for an item.
const (
	firstOp = protocol.Get
	lastOp  = protocol.Decr
	ops     = int(lastOp-firstOp) + 1
)

// A Series is what one histogram is of.
type Series struct {
	Op     protocol.Op
	Result Result
	Route  Route
}

// A Route is where an answer came from.
type Route uint8

// The routes.
const (
	Local     Route = iota // this node
	Forwarded              // another member
	routes
)

// String gives the route as a label has it.
func (r Route) String() string { return [...]string{"local", "forwarded"}[r] }

// A Result is how a request ended, as far as it matters to how long that took.
type Result uint8

// The results.
const (
	Hit Result = iota
	Miss
	Stored
	NotStored // the condition of add, replace, append or prepend does not hold
	Exists    // the CAS unique differs
	Error
	results
)

// String gives the result as a label has it.
func (r Result) String() string {
	return [...]string{"hit", "miss", "stored", "not_stored", "exists", "error"}[r]
}

func resultOf(op protocol.Op, status protocol.Status) Result {
	switch status {
	case protocol.OK:
		if op >= protocol.Set && op <= protocol.Prepend {
			return Stored
		}
		return Hit
	case protocol.NotFound:
		return Miss
	case protocol.NotStored:
		return NotStored
	case protocol.Exists:
		return Exists
	default:
		return Error
	}
}

// Buckets are the upper bounds of a Histogram's: what is answered here takes microseconds, what is forwarded a tenth of a millisecond at best, and nothing
// longer than --peer-timeout but a long value.
var Buckets = [...]time.Duration{
	1 * time.Microsecond, 2 * time.Microsecond, 5 * time.Microsecond,
	10 * time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	1 * time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	1 * time.Second,
}

// A Histogram says how many requests took how long: those in each of the Buckets alone, and last those above.
type Histogram struct {
	Counts [len(Buckets) + 1]uint64
	Sum    time.Duration
}

func (h *Histogram) add(took time.Duration) {
	bucket := 0
	for bucket < len(Buckets) && took > Buckets[bucket] { // most are among the first
		bucket++
	}
	h.Counts[bucket]++
	h.Sum += took
}

// Times gives the histograms of what was measured since the start; each request stands for Every of them.
func (m *Meter) Times() map[Series]*Histogram {
	sums := make(map[Series]*Histogram)
	for i := range m.stripes {
		s := &m.stripes[i]
		s.mu.Lock()
		for op := range s.times {
			for result := range s.times[op] {
				for route, h := range s.times[op][result] {
					if h != nil {
						h.addTo(sums, Series{firstOp + protocol.Op(op), Result(result), Route(route)})
					}
				}
			}
		}
		s.mu.Unlock()
	}
	return sums
}

func (h *Histogram) addTo(sums map[Series]*Histogram, name Series) {
	sum := sums[name]
	if sum == nil {
		sum = new(Histogram)
		sums[name] = sum
	}
	for k, n := range h.Counts {
		sum.Counts[k] += n
	}
	sum.Sum += h.Sum
}
