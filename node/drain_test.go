package node_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// A diary is a log that can be read while it is written.
type diary struct {
	mu  sync.Mutex // guards all
	all bytes.Buffer
}

func (d *diary) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.Write(line)
}

func (d *diary) count(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Count(d.all.String(), what)
}

// slow takes over what n1 has in some seconds: both nodes have 64 KB a second.
func slow(cfg *node.Config) { cfg.HandoverRate = 64 << 10 }

// fill stores so many kilobytes through a node.
func fill(t *testing.T, c *nodetest.Cluster, at, kilobytes int) {
	t.Helper()
	if stored := newAsker(t, c.Dial(at)).batch("k", 0, kilobytes, strings.Repeat("v", 1000)); stored != kilobytes {
		t.Fatalf("%d of %d stored", stored, kilobytes)
	}
}

// Who waits for a node to stop is told why it takes so long, once a second at most; so is whoever asks for moves, at both ends.
func TestDrainIsTold(t *testing.T) {
	t.Parallel()
	told := &diary{}
	c := nodetest.Start(t, 2, slow, func(cfg *node.Config) {
		cfg.Log, cfg.DrainTimeout = slog.New(slog.NewTextHandler(told, nil)), 20*time.Second
	})
	c.WaitSettled()
	fill(t, c, 0, 400)
	leaver := c.Nodes[1]
	if err := leaver.Ready(); err != nil {
		t.Errorf("before: %v", err)
	}
	takes, gives := newAsker(t, c.Dial(0)), newAsker(t, c.Dial(1))
	began := time.Now()
	var stopping sync.WaitGroup
	stopping.Go(func() { c.Stop(1) })
	var move string
	c.Wait("a move", func() bool {
		move = gives.line("cluster moves")
		if move != "END" {
			_, _ = gives.in.ReadString('\n')
		}
		return move != "END"
	})
	if err := leaver.Ready(); err == nil || !strings.Contains(err.Error(), "leaving") {
		t.Errorf("while it drains: %v", err)
	}
	var number, parts, items, size int
	if _, err := fmt.Sscanf(move, "MOVE n1/%d from=n1 to=n0 partitions=%d items=%d bytes=%d", &number, &parts, &items, &size); err != nil || parts == 0 || number > 100 {
		t.Errorf("the leaver tells %q: %v", move, err)
	}
	var other string
	c.Wait("the same move at its other end", func() bool { // which hears of it later
		other = takes.line("cluster moves")
		if other != "END" {
			_, _ = takes.in.ReadString('\n')
		}
		return other != "END"
	})
	if !strings.HasPrefix(other, fmt.Sprintf("MOVE n1/%d from=n1 to=n0 partitions=%d items=", number, parts)) {
		t.Errorf("the leaver tells %q, the other %q", move, other)
	}
	_, figures := stats(t, c, 0, "partitions")
	if figures["n0:arriving"] == "0" || figures["n0:arriving"] == "" {
		t.Errorf("stats partitions: %v", figures)
	}
	stopping.Wait()
	if lines := told.count(`msg="draining: `); lines == 0 || lines > 1+int(time.Since(began)/time.Second) {
		t.Errorf("told %d times in %v", lines, time.Since(began))
	}
	if told.count("msg=drained") != 1 || told.count("is lost") != 0 {
		t.Errorf("the end is told %d times", told.count("msg=drained"))
	}
	if move := takes.line("cluster moves"); move != "END" {
		t.Errorf("in the end %q", move)
	}
	_, figures = stats(t, c, 0, "cluster")
	if figures["cluster_handover_items_in"] == "0" || figures["cluster_partitions_held"] != figures["cluster_partitions_owned"] {
		t.Errorf("stats cluster: %v", figures)
	}
}

// --drain-timeout bounds the drain, and what is lost then is said; 0 leaves it out.
func TestDrainHasABound(t *testing.T) {
	t.Parallel()
	f := func(limit time.Duration, want string, lines int) {
		t.Helper()
		told := &diary{}
		c := nodetest.Start(t, 2, slow, func(cfg *node.Config) {
			cfg.Log, cfg.DrainTimeout, cfg.LeaveGrace = slog.New(slog.NewTextHandler(told, nil)), limit, 50*time.Millisecond
		})
		c.WaitSettled()
		fill(t, c, 0, 600)
		n := c.Nodes[1]
		c.Nodes[1] = nil
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			t.Error(err)
		}
		if told.count(want) != lines || told.count("msg=drained") != 0 {
			t.Errorf("%v: told %q %d times, want %d", limit, want, told.count(want), lines)
		}
		c.Nodes[0].Abort()
		c.Nodes[0] = nil
	}
	f(time.Nanosecond, "--drain-timeout)", 1)
	f(0, `msg="draining: `, 0)
}
