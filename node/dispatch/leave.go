package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/protocol"
)

// What a client is told who may not end this process.
const notEnabled = "cluster drain not enabled: start the nodes with -A"

// drain is "cluster drain MEMBER". Both the member that is asked and the one that is to go must let clients end their process: else who reaches one that does could
// empty a cluster whose others do not, and who reaches one that does not has no business to stop any.
func (d *Dispatch) drain(id string, resp *protocol.Response) *protocol.Pending {
	if d.cfg.Drain == nil {
		return refuse(resp, notEnabled)
	}
	now := d.cfg.Placement()
	m := now.ByID(id)
	switch {
	case m == nil && d.misses(id):
		return refuse(resp, id, " is down: nothing can be handed over by it; cluster forget ", id, " has its copies restored at once")
	case m == nil:
		return refuse(resp, id, " is no member, see cluster members")
	case d.isSelf(*m):
		return d.drainHere(resp)
	}
	return d.cfg.Send(*m, &protocol.Request{Op: protocol.Drain, Key: []byte(id)})
}

// drainHere begins to drain this member, or says why not.
//
// Of two that are told at once neither knows by gossip that the other leaves. So each notes that it is about to before it asks who stays: who asks last hears of all the others, and of the last ones at
// least one is refused.
func (d *Dispatch) drainHere(resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	switch {
	case d.cfg.Drain == nil:
		return refuse(resp, d.cfg.Self.ID, ": ", notEnabled)
	case d.cfg.Leaving():
		return nil
	}
	d.departing.Add(1)
	pending := protocol.NewPending(nil)
	d.findStaying(func(found bool) {
		err := errLast
		if found {
			err = d.cfg.Drain()
		}
		if pending.Response.Status = protocol.OK; err != nil {
			d.departing.Add(-1)
			refuse(&pending.Response, d.cfg.Self.ID, ": ", err.Error())
		}
		pending.Complete()
	})
	return pending
}

var errLast = errors.New("no other active member says that it stays, to take what is here: see cluster members; a last one is stopped by a signal")

// findStaying asks all other active members, and calls then as soon as one says that it stays, or when none does. One whose build does not know the question is what gossip says of it: active.
func (d *Dispatch) findStaying(then func(found bool)) {
	var once sync.Once
	tell := func(found bool) { once.Do(func() { then(found) }) }
	active := slices.DeleteFunc(d.others(), func(m membership.Member) bool { return m.State != membership.Active })
	if len(active) == 0 {
		tell(false)
	}
	var open atomic.Int64
	open.Store(int64(len(active)))
	for _, m := range active {
		asked := d.cfg.Ask(m.ID, &protocol.Request{Op: protocol.Drain, Key: []byte(d.cfg.Self.ID)})
		flush := asked.Flusher()
		asked.Hear(func(p *protocol.Pending) {
			if status := p.Response.Status; status == protocol.OK || status == protocol.UnknownCommand {
				tell(true)
			}
			p.Release()
			if open.Add(-1) == 0 {
				tell(false)
			}
		})
		if flush != nil {
			flush()
		}
	}
}

// Stays answers another member that is told to leave: does this one stay?
func (d *Dispatch) Stays(resp *protocol.Response) *protocol.Pending {
	if resp.Status = protocol.OK; d.cfg.Leaving() || d.departing.Load() > 0 {
		resp.Fail("about to leave as well")
	}
	return nil
}

// forget is "cluster forget MEMBER": here and with all others.
func (d *Dispatch) forget(id string, resp *protocol.Response) {
	now := d.cfg.Placement()
	boot, missed := d.cfg.Forget(id, 0)
	switch {
	case !missed && now.ByID(id) != nil:
		refuse(resp, id, " is here: only a member that went without a word can be forgotten; see cluster drain")
		return
	case !missed && now.Placed != nil && d.placed(id):
		refuse(resp, id, " is not known to be gone for good yet: try again in some seconds")
		return
	case !missed:
		refuse(resp, "nobody misses ", id, ", see cluster members and cluster status")
		return
	}
	others, told := d.others(), 0
	for _, a := range d.ask(others, &protocol.Request{Op: protocol.Forget, Key: []byte(id), Delta: boot}) {
		if a.silent == "" {
			told++
		}
	}
	if resp.Status = protocol.OK; told < len(others) {
		resp.Fail(fmt.Sprintf("%s is forgotten by %d of %d members; the others hear of it within some seconds", id, told+1, len(others)+1))
	}
}

func (d *Dispatch) placed(id string) bool {
	for _, m := range d.cfg.Placement().Placed {
		if m.ID == id {
			return true
		}
	}
	return false
}

// misses reports whether a member went without a word.
func (d *Dispatch) misses(id string) bool {
	for _, l := range d.cfg.Lost() {
		if l.ID == id && l.State != membership.Draining {
			return true
		}
	}
	return d.placed(id)
}
