// Package crawler removes expired items that nobody asks for, in the background: what lru_crawler is in memcached.
package crawler

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/storage"
)

// A Crawler looks for expired items in a store, whenever it is on.
type Crawler struct {
	store *storage.Store
	told  func(Round)
	on    atomic.Bool
	stats Stats

	mu    sync.Mutex // guards the rest
	round Round      // the one under way
	began time.Time  // that is, when
	ended time.Time  // when the last one worth telling did

	stop    chan struct{}
	running sync.WaitGroup
}

// Stats are counted since the start.
type Stats struct {
	Busy    atomic.Bool   // a round that was asked for is under way
	Checked atomic.Uint64 // items looked at
}

// A Round is what became of a look at every item there is.
type Round struct {
	Checked, Removed uint64
	Lasted           time.Duration
	Since            time.Duration // the end of the one told before
}

// String gives memcached's line. The one class is 1, and there are no LRUs to be named; what memcached plans by (low_mark, next_reclaims, next_run) is
// not planned here: the next round has begun.
func (r Round) String() string {
	return fmt.Sprintf("type=lru_crawler crawler=1 lru=all low_mark=0 next_reclaims=0 since_run=%d next_run=0 elapsed=%d examined=%d reclaimed=%d",
		int(r.Since.Seconds()), int(r.Lasted.Seconds()), r.Checked, r.Removed)
}

// Stats gives the live counters.
func (c *Crawler) Stats() *Stats { return &c.stats }

// On reports whether it looks; Set begins that or ends it, and reports whether it was otherwise.
func (c *Crawler) On() bool { return c.on.Load() }

// Set: see On.
func (c *Crawler) Set(on bool) (changed bool) { return c.on.Swap(on) != on }

const (
	// pause and budget let it look at 200,000 items a second, for some 0.2 % of a processor.
	pause  = 100 * time.Millisecond
	budget = 20_000
)

// New makes a crawler that is not running yet. It tells of the rounds in which something was removed, and of those that were asked for.
func New(store *storage.Store, on bool, told func(Round)) *Crawler {
	now := time.Now()
	c := &Crawler{store: store, told: told, began: now, ended: now, stop: make(chan struct{})}
	c.on.Store(on)
	return c
}

// Start begins to look, whenever it is on, until Stop.
func (c *Crawler) Start() {
	c.running.Go(func() {
		ticker := time.NewTicker(pause)
		defer ticker.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-ticker.C:
				if c.on.Load() {
					c.crawl(budget, false)
				}
			}
		}
	})
}

// Stop ends it, and waits for its end. To be called once.
func (c *Crawler) Stop() {
	close(c.stop)
	c.running.Wait()
}

func (c *Crawler) crawl(most int, asked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.store.CrawlRounds()
	examined, removed := c.store.Crawl(most)
	c.stats.Checked.Add(uint64(examined))
	c.round.Checked += uint64(examined)
	c.round.Removed += uint64(removed)
	if c.store.CrawlRounds() == before {
		return
	}
	now := time.Now()
	if round := c.round; asked || round.Removed > 0 {
		round.Lasted, round.Since = now.Sub(c.began), now.Sub(c.ended)
		c.ended = now
		c.told(round)
	}
	c.round, c.began = Round{}, now
}

// All looks at every item there is, and returns when that is done.
func (c *Crawler) All() {
	c.stats.Busy.Store(true)
	defer c.stats.Busy.Store(false)
	c.crawl(math.MaxInt, true)
}
