package server

import (
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/sockettest"
)

// serveOn starts a server on an address and gives what dials it.
func serveOn(t *testing.T, network, address string) (*Server, func() net.Conn) {
	t.Helper()
	s := New(Config{Session: EchoSession, Log: slog.New(slog.DiscardHandler)})
	bound, err := s.Listen(network, address, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(time.Second); err != nil {
			t.Error(err)
		}
	})
	return s, func() net.Conn {
		c, err := net.Dial(network, bound)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	}
}

// The poller tells once of data that comes with the end of the stream: whoever read only the data would wait for ever.
func TestDataAndEndInOnePacket(t *testing.T) {
	s, dial := serveOn(t, "tcp4", "127.0.0.1:0")
	for i := range 200 {
		c := dial()
		if i%2 == 1 { // as well on a connection that has been waiting
			exchange(t, c, "5:hello")
		}
		sockettest.Cork(t, c)
		if _, err := io.WriteString(c, "4:last"); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "4:last" {
			t.Fatalf("client %d: got %q, %v", i, got, err)
		}
		c.Close()
	}
	WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 })
}

// What comes with a reset may need no answer, so nothing is written that would fail.
func TestDataAndResetTogether(t *testing.T) {
	s := New(Config{Session: EchoSession, Log: slog.New(slog.DiscardHandler)})
	address, err := s.Listen("tcp4", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	const clients = 50
	for range clients {
		c, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "5:hel"); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(time.Second); err != nil {
			t.Error(err)
		}
	})
	WaitUntil(t, func() bool { return s.stats.TotalConns.Load() == clients && s.stats.CurrConns.Load() == 0 })
}

func TestUnixSocketsThatHalfClose(t *testing.T) {
	s, dial := serveOn(t, "unix", filepath.Join(t.TempDir(), "s"))
	for i := range 40 {
		c := dial()
		if _, err := io.WriteString(c, "4:last"); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.UnixConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != "4:last" {
			t.Fatalf("client %d: got %q, %v", i, got, err)
		}
		c.Close()
	}
	WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 })
}

// A socket that takes only a part of an answer gets the rest when there is room.
func TestSlowReadersGetAll(t *testing.T) {
	s, dial := serveOn(t, "tcp4", "127.0.0.1:0")
	c := dial()
	request := "900:" + strings.Repeat("0123456789", 90)
	var in strings.Builder
	if err := c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for { // until the server does not get rid of its answers
		n, err := io.WriteString(c, request)
		if in.WriteString(request[:n]); err != nil {
			in.WriteString(request[n:])
			request = request[n:] // what is still to be sent
			break
		}
	}
	if err := c.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(c, request)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != in.String() {
		t.Fatalf("got %d bytes of %d, %v", len(got), in.Len(), err)
	}
	if n := s.stats.BytesWritten.Load(); n != int64(in.Len()) {
		t.Fatalf("%d bytes counted, want %d", n, in.Len())
	}
}

func TestResetsEndConnections(t *testing.T) {
	s, dial := serveOn(t, "tcp4", "127.0.0.1:0")
	for range 40 {
		c := dial()
		exchange(t, c, "5:hello")
		if _, err := io.WriteString(c, "5:hello"); err != nil {
			t.Fatal(err)
		}
		_ = c.(*net.TCPConn).SetLinger(0) // the answer meets a reset
		c.Close()
	}
	WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 })
}

// A client that never pauses must not keep a stop from coming through.
func TestStopEndsABusyConnection(t *testing.T) {
	s, dial := serveOn(t, "tcp4", "127.0.0.1:0")
	c := dial()
	go func() { _, _ = io.Copy(io.Discard, c) }()
	batch := []byte(strings.Repeat("5:hello", 2000))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			if _, err := c.Write(batch); err != nil {
				return
			}
		}
	}()
	WaitUntil(t, func() bool { return s.stats.BytesRead.Load() > 1<<20 })
	start := time.Now()
	if err := s.Stop(8 * time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Fatalf("the stop took %v", took)
	}
	<-sent
}
