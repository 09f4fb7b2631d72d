package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/ring"
)

// twoCopies keep a lost member's place for as long as it says.
func twoCopies(grace time.Duration) nodetest.Option {
	return func(cfg *node.Config) { cfg.Ring.Copies, cfg.RebalanceDelay = 2, grace }
}

// holdersOf lists who holds each partition, by id.
func holdersOf(table *ring.Table) (holders []string) {
	for part := range uint32(table.Partitions()) {
		var ids []string
		for _, h := range table.Holders(part) {
			ids = append(ids, table.Members()[h].ID)
		}
		holders = append(holders, strings.Join(ids, " "))
	}
	return holders
}

// led gives holders as they are while a member is down: it comes last.
func led(holders []string, down string) (now []string) {
	for _, row := range holders {
		if first, second, _ := strings.Cut(row, " "); first == down {
			row = second + " " + first
		}
		now = append(now, row)
	}
	return now
}

// expectHolders wants every running node to route by the same table of these holders.
func expectHolders(t *testing.T, c *nodetest.Cluster, what string, want []string) {
	t.Helper()
	var print uint64
	for _, n := range c.Nodes {
		if n == nil {
			continue
		}
		if table := n.Table(); print != 0 && table.Print() != print {
			t.Errorf("%s: two nodes have unlike tables", what)
		} else {
			print = table.Print()
		}
		for part, row := range holdersOf(n.Table()) {
			if row != want[part] {
				t.Fatalf("%s: at %s partition %d is held by %s, want %s", what, n.Self().ID, part, row, want[part])
			}
		}
	}
}

// waitTable waits until all running nodes have a table in which so many members are down, and others not.
func waitTable(c *nodetest.Cluster, members, down int) {
	c.Wait(fmt.Sprintf("all to have a table of %d members, %d of them down", members, down), func() bool {
		for _, n := range c.Nodes {
			if n == nil {
				continue
			}
			table, count := n.Table(), 0
			for i := range table.Members() {
				if !table.Alive(i) {
					count++
				}
			}
			if len(table.Members()) != members || count != down {
				return false
			}
		}
		return true
	})
}

// A member that is killed keeps its place for its grace: nothing moves between the others, and once it is back, under the same id, nothing has moved.
func TestAMemberThatIsBackInTimeFindsItsPlace(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 3, twoCopies(time.Minute))
	before := holdersOf(c.Nodes[0].Table())
	c.Crash(1)
	waitTable(c, 3, 1)
	expectHolders(t, c, "while it is down", led(before, "n1"))
	if got := talk(t, c.Dial(0), "flush_all\r\nquit\r\n"); got != "OK\r\n" {
		t.Errorf("flush_all while a member is down: %q", got)
	}
	newcomer := c.Launch()
	waitTable(c, 4, 1) // the newcomer as well: it hears of the place that is kept
	c.Crash(3)
	waitTable(c, 4, 2)
	if got := talk(t, c.Dial(0), "cluster members\r\nquit\r\n"); strings.Count(got, "state=down") != 2 || strings.Count(got, "copies=2") != 4 {
		t.Errorf("cluster members: %q", got)
	}
	again := func(id string) { c.Launch(func(cfg *node.Config) { cfg.ID = id }) }
	again("n1")
	waitTable(c, 4, 1)
	again(newcomer.Self().ID)
	waitTable(c, 4, 0)
	c.Stop(5)
	waitTable(c, 3, 0) // it has left, so no place is kept
	expectHolders(t, c, "once it is back", before)
}

// A member that is not back in time loses its place.
func TestAMemberThatStaysDownLosesItsPlace(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 3, twoCopies(6*time.Second)) // gossip needs four at most to tell all of it
	before := holdersOf(c.Nodes[0].Table())
	c.Crash(1)
	waitTable(c, 3, 1)
	expectHolders(t, c, "while it is down", led(before, "n1"))
	waitTable(c, 2, 0)
	c.WaitAgreed()
}

// What counts is the most copies that any member wants: so a rolling restart changes it without a moment at which members disagree.
func TestMembersAgreeOnCopiesWhileTheyAreRestarted(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 2)
	copies := func(want int) {
		t.Helper()
		c.Wait(fmt.Sprintf("all to have %d copies", want), func() bool {
			for _, n := range c.Nodes {
				if n != nil && (n.Table().Copies() != want || n.Table().Print() != c.Nodes[1].Table().Print()) {
					return false
				}
			}
			return true
		})
	}
	copies(1)
	c.Launch(twoCopies(time.Minute))
	copies(2)
	if got := talk(t, c.Dial(0), "cluster owner a\r\nquit\r\n"); !strings.Contains(got, " copies=n") {
		t.Errorf("cluster owner: %q", got)
	}
	c.Stop(2)
	copies(1)
}
