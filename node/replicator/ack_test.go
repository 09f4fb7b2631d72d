package replicator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A holder is n0 of four members, each partition of which three hold. What it sends is answered when the test says so.
type holder struct {
	*Replicator
	t     *testing.T
	table *ring.Table
	sent  []letter
	later []func() // what waits for time to pass
}

type letter struct {
	to      string
	op      protocol.Op
	pending *protocol.Pending
}

func newHolder(t *testing.T, ack Ack) *holder {
	t.Helper()
	clock := storage.NewClock()
	params := ring.DefaultParams()
	params.Copies, params.Partitions = 3, 509
	store, err := storage.Open(storage.Config{MaxBytes: 8 << 20, MaxItemBytes: 1 << 20, Clock: clock, Partitions: params.Partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(); clock.Stop() })
	var members []ring.Member
	for i := range 4 {
		members = append(members, ring.Member{ID: fmt.Sprintf("n%d", i), Weight: 1})
	}
	table, err := ring.Build(members, params)
	if err != nil {
		t.Fatal(err)
	}
	h := &holder{t: t, table: table}
	h.Replicator = New(Config{
		Self:  piece.Member{ID: "n0", Boot: 1},
		Store: store,
		Next:  executor.New(executor.Config{Store: store, Clock: clock}),
		Send: func(id string, req *protocol.Request) *protocol.Pending {
			pending := protocol.NewPending(nil)
			h.sent = append(h.sent, letter{to: id, op: req.Op, pending: pending})
			return pending
		},
		Await: func(pending *protocol.Pending, then func(*protocol.Response)) {
			pending.Hear(func(p *protocol.Pending) { then(&p.Response); p.Release() })
		},
		After:   func(_ time.Duration, f func()) { h.later = append(h.later, f) },
		Go:      func(f func()) { h.later = append(h.later, f) },
		Place:   func(uint32) piece.Place { return piece.Holder },
		Written: func() {},
		Fenced:  func() { t.Error("fenced") },
		Ack:     ack,
		Duty:    piece.NewDuty(1, func() time.Duration { return 0 }), // however busy the machine is, all is drawn at once
	})
	h.Adopt(table, table.Index("n0"), []piece.Member{{ID: "n1", Boot: 1}, {ID: "n2", Boot: 1}, {ID: "n3", Boot: 1}})
	h.later = nil // it looks for copies to keep
	for i := 1; i < 4; i++ {
		parts := piece.NewSet(params.Partitions)
		for part := range params.Partitions {
			parts.Add(part)
		}
		from := piece.Member{ID: fmt.Sprintf("n%d", i), Boot: 1}
		if resp := h.told(&protocol.Request{Op: protocol.Follow, Value: (&ask{from: from, number: 7, parts: parts}).append(nil)}); resp.Status != protocol.OK {
			t.Fatalf("follow: %d", resp.Status)
		}
		draw := &protocol.Request{Op: protocol.Draw, CAS: 7, Key: []byte(from.ID), Value: piece.AppendCursor(nil, storage.Cursor{})}
		if resp := h.told(draw); resp.Status != protocol.OK {
			t.Fatalf("draw: %d", resp.Status)
		}
	}
	return h
}

// told gives the answer to what a member says.
func (h *holder) told(req *protocol.Request) (resp protocol.Response) {
	h.Door().Handle(req, &resp)
	return resp
}

// own gives a key that is n0's, its partition, and its replicas in their order.
func (h *holder) own() (key string, part uint32, replicas []string) {
	for i := 0; ; i++ {
		key = fmt.Sprintf("k%d", i)
		part = h.table.Partition([]byte(key))
		if row := h.table.Holders(part); h.table.Members()[row[0]].ID == "n0" {
			for _, m := range row[1:] {
				replicas = append(replicas, h.table.Members()[m].ID)
			}
			return key, part, replicas
		}
	}
}

// ask asks for something, and gives the answer if it is there.
func (h *holder) ask(req protocol.Request) *protocol.Pending {
	var resp protocol.Response
	if pending := h.Handle(&req, &resp); pending != nil {
		return pending
	}
	return protocol.Answered(resp.Status)
}

