package server_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/node/server"
	"github.com/memring/memring/protocol/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 10 * time.Second

// start serves blocks on a free port and stops when the test ends.
func start(t *testing.T, cfg server.Config) (*server.Server, string) {
	t.Helper()
	cfg.Session = server.EchoSession
	cfg.Log = slog.New(slog.DiscardHandler)
	s := server.New(cfg)
	address, err := s.Listen("tcp", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(deadline); err != nil {
			t.Error(err)
		}
	})
	return s, address
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// send writes in and says that nothing more will come.
func send(t *testing.T, c *net.TCPConn, in string) {
	t.Helper()
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func block(size int) string { return fmt.Sprintf("%d:%s", size, strings.Repeat("x", size)) }

// Data and the end of the stream may arrive together: the data is answered all the same.
func TestHalfClosedClientsAreAnswered(t *testing.T) {
	_, address := start(t, server.Config{})
	for range 40 {
		c := dial(t, address)
		send(t, c, "5:hello")
		got, err := io.ReadAll(c)
		if err != nil || string(got) != "5:hello" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestRequestsOfAllSizes(t *testing.T) {
	_, address := start(t, server.Config{MaxRequestBytes: 1 << 20})
	var in strings.Builder
	for _, size := range []int{0, 1, 100, 16<<10 - 7, 16 << 10, 16<<10 + 1, 100_000, 5, 1<<20 - 8, 3} {
		in.WriteString(block(size))
	}
	c := dial(t, address)
	go func() {
		_, _ = io.WriteString(c, in.String())
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != in.String() {
		t.Fatalf("got %d bytes of %d, %v", len(got), in.Len(), err)
	}
}

func TestRequestOverTheBoundEndsTheConnection(t *testing.T) {
	_, address := start(t, server.Config{MaxRequestBytes: 32 << 10})
	c := dial(t, address)
	if _, err := io.WriteString(c, "40000:x"); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(c); len(got) != 0 {
		t.Fatalf("got %q", got)
	}
}

// Who is refused memory is closed, and the others are served on, whether there is a word for it or not.
func TestRefusedMemoryOnASocket(t *testing.T) {
	for _, why := range []string{"", "no memory\n"} {
		s, address := start(t, server.Config{NoMemory: why})
		if !s.Budget().TryTake(s.Budget().Left()) {
			t.Fatal("not to be had")
		}
		refused, served := dial(t, address), dial(t, address)
		send(t, refused, block(100_000)[:16<<10]) // a buffer full: what was not read at the end would end the connection before the word is read
		if got, err := io.ReadAll(refused); string(got) != why || err != nil {
			t.Errorf("%q, %v; want %q", got, err, why)
		}
		send(t, served, block(5))
		if got, err := io.ReadAll(served); string(got) != block(5) || err != nil {
			t.Errorf("the other: %q, %v", got, err)
		}
	}
}

func TestConnectionsOverTheLimitAreRefused(t *testing.T) {
	s, address := start(t, server.Config{MaxConns: 2, Refusal: "full\n"})
	for range 2 {
		c := dial(t, address)
		if _, err := io.WriteString(c, "1:a"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(dial(t, address)); string(got) != "full\n" {
		t.Fatalf("got %q, %v", got, err)
	}
	if got := s.Stats().RefusedConns.Load(); got != 1 {
		t.Fatalf("%d refused, want 1", got)
	}
}

// A lower limit hangs up on nobody, and a higher one lets in who waits for a seat.
func TestTheLimitOfConnectionsChanges(t *testing.T) {
	s, address := start(t, server.Config{MaxConns: 2, PauseAtLimit: true})
	answered := func(c io.ReadWriter) {
		t.Helper()
		if _, err := io.WriteString(c, "1:a"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
	}
	first, second := dial(t, address), dial(t, address)
	answered(first)
	answered(second)
	s.SetMaxConns(1)
	third := dial(t, address)
	answered(first)
	answered(second)
	s.SetMaxConns(3)
	answered(third)
}

// A stop lets what is being answered finish, and does not wait for a client that sends nothing.
func TestStopFinishesBatches(t *testing.T) {
	s, address := start(t, server.Config{})
	idle, busy := dial(t, address), dial(t, address)
	if _, err := io.WriteString(busy, block(1000)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(busy)
	if _, err := io.ReadFull(in, make([]byte, len(block(1000)))); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(deadline); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{idle, busy} {
		if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil {
			t.Fatalf("got %q, %v; want the end of the stream", rest, err)
		}
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Fatal("still listening")
	}
}

// A client that sends and does not read blocks only itself; a stop cuts it off after the grace.
func TestStopCutsAClientThatDoesNotRead(t *testing.T) {
	s, address := start(t, server.Config{})
	c := dial(t, address)
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := io.WriteString(c, block(100_000)); err != nil {
			break // the server has stopped reading, since we do not read
		}
	}
	if err := s.Stop(50 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().CurrConns.Load(); n != 0 {
		t.Fatalf("%d connections left", n)
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := server.New(server.Config{})
	left, err := net.Listen("unix", path) // as a process that was killed leaves it
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	left.Close()
	if _, err := s.Listen("unix", path, 0o600); err != nil {
		t.Fatalf("a socket left behind was not replaced: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if _, err := s.Listen("unix", path, 0o600); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("a socket that is served was taken: %v", err)
	}
	if err := s.Stop(deadline); err != nil {
		t.Fatal(err)
	}
}

// Each address may have conversations of its own.
func TestListenAs(t *testing.T) {
	s := server.New(server.Config{Session: server.EchoSession, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := s.Stop(deadline); err != nil {
			t.Error(err)
		}
	})
	boasting := func() *session.Session { return server.BoastSession(3) }
	echo, err := s.Listen("tcp4", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	boast, err := s.ListenAs(boasting, "tcp4", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	for address, want := range map[string]string{echo: "1:a", boast: "xxx"} {
		c := dial(t, address)
		send(t, c, "1:a")
		if got, err := io.ReadAll(c); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	cfg := server.Config{Log: slog.New(slog.DiscardHandler), Session: server.EchoSession}
	s := server.New(cfg)
	address, err := s.Listen("tcp", "127.0.0.1:0", 0)
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(deadline) }()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	out, in := []byte(block(100)), make([]byte, len(block(100)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			b.Fatal(err)
		}
	}
}
