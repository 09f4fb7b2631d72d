package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// The clocks of a cluster that stand seconds apart: what was stored before a flush_all is gone everywhere, what is stored after its OK stays, also when it
// moves to another member (CLUSTER.md 4.3, flush_all).
func TestFlushAllWithClocksApart(t *testing.T) {
	if testing.Short() {
		t.Skip("three clusters, with moves")
	}
	t.Parallel()
	const keys = 200
	f := func(skew, delay int) {
		t.Helper()
		c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Debug = true })
		debug := func(i, seconds int) {
			t.Helper()
			if got := talk(t, c.Dial(i), fmt.Sprintf("debugtime %d\r\nquit\r\n", seconds)); got != "OK\r\n" {
				t.Fatal(got)
			}
		}
		store := func(prefix string) {
			t.Helper()
			var sets strings.Builder
			for k := range keys {
				fmt.Fprintf(&sets, "set %s%d 0 0 1 noreply\r\nx\r\nms own%s%d 1 E%d q\r\nx\r\n", prefix, k, prefix, k, k+1)
			}
			if got := talk(t, c.Dial(1), sets.String()+"mn\r\nquit\r\n"); got != "MN\r\n" {
				t.Fatal(got)
			}
		}
		found := func(prefix string) (count int) {
			t.Helper()
			var gets strings.Builder
			for k := range keys {
				fmt.Fprintf(&gets, "get %s%d\r\nget own%s%d\r\n", prefix, k, prefix, k)
			}
			return strings.Count(talk(t, c.Dial(1), gets.String()+"quit\r\n"), "VALUE")
		}
		debug(0, skew)
		store("old")
		if got := talk(t, c.Dial(2), fmt.Sprintf("flush_all %d\r\nquit\r\n", delay)); got != "OK\r\n" {
			t.Fatal(got)
		}
		if delay > 0 {
			store("until")
			for i := range c.Nodes {
				debug(i, delay)
			}
		}
		store("new")
		if old := found("old") + found("until"); old != 0 {
			t.Errorf("%d s apart, in %d s: %d items of before", skew, delay, old)
		}
		c.Launch() // it takes from each, and is in no time of theirs
		c.WaitAgreed()
		c.WaitSettled()
		c.Stop(2)
		c.WaitAgreed()
		c.WaitSettled()
		c.Stop(0)
		c.WaitAgreed()
		c.WaitSettled()
		if stay, old := found("new"), found("old")+found("until"); stay != 2*keys || old != 0 {
			t.Errorf("%d s apart, in %d s: %d of %d items stay, and %d of before", skew, delay, stay, 2*keys, old)
		}
	}
	f(30, 0)
	f(-30, 0)
	f(30, 100)
}

// A client that is still connected to a member that has left, and is about to end, may flush all: the others see each other alike.
func TestFlushAllThroughAMemberThatHasLeft(t *testing.T) {
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.LeaveGrace = time.Hour })
	k := newAsker(t, c.Dial(2))
	k.line("set a 0 0 1\r\nx")
	leaver := c.Nodes[2]
	c.Nodes[2] = nil
	ctx, end := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = leaver.Stop(ctx) }()
	defer func() { end(); <-stopped }()
	c.Wait("all others miss it", func() bool { return !strings.Contains(members(c), "n2") })
	c.WaitAgreed()
	if got := k.line("flush_all"); got != "OK" {
		t.Errorf("flush_all: %q", got)
	}
	if got := k.line("get a"); got != "END" {
		t.Errorf("get: %q", got)
	}
}
