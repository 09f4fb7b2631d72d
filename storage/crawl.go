package storage

import (
	"runtime"
	"sync"
)

// A crawler is how far Crawl has come.
type crawler struct {
	mu      sync.Mutex // guards all of it
	stripe  int
	segment int
	number  int
	rounds  uint64
}

// Crawl removes expired items that nobody asks for, so that their room is won back by compaction and need not be won by eviction. It examines
// about budget records from where the last call stopped, at some 10 ns each, holding a stripe for at most crawlRecords of them, and says how
// many it has examined and removed. It never starts by itself: the caller decides how much of a processor it may have.
func (s *Store) Crawl(budget int) (examined, removed int) {
	s.crawl.mu.Lock()
	defer s.crawl.mu.Unlock()
	for idle := 0; examined < budget && idle <= len(s.stripe); {
		st := s.stripe[s.crawl.stripe]
		e, r, done := st.crawl(&s.crawl, min(budget-examined, crawlRecords))
		examined, removed = examined+e, removed+r
		if !done {
			runtime.Gosched()
			continue
		}
		idle++
		s.crawl.segment, s.crawl.number = 0, 1
		if s.crawl.stripe++; s.crawl.stripe == len(s.stripe) {
			s.crawl.stripe = 0
			s.crawl.rounds++
		}
	}
	return examined, removed
}

// CrawlRounds is how often Crawl has been through the whole store.
func (s *Store) CrawlRounds() uint64 {
	s.crawl.mu.Lock()
	defer s.crawl.mu.Unlock()
	return s.crawl.rounds
}

// crawlRecords bounds how long a stripe is held: some 5 us.
const crawlRecords = 256

// crawl goes on with the segments of this stripe; done is true at their end.
func (st *stripe) crawl(at *crawler, budget int) (examined, removed int, done bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.settle()
	for ; at.segment < len(st.segments); at.segment, at.number = at.segment+1, 1 {
		g := st.segments[at.segment]
		for ; at.number <= g.count; at.number++ {
			if examined == budget {
				return examined, removed, false
			}
			examined++
			n := uint32(at.number)
			if m := g.meta(n); !m.has(dead|continuation) && m.expired(now) {
				if !st.lapse(g, n, now) {
					st.remove(g, n, expired)
				}
				st.count.Crawled++
				removed++
			}
		}
	}
	return examined, removed, true
}
