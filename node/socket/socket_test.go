package socket

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/memring/memring/node/certstest"
)

// pair gives a socket to a reader, over TCP, with a small buffer to write to.
func pair(t *testing.T, encrypted bool) (s *Socket, reader net.Conn) {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	nc, err := net.Dial("tcp", port.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	reader, err = port.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); reader.Close() })
	_ = nc.(*net.TCPConn).SetWriteBuffer(16 << 10)
	s = New(nc)
	if !encrypted {
		return s, reader
	}
	a := certstest.New(t)
	certificate, err := tls.X509KeyPair(a.Issue("x", time.Now().Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Server(reader, &tls.Config{Certificates: []tls.Certificate{certificate}})
	shaken := make(chan error, 1)
	go func() { shaken <- secure.Handshake() }()
	if err := s.Encrypt(context.Background(), a.Client("")); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return s, secure
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 5)
	}
	return b
}

// Offer never waits for who does not read, and Finish brings the rest, in order and once.
func TestWhatIsOfferedAndFinishedArrives(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		s, reader := pair(t, encrypted)
		sent := text(2 << 20)
		at, refused := 0, false
		for size := 1; at < len(sent) && !refused; size = 2*size + 13 {
			piece := sent[at:min(at+size, len(sent))]
			took, out := s.Offer(piece)
			at += took
			refused = took < len(piece) || !out
		}
		if !refused {
			t.Fatalf("encrypted %v: all is taken at once", encrypted)
		}
		finished := make(chan error, 1)
		go func() {
			n, err := s.Finish(sent[at:])
			if err == nil && n != len(sent)-at {
				err = io.ErrShortWrite
			}
			finished <- err
		}()
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("encrypted %v: %v, or other bytes", encrypted, err)
		}
		if err := <-finished; err != nil {
			t.Errorf("encrypted %v: %v", encrypted, err)
		}
		// And then at once again, whether it was a lot or a little.
		for _, n := range []int{1, 5000} {
			if took, out := s.Offer(sent[:n]); took != n || !out {
				t.Errorf("encrypted %v: took %d of %d, all out %v", encrypted, took, n, out)
			}
			if _, err := io.ReadFull(reader, got[:n]); err != nil || !bytes.Equal(got[:n], sent[:n]) {
				t.Errorf("encrypted %v: %v, or other bytes", encrypted, err)
			}
		}
	}
}

// A deadline ends a read and not the connection, also of half an encrypted record.
func TestDeadlinesEndReadsOnly(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		s, other := pair(t, encrypted)
		b := make([]byte, 16)
		if err := s.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		got := 0
		room, came := func() []byte { return b[got:] }, func(n int) error {
			if got += n; got == len("hello") {
				return io.EOF
			}
			return nil
		}
		if err := s.Receive(room, came, func() {}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("encrypted %v: %v", encrypted, err)
		}
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if err := s.Receive(room, came, func() {}); err != io.EOF || string(b[:got]) != "hello" {
			t.Errorf("encrypted %v: %q, %v", encrypted, b[:got], err)
		}
	}
}

// What is written meanwhile fails, and says so to who finishes.
func TestClosedSocketsTellWhoFinishes(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		s, _ := pair(t, encrypted)
		if err := s.Abort(); err != nil {
			t.Fatal(err)
		}
		took, out := s.Offer([]byte("hello"))
		if out && took == 5 {
			t.Errorf("encrypted %v: taken", encrypted)
		}
		if _, err := s.Finish([]byte("hello")[took:]); err == nil {
			t.Errorf("encrypted %v: finished", encrypted)
		}
	}
}
