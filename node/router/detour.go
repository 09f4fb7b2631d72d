package router

import (
	"time"

	"github.com/memring/memring/protocol"
)

// A detour is a request on its way after a partition on the move: whom it was sent to has given the partition away, or has not got it yet. Nobody has acted on
// it, so it may be sent again.
type detour struct {
	router *Router
	until  time.Time
	asked  string // who was asked last because somebody named him; "" if the table did
	tries  int
}

// The pauses between the tries of a detour double from the first to the last. Members adopt a table within some milliseconds of each other.
const (
	firstPause = time.Millisecond
	lastPause  = 32 * time.Millisecond
)

// redirect begins a detour, for a request that was answered with PeerMoved (protocol.Pending.Moved).
func (r *Router) redirect(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	r.stir()
	d := &detour{router: r, until: r.cfg.Now().Add(r.cfg.Patience())}
	return d.step(req, resp)
}

// step goes on with what resp, a PeerMoved, says.
func (d *detour) step(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	r := d.router
	if !r.cfg.Now().Before(d.until) {
		return nil
	}
	d.tries++
	named := string(resp.Value)
	news := named != "" && named != d.asked
	d.asked = named
	if news && d.tries == 1 {
		return d.ask(req, resp)
	}
	pause := r.cfg.After(min(firstPause<<min(d.tries-1, 10), lastPause))
	pause.Then = d.ask
	pause.Holds = true
	return pause
}

// ask sends the request to whom somebody has named, or else to whom the table of now names.
func (d *detour) ask(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	r := d.router
	r.stats.Redirected.Add(1)
	now := r.routes.Load()
	way := now.wayTo(now.table.Partition(req.Key))
	switch d.asked {
	case "":
	case r.cfg.Self:
		way = nil // it is here still, and on its way to whom the table names
	default:
		if named := r.cfg.Find(d.asked); named != nil {
			way = named
		}
	}
	var pending *protocol.Pending
	if way != nil {
		pending = way(req)
		pending.Forwarded = true
	} else {
		resp.Reset()
		if pending = r.here(req, resp); pending == nil {
			return nil
		}
	}
	pending.Moved = d.step
	return pending
}
