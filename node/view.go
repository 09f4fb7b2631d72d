package node

import (
	"fmt"

	"github.com/memring/memring/protocol"
)

// memberLines is the answer to "cluster members".
func (n *Node) memberLines() []protocol.ReportLine {
	var lines []protocol.ReportLine
	for _, m := range n.members.Members() {
		lines = append(lines, protocol.ReportLine{
			Label: "MEMBER",
			Name:  m.ID,
			Value: fmt.Sprintf("state=%s client=%s peer=%s gossip=%s", m.State, m.Client, m.Peer, m.Gossip),
		})
	}
	return lines
}

// moveLines is the answer to "cluster moves": what is on its way to this node, and from it.
func (n *Node) moveLines() []protocol.ReportLine {
	var lines []protocol.ReportLine
	for _, m := range n.handover.Moves() {
		lines = append(lines, protocol.ReportLine{
			Label: "MOVE",
			Name:  fmt.Sprintf("%s/%d", m.From, m.Number),
			Value: fmt.Sprintf("from=%s to=%s partitions=%d items=%d bytes=%d", m.From, m.To, m.Partitions, m.Items, m.Bytes),
		})
	}
	return lines
}

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
	return []protocol.ReportLine{line}
}
