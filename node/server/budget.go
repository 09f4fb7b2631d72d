package server

import (
	"sync"
	"time"
)

// A budget is the memory that connections share for requests too large for a buffer at rest.
//
// Who takes from it may hold some of it already, so all may come to wait for each other. The wait is bounded for that reason: then one gives
// up, and the others go on with what it had.
type budget struct {
	mu    sync.Mutex // guards the rest
	left  int64
	freed chan struct{} // closed when some comes back; nil while nobody waits for that
}

// budgetPatience is some times what it takes to upload a large item.
const budgetPatience = time.Second

func newBudget(bytes int64) *budget { return &budget{left: bytes} }

// take reports whether there were n bytes to be had, now or soon. It gives up at once when stopping is closed.
func (b *budget) take(n int64, stopping <-chan struct{}) bool {
	freed := b.tryTake(n)
	if freed == nil {
		return true
	}
	patience := time.NewTimer(budgetPatience)
	defer patience.Stop()
	for freed != nil {
		select {
		case <-freed:
			freed = b.tryTake(n)
		case <-patience.C:
			return false
		case <-stopping:
			return false
		}
	}
	return true
}

// tryTake takes n bytes and gives nil, or what will be closed when it is worth another try.
func (b *budget) tryTake(n int64) (freed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left >= n {
		b.left -= n
		return nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed
}

// give returns n bytes.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
	if b.freed != nil && n > 0 {
		close(b.freed)
		b.freed = nil
	}
}
