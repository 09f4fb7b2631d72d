package executor

import (
	"sync/atomic"

	"github.com/memring/memring/protocol"
)

// Stats count what was asked of this node's items, by its own clients and by other members for theirs. A get that sets the
// exptime counts as a touch, not as a get.
type Stats struct {
	GetHits, GetMisses            atomic.Uint64
	Sets                          atomic.Uint64 // set, add, replace, append, prepend, cas, whether stored or not
	TouchHits, TouchMisses        atomic.Uint64
	Inspects                      atomic.Uint64 // me, the only command that memcached counts as meta
	DeleteHits, DeleteMisses      atomic.Uint64
	IncrHits, IncrMisses          atomic.Uint64
	DecrHits, DecrMisses          atomic.Uint64
	CasHits, CasMisses, CasBadval atomic.Uint64
	Flushes                       atomic.Uint64
	TooLarge, NoMemory            atomic.Uint64 // stores refused
}

// stripes are the parts in which it is counted, by the number of the conversation: so two processors seldom write to the same memory.
const stripes = 8

// A stripe is what every eighth conversation counts, apart from others' cache lines.
type stripe struct {
	Stats
	_ [64]byte
}

// counts gives where to count what is done for a request.
func (e *Executor) counts(req *protocol.Request) *Stats { return &e.stats[req.Origin%stripes].Stats }

// Stats adds up what was counted.
func (e *Executor) Stats() *Stats {
	sum := new(Stats)
	var sums []*atomic.Uint64
	sum.each(func(_ string, counter *atomic.Uint64) { sums = append(sums, counter) })
	for i := range e.stats {
		k := 0
		e.stats[i].each(func(_ string, counter *atomic.Uint64) { sums[k].Add(counter.Load()); k++ })
	}
	return sum
}

// ResetStats sets all counters to 0 ("stats reset").
func (e *Executor) ResetStats() {
	for i := range e.stats {
		e.stats[i].each(func(_ string, counter *atomic.Uint64) { counter.Store(0) })
	}
}

// Counter counts gets of the conversation whose number is origin, a batch at a time.
func (e *Executor) Counter(origin uint32) func(protocol.Tally) {
	counts := &e.stats[origin%stripes].Stats
	return func(gets protocol.Tally) {
		if gets.Hits > 0 {
			counts.GetHits.Add(gets.Hits)
		}
		if gets.Misses > 0 {
			counts.GetMisses.Add(gets.Misses)
		}
	}
}

// Each visits what was counted under the names that memcached's "stats" has for it, in its order.
func (s *Stats) Each(visit func(name string, count uint64)) {
	visit("cmd_get", s.GetHits.Load()+s.GetMisses.Load())
	s.each(func(name string, counter *atomic.Uint64) {
		if visit(name, counter.Load()); name == "cmd_flush" {
			visit("cmd_touch", s.TouchHits.Load()+s.TouchMisses.Load())
		}
	})
}

// each visits the counters.
func (s *Stats) each(visit func(name string, counter *atomic.Uint64)) {
	visit("cmd_set", &s.Sets)
	visit("cmd_flush", &s.Flushes)
	visit("cmd_meta", &s.Inspects)
	visit("get_hits", &s.GetHits)
	visit("get_misses", &s.GetMisses)
	visit("delete_misses", &s.DeleteMisses)
	visit("delete_hits", &s.DeleteHits)
	visit("incr_misses", &s.IncrMisses)
	visit("incr_hits", &s.IncrHits)
	visit("decr_misses", &s.DecrMisses)
	visit("decr_hits", &s.DecrHits)
	visit("cas_misses", &s.CasMisses)
	visit("cas_hits", &s.CasHits)
	visit("cas_badval", &s.CasBadval)
	visit("touch_hits", &s.TouchHits)
	visit("touch_misses", &s.TouchMisses)
	visit("store_too_large", &s.TooLarge)
	visit("store_no_memory", &s.NoMemory)
}

// read counts a Get or Gat.
func (s *Stats) read(req *protocol.Request, found bool) {
	switch {
	case req.Options.Has(protocol.Again):
		return
	case req.Options.Has(protocol.SetExptime):
		s.touch(found)
		return
	case req.Tally != nil:
		req.Tally.Count(found)
		return
	}
	choose(found, &s.GetHits, &s.GetMisses).Add(1)
}

func (s *Stats) touch(found bool) { choose(found, &s.TouchHits, &s.TouchMisses).Add(1) }

func (s *Stats) delete(found bool) { choose(found, &s.DeleteHits, &s.DeleteMisses).Add(1) }

// count counts an Incr or Decr.
func (s *Stats) count(op protocol.Op, found bool) {
	if op == protocol.Incr {
		choose(found, &s.IncrHits, &s.IncrMisses).Add(1)
	} else {
		choose(found, &s.DecrHits, &s.DecrMisses).Add(1)
	}
}

func choose(hit bool, hits, misses *atomic.Uint64) *atomic.Uint64 {
	if hit {
		return hits
	}
	return misses
}

// refused counts a store that ended with status, if that is a refusal.
func (s *Stats) refused(status protocol.Status) {
	switch status {
	case protocol.TooLarge:
		s.TooLarge.Add(1)
	case protocol.OutOfMemory:
		s.NoMemory.Add(1)
	}
}
