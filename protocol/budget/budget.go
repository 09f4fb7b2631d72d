// Package budget is memory that connections share for what is too large for a buffer at rest.
//
//	Budget  so many bytes for all:  Share  what one client has of them, and may have at most
//
// Who takes from it may hold some of it already, so all may come to wait for each other. The wait is bounded for that reason: then one gives
// up, and the others go on with what it had.
package budget

import (
	"sync"
	"time"
)

// A Budget is so many bytes, taken and given back by many goroutines at once.
type Budget struct {
	limit int64

	mu      sync.Mutex // guards the rest
	left    int64
	freed   chan struct{} // closed when some comes back; nil while nobody waits for that
	waiting int           // how many wait
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
	return b.waiting > 0
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
	if b.TryTake(n) {
		return true
	}
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	for {
		freed := b.takeOrWait(n)
		if freed == nil {
			return true
		}
		select {
		case <-freed:
			b.leave()
		case <-patience.C:
			b.leave()
			return false
		case <-stopping:
			b.leave()
			return false
		}
	}
}

// takeOrWait takes n bytes and gives nil, or is one more that waits, and gives what will be closed when it is worth another try.
func (b *Budget) takeOrWait(n int64) (freed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left >= n {
		b.left -= n
		return nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	b.waiting++
	return b.freed
}

func (b *Budget) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting--
}

// Give returns n bytes.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	if b.freed != nil && n > 0 {
		close(b.freed)
		b.freed = nil
	}
}
