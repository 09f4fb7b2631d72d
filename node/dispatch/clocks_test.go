package dispatch

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/placement"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// A clock that is wrong is told of once, by whoever sees it and by its own node, and once more when it is right again.
func TestClocksAreToldOfOnce(t *testing.T) {
	const noon = 1_700_000_000_000
	clocks := map[string]int64{"a": noon, "b": noon, "c": noon} // Unix milliseconds; -1: it does not answer
	report := func(clock int64) []protocol.ReportLine {
		return []protocol.ReportLine{{Name: "cluster_clock_milliseconds", Value: fmt.Sprint(clock)}}
	}
	members := map[string]membership.Member{}
	for id := range clocks {
		members[id] = membership.Member{Member: ring.Member{ID: id}}
	}
	var told bytes.Buffer
	d := New(Config{
		Self: members["a"],
		Placement: func() (now placement.Placement) {
			for id := range clocks {
				now.Here = append(now.Here, members[id])
			}
			return now
		},
		Send: func(m membership.Member, _ *protocol.Request) *protocol.Pending {
			if clocks[m.ID] < 0 {
				return protocol.Answered(protocol.PeerLost)
			}
			answer := protocol.Answered(protocol.OK)
			answer.Response.Report = report(clocks[m.ID])
			return answer
		},
		Figures: func() []protocol.ReportLine { return report(clocks["a"]) },
		Milli:   func() int64 { return clocks["a"] },
		Log:     slog.New(slog.NewTextHandler(&told, nil)),
	})
	// f looks, and wants so many lines, and in each the words of its own.
	f := func(what string, want ...string) {
		t.Helper()
		told.Reset()
		d.lookAtClocks()
		if lines := strings.Count(told.String(), "\n"); lines != len(want) {
			t.Errorf("%s: %d lines, want %d: %s", what, lines, len(want), told.String())
		}
		for _, words := range want {
			if !strings.Contains(told.String(), words) {
				t.Errorf("%s: %q lacks %q", what, told.String(), words)
			}
		}
	}
	f("all agree")
	clocks["b"] = noon + 1000
	f("a second is borne")
	clocks["b"] = noon + 90_000
	f("one is ahead", "member=b ahead=1m30s this_node=false")
	f("it is known")
	clocks["b"] = -1
	f("it is silent")
	clocks["b"] = noon
	f("it is right", "again\" member=b")
	clocks["a"] = noon - 2000
	f("our own", "member=a ahead=-2s this_node=true")
	delete(clocks, "c")
	clocks["a"] = noon
	f("of two who agree", "again\" member=a")
	clocks["b"] = noon + 1500
	f("of two who do not, both", "member=a ahead=-1.5s this_node=true", "member=b ahead=1.5s this_node=false")
	clocks["c"] = noon
	f("a third one settles it", "again\" member=a")
}
