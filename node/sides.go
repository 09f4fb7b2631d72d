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
	if n.sides.Look(here, lost, n.gone, time.Now()) {
		n.mourn(healTime)
	}
	n.graves.Lock()
	defer n.graves.Unlock()
	if n.mourning() == 0 {
		n.store.Mourn(0)
	}
}

// mourn has deletions leave tombstones for that long at least.
func (n *Node) mourn(span time.Duration) {
	n.graves.Lock()
	defer n.graves.Unlock()
	n.mourns.Store(max(n.mourns.Load(), int64(time.Since(n.started)+span)))
	n.store.Mourn(int64(graveTime.Seconds()))
}

// mourning is for how long yet deletions leave tombstones.
func (n *Node) mourning() time.Duration {
	return max(0, time.Duration(n.mourns.Load())-time.Since(n.started))
}

// gone reports whether it is known of a member that its process has ended. Sides remember it: the verdict itself ends when gossip has found out.
func (n *Node) gone(m membership.Member) bool { return n.suspicion.Down(m) }
