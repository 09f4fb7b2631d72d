package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/node/overview"
)

// overviewOf asks a node's /cluster.
func overviewOf(t *testing.T, n *node.Node) (c overview.Cluster) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://" + n.AdminAddr() + "/cluster")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", resp.Status, err)
	}
	return c
}

// Who has set otherwise what should be the same on all is told of, and the print of his settings is another; once it changes live, no more.
func TestOverviewTellsWhoDiffers(t *testing.T) {
	c := nodetest.Start(t, 1, func(c *node.Config) { c.AdminListen = "127.0.0.1:0" })
	var live node.Live
	other := c.Launch(func(c *node.Config) { c.MinMembers = 2; live = c.Live })
	c.WaitAgreed()
	differ := func() []overview.Differs { return overviewOf(t, c.Nodes[0]).Differ }
	c.Wait("it is told", func() bool { return len(differ()) == 1 })
	if got := differ()[0]; got.Member != "n1" || got.Name != "min_members" || got.Here != "0" || got.Says != "2" {
		t.Errorf("%+v", got)
	}
	if got := overviewOf(t, other).Differ; len(got) != 1 || got[0].Member != "n0" || got[0].Says != "0" {
		t.Errorf("the other says %+v", got)
	}
	live.MinMembers = 0
	if err := other.Change(live); err != nil {
		t.Fatal(err)
	}
	c.Wait("it differs no more", func() bool { return len(differ()) == 0 })
}

// Whoever is asked tells the same of all: what each member says of itself, and how the partitions are shared.
func TestOverview(t *testing.T) {
	c := nodetest.Start(t, 3, func(c *node.Config) { c.AdminListen, c.Cluster, c.Zone = "127.0.0.1:0", "shop", "z-"+c.ID })
	conn := c.Dial(0)
	in := ""
	for k := range 300 {
		in += fmt.Sprintf("set key%d 0 0 1\r\n1\r\n", k)
	}
	talk(t, conn, in+"quit\r\n")
	for _, n := range c.Nodes {
		shown := overviewOf(t, n)
		table := n.Table()
		if shown.Name != "shop" || shown.Self != n.Self().ID || shown.Table.Partitions != table.Partitions() || shown.Table.Print != fmt.Sprintf("%016x", table.Print()) {
			t.Errorf("%s tells of %s, %s, %+v", n.Self().ID, shown.Self, shown.Name, shown.Table)
		}
		owned, items := 0, 0.0
		for i, m := range shown.Members {
			if want := c.Nodes[i].Self(); m.ID != want.ID || m.State != "active" || m.Client != want.Client.String() || m.Zone != "z-"+m.ID || m.Silent != "" {
				t.Errorf("%s tells of %+v, want %+v", shown.Self, m, want)
			}
			if m.Owned != table.Owned(i) || m.Partitions["held"] != int64(m.Owned) {
				t.Errorf("%s owns %d and holds %d, want %d", m.ID, m.Owned, m.Partitions["held"], table.Owned(i))
			}
			owned, items = owned+m.Owned, items+m.Stats["curr_items"]
		}
		if len(shown.Members) != 3 || owned != table.Partitions() || items != 300 || len(shown.Moves) != 0 {
			t.Errorf("%d members own %d partitions and have %v items; %v", len(shown.Members), owned, items, shown.Moves)
		}
	}
}

// A member that takes over slowly is seen doing so from every node, each move once.
func TestOverviewOfMoves(t *testing.T) {
	c := nodetest.Start(t, 2, func(c *node.Config) { c.AdminListen, c.HandoverRate = "127.0.0.1:0", 64<<10 })
	conn := c.Dial(0)
	in, value := "", make([]byte, 10<<10)
	for k := range 300 { // 3 MB, so a third of it takes some seconds
		in += fmt.Sprintf("set key%d 0 0 %d noreply\r\n%s\r\n", k, len(value), value)
	}
	talk(t, conn, in+"version\r\nquit\r\n")
	c.Launch()
	for _, n := range c.Nodes {
		c.Wait("the moves are seen", func() bool {
			moves := overviewOf(t, n).Moves
			names := make([]string, 0, len(moves))
			for _, m := range moves {
				names = append(names, m.Name)
				if m.To != "n2" || m.From == "n2" || m.Partitions == 0 {
					t.Errorf("%+v, want one to n2", m)
				}
			}
			slices.Sort(names)
			return len(names) == 2 && len(slices.Compact(names)) == 2
		})
	}
}
