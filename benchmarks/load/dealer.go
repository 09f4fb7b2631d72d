package load

import (
	"math/rand/v2"

	"github.com/memring/memring/benchmarks/trace"
)

// An op is what one request asks.
type op uint8

const (
	get op = iota
	set
	multiGet
	touch
	incr
)

// A request that waits for its answer.
type request struct {
	op   op
	keys []uint32 // its own array, used again when it is answered
	due  int64    // nanoseconds since the run's begin from which its time counts
	next int      // keys before this one are answered: hits come in order, misses not at all
}

// A dealer says what is asked next. Each thread has one.
type dealer struct {
	config  *Config
	random  *rand.Rand
	zipf    *trace.Zipf
	weights [5]int // summed up, by op
}

func newDealer(c *Config, thread int) *dealer {
	d := &dealer{config: c, random: rand.New(rand.NewPCG(c.Seed, uint64(thread)))}
	sum := 0
	for i, weight := range [5]int{get: c.Mix.Get, set: c.Mix.Set, multiGet: c.Mix.MultiGet, touch: c.Mix.Touch, incr: c.Mix.Incr} {
		sum += weight
		d.weights[i] = sum
	}
	if c.Keying.Zipf > 0 {
		d.zipf = trace.NewZipf(d.random, c.Keying.Zipf, c.Keys)
	}
	return d
}

// deal makes r the next request.
func (d *dealer) deal(r *request) {
	r.op, r.next, r.keys = d.op(), 0, r.keys[:0]
	n := 1
	if r.op == multiGet {
		n = d.config.PerGet
	}
	for range n {
		r.keys = append(r.keys, d.key())
	}
	if r.op == incr { // a counter is no value: counters are few, and lie above the keys
		r.keys[0] = uint32(d.config.Keys) + r.keys[0]%counters
	}
}

// counters is how many different ones are counted.
const counters = 1000

func (d *dealer) op() op {
	last := d.weights[len(d.weights)-1]
	n := 0
	if d.weights[get] < last { // else only gets are asked for
		n = d.random.IntN(last)
	}
	for o, weight := range d.weights {
		if n < weight {
			return op(o)
		}
	}
	return get
}

func (d *dealer) key() uint32 {
	c := d.config
	switch {
	case d.zipf != nil:
		return uint32(d.zipf.Rank())
	case c.Keying.Hot > 0:
		hot := max(int(c.Keying.Hot*float64(c.Keys)), 1)
		if hot == c.Keys || d.random.Float64() < c.Keying.HotShare {
			return uint32(d.random.IntN(hot))
		}
		return uint32(hot + d.random.IntN(c.Keys-hot))
	}
	return uint32(d.random.Uint64N(uint64(c.Keys)))
}
