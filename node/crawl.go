package node

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/storage"
)

// A crawler removes expired items that nobody asks for, in the background. It is what lru_crawler is in memcached.
type crawler struct {
	store *storage.Store
	on    atomic.Bool

	busy    atomic.Bool   // a round that was asked for is under way
	checked atomic.Uint64 // items looked at

	stop    chan struct{}
	running sync.WaitGroup
}

const (
	// crawlPause and crawlBudget let it look at 200,000 items a second, for some 0.2 % of a processor.
	crawlPause  = 100 * time.Millisecond
	crawlBudget = 20_000
)

func newCrawler(store *storage.Store, on bool) *crawler {
	c := &crawler{store: store, stop: make(chan struct{})}
	c.on.Store(on)
	return c
}

// Start begins to look, whenever it is on, until Stop.
func (c *crawler) Start() {
	c.running.Go(func() {
		ticker := time.NewTicker(crawlPause)
		defer ticker.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-ticker.C:
				if c.on.Load() {
					c.crawl(crawlBudget)
				}
			}
		}
	})
}

// Stop ends it, and waits for its end. To be called once.
func (c *crawler) Stop() {
	close(c.stop)
	c.running.Wait()
}

func (c *crawler) crawl(budget int) {
	examined, _ := c.store.Crawl(budget)
	c.checked.Add(uint64(examined))
}

// all looks at every item there is, and returns when that is done.
func (c *crawler) all() {
	c.busy.Store(true)
	defer c.busy.Store(false)
	c.crawl(math.MaxInt)
}
