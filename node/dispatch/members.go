package dispatch

import (
	"fmt"
	"strings"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/protocol"
)

// members is the answer to "cluster members".
func (d *Dispatch) members() (lines []protocol.ReportLine) {
	d.cfg.Members(func(m membership.Member, state string) {
		lines = append(lines, protocol.ReportLine{
			Label: "MEMBER",
			Name:  m.ID,
			Value: fmt.Sprintf("state=%s client=%s peer=%s gossip=%s zone=%s weight=%d copies=%d", state, m.Client, m.Peer, m.Gossip, m.Zone, m.Weight, m.Copies),
		})
	})
	return lines
}

// owner is the answer to "cluster owner KEY".
func (d *Dispatch) owner(key []byte) []protocol.ReportLine {
	table := d.cfg.Table()
	part := table.Partition(key)
	line := protocol.ReportLine{Label: "OWNER", Name: "none", Value: fmt.Sprintf("partition=%d", part)}
	if at := table.Owner(part); at >= 0 {
		line.Name = table.Members()[at].ID
	}
	for _, m := range d.cfg.Placement().Here {
		if m.ID == line.Name {
			line.Value += fmt.Sprintf(" client=%s", m.Client)
		}
	}
	copies := d.holders(part)
	if len(copies) > 0 {
		copies = copies[1:]
	}
	line.Value += " copies=" + strings.Join(copies, ",")
	return []protocol.ReportLine{line}
}

// holders gives who is to keep a partition, its owner first.
func (d *Dispatch) holders(part uint32) (ids []string) {
	table := d.cfg.Table()
	for _, h := range table.Holders(part) {
		ids = append(ids, table.Members()[h].ID)
	}
	return ids
}
