package node_test

import (
	"log/slog"
	"strings"
	"testing"

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
	live.MaxBytes, live.MaxConns, live.LogLevel = 32<<20, 7, slog.LevelWarn
	if err := c.Nodes[0].Change(live); err != nil {
		t.Fatal(err)
	}
	said("stats settings", "STAT maxbytes 33554432", "STAT maxconns 7")
	said("stats", "STAT limit_maxbytes 33554432", "STAT max_connections 7")

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
