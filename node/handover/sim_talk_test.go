package handover

import (
	"cmp"

	"github.com/memring/memring/protocol"
)

// A talk is a session without a wire: it answers batch by batch, and what waits holds up what may not overtake it (protocol/session). Where a session
// waits, a talk is looked at again.
type talk struct {
	node    *node
	handler protocol.Handler
	origin  uint32
	queue   []*said // not handled yet
	left    int     // of the queue, in this batch
	gaps    []*said // handled, of this batch
	known   int     // of gaps, those that are answered
	at      int     // of gaps, the one that is resolved next
	settles bool
	holds   int // 0: nothing; 1: writes; 2: everything
	view    uint64
	called  bool // it is on the heap
}

// said is one request of a talk.
type said struct {
	req     protocol.Request
	resp    protocol.Response
	pending *protocol.Pending
	answer  func(*protocol.Response)
}

func (k *talk) say(req *protocol.Request, answer func(*protocol.Response)) {
	s := &said{req: *req, answer: answer}
	s.req.Origin = k.origin
	k.queue = append(k.queue, s)
}

// ready reports whether there is something to do.
func (k *talk) ready() bool {
	if !k.settles {
		return len(k.queue) > 0
	}
	if k.at > k.known {
		return k.gaps[k.at].pending.Done()
	}
	for _, s := range k.gaps[k.known:] {
		if s.pending != nil && !s.pending.Done() {
			return false
		}
	}
	return true
}

// run goes on as far as can be without waiting.
func (k *talk) run() {
	for {
		if k.settles && !k.settle() {
			return
		}
		if k.left == 0 {
			if k.known < len(k.gaps) {
				k.settles = true
				continue
			}
			k.tellAll()
			if len(k.queue) == 0 {
				return
			}
			k.left = 1 + k.node.w.rnd.IntN(len(k.queue))
		}
		s := k.queue[0]
		if k.holds == 2 || k.holds == 1 && s.req.Op.Writes() {
			k.settles = true
			continue
		}
		s.req.View = k.view
		pending := k.handler.Handle(&s.req, &s.resp)
		if pending == nil && s.resp.Status == protocol.AskAgain {
			s.resp.Reset()
			k.settles = true
			continue
		}
		k.queue, k.left, k.gaps = k.queue[1:], k.left-1, append(k.gaps, s)
		if s.pending = pending; pending == nil {
			continue
		}
		k.view = cmp.Or(k.view, pending.View)
		switch {
		case pending.Holds && s.req.Op.Writes():
			k.holds = 2
		case pending.Holds:
			k.holds = max(k.holds, 1)
		}
	}
}

// settle resolves what is there; false if something is not.
func (k *talk) settle() bool {
	if !k.ready() {
		return false
	}
	for k.at = max(k.at, k.known); k.at < len(k.gaps); k.at++ {
		s := k.gaps[k.at]
		for settled := s.pending == nil; !settled; {
			if !s.pending.Done() {
				return false
			}
			s.pending, settled = s.pending.Advance(&s.req)
		}
	}
	k.known, k.at, k.holds, k.view, k.settles = len(k.gaps), 0, 0, 0, false
	return true
}

func (k *talk) tellAll() {
	for _, s := range k.gaps {
		if s.pending == nil {
			s.answer(&s.resp)
			continue
		}
		s.answer(&s.pending.Response)
		s.pending.Release()
	}
	k.gaps, k.known, k.at = nil, 0, 0
}
