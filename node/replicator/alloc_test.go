//go:build !race

package replicator

import (
	"testing"

	"github.com/memring/memring/protocol"
)

// A write costs no allocation where nobody has copies, and a few where somebody has: what it is remembered by until it is safe, its key, and its answer. A read costs
// none, for it waits seldom.
func TestAllocations(t *testing.T) {
	f := func(what string, replicas int, req *protocol.Request, bound float64) {
		t.Helper()
		r := lone(t, replicas)
		run(t, r, set(), protocol.OK)()
		one := run(t, r, req, protocol.OK)
		for range 100 {
			one()
		}
		if got := testing.AllocsPerRun(1000, one); got > bound {
			t.Errorf("%s: %v allocations, want %v at most", what, got, bound)
		}
	}
	get := &protocol.Request{Op: protocol.Get, Key: []byte("key")}
	f("a write without replicas", 0, set(), 0)
	f("a read without replicas", 0, get, 0)
	f("a write with one", 1, set(), 7)
	f("a read with one", 1, get, 0)
}
