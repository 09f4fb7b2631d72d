package server

import (
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
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
