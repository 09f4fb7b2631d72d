package handover

import (
	"sync"
	"time"

	"github.com/memring/memring/protocol"
)

// Errands are what a Handover has done elsewhere, in real time: Config's Await, After and Go. None is begun after Stop.
type Errands struct {
	mu      sync.Mutex // guards stopped, and Add on running
	stopped bool
	running sync.WaitGroup
}

// Go calls f on a goroutine of its own.
func (e *Errands) Go(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopped {
		e.running.Go(f)
	}
}

// After calls f in a while.
func (e *Errands) After(pause time.Duration, f func()) {
	time.AfterFunc(pause, func() { e.Go(f) })
}

// Await calls then with an answer once it is there. Every Pending of a link is completed in its time, so this ends.
func (e *Errands) Await(pending *protocol.Pending, then func(resp *protocol.Response)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return
	}
	e.running.Go(func() {
		pending.Wait()
		then(&pending.Response)
		pending.Release()
	})
}

// Stop returns when none is under way. The links must have been stopped before, so that all answers are there.
func (e *Errands) Stop() {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.running.Wait()
}
