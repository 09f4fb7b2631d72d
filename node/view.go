package node

import (
	"fmt"
	"strings"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol"
)

// memberLines is the answer to "cluster members".
func (n *Node) memberLines() (lines []protocol.ReportLine) {
	n.eachMember(func(m membership.Member, state string) {
		lines = append(lines, protocol.ReportLine{
			Label: "MEMBER",
			Name:  m.ID,
			Value: fmt.Sprintf("state=%s client=%s peer=%s gossip=%s zone=%s weight=%d copies=%d", state, m.Client, m.Peer, m.Gossip, m.Zone, m.Weight, m.Copies),
		})
	})
	return lines
}

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

// moveLines is the answer to "cluster moves": what is on its way to this node, and from it.
func (n *Node) moveLines() []protocol.ReportLine { return stats.MoveLines(n.handover.Moves()) }

// ownerLines is the answer to "cluster owner KEY".
func (n *Node) ownerLines(key []byte) []protocol.ReportLine {
	table := n.router.Table()
	part := table.Partition(key)
	owner := table.Members()[table.Owner(part)]
	line := protocol.ReportLine{Label: "OWNER", Name: owner.ID, Value: fmt.Sprintf("partition=%d", part)}
	for _, m := range n.members.Members() {
		if m.ID == owner.ID {
			line.Value += fmt.Sprintf(" client=%s", m.Client)
		}
	}
	var copies []string
	for _, h := range table.Holders(part)[1:] {
		copies = append(copies, table.Members()[h].ID)
	}
	line.Value += " copies=" + strings.Join(copies, ",")
	return []protocol.ReportLine{line}
}
