package server

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// gets is blocks of gets.
type gets struct{ blocks }

func (g gets) Parse(buf []byte, req *protocol.Request) int {
	used := g.blocks.Parse(buf, req)
	if req.Op == protocol.Set {
		req.Op, req.Key, req.Value = protocol.Get, req.Value, nil
	}
	return used
}

func (gets) Append(dst []byte, _ *protocol.Request, resp *protocol.Response) []byte {
	if resp.Status != protocol.OK {
		return append(dst, '!')
	}
	return append(dst, resp.Value...)
}

// offer answers with so many bytes, that may be asked for again.
type offer int

func (o offer) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	boast(o).Handle(req, resp)
	resp.Status, resp.Size = protocol.OK, uint32(o)
	return nil
}

// Who does not take his answers is closed: in a minute, in ten seconds if he holds what others could use, at once if they wait for it.
func TestUnreadAnswersHaveAnEnd(t *testing.T) {
	const long, short = 1 << 20, 10 << 10
	serve := func(t *testing.T, size int) (*Server, *session.Answers) {
		all := session.NewAnswers(3*long, long/2, true) // one, and not two
		return New(Config{Session: func() *session.Session { return all.Bound(session.New(offer(size), gets{}, 1)) }}), all
	}
	ask := func(t *testing.T, s *Server) net.Conn {
		t.Helper()
		c := plug(s)
		if _, err := io.WriteString(c, "1:k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		return c
	}
	f := func(name string, size int, want time.Duration) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, all := serve(t, size)
				start, before := time.Now(), all.Left()
				c := ask(t, s)
				time.Sleep(want - time.Millisecond)
				if synctest.Wait(); s.stats.CurrConns.Load() != 1 {
					t.Errorf("closed already after %v", time.Since(start))
				}
				time.Sleep(looks)
				if synctest.Wait(); s.stats.CurrConns.Load() != 0 || s.stats.SlowKicks.Load() != 1 || all.Left() != before {
					t.Errorf("open after %v, or %d bytes are not given back", time.Since(start), before-all.Left())
				}
				c.Close()
				synctest.Wait()
			})
		})
	}
	f("short", short, restPatience)
	f("long", long, partPatience)

	t.Run("wanted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, all := serve(t, long)
			before := all.Left()
			greedy := ask(t, s)
			time.Sleep(wantedPatience)
			start, next := time.Now(), ask(t, s)
			got := make([]byte, long)
			if _, err := io.ReadFull(next, got); err != nil || got[0] != 'x' || time.Since(start) > looks {
				t.Errorf("got %.10q, %v after %v", got, err, time.Since(start))
			}
			synctest.Wait()
			if s.stats.SlowKicks.Load() != 1 || s.stats.CurrConns.Load() != 1 {
				t.Errorf("%d closed, %d open", s.stats.SlowKicks.Load(), s.stats.CurrConns.Load())
			}
			greedy.Close()
			next.Close()
			synctest.Wait()
			if all.Left() != before {
				t.Errorf("%d bytes are not given back", before-all.Left())
			}
		})
	})

	t.Run("slow, and reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := serve(t, long)
			c := ask(t, s)
			for got := 0; got < long; {
				time.Sleep(partPatience - time.Second)
				n, err := io.ReadFull(c, make([]byte, partBytes))
				if got += n; err != nil {
					t.Fatalf("after %d bytes: %v", got, err)
				}
			}
			c.Close()
			synctest.Wait()
		})
	})
}
