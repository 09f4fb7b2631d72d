package node

import (
	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/node/uses"
)

// openReplicator makes what copies the writes to what is held here.
func (n *Node) openReplicator() {
	n.replicator = replicator.New(replicator.Config{
		Self:     handover.Member{ID: n.cfg.ID, Boot: uint64(n.started.UnixNano())},
		Store:    n.store,
		Next:     n.executor,
		Send:     n.copyTo,
		Await:    n.errands.Await,
		After:    n.errands.After,
		Go:       n.errands.Go,
		Place:    func(part uint32) piece.Place { return n.handover.Place(part) },
		Written:  func() { n.handover.Written() },
		Fenced:   n.doubt,
		Ack:      n.cfg.Ack,
		Duty:     n.duty,
		Rate:     n.handoverRate,
		Patience: n.peerDeadline,
		Readable: n.cfg.ReadNearest,
		Log:      n.log,
	})
}

// usesConfig says what replicas are told of uses.
func (n *Node) usesConfig() uses.Config {
	return uses.Config{
		Self: n.cfg.ID, Store: n.store, Clock: n.clock, Table: n.router.Table, Holds: n.handover.Holds, Send: n.copyTo, Await: n.errands.Await,
	}
}

// Copied reports whether there are as many copies of what is held here as the table wants, and no more.
func (n *Node) Copied() bool {
	count := n.replicator.Count()
	return count.Missing == 0 && count.Spare == 0 && count.Kept == count.Whole
}

// doubt has nothing answered from this node's memory before the others were asked: they may have gone on without it.
func (n *Node) doubt() {
	n.replicator.Doubt()
	n.handover.Doubt()
}
