// Package router asks of every request: is the key mine? Then it goes down the chain; else to its owner.
//
//	keyed   -> owner is me  -> next
//	        -> owner is not -> a read, and copies will do: the copy here, or of a member of our zone
//	                        -> the way to it: one hop, never two (a member that receives it has no door to a router)
//	        <- "moved"      -> the way to who holds it now: it is this node that sends it again
//	flush   -> every member: which mark? then, with the greatest: next, and every other member
//	others  -> next
package router

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// Config says what is behind a Router. Zero fields but Next take their defaults.
type Config struct {
	// Next answers for this node's own keys.
	Next protocol.Handler

	// Self is this node's id: a member may say that the partition is here.
	Self string

	// Find gives the way to a member by its id; nil if it is not known here. It is asked when a member says that another one holds a partition.
	Find func(id string) Send

	// Copy answers a read from a copy that is kept here, and reports whether there is a good one. Nil: all reads go to the owners. Then Zone is this node's:
	// a member of it that keeps a copy is asked before an owner elsewhere.
	Copy func(req *protocol.Request, resp *protocol.Response) bool
	Zone string

	// GetErrors tells who asks for an item whose owner cannot be reached why; default: it is a miss.
	GetErrors bool

	// Patience bounds how long a request is sent after a partition on the move. Asked each time; default 500 ms.
	Patience func() time.Duration

	// Now and After replace the clock, for tests: After gives a Pending that is completed after a while.
	Now   func() time.Time
	After func(time.Duration) *protocol.Pending
}

// Send is the way to a member: it keeps a copy of the request and gives its answer to come (peer.Link.Send).
type Send func(req *protocol.Request) *protocol.Pending

// A Router is the first link of the chain behind a client's session.
type Router struct {
	cfg    Config
	moved  func(*protocol.Request, *protocol.Response) *protocol.Pending // redirect, made once
	onward func(*protocol.Request, *protocol.Response) *protocol.Pending // toOwner, made once
	spare  sync.Pool                                                     // of requests for a copy
	routes atomic.Pointer[routes]
	stats  Stats

	// While partitions may be on the move, until this Unix nanosecond (0: they are not), what follows a request on its conversation waits for it: of two
	// requests for one partition the first could be sent back, and the second not.
	restless atomic.Int64
}

// restTime is how long after the last sign of a move there may be another: members adopt a table within a second of each other.
const restTime = 2 * time.Second

func (r *Router) stir() { r.restless.Store(r.cfg.Now().Add(restTime).UnixNano()) }

// stirred reports whether partitions may be on the move.
func (r *Router) stirred() bool {
	until := r.restless.Load()
	if until == 0 {
		return false
	}
	if r.cfg.Now().UnixNano() < until {
		return true
	}
	r.restless.CompareAndSwap(until, 0)
	return false
}

// routes are one table and the way to each of its members. They are never changed, only replaced.
type routes struct {
	table *ring.Table
	ways  []Send // by the members' places in the table; nil is this node
	more  []Send // to the members that are alive and own nothing: they leave, and may still hold items
	mates []bool // by the same places: the others that are alive and in our zone; nil: none is to be asked for a copy
	alone bool   // none leads to another member: every key is answered here, and nobody need look which is whose
	view  uint64 // numbers the tables adopted, from 1
}

// wayTo gives the way to the owner of a partition; nil if that is this node, or if nobody owns it, so that somebody answers.
func (r *routes) wayTo(part uint32) Send {
	owner := r.table.Owner(part)
	if owner < 0 {
		return nil
	}
	return r.ways[owner]
}

// Stats are counted since the start.
type Stats struct {
	Forwarded  atomic.Uint64 // requests handed to their owner
	Redirected atomic.Uint64 // requests sent after a partition on the move, each time
	Tables     atomic.Uint64 // adopted that were not as the one before
}

