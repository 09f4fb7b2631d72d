package replicator

import (
	"bytes"
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

// A world is a few members of which each has what the others send it. Nothing happens until it is run, and no time passes until it is let pass.
type world struct {
	t       *testing.T
	clock   *storage.Clock
	members map[string]*member
	cut     map[string]bool // "a>b": what a sends is lost
	slow    map[string]bool // "a>b": the copies that a sends wait until they are let go
	late    []func()        // these copies
	queue   []func()
	now     time.Duration
	timers  []timer
}

type timer struct {
	at time.Duration
	do func()
}

type member struct {
	*Replicator
	w     *world
	id    piece.Member
	store *storage.Store
	place piece.Place // what it is to all partitions

	fenced int // how often it was told that another has taken over
}

const worldParts = 32

// newWorld gives a world of nobody yet.
func newWorld(t *testing.T) *world {
	return &world{t: t, clock: storage.NewManualClock(2_000_000_000), members: map[string]*member{}, cut: map[string]bool{}, slow: map[string]bool{}}
}

func (w *world) launch(id string, boot uint64, place piece.Place, ack Ack) *member {
	w.t.Helper()
	store, err := storage.Open(storage.Config{MaxBytes: 1 << 20, MaxItemBytes: 64 << 10, Clock: w.clock, NodeTag: uint16(boot), Partitions: worldParts})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(store.Close)
	m := &member{w: w, id: piece.Member{ID: id, Boot: boot}, store: store, place: place}
	m.Replicator = New(Config{
		Self: m.id, Store: store, Next: executor.New(executor.Config{Store: store, Clock: w.clock}), Ack: ack,
		Send: func(to string, req *protocol.Request) *protocol.Pending { return w.send(id, to, req) },
		Await: func(pending *protocol.Pending, then func(*protocol.Response)) {
			pending.Hear(func(p *protocol.Pending) {
				w.queue = append(w.queue, func() { then(&p.Response); p.Release() })
			})
		},
		After:   func(pause time.Duration, do func()) { w.timers = append(w.timers, timer{at: w.now + pause, do: do}) },
		Go:      func(do func()) { w.queue = append(w.queue, do) },
		Place:   func(uint32) piece.Place { return m.place },
		Written: func() {},
		Fenced:  func() { m.fenced++ },
	})
	w.members[id] = m
	return m
}

func (w *world) send(from, to string, req *protocol.Request) *protocol.Pending {
	pending := protocol.NewPending(nil)
	said := *req
	said.Key, said.Value = bytes.Clone(req.Key), bytes.Clone(req.Value)
	deliver := func() {
		if w.cut[from+">"+to] {
			pending.Response.Status = protocol.PeerTimeout
		} else {
			w.members[to].Door().Handle(&said, &pending.Response)
		}
		pending.Complete()
	}
	if req.Op == protocol.Copy && w.slow[from+">"+to] {
		w.late = append(w.late, deliver)
	} else {
		w.queue = append(w.queue, deliver)
	}
	return pending
}

// run has all happen that may happen now.
func (w *world) run() {
	for len(w.queue) > 0 {
		do := w.queue[0]
		w.queue = w.queue[1:]
		do()
	}
}

// arrive delivers the copies that are late.
func (w *world) arrive() {
	late := w.late
	w.late = nil
	for _, do := range late {
		do()
	}
	w.run()
}

// pass lets time pass.
func (w *world) pass(span time.Duration) {
	w.run()
	for end := w.now + span; ; w.run() {
		next := -1
		for i, timer := range w.timers {
			if timer.at <= end && (next < 0 || timer.at < w.timers[next].at) {
				next = i
			}
		}
		if next < 0 {
			w.now = end
			return
		}
		due := w.timers[next]
		w.timers = slices.Delete(w.timers, next, next+1)
		w.now = max(w.now, due.at)
		due.do()
	}
}

// tableOf gives the table of members that hold each item so many times.
func tableOf(t testing.TB, copies int, ids ...string) *ring.Table {
	t.Helper()
	params := ring.DefaultParams()
	params.Partitions, params.Copies = worldParts, copies
	var members []ring.Member
	for _, id := range ids {
		members = append(members, ring.Member{ID: id, Weight: 1})
	}
	table, err := ring.Build(members, params)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// pair is a world of a holder and its replica, which has copies of all. The key is the holder's, and part is its partition.
func pair(t *testing.T, ack Ack) (w *world, holder, replica *member, key string, part piece.Set) {
	t.Helper()
	w = newWorld(t)
	holder, replica = w.launch("holder", 100, piece.Holder, ack), w.launch("replica", 200, piece.Elsewhere, ack)
	w.meet()
	w.pass(time.Second)
	table := tableOf(t, 2, "holder", "replica")
	for i := 0; ; i++ {
		key = fmt.Sprint("key", i)
		if p := table.Partition([]byte(key)); table.Members()[table.Owner(p)].ID == "holder" {
			part = piece.NewSet(worldParts)
			part.Add(int(p))
			break
		}
	}
	if !replica.whole() {
		t.Fatalf("no copies to begin with: %+v", replica.Count())
	}
	return w, holder, replica, key, part
}

// meet has both of a pair know of each other; each of the others has the other taken for dead.
func (w *world) meet() { w.members["holder"].sees(true); w.members["replica"].sees(true) }

func (m *member) sees(other bool) {
	names, others := []string{m.id.ID}, []piece.Member(nil)
	for id, o := range m.w.members {
		if other && o != m {
			names, others = append(names, id), append(others, o.id)
		}
	}
	table := tableOf(m.w.t, 2, names...)
	m.Adopt(table, table.Index(m.id.ID), others)
}

// whole reports whether a member has copies, all of them whole.
func (m *member) whole() bool {
	count := m.Count()
	return count.Kept > 0 && count.Kept == count.Whole
}

// ask asks for something. The answer may be there already.
func (m *member) ask(req protocol.Request) *protocol.Pending {
	var resp protocol.Response
	if pending := m.Handle(&req, &resp); pending != nil {
		return pending
	}
	pending := protocol.NewPending(nil)
	pending.Response = resp
	pending.Complete()
	return pending
}

func (m *member) set(key, value string) *protocol.Pending {
	return m.ask(protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte(value)})
}

func (m *member) get(key string) *protocol.Pending {
	return m.ask(protocol.Request{Op: protocol.Get, Key: []byte(key)})
}

// has gives what is in a member's store.
func (m *member) has(key string) string {
	item, _, found := m.store.Get(nil, []byte(key))
	if !found {
		return "nothing"
	}
	return string(item.Value)
}

// item gives an item of such a value.
func (m *member) item(value string) storage.Item {
	return storage.Item{Value: []byte(value), CAS: 1, Version: 1, LastAccess: m.w.clock.Now()}
}

// evict removes an item from a member's store, as if there had been no room.
func (m *member) evict(key string) {
	held := m.store.Hold([]byte(key))
	defer held.Release()
	held.Delete()
}

// open counts what a member keeps for writes that are not safe: these, who reads them, and those whose replica has not acknowledged them.
func (m *member) open() (writes, readers, waiting int) {
	for i := range m.shards {
		for _, open := range m.shards[i].open {
			writes += len(open)
			for _, w := range open {
				readers += len(w.readers)
			}
		}
	}
	for _, f := range m.fed {
		waiting += len(f.waiting)
	}
	return writes, readers, waiting
}

// unanswered is what expect is told of an answer that must not be there yet.
const unanswered = protocol.Status(255)

// expect checks the status of an answer.
func (w *world) expect(what string, pending *protocol.Pending, want protocol.Status) {
	w.t.Helper()
	if done := pending.Done(); !done || want == unanswered {
		if done != (want != unanswered) {
			w.t.Errorf("%s: answered: %v, want status %d", what, done, want)
		}
		return
	}
	if status := pending.Resolve(&protocol.Request{}).Response.Status; status != want {
		w.t.Errorf("%s: status %d, want %d", what, status, want)
	}
}
