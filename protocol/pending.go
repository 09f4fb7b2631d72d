package protocol

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol/budget"
	"github.com/memring/memring/protocol/lent"
)

// A Pending is an answer that comes later.
//
//	handler                         session                     lane
//	p := NewPending(lane.flush)
//	... queue the request
//	return p
//	                                p.Wait(): flush, sleep
//	                                                            fill p.Response
//	                                                            p.Complete(): wake
//	                                encode p.Response
//	                                p.Release()
//
// It is completed exactly once (by the answer, the time-out or the loss of the link) and released exactly once, by whoever waited for it or heard of it;
// after Complete the completer does not touch it again.
type Pending struct {
	Response Response // the answer: the completer's until Complete, then the waiter's

	// OnLoss, when set, is what a reader is told instead of a failure between members: a cache may always miss.
	OnLoss Status

	// Then, when set, goes on with the request once Response is there: it makes that the answer and returns nil, or returns another Pending to be
	// waited for in the place of this one. It is called by Resolve, and must not wait.
	Then func(req *Request, resp *Response) *Pending

	// Moved, when set, goes on in the same way with a request whose answer would be PeerMoved.
	Moved func(req *Request, resp *Response) *Pending

	// Holds says that the request is handled here and not yet, so that on its conversation nothing that writes may overtake it, and nothing at all if
	// itself writes.
	Holds bool

	// View says by which view of the cluster the request was sent, see Request.View.
	View uint64

	// Forwarded says that another member was asked.
	Forwarded bool

	// Settled, when set, is told of the answer once, when Response is what the client will get; Began is for whoever sets it.
	Settled func(p *Pending, req *Request)
	Began   time.Duration

	share *budget.Share // what the memory of the answer is taken from; nil: it is not counted
	taken int64         // of that

	flush func()         // sends what the handler has queued; called before anyone sleeps on the answer, perhaps more than once
	hear  func(*Pending) // Hear's, instead of a waiter
	state atomic.Uint32  // open, awaited, completed
	wake  chan struct{}  // capacity 1
}

const (
	pendingOpen uint32 = iota
	pendingAwaited
	pendingHeard
	pendingCompleted
)

var pendings = sync.Pool{New: func() any { return &Pending{wake: make(chan struct{}, 1)} }}

// NewPending gives an open Pending. flush sends what was queued for it; nil if there is nothing to send.
func NewPending(flush func()) *Pending {
	p := pendings.Get().(*Pending)
	p.flush = flush
	return p
}

// ToShare counts the memory of p's answer as the Share's: see MakeRoom.
func (p *Pending) ToShare(share *budget.Share) { p.share = share }

// Counted reports whether the memory of its answer is a Share's, so that its value may be Withheld.
func (p *Pending) Counted() bool { return p.share != nil }

// MakeRoom takes room for a value of so many bytes until Release, and reports whether there was any. It is for the completer, before it puts a value there.
func (p *Pending) MakeRoom(bytes int) bool {
	if p.share == nil {
		return true
	}
	if kept := cap(p.Response.Scratch); kept > max(bytes, UncountedBytes) {
		if p.take(kept) {
			return true
		}
		p.Response.Scratch = nil // kept from an earlier answer, and too much now
	}
	return p.take(bytes)
}

// Keep has what was taken outlive p, and says how much that is: whoever waited gives it back to the Share.
func (p *Pending) Keep() (taken int64) {
	taken, p.taken = p.taken, 0
	return taken
}

func (p *Pending) take(bytes int) bool {
	n := AnswerBytes(bytes)
	if n > 0 && !p.share.TryTake(n) {
		return false
	}
	p.taken += n
	return true
}

const (
	// UncountedBytes is how long a value may be that nobody counts: it would cost more than it says, since a conversation waits for some hundred at a time only.
	UncountedBytes = 1 << 10

	// UncopiedBytes is how long a value may be and is sent from a buffer that its conversation has anyway.
	UncopiedBytes = 15 << 10
)

