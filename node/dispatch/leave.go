package dispatch

import (
	"fmt"

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
		d.drainHere(resp)
		return nil
	}
	return d.cfg.Send(*m, &protocol.Request{Op: protocol.Drain, Key: []byte(id)})
}

// drainHere begins to drain this member, or says why not.
func (d *Dispatch) drainHere(resp *protocol.Response) {
	resp.Status = protocol.OK
	if d.cfg.Drain == nil {
		refuse(resp, d.cfg.Self.ID, ": ", notEnabled)
		return
	}
	if err := d.cfg.Drain(); err != nil {
		refuse(resp, d.cfg.Self.ID, ": ", err.Error())
	}
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
