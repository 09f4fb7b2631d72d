package node

import (
	"errors"
	"fmt"
)

// Ready says why the node should not be sent clients yet, or any more; nil when it should.
func (n *Node) Ready() error {
	switch {
	case n.leaving.Load():
		return errors.New("leaving the cluster")
	case !n.members.Joined():
		return errors.New("no other member reached yet, see --join")
	case !n.placed.Load():
		return errors.New("no table of the members adopted yet")
	default:
		return n.pulled()
	}
}

// pulled says what of the first partitions has not come yet; nil once all has, or there was nobody to take it from, whatever is wanted later: when a member is
// lost all others want some, and a cluster whose nodes all call themselves not ready serves nobody.
func (n *Node) pulled() error {
	if n.warm.Load() {
		return nil
	}
	if count := n.handover.Count(); count.Wanted+count.Arriving > 0 {
		return fmt.Errorf("first pull not done: %d partitions not taken over yet, %d arriving", count.Wanted, count.Arriving)
	}
	n.warm.Store(true)
	return nil
}
