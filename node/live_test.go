package node_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// What may change live does, and is told so; what cannot be changes nothing.
func TestChange(t *testing.T) {
	level, live := new(slog.LevelVar), node.Live{}
	c := nodetest.Start(t, 1, func(c *node.Config) { c.MaxItemBytes, c.Level = 4<<20, level; live = c.Live })
	said := func(command string, want ...string) {
		t.Helper()
		got := answerTo(t, c.Dial(0), command)
		for _, line := range want {
			if !strings.Contains(strings.Join(got, "\n")+"\n", line+"\n") {
				t.Errorf("%s: no %q in %q", command, line, got)
			}
		}
	}
	live.MaxBytes, live.MaxConns, live.LogLevel, live.IdleTimeout = 32<<20, 7, slog.LevelWarn, time.Hour
	if err := c.Nodes[0].Change(live); err != nil {
		t.Fatal(err)
	}
	said("stats settings", "STAT maxbytes 33554432", "STAT maxconns 7", "STAT idle_timeout 3600")
	said("stats", "STAT idle_kicks 0", "STAT limit_maxbytes 33554432", "STAT max_connections 7")

	// The wire's verbosity shows more, and no more than before.
	said("verbosity 1", "OK")
	if level.Level() != slog.LevelDebug {
		t.Errorf("verbosity 1: %v", level)
	}
	said("verbosity 0", "OK")
	if level.Level() != slog.LevelWarn {
		t.Errorf("verbosity 0: %v", level)
	}

	live.MaxBytes, live.MaxConns = 4<<20, 8 // of which the largest item is more than a half
	if err := c.Nodes[0].Change(live); err == nil {
		t.Error("a limit that is too little for the largest item")
	}
	said("stats settings", "STAT maxbytes 33554432", "STAT maxconns 7")
}

// Who is given less time for its answers than any answer takes says so, and is well again with more.
func TestPeerTimeoutChanges(t *testing.T) {
	t.Parallel()
	c := nodetest.Start(t, 2, func(c *node.Config) { c.MaxItemBytes = 1 << 10 })
	k, key := newAsker(t, c.Dial(0)), ownKey(c, 1)
	set := func() string { return k.line("set %s 0 0 1\r\nx", key) }
	change := func(d time.Duration) {
		live := node.Default().Live
		live.MaxBytes, live.PeerDeadline = 16<<20, d
		if err := c.Nodes[0].Change(live); err != nil {
			t.Fatal(err)
		}
	}
	c.Wait("a set", func() bool { return set() == "STORED" })
	change(1)
	c.Wait("a set that has no time", func() bool { return strings.HasPrefix(set(), "SERVER_ERROR peer") })
	change(10 * time.Second)
	c.Wait("a set that has time again", func() bool { return set() == "STORED" })
}

// A hand-over that would take minutes goes on faster.
func TestHandoverRateChanges(t *testing.T) {
	c := nodetest.Start(t, 1, slow, func(c *node.Config) { c.MaxBytes = 64 << 20 })
	k := newAsker(t, c.Dial(0))
	const batches, batch = 20, 50
	for i := range batches {
		if stored := k.batch("k", i*batch, batch, strings.Repeat("v", 10_000)); stored != batch {
			t.Fatalf("%d of %d stored", stored, batch)
		}
	}
	c.Launch()
	c.WaitAgreed() // on a busy machine it has not met the other when it serves
	if c.Nodes[1].Settled() {
		t.Error("5 MB came at once")
	}
	live := node.Default().Live
	live.MaxBytes, live.HandoverRate = 64<<20, 1<<30
	if err := c.Nodes[1].Change(live); err != nil {
		t.Fatal(err)
	}
	c.WaitSettled()
}
