package router_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/memring/memring/node/router"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// A flusher is a member, as far as flush_all is concerned.
type flusher struct {
	mark    uint64 // that it would have
	view    uint64
	refuses bool
	flushed []uint64 // the marks that it was given
	before  func()   // what happens before it flushes
}

func (f *flusher) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	switch {
	case f.refuses:
		resp.Status = protocol.NotAllowed
	case req.Op == protocol.FlushMark:
		resp.Number = f.mark
	case req.Op == protocol.Flush:
		if f.before != nil {
			f.before()
		}
		f.flushed, resp.Number = append(f.flushed, req.Delta), f.view
	}
	return nil
}

func (f *flusher) send(req *protocol.Request) *protocol.Pending {
	pending := protocol.NewPending(nil)
	f.Handle(req, &pending.Response)
	pending.Complete()
	return pending
}

// flushing gives a router of the first of some members, whose time passes only while it waits.
func flushing(t *testing.T, members ...*flusher) (r *router.Router, adopt func(members ...*flusher)) {
	t.Helper()
	now := time.Unix(1_700_000_000, 0)
	r = router.New(router.Config{
		Next: members[0],
		Now:  func() time.Time { return now },
		After: func(pause time.Duration) *protocol.Pending {
			now = now.Add(pause)
			pending := protocol.NewPending(nil)
			pending.Complete()
			return pending
		},
	})
	adopt = func(members ...*flusher) {
		t.Helper()
		placed, ways := make([]ring.Member, len(members)), make([]router.Send, len(members))
		for i, m := range members {
			if placed[i] = (ring.Member{ID: fmt.Sprintf("m%d", i), Weight: 1}); i > 0 {
				ways[i] = m.send
			}
		}
		table, err := ring.Build(placed, ring.DefaultParams())
		if err != nil {
			t.Fatal(err)
		}
		r.Adopt(table, ways)
	}
	adopt(members...)
	return r, adopt
}

func TestFlushHasOneMark(t *testing.T) {
	f := func(want string, members ...*flusher) {
		t.Helper()
		r, _ := flushing(t, members...)
		var resp protocol.Response
		r.Handle(&protocol.Request{Op: protocol.Flush, Delta: 1 << 60}, &resp)
		got := fmt.Sprintf("%d %s", resp.Status, resp.Value)
		for _, m := range members {
			got += fmt.Sprint(" ", m.flushed)
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	ok, refused, failed := int(protocol.OK), int(protocol.NotAllowed), int(protocol.ServerError)
	f(fmt.Sprint(ok, "  [7]"), &flusher{mark: 7})
	f(fmt.Sprint(ok, "  [9] [9] [9]"), &flusher{mark: 7}, &flusher{mark: 9}, &flusher{mark: 8})
	f(fmt.Sprint(ok, "  [9] [9]"), &flusher{mark: 9}, &flusher{mark: 7})
	f(fmt.Sprint(refused, "  [] []"), &flusher{refuses: true}, &flusher{mark: 7})
	f(fmt.Sprint(failed, " flush_all reached 1 of 2 [7] []"), &flusher{mark: 7}, &flusher{mark: 9, refuses: true})
}

// A member that others know already, and that has been given what they have not flushed, is flushed too.
func TestFlushWaitsUntilAllSeeTheSame(t *testing.T) {
	here, other, fresh := &flusher{mark: 7, view: 1}, &flusher{mark: 9, view: 2}, &flusher{mark: 8, view: 2}
	r, adopt := flushing(t, here, other)
	other.before = func() {
		if len(other.flushed) == 2 { // by now it is known here too
			here.view = 2
			adopt(here, other, fresh)
		}
	}
	var resp protocol.Response
	if r.Handle(&protocol.Request{Op: protocol.Flush}, &resp); resp.Status != protocol.OK || len(fresh.flushed) == 0 || fresh.flushed[0] != 9 {
		t.Errorf("status %d, %q: flushed with %v", resp.Status, resp.Value, fresh.flushed)
	}

	here, other = &flusher{view: 1}, &flusher{view: 2}
	r, _ = flushing(t, here, other)
	resp.Reset()
	if r.Handle(&protocol.Request{Op: protocol.Flush}, &resp); resp.Status != protocol.ServerError {
		t.Errorf("status %d though they never see the same", resp.Status)
	}
}
