package stats

import (
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
)

func lines(text string) (list []protocol.ReportLine) {
	for line := range strings.SplitSeq(text, "; ") {
		name, value, _ := strings.Cut(line, " ")
		list = append(list, protocol.ReportLine{Label: "STAT", Name: name, Value: value})
	}
	return list
}

func TestMembersTogether(t *testing.T) {
	members := []Member{
		{ID: "a", Lines: lines("pid 7; uptime 90; version 1.6.45; rusage_user 1.900001; max_connections 10; curr_items 3; accepting_conns 1; " +
			"slab_reassign_last_busy_status none; cluster_members 3; cluster_partitions_owned 100")},
		{ID: "b", Silent: "peer timeout"},
		{ID: "c", Lines: lines("pid 8; uptime 80; version 1.6.46; rusage_user 0.200000; max_connections 20; curr_items 18446744073709551612; accepting_conns 0; " +
			"slab_reassign_last_busy_status none; cluster_members 2; cluster_partitions_owned 171; idle_kicks 5")},
	}
	f := func(face func(*List, []Member), want string) {
		t.Helper()
		var list List
		face(&list, members)
		var got []string
		for _, l := range list.Lines {
			got = append(got, l.Name+" "+l.Value)
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s\nwant\n%s", text, want)
		}
	}
	f(Sum, "cluster_answered 2; cluster_silent b; pid 7; uptime 80; version 1.6.45; rusage_user 2.100001; max_connections 20; curr_items 18446744073709551615; "+
		"accepting_conns 0; slab_reassign_last_busy_status none; cluster_members 3; cluster_partitions_owned 271; idle_kicks 5")
	f(Partitions, "a:owned 100; b:silent peer timeout; c:owned 171")
	members = []Member{{ID: "a", Lines: lines("pid 7; uptime 90")}, members[1]}
	f(Nodes, "a:pid 7; a:uptime 90; b:silent peer timeout")
}
