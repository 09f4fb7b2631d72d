package node

import (
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/node/snapshot"
)

// openSnapshots reads what the former run has kept.
func (n *Node) openSnapshots() (err error) {
	n.cfg.Moving(true)
	defer n.cfg.Moving(false)
	n.snapshots, err = snapshot.Open(snapshot.Config{
		Dir:     n.cfg.SnapshotDir,
		Self:    snapshot.Origin{Cluster: n.cfg.Cluster, ID: n.cfg.ID, Boot: uint64(n.started.UnixNano()), Partitions: n.cfg.Ring.Partitions, Print: n.cfg.Ring.Print()},
		Store:   n.store,
		Room:    n.cfg.MaxBytes,
		Wait:    n.cfg.SnapshotWait,
		Members: func() []membership.Member { return n.members.Members() },
		Changes: func() <-chan struct{} { return n.members.Changes() },
		Log:     n.log,
	})
	return err
}

// keepSnapshot makes what is back from the former run a copy that may be held where nobody holds the partition.
func (n *Node) keepSnapshot() {
	n.replicator.Keep(n.snapshots.Back(), piece.Member{ID: n.cfg.ID, Boot: n.snapshots.Former()})
}

// planSnapshot has what is here kept if nobody goes on with it; not on the small side of a split, for there the other one does.
func (n *Node) planSnapshot() {
	if !n.othersActive() && !n.sides.Minority() {
		n.snapshots.Plan()
	}
}
