//go:build !race

package server

import (
	"io"
	"net"
	"testing"
	"time"
)

// sink is the far end of a connection that reads everything at once.
type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error)      { return len(p), nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

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

// A request over TLS allocates what crypto/tls does for itself: 24 bytes for every read of the socket, of which the server does two, the second in
// vain, and the client one.
func TestAllocationsPerTLSBatch(t *testing.T) {
	_, address, client := startTLS(t, Config{})
	c := dialTLS(t, address, client)
	batch := []byte("5:hello1:a0:")
	got := make([]byte, len(batch))
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := c.Write(batch); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 3 {
		t.Fatalf("%v allocations per batch at both ends, want 3", allocs)
	}
}
