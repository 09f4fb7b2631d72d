// Package meter measures one of some requests of each conversation: how long its answer took, and which keys are asked for most.
//
//	client's session -> Client -> gate, operator ...  a request's time until its answer is there, and where it came from; its key, if it was answered here
//	lane's session ---> Lane ---> reception ...       its key
//
// Its session hands over those that are measured and no others (session.Sample): what is not costs the counting down of a number that only its own
// conversation knows, so Every is what all of it costs. Which requests those are is drawn, each like any other: no pattern of requests hides from it, and each that was measured stands for Every of them.
//
// A key is counted where it is answered, as everything that concerns items. Conversations share stripes, which have a lock each.
package meter

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// Config says how much is measured.
type Config struct {
	// Every is of how many requests one is measured, on average; 0: none.
	Every int

	// Now is a clock that does not go back. Default: time since New.
	Now func() time.Duration
}

// stripes are as many as processors may write at a time without waiting for each other, mostly.
const stripes = 8

// A Meter knows what was measured in all conversations.
type Meter struct {
	cfg     Config
	scale   float64 // of the exponential distribution whose whole parts are drawn: see draw
	stripes [stripes]stripe
}

// A stripe is shared by every eighth conversation.
type stripe struct {
	mu    sync.Mutex                       // guards the rest
	times [ops][results][routes]*Histogram // nil: of nothing yet
	keys  keys
	_     [64]byte // others' cache lines stand apart
}

// New makes a Meter.
func New(cfg Config) *Meter {
	if began := time.Now(); cfg.Now == nil {
		cfg.Now = func() time.Duration { return time.Since(began) }
	}
	return &Meter{cfg: cfg, scale: -1 / math.Log1p(-1/float64(max(cfg.Every, 1)))}
}

// Every is of how many requests one is measured.
func (m *Meter) Every() int { return m.cfg.Every }

// draw says which request is measured next, counted from 1: any is with the same chance, so the number is geometrically distributed.
func (m *Meter) draw() int { return 1 + int(rand.ExpFloat64()*m.scale) }

func (m *Meter) stripeOf(s *session.Session) *stripe { return &m.stripes[s.Origin()%stripes] }

// A client measures the samples of one conversation.
type client struct {
	meter   *Meter
	stripe  *stripe
	next    protocol.Handler
	settled func(*protocol.Pending, *protocol.Request)
}

// Client has requests of a client's session measured on their way to next, which is its handler.
func (m *Meter) Client(s *session.Session, next protocol.Handler) {
	if m.cfg.Every > 0 {
		c := &client{meter: m, stripe: m.stripeOf(s), next: next}
		c.settled = c.later
		s.Sample(m.draw, c)
	}
}

// Handle implements protocol.Handler.
func (c *client) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if !measured(req) {
		return c.next.Handle(req, resp)
	}
	began := c.meter.cfg.Now()
	pending := c.next.Handle(req, resp)
	switch {
	case pending != nil:
		pending.Began, pending.Settled = began, c.settled
	case resp.Status != protocol.AskAgain: // else it comes once more
		c.stripe.add(req, resp, Local, began, c.meter.cfg.Now())
	}
	return pending
}

// later is told of an answer that comes later.
func (c *client) later(p *protocol.Pending, req *protocol.Request) {
	route := Local
	if p.Forwarded {
		route = Forwarded
	}
	c.stripe.add(req, &p.Response, route, p.Began, c.meter.cfg.Now())
}

func (s *stripe) add(req *protocol.Request, resp *protocol.Response, route Route, began, ended time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.times[req.Op-firstOp][resultOf(req.Op, resp.Status)][route]
	if *h == nil {
		*h = new(Histogram)
	}
	(*h).add(ended - began)
	if route == Local {
		s.keys.add(req.Key, ended)
	}
}

// A lane counts the keys of the samples of one conversation with another member.
type lane struct {
	meter  *Meter
	stripe *stripe
	next   protocol.Handler
}

// Lane has keys of another member's session counted on their way to next, which is its handler.
func (m *Meter) Lane(s *session.Session, next protocol.Handler) {
	if m.cfg.Every > 0 {
		s.Sample(m.draw, &lane{meter: m, stripe: m.stripeOf(s), next: next})
	}
}

// Handle implements protocol.Handler.
func (l *lane) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if measured(req) {
		l.stripe.mu.Lock()
		l.stripe.keys.add(req.Key, l.meter.cfg.Now())
		l.stripe.mu.Unlock()
	}
	return l.next.Handle(req, resp)
}

// measured reports whether a request is a client's for an item, and not the second half of one.
func measured(req *protocol.Request) bool {
	return req.Op >= firstOp && req.Op <= lastOp && !req.Options.Has(protocol.Again)
}
