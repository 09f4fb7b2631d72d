package node

import "github.com/memring/memring/node/membership"

// eachMember visits who is here (of itself a node says, too, that it is in the minority), and who is down and keeps its place for now.
func (n *Node) eachMember(visit func(m membership.Member, state string)) {
	now := n.placement()
	for _, m := range now.Here {
		if n.isSelf(m) && n.sides.Minority() {
			visit(m, "minority")
			continue
		}
		visit(m, m.State.String())
	}
	for _, m := range now.Placed {
		if now.Down(m.ID) {
			visit(m, "down")
		}
	}
}

// memberStates counts the members by their states.
func (n *Node) memberStates() map[string]int {
	count := map[string]int{}
	n.eachMember(func(_ membership.Member, state string) { count[state]++ })
	return count
}