// AnswerBytes is the memory that a value of so many bytes is reckoned to take until it is sent: it lies where it came, and, if it is long, in the buffer that
// it is sent from, each up to a quarter larger (protocol/lent).
func AnswerBytes(bytes int) int64 {
	switch {
	case bytes <= UncountedBytes:
		return 0
	case bytes <= UncopiedBytes:
		return int64(bytes)
	default:
		return 3 * int64(bytes)
	}
}

// Answered gives a Pending that is completed with status.
func Answered(status Status) *Pending {
	p := NewPending(nil)
	p.Response.Status = status
	p.Complete()
	return p
}

// Complete hands the Response to whoever waits. The caller must not touch p afterwards.
func (p *Pending) Complete() {
	switch p.state.Swap(pendingCompleted) {
	case pendingAwaited:
		p.wake <- struct{}{}
	case pendingHeard:
		p.hear(p)
	case pendingCompleted:
		panic("protocol: pending completed twice")
	}
}

// Flush sends what is queued with p, without waiting.
func (p *Pending) Flush() {
	if p.flush != nil && p.state.Load() == pendingOpen {
		p.flush()
	}
}

// Flusher gives what sends what is queued with p; it may be called when p is another's already.
func (p *Pending) Flusher() func() { return p.flush }

// Hear is for those who do not wait: f is called with p once it is completed, by whoever completes it, or at once. It must not wait, and releases p.
func (p *Pending) Hear(f func(*Pending)) {
	p.hear = f
	if !p.state.CompareAndSwap(pendingOpen, pendingHeard) {
		f(p)
	}
}

// Wait flushes and returns once p is completed. Only one goroutine may wait.
func (p *Pending) Wait() {
	p.Flush()
	if p.state.CompareAndSwap(pendingOpen, pendingAwaited) {
		<-p.wake
	}
}

// Resolve waits for p and all that comes in its place, and gives the one that holds the answer to req.
func (p *Pending) Resolve(req *Request) *Pending {
	for {
		p.Wait()
		next, settled := p.Advance(req)
		if settled {
			return next
		}
		p = next
	}
}

// Done reports whether p is completed, for those who may not wait.
func (p *Pending) Done() bool { return p.state.Load() == pendingCompleted }

// Advance goes on with req once p is completed, a step of Resolve without its waiting: next is p itself with the answer if that is settled, and
// else what is to be waited for in the place of p.
func (p *Pending) Advance(req *Request) (next *Pending, settled bool) {
	then := p.Then
	switch {
	case then != nil:
		p.Then = nil
	case p.Moved != nil && p.Response.Status == PeerMoved:
		then, p.Moved = p.Moved, nil
	default:
		return p.settle(req), true
	}
	if next = then(req, &p.Response); next == nil {
		return p, false
	}
	if next.OnLoss == Unset {
		next.OnLoss = p.OnLoss
	}
	if next.Moved == nil {
		next.Moved = p.Moved
	}
	next.Forwarded = next.Forwarded || p.Forwarded
	next.Settled, next.Began = p.Settled, p.Began
	p.Release()
	return next, false
}

// settle makes of a failure between members what the reader is told.
func (p *Pending) settle(req *Request) *Pending {
	if p.OnLoss != Unset && p.Response.Status.FromPeer() {
		p.Response.Reset()
		p.Response.Status = p.OnLoss
	}
	if told := p.Settled; told != nil {
		p.Settled = nil
		told(p, req)
	}
	return p
}

// Release gives p back for reuse, once its Response has been read. It keeps scratch memory that is not large; what is was lent.
func (p *Pending) Release() {
	p.Response.Reset()
	p.Response.Scratch = lent.Back(p.Response.Scratch)
	if p.taken > 0 {
		p.share.Give(p.taken)
	}
	p.share, p.taken = nil, 0
	p.OnLoss, p.Then, p.Moved, p.Holds, p.View, p.flush, p.hear = Unset, nil, nil, false, 0, nil, nil
	p.Forwarded, p.Settled, p.Began = false, nil, 0
	p.state.Store(pendingOpen)
	pendings.Put(p)
}
