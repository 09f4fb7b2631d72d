//go:build !race

package socket

import (
	"io"
	"testing"
)

// A batch is encrypted and goes out without an allocation. Not under the race detector: there sync.Pool forgets at random, and that allocates.
func TestAllocOffer(t *testing.T) {
	s, reader := pair(t, true)
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	p := text(1000)
	if n := testing.AllocsPerRun(200, func() {
		if took, out := s.Offer(p); took < len(p) || !out {
			if _, err := s.Finish(p[took:]); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations for each", n)
	}
}
