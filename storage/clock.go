package storage

import (
	"sync"
	"sync/atomic"
	"time"
)

// tick is how far a Clock may lag. A second is the finest that a client can say, and CAS uniques count within a tick.
const tick = 50 * time.Millisecond

// A Clock is the time of a node: read often, so one atomic load. It never goes back, whatever happens to the system's.
type Clock struct {
	milli atomic.Int64 // Unix milliseconds

	mu     sync.Mutex // guards what follows, and who sets milli
	ahead  time.Duration
	paused bool

	stop, done chan struct{} // nil if set by hand
}

// NewClock gives a Clock that runs until Stop.
func NewClock() *Clock {
	c := &Clock{stop: make(chan struct{}), done: make(chan struct{})}
	start := time.Now()
	c.milli.Store(start.UnixMilli())
	go c.run(start)
	return c
}

// NewManualClock gives a Clock for tests that stands at the Unix second start and moves by Advance alone. It needs no Stop.
func NewManualClock(start int64) *Clock {
	c := &Clock{}
	c.milli.Store(start * 1000)
	return c
}

// run sets the time from the start and what has passed since, by the system's monotonic clock.
func (c *Clock) run(start time.Time) {
	defer close(c.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
			c.mu.Lock()
			if !c.paused {
				c.milli.Store(start.UnixMilli() + (time.Since(start) + c.ahead).Milliseconds())
			}
			c.mu.Unlock()
		}
	}
}

// Now is the Unix second.
func (c *Clock) Now() int64 { return c.milli.Load() / 1000 }

// Milli is the Unix millisecond, up to a tick late.
func (c *Clock) Milli() int64 { return c.milli.Load() }

// Pause lets the clock stand until it is resumed; then it shows what it would have shown. Advance moves it all the while.
func (c *Clock) Pause(stand bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = stand
}

// Advance puts the clock forward, for tests and memcached's debugtime command.
func (c *Clock) Advance(seconds int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += time.Duration(seconds) * time.Second
	c.milli.Add(seconds * 1000)
}

// Stop ends the ticking and waits for its end. The time stands still from then on. To be called once.
func (c *Clock) Stop() {
	if c.stop == nil {
		return
	}
	close(c.stop)
	<-c.done
}
