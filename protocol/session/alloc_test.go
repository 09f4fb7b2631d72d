//go:build !race

package session_test

import (
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// Not under the race detector: there sync.Pool forgets at random, and that allocates.
func TestNoAllocationPerRequest(t *testing.T) {
	f := func(name string, h protocol.Handler) {
		t.Helper()
		s := session.New(h, words{}, 1)
		in := []byte("a\nb\nc\nd\n")
		s.Answer(in)
		if got := testing.AllocsPerRun(100, func() { s.Answer(in) }); got != 0 {
			t.Errorf("%s: %v allocations per batch, want 0", name, got)
		}
	}
	f("answered at once", echo{})
	f("answered later", &later{})
}

// Nor behind a gate, once somebody is in.
func TestNoAllocationBehindAGate(t *testing.T) {
	g := session.NewGate(knownUsers(t, nil), echo{}, wires())
	s := session.New(g, g, 1)
	if got := converse(s, "set foo 0 0 7\r\nfoo bar\r\n", 100); got != "STORED\r\n" {
		t.Fatal(got)
	}
	in := []byte("get a\r\nset k 0 0 1\r\nv\r\nmg k v\r\n")
	s.Answer(in)
	if got := testing.AllocsPerRun(100, func() { s.Answer(in) }); got != 0 {
		t.Errorf("%v allocations per batch, want 0", got)
	}
}

// Nor while it looks ahead.
func TestNoAllocationForLookingAhead(t *testing.T) {
	foreseen := 0
	s := session.New(echo{}, wires(), 1)
	s.LookAhead(func(keys [][]byte) { foreseen += len(keys) })
	in := []byte("get a b c\r\nset k 0 0 1\r\nv\r\nmg k v\r\n")
	s.Answer(in)
	if got := testing.AllocsPerRun(100, func() { s.Answer(in) }); got != 0 || foreseen < 100*4 {
		t.Errorf("%v allocations per batch, want 0; %d keys foreseen", got, foreseen)
	}
}
