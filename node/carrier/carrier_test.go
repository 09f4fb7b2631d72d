package carrier

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/identity"
)

// A network is what a test makes it bring.
type network struct {
	memberlist.Transport
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n network) PacketCh() <-chan *memberlist.Packet { return n.packets }
func (n network) StreamCh() <-chan net.Conn           { return n.streams }
func (n network) Shutdown() error                     { return nil }

// Of those who call only so many compute at once: who finds no seat waits for one, until his time is over, or nobody takes what comes any more.
func TestCallersTakeSeats(t *testing.T) {
	id := identity.New(identity.Config{Cluster: "c", ID: "a"})
	if err := id.LoadKeys(certs.File{Name: "f", Content: []byte(strings.Repeat("a key ", 9))}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		under := network{packets: make(chan *memberlist.Packet), streams: make(chan net.Conn)}
		refused := 0
		c := New(Config{Under: under, Identity: id, Timeout: timeout, Refused: func(net.Addr, error) { refused++ }})
		call := func() *tls.Conn {
			near, far := net.Pipe()
			under.streams <- far
			return tls.Client(near, id.CallAny())
		}
		for range cap(c.seats) {
			c.seats <- struct{}{}
		}
		start := time.Now()
		if err := call().Handshake(); err == nil || time.Since(start) != timeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if refused != 1 {
			t.Errorf("%d refused", refused)
		}

		time.AfterFunc(timeout/2, func() { <-c.seats })
		start = time.Now()
		caller := call()
		go func() { _, _ = io.WriteString(caller, "hello") }()
		member := <-c.StreamCh()
		if took := time.Since(start); took != timeout/2 {
			t.Errorf("through after %v", took)
		}
		c.seats <- struct{}{} // who is through has none, and needs none
		hello := make([]byte, 5)
		if _, err := io.ReadFull(member, hello); err != nil || string(hello) != "hello" {
			t.Errorf("%q, %v", hello, err)
		}
		go func() { _ = call().Handshake() }()
		synctest.Wait()
		start = time.Now()
		if err := c.Shutdown(); err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
