package dispatch

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/placement"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol"
)

// figures are what a member says of itself, by node/stats' names.
type figures map[string]string

func figuresOf(report []protocol.ReportLine) figures {
	f := make(figures, len(report))
	for _, l := range report {
		f[l.Name] = l.Value
	}
	return f
}

// shown are the figures that "cluster status" tells of each member, under shorter names.
var shown = [...]struct{ as, name string }{
	{"build", "cluster_build"},
	{"uptime", "uptime"},
	{"owned", "cluster_partitions_owned"},
	{"held", "cluster_partitions_held"},
	{"wanted", "cluster_partitions_wanted"},
	{"arriving", "cluster_partitions_arriving"},
	{"given", "cluster_partitions_given"},
	{"copies_kept", "cluster_copies_kept"},
	{"copies_missing", "cluster_copies_missing"},
	{"items", "curr_items"},
	{"bytes", "bytes"},
	{"limit", "limit_maxbytes"},
	{"items_out", "cluster_handover_items_out"},
	{"bytes_out", "cluster_handover_bytes_out"},
	{"table", "cluster_print"},
}

// agreed are the figures that all members must say alike; what differs from what is said here is a problem.
var agreed = [...]struct{ as, name string }{
	{"table", "cluster_print"},
	{"build", "cluster_build"},
}

// status is the answer to "cluster status":
//
//	CLUSTER name, as the member that is asked sees it | MEMBER each who is here, and what it says of itself | PROBLEM member, what=...
func (d *Dispatch) status() []protocol.ReportLine {
	now := d.cfg.Placement()
	answers, said := d.askFigures(now)
	var members []protocol.ReportLine
	for i, a := range answers {
		members = append(members, d.memberLine(a, said[i]))
	}
	problems := d.problems(answers, said)
	down := 0
	for _, m := range now.Placed {
		if now.Down(m.ID) {
			down++
		}
	}
	table := d.cfg.Table()
	head := protocol.ReportLine{Label: "CLUSTER", Name: cmp.Or(d.cfg.Cluster, "-"), Value: fmt.Sprintf("asked=%s members=%d down=%d partitions=%d copies=%d copies_missing=%s moving=%s problems=%d",
		d.cfg.Self.ID, len(answers), down, table.Partitions(), table.Copies(), sum(said, "cluster_copies_missing"),
		sum(said, "cluster_partitions_wanted", "cluster_partitions_arriving"), len(problems))}
	return append(append([]protocol.ReportLine{head}, members...), problems...)
}

// askFigures asks all who are here for what they say of themselves. This member comes first.
func (d *Dispatch) askFigures(now placement.Placement) ([]answer, []figures) {
	own := answer{member: d.cfg.Self, asked: d.cfg.Milli(), report: d.cfg.Figures(), heard: d.cfg.Milli()}
	if m := now.ByID(d.cfg.Self.ID); m != nil && d.isSelf(*m) {
		own.member = *m
	}
	answers := append([]answer{own}, d.ask(d.others(), &protocol.Request{Op: protocol.Stats})...)
	said := make([]figures, len(answers))
	for i := range answers {
		said[i] = figuresOf(answers[i].report)
	}
	return answers, said
}

// memberLine tells of one who is here.
func (d *Dispatch) memberLine(a answer, said figures) protocol.ReportLine {
	var text strings.Builder
	fmt.Fprintf(&text, "state=%s boot=%x client=%s", cmp.Or(said["cluster_state"], a.member.State.String()), a.member.Boot, a.member.Client)
	for _, field := range shown {
		if value, known := said[field.name]; known {
			fmt.Fprintf(&text, " %s=%s", field.as, value)
		}
	}
	return protocol.ReportLine{Label: "MEMBER", Name: a.member.ID, Value: text.String()}
}

// problems tells what is not as it should be: who went without a word, does not answer, or says otherwise than the member that is asked.
func (d *Dispatch) problems(answers []answer, said []figures) (lines []protocol.ReportLine) {
	add := func(id, format string, args ...any) {
		lines = append(lines, protocol.ReportLine{Label: "PROBLEM", Name: id, Value: fmt.Sprintf(format, args...)})
	}
	for _, l := range d.cfg.Lost() {
		if l.State != membership.Draining {
			add(l.ID, "what=down for=%d", seconds(l.Since, time.Now()))
		}
	}
	clocks := wrongClocks(answers, said)
	for i, a := range answers {
		id := a.member.ID
		if a.silent != "" {
			add(id, "what=silent why=%s", a.silent)
			continue
		}
		for _, field := range agreed {
			if here, there := said[0][field.name], said[i][field.name]; here != there {
				add(id, "what=%s says=%s here=%s", field.as, cmp.Or(there, "-"), cmp.Or(here, "-"))
			}
		}
		for _, d := range stats.Differing(said[0]["cluster_settings"], said[i]["cluster_settings"]) {
			add(id, "what=setting name=%s says=%s here=%s", d.Name, d.Says, d.Here)
		}
		if off, far := clocks[id]; far {
			add(id, "what=clock ahead=%.1f", off.Seconds())
		}
		if said[i]["cluster_minority"] == "1" {
			add(id, "what=minority")
		}
	}
	return lines
}

// sum adds figures of all members.
func sum(said []figures, names ...string) string {
	total := uint64(0)
	for _, f := range said {
		for _, name := range names {
			var n uint64
			if _, err := fmt.Sscan(f[name], &n); err == nil {
				total += n
			}
		}
	}
	return fmt.Sprint(total)
}
