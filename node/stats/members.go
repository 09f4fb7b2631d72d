package stats

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/protocol"
)

// A Member is what a member of the cluster says of itself.
type Member struct {
	ID     string
	Lines  []protocol.ReportLine
	Moves  []handover.Report // under way from it and to it; only Gather asks for them
	Silent string            // why it said nothing
}

// gather asks all members for their statistics, this one first.
//
//	stats nodes -> Stats, to every member at once -> its counter -> lines, or after --peer-timeout the reason why there are none
func (s *Sources) gather() []Member {
	list := []Member{{ID: s.ID, Lines: s.Own()}}
	ids, answers := s.Ask(&protocol.Request{Op: protocol.Stats})
	for i, pending := range answers {
		m := Member{ID: ids[i]}
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

// Gather asks all members for their statistics and for what they hand over, this one first.
func (s *Sources) Gather() []Member {
	list := s.gather()
	list[0].Moves = s.Handover.Moves()
	ids, answers := s.Ask(&protocol.Request{Op: protocol.Moves})
	for i, pending := range answers {
		for k := range list {
			if m := &list[k]; m.ID == ids[i] && pending.Response.Status == protocol.OK {
				m.Moves = parseMoves(pending.Response.Report)
			}
		}
		pending.Release()
	}
	return list
}

// MoveLines tells of moves, as "cluster moves" does.
func MoveLines(moves []handover.Report) (lines []protocol.ReportLine) {
	for _, m := range moves {
		lines = append(lines, protocol.ReportLine{
			Label: "MOVE",
			Name:  fmt.Sprintf("%s/%d", m.From, m.Number),
			Value: fmt.Sprintf(moveFormat, m.From, m.To, m.Partitions, m.Items, m.Bytes),
		})
	}
	return lines
}

const moveFormat = "from=%s to=%s partitions=%d items=%d bytes=%d"

// parseMoves reads what MoveLines of another member has written; what it cannot read it leaves out.
func parseMoves(lines []protocol.ReportLine) (moves []handover.Report) {
	for _, l := range lines {
		var m handover.Report
		number := l.Name[strings.LastIndexByte(l.Name, '/')+1:]
		_, err1 := fmt.Sscan(number, &m.Number)
		if _, err2 := fmt.Sscanf(l.Value, moveFormat, &m.From, &m.To, &m.Partitions, &m.Items, &m.Bytes); err1 == nil && err2 == nil {
			moves = append(moves, m)
		}
	}
	return moves
}

// Own are the lines of this member.
func (s *Sources) Own() []protocol.ReportLine {
	list := &List{}
	s.Cluster(list)
	s.General(list)
	return list.Lines
}

// A counter tells other members what this one has counted, and passes on what else they ask.
type counter struct {
	sources *Sources
	next    protocol.Handler
}

// Before gives a handler before next that tells other members what this one has counted.
func (s *Sources) Before(next protocol.Handler) protocol.Handler { return counter{s, next} }

// Handle implements protocol.Handler.
func (c counter) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Stats:
		resp.Status, resp.Report = protocol.OK, c.sources.Own()
	case protocol.Moves:
		resp.Status, resp.Report = protocol.OK, MoveLines(c.sources.Handover.Moves())
	default:
		return c.next.Handle(req, resp)
	}
	return nil
}

// Nodes gives all lines of all members, each under its member's name, and of a silent one why.
func Nodes(list *List, members []Member) {
	for i := range members {
		m := &members[i]
		for _, l := range m.Lines {
			list.Add(m.ID+":"+l.Name, l.Value)
		}
		if m.Silent != "" {
			list.Add(m.ID+":silent", m.Silent)
		}
	}
}

// PartitionsOf is what the names of the lines about partitions begin with, "cluster_partitions_owned".
const PartitionsOf = "cluster_partitions_"

// Partitions gives how many partitions each member has in each state, as it says itself.
func Partitions(list *List, members []Member) {
	for i := range members {
		m := &members[i]
		for _, l := range m.Lines {
			if state, ok := strings.CutPrefix(l.Name, PartitionsOf); ok {
				list.Add(m.ID+":"+state, l.Value)
			}
		}
		if m.Silent != "" {
			list.Add(m.ID+":silent", m.Silent)
		}
	}
}

// Sum gives one set of lines for all members: those of the first, with its figures and what the others have. It names the silent.
func Sum(list *List, members []Member) {
	var silent []string
	for i := range members {
		if members[i].Silent != "" {
			silent = append(silent, members[i].ID)
		}
	}
	list.Add("cluster_answered", len(members)-len(silent))
	if silent == nil {
		silent = []string{"none"}
	}
	list.Add("cluster_silent", strings.Join(silent, ","))
	at := make(map[string]int, len(members[0].Lines))
	sums := make([]protocol.ReportLine, 0, len(members[0].Lines))
	for i := range members {
		for _, l := range members[i].Lines {
			if k, known := at[l.Name]; known {
				sums[k].Value = join(l.Name, sums[k].Value, l.Value)
				continue
			}
			at[l.Name] = len(sums)
			sums = append(sums, l)
		}
	}
	list.Lines = append(list.Lines, sums...)
}

// join gives what a line says of two members: the sum, unless it is of the first, the least or the greatest. What is no number is the first's.
func join(name, one, other string) string {
	a, err1 := strconv.ParseUint(one, 10, 64)
	b, err2 := strconv.ParseUint(other, 10, 64)
	number := err1 == nil && err2 == nil
	switch name {
	case "pid", "version", "libevent", "pointer_size", "cluster_members", "cluster_members_down", "cluster_copies", "cluster_print", "cluster_state", "cluster_build", "cluster_settings", "cluster_clock_milliseconds":
		return one
	case "rusage_user", "rusage_system":
		return addSeconds(one, other)
	case "uptime", "time", "accepting_conns", "time_since_server_cert_refresh":
		a = min(a, b)
	case "max_connections", "hash_power_level", "cluster_hottest_rate":
		a = max(a, b)
	default:
		a += b
	}
	if !number {
		return one
	}
	return strconv.FormatUint(a, 10)
}

// addSeconds adds times of processors, "1.000250".
func addSeconds(one, other string) string {
	a, err1 := strconv.ParseFloat(one, 64)
	b, err2 := strconv.ParseFloat(other, 64)
	if err1 != nil || err2 != nil {
		return one
	}
	return fmt.Sprintf("%.6f", a+b)
}
