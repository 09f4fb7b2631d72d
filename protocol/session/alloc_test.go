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
