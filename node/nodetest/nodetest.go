// Package nodetest is a whole cluster inside one test.
package nodetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/ring"
)

const (
	// patience is what Start sets Patience to: a healthy cluster takes well under a second, unless the race detector and others have the processors.
	patience = time.Minute
	// look is the pause between two looks at a condition.
	look = 5 * time.Millisecond
	// partitions is for small clusters. Tables are made, and partitions taken over, whenever a member comes or goes; with as many as by default that was most of the time of most tests under the race detector.
	partitions = 1021
	// deadline is PeerDeadline here: a machine that runs many tests at once may be slow without anything being wrong.
	deadline = 10 * time.Second
)

// A Cluster is some nodes on loopback addresses.
type Cluster struct {
	t        testing.TB
	options  []Option
	Nodes    []*node.Node  // in the order they were started; those stopped are nil
	Patience time.Duration // bounds every wait for the cluster; 20 s
	started  int
	log      *testLog
}

// A testLog is the test's output until the test ends. What memberlist still says then (it does not wait for all its goroutines) is dropped.
type testLog struct {
	mu    sync.Mutex // guards out and ended
	out   io.Writer
	ended bool
}

func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return len(line), nil
	}
	return l.out.Write(line)
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}

// An Option changes the configuration of every node.
type Option func(*node.Config)

// AllPartitions cuts the keys into as many partitions as by default: for large clusters, and for tests to which that matters.
func AllPartitions(cfg *node.Config) { cfg.Ring.Partitions = ring.DefaultParams().Partitions }

// Start starts a cluster of size nodes and waits until all route alike and have their partitions. The nodes still running are stopped when the test ends.
func Start(t testing.TB, size int, options ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t, options: options, Patience: patience, log: &testLog{out: t.Output()}}
	t.Cleanup(c.log.end)
	t.Cleanup(c.stop)
	for range size {
		c.Launch()
	}
	c.WaitAgreed()
	c.WaitSettled()
	return c
}

// Launch starts one more node, which joins those running. The options come on top of the cluster's.
func (c *Cluster) Launch(options ...Option) *node.Node {
	c.t.Helper()
	return c.LaunchTogether(1, options...)[0]
}

// LaunchTogether starts some more nodes at once, which know of those running before, but not of each other.
func (c *Cluster) LaunchTogether(count int, options ...Option) []*node.Node {
	c.t.Helper()
	nodes, errs := make([]*node.Node, count), make([]error, count)
	var starting sync.WaitGroup
	for i := range count {
		cfg := c.config(c.started, options)
		c.started++
		starting.Go(func() { nodes[i], errs[i] = node.Start(cfg) })
	}
	starting.Wait()
	for i, err := range errs {
		if err != nil {
			c.t.Errorf("start a node: %v", err)
			continue
		}
		c.Nodes = append(c.Nodes, nodes[i])
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
	return nodes
}

func (c *Cluster) config(number int, options []Option) node.Config {
	cfg := node.Default()
	cfg.ID = fmt.Sprintf("n%d", number)
	cfg.Listen = []node.Listener{{Address: "127.0.0.1:0"}}
	cfg.PeerPort, cfg.GossipPort = 0, 0
	cfg.AdminListen = "off"
	cfg.MaxBytes = 16 << 20
	cfg.LeaveGrace = 500 * time.Millisecond
	cfg.PeerDeadline = deadline
	cfg.Ring.Partitions = partitions
	cfg.Log = slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", cfg.ID)
	for _, n := range c.running() {
		cfg.Join = append(cfg.Join, n.Self().Gossip.String())
	}
	for _, option := range append(slices.Clone(c.options), options...) {
		option(&cfg)
	}
	return cfg
}

// Stop stops node i as SIGTERM does.
func (c *Cluster) Stop(i int) {
	c.t.Helper()
	n := c.Nodes[i]
	c.Nodes[i] = nil
	ctx, cancel := context.WithTimeout(context.Background(), c.Patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		c.t.Errorf("stop node %s: %v", n.Self().ID, err)
	}
}

// Crash ends node i without a word to the others.
func (c *Cluster) Crash(i int) {
	n := c.Nodes[i]
	c.Nodes[i] = nil
	n.Abort()
}

// stop ends all that is left at once: who leaves in order waits for the others to hear, and here nobody stays.
func (c *Cluster) stop() {
	var stopping sync.WaitGroup
	for i, n := range c.Nodes {
		if n != nil {
			c.Nodes[i] = nil
			stopping.Go(n.Abort)
		}
	}
	stopping.Wait()
}

func (c *Cluster) running() []*node.Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n *node.Node) bool { return n == nil })
}

// Addr gives the client address of node i.
func (c *Cluster) Addr(i int) netip.AddrPort { return c.Nodes[i].Self().Client }

// Dial connects to node i as a client; the connection is closed when the test ends, and every wait on it ends after a while.
func (c *Cluster) Dial(i int) net.Conn {
	c.t.Helper()
	conn, err := net.Dial("tcp", c.Addr(i).String())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(c.Patience)); err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// WaitAgreed returns once every running node routes by the table of all running nodes.
func (c *Cluster) WaitAgreed() {
	c.t.Helper()
	c.Wait("all nodes route by one table", func() bool {
		running := c.running()
		for _, n := range running {
			table, alive := n.Table(), 0
			for i := range table.Members() {
				if table.Alive(i) {
					alive++
				}
			}
			if alive != len(running) || table.Print() != running[0].Table().Print() {
				return false
			}
		}
		return true
	})
}

// WaitSettled returns once every running node has all the partitions that are its own, and all their items.
func (c *Cluster) WaitSettled() {
	c.t.Helper()
	c.Wait("all partitions are with their owners", func() bool {
		for _, n := range c.running() {
			if !n.Settled() {
				return false
			}
		}
		return true
	})
}

// WaitCopied returns once all is settled, and every copy that the table wants is where it belongs.
func (c *Cluster) WaitCopied() {
	c.t.Helper()
	c.WaitSettled()
	c.Wait("all copies are whole", func() bool {
		for _, n := range c.running() {
			if !n.Settled() || !n.Copied() {
				return false
			}
		}
		return true
	})
}

// Wait returns once condition holds, and fails the test if that takes too long.
func (c *Cluster) Wait(what string, condition func() bool) {
	c.t.Helper()
	end := time.Now().Add(c.Patience)
	for !condition() {
		if time.Now().After(end) {
			c.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(look)
	}
}
