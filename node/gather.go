package node

import (
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol"
)

// gather asks all members for their statistics, this node first.
//
//	stats nodes -> Stats, to every member at once -> its counter -> lines, or why there are none after --peer-timeout
func (n *Node) gather() []stats.Member {
	list := []stats.Member{{ID: n.self.ID, Lines: n.ownLines()}}
	table, answers := n.router.Ask(&protocol.Request{Op: protocol.Stats})
	for i, pending := range answers {
		if pending == nil {
			continue
		}
		m := stats.Member{ID: table.Members()[i].ID}
		switch pending.Response.Status {
		case protocol.OK:
			m.Lines = pending.Response.Report
		case protocol.PeerTimeout:
			m.Silent = "no answer in time"
		case protocol.PeerOverloaded:
			m.Silent = "overloaded"
		default:
			m.Silent = "unreachable"
		}
		list = append(list, m)
		pending.Release()
	}
	return list
}

// ownLines are what this node tells of itself.
func (n *Node) ownLines() []protocol.ReportLine {
	list, figures := &stats.List{}, n.figures()
	figures.Cluster(list)
	figures.General(list)
	return list.Lines
}

// A counter stands before the end of the chain behind other members' lanes, and tells them what this node has counted.
type counter struct {
	node *Node
	next protocol.Handler
}

// Handle implements protocol.Handler.
func (c counter) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if req.Op != protocol.Stats {
		return c.next.Handle(req, resp)
	}
	resp.Status, resp.Report = protocol.OK, c.node.ownLines()
	return nil
}
