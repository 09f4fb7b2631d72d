// Package router asks of every request: is the key mine? Then it goes down the chain; else to its owner.
//
//	keyed   -> owner is me  -> next
//	        -> owner is not -> the link to it: one hop, never two (a member that receives it has no door to a router)
//	flush   -> next, and every other member
//	others  -> next
package router

import (
	"fmt"
	"sync/atomic"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// A Router is the first link of the chain behind a client's session.
type Router struct {
	next   protocol.Handler
	routes atomic.Pointer[routes]
	stats  Stats
}

// routes are one table and the way to each of its members. They are never changed, only replaced.
type routes struct {
	table *ring.Table
	links []*peer.Link // by the members' places in the table; nil is this node
}

// linkTo gives the way to the owner of a partition; nil if that is this node, or if nobody owns it, so that somebody answers.
func (r *routes) linkTo(part uint32) *peer.Link {
	owner := r.table.Owner(part)
	if owner < 0 {
		return nil
	}
	return r.links[owner]
}

// Stats are counted since the start.
type Stats struct {
	Forwarded atomic.Uint64 // requests handed to their owner
}

// New makes a router before next. Until the first Adopt every key is this node's own.
func New(next protocol.Handler) *Router { return &Router{next: next} }

// Adopt routes by table from now on; links lead to its members, in the table's order, and nil is this node.
func (r *Router) Adopt(table *ring.Table, links []*peer.Link) {
	r.routes.Store(&routes{table: table, links: links})
}

// Table gives the table that requests are routed by, nil before the first Adopt.
func (r *Router) Table() *ring.Table {
	if now := r.routes.Load(); now != nil {
		return now.table
	}
	return nil
}

// Owns reports whether a partition is this node's own by the table of now.
func (r *Router) Owns(part uint32) bool {
	now := r.routes.Load()
	return now == nil || now.linkTo(part) == nil
}

// Stats gives the live counters.
func (r *Router) Stats() *Stats { return &r.stats }

// Handle implements protocol.Handler.
func (r *Router) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	now := r.routes.Load()
	if now == nil {
		return r.next.Handle(req, resp)
	}
	if req.Op == protocol.Flush {
		r.flush(now, req, resp)
		return nil
	}
	if !req.Op.Keyed() {
		return r.next.Handle(req, resp)
	}
	link := now.linkTo(now.table.Partition(req.Key))
	if link == nil {
		return r.next.Handle(req, resp)
	}
	r.stats.Forwarded.Add(1)
	pending := link.Send(req)
	if !req.Op.Writes() {
		pending.OnLoss = protocol.NotFound // CLUSTER.md 4.3: the keys of a dead member miss
	}
	return pending
}

// flush runs flush_all here and on every other member, and is done when all have answered. It is rare, so it may wait where it stands;
// what this session has sent before is ahead of it on the same lanes.
func (r *Router) flush(now *routes, req *protocol.Request, resp *protocol.Response) {
	if pending := r.next.Handle(req, resp); pending != nil {
		panic("router: flush_all is answered at once by the node itself")
	}
	if resp.Status != protocol.OK {
		return
	}
	waiting := make([]*protocol.Pending, 0, len(now.links))
	for _, link := range now.links {
		if link != nil {
			pending := link.Send(req)
			pending.Flush()
			waiting = append(waiting, pending)
		}
	}
	reached := 1
	for _, pending := range waiting {
		pending.Wait()
		if pending.Response.Status == protocol.OK {
			reached++
		}
		pending.Release()
	}
	if reached <= len(waiting) {
		resp.Fail(fmt.Sprintf("flush_all reached %d of %d", reached, len(waiting)+1))
	}
}
