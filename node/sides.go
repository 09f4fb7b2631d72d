package node

import (
	"time"

	"github.com/memring/memring/node/membership"
)

const (
	// graveTime is how long a tombstone is kept while somebody may be on the other side of a split: who is away for longer may bring back what was deleted.
	graveTime = time.Hour
	// healTime is for how long deletions leave tombstones after all are back: until then all that both sides have has been offered, and is merged or about to be.
	healTime = time.Minute
)

// lookAround finds out on which side of a split this node is, if there is one, and sees to it that what is deleted meanwhile stays deleted after it.
func (n *Node) lookAround() {
	here, lost := n.members.Everybody()
	now := time.Since(n.started)
	if n.sides.Look(here, lost, n.gone, time.Now()) {
		n.mourns.Store(int64(now + healTime))
	}
	if int64(now) < n.mourns.Load() {
		n.store.Mourn(int64(graveTime.Seconds()))
	} else {
		n.store.Mourn(0)
	}
}

// gone reports whether it is known of a member that its process has ended. Sides remember it: the verdict itself ends when gossip has found out.
func (n *Node) gone(m membership.Member) bool { return n.suspicion.Down(m) }