// answer has a member answer the first of what it was sent.
func (h *holder) answer(id string, status protocol.Status) {
	h.t.Helper()
	at := slices.IndexFunc(h.sent, func(l letter) bool { return l.to == id })
	if at < 0 {
		h.t.Fatalf("%s was sent nothing", id)
	}
	l := h.sent[at]
	h.sent = slices.Delete(h.sent, at, at+1)
	l.pending.Response.Status = status
	l.pending.Complete()
}

// --ack: none, the first of the replicas, or all of them must have a write before it is answered.
func TestAck(t *testing.T) {
	f := func(ack Ack, atOnce, afterSecond, afterFirst bool) {
		t.Helper()
		h := newHolder(t, ack)
		key, _, replicas := h.own()
		pending := h.ask(protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte("v")})
		if len(h.sent) != 2 {
			t.Fatalf("%v: sent to %d replicas, want 2", ack, len(h.sent))
		}
		if pending.Done() != atOnce {
			t.Errorf("%v: answered at once: %v", ack, pending.Done())
		}
		h.answer(replicas[1], protocol.OK)
		if pending.Done() != afterSecond {
			t.Errorf("%v: answered when the second replica has it: %v", ack, pending.Done())
		}
		h.answer(replicas[0], protocol.OK)
		if pending.Done() != afterFirst || pending.Response.Status != protocol.OK {
			t.Errorf("%v: answered when both have it: %v, status %d", ack, pending.Done(), pending.Response.Status)
		}
		pending.Release()
	}
	f(AckNone, true, true, true)
	f(AckOne, false, false, true)
	f(AckAll, false, false, true)

	// The first is enough, since who leads next has it.
	h := newHolder(t, AckOne)
	key, _, replicas := h.own()
	pending := h.ask(protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte("v")})
	if h.answer(replicas[0], protocol.OK); !pending.Done() {
		t.Error("not answered when the first replica has it")
	}
}

// Who is given a partition has a whole copy of it only if he has answered all writes, also those whose clients did not wait for that.
func TestACopyWithWritesOnTheirWayIsNotWhole(t *testing.T) {
	for _, ack := range []Ack{AckNone, AckOne} {
		h := newHolder(t, ack)
		key, part, replicas := h.own()
		parts := piece.NewSet(h.table.Partitions())
		parts.Add(int(part))
		h.ask(protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte("v")})
		h.answer(replicas[0], protocol.OK) // with AckOne its client has been answered
		var whole piece.Set
		h.Part(parts, piece.Member{ID: replicas[1], Boot: 1}, func(p piece.Parting) { whole = p.Whole })
		if whole != nil {
			t.Fatalf("%v: given away while a write is on its way to who gets it", ack)
		}
		again := h.later[len(h.later)-1]
		h.answer(replicas[1], protocol.OK)
		if again(); !whole.Has(int(part)) {
			t.Errorf("%v: he has answered all, and has no whole copy", ack)
		}
	}
}

// What is evicted here may be with a replica, so a deletion is told it all the same; a look that changes nothing is not.
func TestWhatIsCopied(t *testing.T) {
	f := func(what string, req protocol.Request, want int) {
		t.Helper()
		h := newHolder(t, AckNone)
		key, _, _ := h.own()
		req.Key = []byte(key)
		if h.ask(req).Release(); len(h.sent) != want {
			t.Errorf("%s: sent %d times, want %d", what, len(h.sent), want)
		}
	}
	f("a set", protocol.Request{Op: protocol.Set, Value: []byte("v")}, 2)
	f("a delete of nothing", protocol.Request{Op: protocol.Delete}, 2)
	f("an incr of nothing", protocol.Request{Op: protocol.Incr}, 0)
	f("a get", protocol.Request{Op: protocol.Get}, 0)

	h := newHolder(t, AckNone)
	key, _, _ := h.own()
	h.ask(protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte("v")}).Release()
	before := len(h.sent)
	if h.ask(protocol.Request{Op: protocol.Get, Options: protocol.Lease, Key: []byte(key)}).Release(); len(h.sent) != before {
		t.Error("a meta get that wins nothing is copied")
	}
	h.ask(protocol.Request{Op: protocol.Delete, Options: protocol.Invalidate, Key: []byte(key)}).Release()
	before = len(h.sent)
	if h.ask(protocol.Request{Op: protocol.Get, Options: protocol.Lease, Key: []byte(key)}).Release(); len(h.sent) != before+2 {
		t.Error("a meta get that wins is not copied")
	}
}
