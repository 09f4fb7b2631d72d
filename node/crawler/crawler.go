// Package crawler removes expired items that nobody asks for, in the background: what lru_crawler is in memcached.
package crawler

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/storage"
)

// A Crawler looks for expired items in a store, whenever it is on.
type Crawler struct {
	store *storage.Store
	on    atomic.Bool
	stats Stats

	stop    chan struct{}
	running sync.WaitGroup
}

// Stats are counted since the start.
type Stats struct {
	Busy    atomic.Bool   // a round that was asked for is under way
	Checked atomic.Uint64 // items looked at
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

// New makes a crawler that is not running yet.
func New(store *storage.Store, on bool) *Crawler {
	c := &Crawler{store: store, stop: make(chan struct{})}
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
					c.crawl(budget)
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

func (c *Crawler) crawl(most int) {
	examined, _ := c.store.Crawl(most)
	c.stats.Checked.Add(uint64(examined))
}

// All looks at every item there is, and returns when that is done.
func (c *Crawler) All() {
	c.stats.Busy.Store(true)
	defer c.stats.Busy.Store(false)
	c.crawl(math.MaxInt)
}
