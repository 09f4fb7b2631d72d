package handover

import (
	"fmt"
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A stage is members that hand over to each other in one goroutine: what they would do elsewhere, or later, is done when the test says so.
type stage struct {
	members map[string]*Handover
	now     []func()
	later   []func()
}

// send gives what a member does with what it is told, at once.
func (s *stage) send(id string, req *protocol.Request) *protocol.Pending {
	pending := protocol.NewPending(nil)
	if later := s.members[id].Door().Handle(req, &pending.Response); later != nil {
		return later
	}
	pending.Complete()
	return pending
}

// run does all that is due; then, if all is true, what was to be later as well.
func (s *stage) run(all bool) {
	for len(s.now) > 0 || all && len(s.later) > 0 {
		due := s.now
		if s.now = nil; all {
			due, s.later = append(due, s.later...), nil
		}
		for _, f := range due {
			f()
		}
	}
}

func (s *stage) enter(t *testing.T, id string) *storage.Store {
	clock := storage.NewManualClock(1_700_000_000)
	store, err := storage.Open(storage.Config{MaxBytes: 16 << 20, MaxItemBytes: 1 << 16, Clock: clock, Partitions: ring.DefaultParams().Partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	s.members[id] = New(Config{
		Copies: noCopies(), Duty: piece.NewDuty(1, func() time.Duration { return 0 }),
		Self: Member{ID: id, Boot: 7}, Store: store, Send: s.send, Hasten: func() {},
		Await: func(pending *protocol.Pending, then func(*protocol.Response)) {
			s.now = append(s.now, func() { then(&pending.Response); pending.Release() })
		},
		After: func(_ time.Duration, f func()) { s.later = append(s.later, f) },
		Go:    func(f func()) { s.now = append(s.now, f) },
	})
	return store
}

// noCopies is for members that keep no copies.
func noCopies() Copies {
	none := func(parts piece.Set) piece.Set { return make(piece.Set, len(parts)) }
	return Copies{
		Take: none, Yield: none, Spoil: func(piece.Set) {}, Copied: func(uint32) (usable, whole bool) { return false, false }, Clean: func(uint32) bool { return true },
		Part: func(parts piece.Set, _ Member, then func(piece.Parting)) {
			then(piece.Parting{Whole: none(parts), Follows: none(parts)})
		},
		Feed: func(Member, uint64, piece.Set, piece.Set) {}, Keeps: func(uint32) bool { return false },
		Receive: func(parts, _, _ piece.Set, _ Member) piece.Base {
			return piece.Base{Whole: none(parts), Some: none(parts)}
		},
		Release: func(piece.Set) {}, Settle: func(piece.Set) {}, Stalled: func(uint32) bool { return false },
	}
}

func tableOf(t *testing.T, ids ...string) *ring.Table {
	var members []ring.Member
	for _, id := range ids {
		members = append(members, ring.Member{ID: id, Weight: 1})
	}
	table, err := ring.Build(members, ring.DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// Both ends of a move tell the same of it while it goes on, and nothing when it is done.
func TestMovesAreReportedByBothEnds(t *testing.T) {
	s := &stage{members: map[string]*Handover{}}
	former, taken := s.enter(t, "a"), s.enter(t, "b")
	a, b := s.members["a"], s.members["b"]
	a.Adopt(tableOf(t, "a"), 0, nil)
	const items = 4000
	for i := range items {
		held := former.Hold(fmt.Appendf(nil, "key%d", i))
		if _, err := held.Put(storage.Item{Value: make([]byte, 200)}); err != nil {
			t.Fatal(err)
		}
		held.Release()
	}
	if got := a.Moves(); got != nil {
		t.Errorf("alone: %+v", got)
	}
	both := tableOf(t, "a", "b")
	a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
	b.Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
	s.run(false) // the first piece is pulled at once, the next in good time
	gives, takes := a.Moves(), b.Moves()
	if len(gives) != 1 || len(takes) != 1 || gives[0] != takes[0] {
		t.Fatalf("a tells %+v, b %+v", gives, takes)
	}
	if m := gives[0]; m.From != "a" || m.To != "b" || m.Number != 1 || m.Partitions != both.Owned(1) || m.Items == 0 || m.Bytes < 200*m.Items {
		t.Errorf("after the first piece: %+v", m)
	}
	if left := a.Count().Left(); left != both.Partitions() {
		t.Errorf("%d partitions left at a, want all %d", left, both.Partitions())
	}
	s.run(true)
	if gives, takes := a.Moves(), b.Moves(); gives != nil || takes != nil {
		t.Errorf("in the end a tells %+v, b %+v", gives, takes)
	}
	if got := b.Stats().ItemsIn.Load(); got != a.Stats().ItemsOut.Load() || got < items/4 || int(taken.Stats().Items) != int(got) {
		t.Errorf("%d items in, %d out, %d stored", got, a.Stats().ItemsOut.Load(), taken.Stats().Items)
	}
	if left := a.Count().Left(); left != both.Owned(0) {
		t.Errorf("%d partitions left at a, want its own %d", left, both.Owned(0))
	}
}

// A handout that did not arrive is asked for again: it is one move then, not two.
func TestMoveAskedForTwiceIsReportedOnce(t *testing.T) {
	s := &stage{members: map[string]*Handover{}}
	s.enter(t, "a")
	a := s.members["a"]
	a.Adopt(tableOf(t, "a"), 0, nil)
	both := tableOf(t, "a", "b")
	a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
	wants := piece.NewSet(both.Partitions())
	for part := range both.Partitions() {
		wants.Add(part)
	}
	for n := range uint64(2) {
		var resp protocol.Response
		a.Door().Handle(&protocol.Request{Op: protocol.Takeover, Value: (&ask{from: Member{ID: "b", Boot: 7}, view: a.view, count: n + 1, parts: wants, again: wants}).append(nil)}, &resp)
	}
	if got := a.Moves(); len(got) != 1 || got[0].Partitions != both.Owned(1) {
		t.Errorf("%+v", got)
	}
}
