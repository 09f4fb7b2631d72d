//go:build !race

package server

import (
	"net"
	"testing"
)

// sink is the far end of a connection that reads everything at once.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error) { return len(p), nil }

func TestNoAllocationPerBatch(t *testing.T) {
	c := &conn{server: New(Config{}), net: sink{}, session: EchoSession()}
	c.borrow()
	batch := "5:hello1:a0:100:half"
	got := testing.AllocsPerRun(100, func() {
		c.start, c.end = 0, copy(c.in, batch)
		if !c.answer() || !c.makeRoom() || c.end != len("100:half") {
			t.Fatal("the batch was not answered")
		}
	})
	if got != 0 {
		t.Fatalf("%v allocations per batch, want 0", got)
	}
}
