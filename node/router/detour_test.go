package router_test

import (
	"testing"
	"time"

	"github.com/memring/memring/node/router"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// A script is a member, or this node, that gives prepared answers, one after the other; the last again and again.
type script struct {
	answers []protocol.Response
	asked   int
}

func (s *script) next() protocol.Response {
	s.asked++
	return s.answers[min(s.asked, len(s.answers))-1]
}

func (s *script) send(*protocol.Request) *protocol.Pending {
	p := protocol.NewPending(nil)
	p.Response = s.next()
	p.Complete()
	return p
}

func (s *script) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	*resp = s.next()
	return nil
}

func TestARequestIsSentAfterItsPartition(t *testing.T) {
	ok := protocol.Response{Status: protocol.OK}
	moved := func(to string) protocol.Response {
		return protocol.Response{Status: protocol.PeerMoved, Value: []byte(to)}
	}
	type answers = []protocol.Response
	f := func(what string, op protocol.Op, self, m1, m2 answers, ownedBy int, want protocol.Status, asked [3]int, pauses ...time.Duration) {
		t.Helper()
		members := []ring.Member{{ID: "m0", Weight: 1}, {ID: "m1", Weight: 1}, {ID: "m2", Weight: 1}}
		table, err := ring.Build(members, ring.DefaultParams())
		if err != nil {
			t.Fatal(err)
		}
		key := []byte("key")
		for n := byte(0); table.Owner(table.Partition(key)) != ownedBy; n++ {
			key = []byte{'k', 'a' + n}
		}
		scripts := [3]*script{{answers: self}, {answers: m1}, {answers: m2}}
		now := time.Unix(1, 0)
		var paused []time.Duration
		r := router.New(router.Config{
			Next: scripts[0],
			Find: func(id string) router.Send {
				return map[string]router.Send{"m1": scripts[1].send, "m2": scripts[2].send}[id]
			},
			Now: func() time.Time { return now },
			After: func(d time.Duration) *protocol.Pending {
				now = now.Add(d)
				paused = append(paused, d)
				p := protocol.NewPending(nil)
				p.Complete()
				return p
			},
			Patience: func() time.Duration { return 100 * time.Millisecond },
		})
		r.Adopt(table, []router.Send{nil, scripts[1].send, scripts[2].send})

		req := &protocol.Request{Op: op, Key: key}
		var resp protocol.Response
		if pending := r.Handle(req, &resp); pending != nil {
			pending = pending.Resolve(req)
			resp = pending.Response
		}
		if resp.Status != want {
			t.Errorf("%s: status %d, want %d", what, resp.Status, want)
		}
		for i, s := range scripts {
			if asked[i] >= 0 && s.asked != asked[i] {
				t.Errorf("%s: m%d was asked %d times, want %d", what, i, s.asked, asked[i])
			}
		}
		for i := range pauses {
			if i >= len(paused) || paused[i] != pauses[i] {
				t.Errorf("%s: pauses %v, want %v first", what, paused, pauses)
				break
			}
		}
	}
	const ms = time.Millisecond
	f("the owner has it", protocol.Set, nil, answers{ok}, nil, 1, protocol.OK, [3]int{0, 1, 0})
	f("it is named who has it", protocol.Set, nil, answers{moved("m2")}, answers{ok}, 1, protocol.OK, [3]int{0, 1, 1})
	f("nobody is named", protocol.Set, nil, answers{moved(""), moved(""), ok}, nil, 1, protocol.OK, [3]int{0, 3, 0}, ms, 2*ms)
	f("a stranger is named", protocol.Set, nil, answers{moved("m9"), ok}, nil, 1, protocol.OK, [3]int{0, 2, 0})
	f("the one named has it not yet", protocol.Set, nil, answers{moved("m2")}, answers{moved(""), moved(""), ok}, 1, protocol.OK, [3]int{0, -1, -1})
	f("this node has it no more", protocol.Set, answers{moved("m2")}, nil, answers{ok}, 0, protocol.OK, [3]int{1, 0, 1})
	f("this node has it not yet", protocol.Set, answers{moved(""), ok}, nil, nil, 0, protocol.OK, [3]int{2, 0, 0}, ms)
	f("each names the other", protocol.Set, nil, answers{moved("m2")}, answers{moved("m1")}, 1, protocol.PeerMoved, [3]int{0, -1, -1}, 2*ms, 4*ms, 8*ms, 16*ms, 32*ms, 32*ms)
	f("a read of what nobody gives is a miss", protocol.Get, nil, answers{moved("")}, nil, 1, protocol.NotFound, [3]int{0, -1, 0})
	f("what was perhaps done is not sent again", protocol.Incr, nil, answers{{Status: protocol.PeerTimeout}, ok}, nil, 1, protocol.PeerTimeout, [3]int{0, 1, 0})
}

func TestWhatIsOnItsWayByOneTableIsNotOvertakenByAnother(t *testing.T) {
	r, _, table := routed(t, 3)
	away := []byte("key")
	for table.Owner(table.Partition(away)) == 0 {
		away = append(away, 'x')
	}
	var resp protocol.Response
	pending := r.Handle(&protocol.Request{Op: protocol.Set, Key: away}, &resp)
	view := pending.View
	pending.Wait()
	pending.Release()
	if view == 0 {
		t.Fatal("a request that is sent tells no view")
	}
	r.Adopt(table, make([]router.Send, 3))
	if again := r.Handle(&protocol.Request{Op: protocol.Set, Key: away, View: view}, &resp); again != nil || resp.Status != protocol.AskAgain {
		t.Fatalf("by another view: %v, status %d", again, resp.Status)
	}
	if again := r.Handle(&protocol.Request{Op: protocol.Set, Key: away}, &resp); again != nil || resp.Status != protocol.OK {
		t.Fatalf("after all is answered: %v, status %d", again, resp.Status)
	}
}
