package router

import (
	"fmt"
	"slices"
	"time"

	"github.com/memring/memring/protocol"
)

// flushPatience bounds how long a flush_all waits for members to see each other alike: they adopt a table within a second of each other.
const flushPatience = 2 * time.Second

// flush runs flush_all here and on every other member, and is done when all have answered. It is rare, so it may wait where it stands;
// what this session has sent before is ahead of it on the same lanes.
//
//	all members: FlushMark -> the greatest is the mark of all -> all members: Flush, with it
//
// So, however their clocks differ, what one of them has stored before has a version that is not above the mark, and is refused by all where a
// hand-over brings it later; and what one of them stores afterwards has one above it.
//
// A member that has just come may be unknown here, and have been given by another what that had before it flushed. So if some see other
// members than we do, all of it is done again.
func (r *Router) flush(req *protocol.Request, resp *protocol.Response) {
	for until := r.cfg.Now().Add(flushPatience); ; {
		now := r.routes.Load()
		alike := r.flushAmong(now.others(), req, resp)
		switch {
		case alike && r.routes.Load() == now, resp.Status == protocol.NotAllowed:
			return
		case !r.cfg.Now().Before(until):
			resp.Fail("flush_all reached all that are known here, others see other members")
			return
		}
		pause := r.cfg.After(lastPause)
		pause.Wait()
		pause.Release()
		resp.Reset()
	}
}

// others are the ways to all that are alive; nil is this node, or one that is down and keeps its place only: if it comes back, then without its items.
func (r *routes) others() []Send {
	alive := slices.Concat(r.ways, r.more)
	for i := range r.ways {
		if !r.table.Alive(i) {
			alive[i] = nil
		}
	}
	return alive
}

// flushAmong flushes here and among others, where nil is this node. alike tells that all who have answered see the same members.
func (r *Router) flushAmong(others []Send, req *protocol.Request, resp *protocol.Response) (alike bool) {
	flush := *req
	mark, knows := r.flushMark(others, req, resp)
	if resp.Status != protocol.OK {
		return true
	}
	flush.Delta = mark
	if r.cfg.Next.Handle(&flush, resp); resp.Status != protocol.OK {
		return true
	}
	view, reached, members := resp.Number, 1, 1
	alike = true
	for i, pending := range ask(others, &flush) {
		if pending == nil {
			continue
		}
		if members++; pending.Response.Status == protocol.OK && knows[i] {
			reached++
			alike = alike && pending.Response.Number == view
		}
		pending.Release()
	}
	if reached < members {
		resp.Fail(fmt.Sprintf("flush_all reached %d of %d", reached, members))
	}
	return alike
}

// flushMark is the greatest that a member would have for this flush_all; knows tells which others it is known of.
func (r *Router) flushMark(others []Send, req *protocol.Request, resp *protocol.Response) (mark uint64, knows []bool) {
	question := protocol.Request{Op: protocol.FlushMark, Exptime: req.Exptime, Origin: req.Origin}
	if r.cfg.Next.Handle(&question, resp) != nil {
		panic("router: flush_all is answered at once by the node itself")
	}
	if resp.Status != protocol.OK {
		return 0, nil
	}
	mark, knows = resp.Number, make([]bool, len(others))
	for i, pending := range ask(others, &question) {
		if pending == nil {
			continue
		}
		if knows[i] = pending.Response.Status == protocol.OK; knows[i] {
			mark = max(mark, pending.Response.Number)
		}
		pending.Release()
	}
	return mark, knows
}
