// Package budget is memory that connections share for what is too large for a buffer at rest.
//
//	Budget  so many bytes for all:  Share  what one client has of them, and may have at most
//
// Who takes from it may hold some of it already, so all may come to wait for each other. The wait is bounded for that reason: then one gives
// up, and the others go on with what it had.
package budget

import (
	"slices"
	"sync"
	"time"
)

// A Budget is so many bytes, taken and given back by many goroutines at once.
type Budget struct {
	limit int64

	mu      sync.Mutex // guards the rest
	left    int64
	waiters []*waiter // in the order in which they came
}

// A waiter has come for more than there was.
type waiter struct {
	need int64
	has  chan struct{} // closed once it has that
}

// Patience is how long Take waits: some times what it takes to upload a large item.
const Patience = time.Second

// New makes a budget of so many bytes.
func New(bytes int64) *Budget { return &Budget{limit: bytes, left: bytes} }

// Limit is how many bytes there are.
func (b *Budget) Limit() int64 { return b.limit }

// Used is how many of them are taken.
func (b *Budget) Used() int64 { return b.limit - b.Left() }

// Left is how many bytes are not taken.
func (b *Budget) Left() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left
}

// Wanted reports whether somebody waits for what others have.
func (b *Budget) Wanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiters) > 0
}

// Scarce reports whether there are not n bytes to be had, or others wait.
func (b *Budget) Scarce(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left < n || len(b.waiters) > 0
}

// TryTake reports whether there were n bytes to be had.
func (b *Budget) TryTake(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

// Take reports whether there were n bytes to be had, now or soon. It gives up at once when stopping is closed.
func (b *Budget) Take(n int64, stopping <-chan struct{}) bool {
	w := b.takeOrWait(n)
	if w == nil {
		return true
	}
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	select {
	case <-w.has:
		return true
	case <-patience.C:
	case <-stopping:
	}
	return !b.leave(w)
}

// takeOrWait takes n bytes and gives nil, or is one more that waits.
func (b *Budget) takeOrWait(n int64) *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left >= n {
		b.left -= n
		return nil
	}
	w := &waiter{need: n, has: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	return w
}

// leave reports whether w waited still, and does not any more.
func (b *Budget) leave(w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiters, w)
	if i >= 0 {
		b.waiters = slices.Delete(b.waiters, i, i+1)
	}
	return i >= 0
}

// Give returns n bytes. Who waits for no more than there is now has it, the first to come before the others; the rest are not woken: they may be a thousand.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	b.waiters = slices.DeleteFunc(b.waiters, func(w *waiter) bool {
		if w.need > b.left {
			return false
		}
		b.left -= w.need
		close(w.has)
		return true
	})
}
