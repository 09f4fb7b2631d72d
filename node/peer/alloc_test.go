//go:build !race

package peer_test

import (
	"testing"
	"time"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/protocol"
)

// Both sides of a lane and the socket between them. Not under the race detector: there sync.Pool forgets at random, and that allocates.
func TestNoAllocationPerRequest(t *testing.T) {
	link := peersOf(t, peer.Config{Deadline: 5 * time.Second, Lanes: 1}).Link("there", member(t, echo{}).addr)
	req := &protocol.Request{Op: protocol.Set, Key: []byte("key"), Value: make([]byte, 100)}
	var waiting [50]*protocol.Pending
	round := func() {
		for i := range waiting {
			waiting[i] = link.Send(req)
		}
		for i := len(waiting) - 1; i >= 0; i-- {
			waiting[i].Wait()
		}
		for _, pending := range waiting {
			pending.Release()
		}
	}
	round()
	if got := testing.AllocsPerRun(200, round); got != 0 {
		t.Fatalf("%v allocations for %d requests, want 0", got, len(waiting))
	}
}