// New makes a router. Until the first Adopt every key is this node's own.
func New(cfg Config) *Router {
	if cfg.Patience == nil {
		cfg.Patience = func() time.Duration { return 500 * time.Millisecond }
	}
	if cfg.Find == nil {
		cfg.Find = func(string) Send { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.After == nil {
		cfg.After = after
	}
	r := &Router{cfg: cfg}
	r.moved, r.onward = r.redirect, r.toOwner
	r.spare.New = func() any { return new(protocol.Request) }
	return r
}

// after gives a Pending that is completed after a while. Who waits for it stays until then, so no timer outlives its session.
func after(pause time.Duration) *protocol.Pending {
	pending := protocol.NewPending(nil)
	time.AfterFunc(pause, pending.Complete)
	return pending
}

// Adopt routes by table from now on; ways lead to its members, in the table's order, and nil is this node; more to all others that are alive. One goroutine at
// a time adopts.
func (r *Router) Adopt(table *ring.Table, ways []Send, more ...Send) {
	view := uint64(1)
	if before := r.routes.Load(); before != nil {
		view = before.view + 1
		r.stir()
	}
	if former := r.Table(); former == nil || former.Print() != table.Print() {
		r.stats.Tables.Add(1)
	}
	alone := !slices.ContainsFunc(ways, func(way Send) bool { return way != nil })
	r.routes.Store(&routes{table: table, ways: ways, more: more, mates: r.matesOf(table, ways), alone: alone, view: view})
}

// Table gives the table that requests are routed by, nil before the first Adopt.
func (r *Router) Table() *ring.Table {
	if now := r.routes.Load(); now != nil {
		return now.table
	}
	return nil
}

// Stats gives the live counters.
func (r *Router) Stats() *Stats { return &r.stats }

// Handle implements protocol.Handler.
func (r *Router) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	now := r.routes.Load()
	if now == nil {
		return r.cfg.Next.Handle(req, resp)
	}
	if req.Op == protocol.Flush {
		r.flush(req, resp)
		return nil
	}
	if !req.Op.Keyed() {
		return r.cfg.Next.Handle(req, resp)
	}
	if req.View != 0 && req.View != now.view {
		resp.Status = protocol.AskAgain // what this session waits for went by another table
		return nil
	}
	if now.alone {
		return r.ask(now, nil, req, resp)
	}
	part := now.table.Partition(req.Key)
	way := now.wayTo(part)
	if way != nil && r.cfg.Copy != nil {
		if pending, answered := r.fromCopy(now, part, req, resp); answered {
			return pending
		}
	}
	return r.ask(now, way, req, resp)
}

// Mine leaves of keys those that are answered here, in their memory.
func (r *Router) Mine(keys [][]byte) [][]byte {
	now := r.routes.Load()
	if now == nil || now.alone || r.cfg.Copy != nil {
		return keys
	}
	return slices.DeleteFunc(keys, func(key []byte) bool { return now.wayTo(now.table.Partition(key)) != nil })
}

// ask asks the owner; nil is an answer.
func (r *Router) ask(now *routes, way Send, req *protocol.Request, resp *protocol.Response) (pending *protocol.Pending) {
	if way != nil {
		r.stats.Forwarded.Add(1)
		pending = way(req)
		pending.Forwarded = true
	} else if pending = r.here(req, resp); pending == nil {
		return nil
	}
	pending.View = now.view
	pending.Moved = r.moved
	pending.Holds = pending.Holds || r.stirred()
	if !req.Op.Writes() && !r.cfg.GetErrors {
		pending.OnLoss = protocol.NotFound // CLUSTER.md 4.3: the keys of a dead member miss
	}
	return pending
}

// here asks this node itself; nil is an answer.
func (r *Router) here(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	pending := r.cfg.Next.Handle(req, resp)
	if pending == nil && resp.Status.FromPeer() {
		pending = protocol.NewPending(nil)
		pending.Response.Status = resp.Status
		pending.Response.Scratch = append(pending.Response.Scratch[:0], resp.Value...)
		pending.Response.Value = pending.Response.Scratch
		pending.Holds = true
		pending.Complete()
		resp.Reset()
	}
	return pending
}

// ask asks every other member at once, and waits for the answers, which each is to be released; where there is no way there is none.
func ask(ways []Send, req *protocol.Request) []*protocol.Pending {
	answers := make([]*protocol.Pending, len(ways))
	for i, way := range ways {
		if way != nil {
			answers[i] = way(req)
			answers[i].Flush()
		}
	}
	for _, pending := range answers {
		if pending != nil {
			pending.Wait()
		}
	}
	return answers
}
