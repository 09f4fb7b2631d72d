package server

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// floods answers an empty block as echo does, one of a byte with a stream of 1000 pieces, and a longer one with a stream without end.
type floods struct{ closed atomic.Int32 }

func (f *floods) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch len(req.Value) {
	case len("0:"):
		return echo{}.Handle(req, resp)
	case len("1:x"):
		resp.Stream = &flood{f, 1000}
	default:
		resp.Stream = &flood{f, 1 << 40}
	}
	return nil
}

type flood struct {
	of   *floods
	left int
}

func (f *flood) Next(dst []byte) ([]byte, bool) {
	f.left--
	return append(dst, "piece."...), f.left > 0
}

func (f *flood) Close() { f.of.closed.Add(1) }

// A stream is sent to its end without further input, and then what came behind it is answered; one whose reader goes ends with him.
func TestStreamsGoOnByThemselves(t *testing.T) {
	f := func(network, address string) {
		t.Helper()
		h := &floods{}
		s := New(Config{Session: func() *session.Session { return session.New(h, blocks{}, 1) }, Log: slog.New(slog.DiscardHandler)})
		bound, err := s.Listen(network, address, 0o700)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		defer func() {
			if err := s.Stop(time.Second); err != nil {
				t.Error(err)
			}
		}()
		conn, err := net.Dial(network, bound)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		hear := func(want string) {
			t.Helper()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
				t.Fatalf("%.100q, %v", got, err)
			}
		}
		for range 2 {
			if _, err := io.WriteString(conn, "1:x0:"); err != nil {
				t.Fatal(err)
			}
			hear(strings.Repeat("piece.", 1000) + "0:")
		}
		if _, err := io.WriteString(conn, "2:xx"); err != nil {
			t.Fatal(err)
		}
		hear("piece.piece.")
		conn.Close()
		WaitUntil(t, func() bool { return h.closed.Load() == 3 && s.Stats().CurrConns.Load() == 0 })
	}
	f("tcp", "127.0.0.1:0")
	f("unix", t.TempDir()+"/socket")
}

// By UDP a stream is sent if it is short, and closed in any case.
func TestStreamsByUDP(t *testing.T) {
	f := func(in, want string, wantOK bool, closed int32) {
		t.Helper()
		h := &floods{}
		u := &socket{server: New(Config{UDPSession: func() *session.Session { return session.New(h, blocks{}, 1) }})}
		if got, ok := u.answer(nil, []byte(in)); ok != wantOK || ok && string(got) != want {
			t.Fatalf("%.100q, %v", got, ok)
		}
		if n := h.closed.Load(); n != closed {
			t.Fatalf("%d streams closed, want %d", n, closed)
		}
	}
	f("0:", "0:", true, 0)
	f("1:x0:", strings.Repeat("piece.", 1000)+"0:", true, 1)
	f("2:xx", "", false, 1)
}

// drip is a stream with a piece now and then.
type drip struct{ pieces chan string }

func (d drip) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Stream = d
	return nil
}

func (d drip) Next(dst []byte) ([]byte, bool) {
	select {
	case piece, more := <-d.pieces:
		return append(dst, piece...), more
	default:
		return dst, true
	}
}

func (d drip) Close() {}

// A stream that has nothing to give for now is asked again, and its connection is not idle.
func TestStreamsThatPause(t *testing.T) {
	begin := func(d drip) func() *session.Session {
		return func() *session.Session { return session.New(d, blocks{}, 1) }
	}
	converse := func(t *testing.T, d drip, c net.Conn) {
		t.Helper()
		if _, err := io.WriteString(c, "1:x"); err != nil {
			t.Fatal(err)
		}
		for _, piece := range []string{"one.", "two.", "three."} {
			d.pieces <- piece
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != piece {
				t.Fatalf("got %q, %v; want %q", got, err, piece)
			}
		}
	}
	t.Run("pipe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := drip{make(chan string, 1)}
			s := New(Config{Session: begin(d), IdleTimeout: 3 * time.Second})
			c := plug(s)
			converse(t, d, c)
			time.Sleep(time.Minute)
			d.pieces <- "last."
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			close(d.pieces)
			if got := lasts(c); got < 2*time.Second || got > 6*time.Second {
				t.Fatalf("closed %v after the stream's end", got)
			}
		})
	})
	t.Run("without time-out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := drip{make(chan string, 1)}
			s := New(Config{Session: begin(d)})
			c := plug(s)
			converse(t, d, c)
			close(d.pieces)
			time.Sleep(time.Minute)
			if _, err := io.WriteString(c, "1:x"); err != nil {
				t.Fatalf("the connection ended with its stream: %v", err)
			}
			if err := s.Stop(time.Minute); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("socket", func(t *testing.T) {
		d := drip{make(chan string, 1)}
		s := New(Config{Session: begin(d), Log: slog.New(slog.DiscardHandler)})
		bound, err := s.Listen("tcp", "127.0.0.1:0", 0)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		c, err := net.Dial("tcp", bound)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		converse(t, d, c)
		if err := s.Stop(time.Minute); err != nil {
			t.Fatal(err)
		}
	})
}
