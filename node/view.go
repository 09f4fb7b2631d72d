package node

import "github.com/memring/memring/node/membership"

// eachMember visits who is here (of itself a node says, too, that it is joining, or in the minority), and who is down and keeps its place for now.
func (n *Node) eachMember(visit func(m membership.Member, state string)) {
	now := n.placement()
	for _, m := range now.Here {
		state := m.State.String()
		if n.isSelf(m) {
			state = n.ownState()
		}
		visit(m, state)
	}
	for _, m := range now.Placed {
		if now.Down(m.ID) {
			visit(m, "down")
		}
	}
}

// ownState is what this node says of itself: also that it is in the minority, or joining until it is ready, though the others place it and count on it from the first moment.
func (n *Node) ownState() string {
	state := n.Self().State
	switch {
	case n.sides.Minority():
		return "minority"
	case state == membership.Active && !n.leaving.Load() && n.Ready() != nil:
		return membership.Joining.String()
	}
	return state.String()
}

// memberStates counts the members by their states.
func (n *Node) memberStates() map[string]int {
	count := map[string]int{}
	n.eachMember(func(_ membership.Member, state string) { count[state]++ })
	return count
}
