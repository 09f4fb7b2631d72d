package node

import (
	"github.com/memring/memring/node/dispatch"
	"github.com/memring/memring/node/suspicion"
	"github.com/memring/memring/node/uses"
	"github.com/memring/memring/protocol"
)

// A copyDoor is the handler of the copy lanes: what other members ask of this one without a client waiting for it. Each op goes to the room whose word it is.
type copyDoor struct {
	handover   protocol.Handler // every op that is nobody else's: it refuses what is not its own
	replicator protocol.Handler
	suspicion  *suspicion.Suspicion
	uses       uses.Door
	dispatch   *dispatch.Dispatch
}

// Handle implements protocol.Handler.
func (d copyDoor) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Follow, protocol.Unfollow, protocol.Copy, protocol.Draw, protocol.Confirm:
		return d.replicator.Handle(req, resp)
	case protocol.Suspect:
		return d.suspicion.Handle(req, resp)
	case protocol.Uses:
		return d.uses.Handle(req, resp)
	case protocol.Drain:
		return d.dispatch.Stays(resp)
	default:
		return d.handover.Handle(req, resp)
	}
}

// copyDoor gives the handler of the copy lanes.
func (n *Node) copyDoor() copyDoor {
	return copyDoor{handover: n.handover.Door(), replicator: n.replicator.Door(), suspicion: n.suspicion, uses: uses.Door{Store: n.store}, dispatch: n.dispatch}
}
