package socket

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/node/sockettest"
)

// The poller tells once of data that comes with the end of the stream: whoever read only the data would wait for ever.
func TestDataAndEndInOnePacket(t *testing.T) {
	for i := range 60 {
		s, other := pair(t, i%10 == 9)
		sockettest.Cork(t, other)
		got, sent := 0, 1+i*500
		b := make([]byte, 4096)
		received := make(chan error, 1)
		send := func() {
			if _, err := other.Write(text(sent)); err != nil {
				t.Error(err)
			}
			other.Close()
		}
		receive := func() {
			received <- s.Receive(func() []byte { return b }, func(n int) error {
				got += n
				return nil
			}, func() {})
		}
		if i%2 == 0 {
			go receive()
			send()
		} else {
			send()
			go receive()
		}
		select {
		case err := <-received:
			if err != io.EOF || got != sent {
				t.Fatalf("%d: %d bytes of %d, then %v", i, got, sent, err)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%d: the end of %d bytes is not seen", i, sent)
		}
	}
}

// A reset is one change with the data before it, too.
func TestDataAndResetTogether(t *testing.T) {
	s, other := pair(t, false)
	if _, err := other.Write(text(100)); err != nil {
		t.Fatal(err)
	}
	_ = other.(*net.TCPConn).SetLinger(0)
	other.Close()
	if err := s.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	err := s.Receive(func() []byte { return b }, func(int) error { return nil }, func() {})
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the reset is not seen: %v", err)
	}
}
