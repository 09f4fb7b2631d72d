package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/node/replicator"
)

// copied is a cluster whose items are with two members each.
func copied(t testing.TB, size int, options ...nodetest.Option) *nodetest.Cluster {
	c := nodetest.Start(t, size, append([]nodetest.Option{func(cfg *node.Config) { cfg.Ring.Copies = 2 }}, options...)...)
	c.WaitCopied()
	return c
}

// itemsOf counts the items in all stores.
func itemsOf(t testing.TB, c *nodetest.Cluster) (items int) {
	t.Helper()
	for i, n := range c.Nodes {
		if n == nil {
			continue
		}
		k, one := newAsker(t, c.Dial(i)), -1
		line := k.line("stats")
		for ; strings.HasPrefix(line, "STAT "); line = k.answer() {
			_, _ = fmt.Sscanf(line, "STAT curr_items %d", &one)
		}
		if line != "END" || one < 0 {
			t.Fatalf("stats of node %d end with %q", i, line)
		}
		items += one
		k.conn.Close()
	}
	return items
}

// CLUSTER.md 4.3, C4: what was acknowledged is still a hit when the member that held it is gone.
func TestACrashCostsNoItemOfTwoCopies(t *testing.T) {
	c := copied(t, 3)
	k := newAsker(t, c.Dial(0))
	const keys = 3000
	setAll(t, k, keys)
	if got := k.line("set counter 0 0 1\r\n5"); got != "STORED" {
		t.Fatal(got)
	}
	for i := range 100 {
		if got, want := k.line("incr counter 1"), fmt.Sprint(6+i); got != want {
			t.Fatalf("incr: %s, want %s", got, want)
		}
	}
	began := time.Now()
	c.Crash(2)
	c.WaitAgreed()
	c.WaitSettled()
	t.Logf("settled %v after the crash", time.Since(began).Round(time.Millisecond))
	expectAll(t, k, "after a crash", keys)
	if got := k.line("incr counter 0"); got != "105" {
		t.Errorf("the counter is %s, want 105", got)
	}
}

// A member that is back soon takes its partitions back, from who has led them meanwhile, or from his copies; and then there are two of each again.
func TestACrashedMemberComesBack(t *testing.T) {
	t.Parallel()
	c := copied(t, 3)
	k := newAsker(t, c.Dial(0))
	const keys = 2000
	setAll(t, k, keys)
	c.Crash(2)
	c.Launch(func(cfg *node.Config) { cfg.ID = "n2" })
	c.WaitAgreed()
	c.WaitSettled()
	expectAll(t, k, "after it is back", keys)
	c.WaitCopied()
	c.Crash(1)
	c.WaitAgreed()
	c.WaitSettled()
	expectAll(t, k, "after another crash", keys)
}

// When the time is over in which it might be back, its copies are made anew among those that are left.
func TestCopiesAreRestored(t *testing.T) {
	t.Parallel()
	c := copied(t, 4, func(cfg *node.Config) { cfg.RebalanceDelay = time.Second })
	k := newAsker(t, c.Dial(0))
	const keys = 2000
	setAll(t, k, keys)
	c.Crash(3)
	c.WaitAgreed()
	c.WaitCopied()
	c.Wait("each item is in two stores and no more", func() bool { return itemsOf(t, c) == 2*keys }) // what was given away is dropped by and by
	c.Crash(2)
	c.WaitAgreed()
	c.WaitSettled()
	expectAll(t, k, "after two crashes", keys)
}

// Rolling through all members, one after the other, costs nothing, with copies or without.
func TestARollingRestartWithCopies(t *testing.T) {
	t.Parallel()
	c := copied(t, 3)
	const keys = 1000
	setAll(t, newAsker(t, c.Dial(0)), keys)
	for i := range 3 {
		c.Stop(i)
		c.Launch(func(cfg *node.Config) { cfg.ID = fmt.Sprintf("n%d", i) })
		c.WaitAgreed()
		c.WaitCopied()
		expectAll(t, newAsker(t, c.Dial(len(c.Nodes)-1)), fmt.Sprintf("after the restart of n%d", i), keys)
	}
}

// Whatever --ack asks for, who has lost all replicas goes on alone once that is known; with none a write is done at once. (What one and all wait for: TestAck in
// node/replicator.)
func TestAckWhenAReplicaIsLost(t *testing.T) {
	t.Parallel()
	f := func(ack replicator.Ack) {
		t.Helper()
		c := copied(t, 2, func(cfg *node.Config) { cfg.Ack, cfg.PeerDeadline = ack, 200*time.Millisecond })
		k := newAsker(t, c.Dial(0))
		key := ownKey(c, 0)
		c.Crash(1)
		if got := k.line("set %s 0 0 1\r\nx", key); ack == replicator.AckNone && got != "STORED" {
			t.Errorf("--ack %v: %q", ack, got)
		}
		c.WaitAgreed()
		c.WaitSettled()
		c.Wait("it goes on alone", func() bool { return k.line("set %s 0 0 1\r\ny", key) == "STORED" })
	}
	f(replicator.AckNone)
	f(replicator.AckOne)
	f(replicator.AckAll)
}

// ownKey gives a key that node i answers for.
func ownKey(c *nodetest.Cluster, i int) string {
	table, id := c.Nodes[i].Table(), c.Nodes[i].Self().ID
	for n := 0; ; n++ {
		key := fmt.Sprintf("own%d", n)
		if table.Members()[table.Owner(table.Partition([]byte(key)))].ID == id {
			return key
		}
	}
}

// With --ack all of three copies what was acknowledged survives two crashes at once.
func TestAckAllSurvivesTwoCrashes(t *testing.T) {
	t.Parallel()
	c := copied(t, 4, func(cfg *node.Config) { cfg.Ring.Copies, cfg.Ack = 3, replicator.AckAll })
	k := newAsker(t, c.Dial(0))
	const keys = 1000
	setAll(t, k, keys)
	c.Crash(1)
	c.Crash(2)
	c.WaitAgreed()
	c.WaitSettled()
	expectAll(t, k, "after two crashes at once", keys)
}
