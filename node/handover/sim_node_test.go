package handover

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A node is a member without sockets and goroutines: its rooms are the real ones.
type node struct {
	Member
	w          *world
	clock      *storage.Clock
	store      *storage.Store
	handover   *Handover
	replicator *replicator.Replicator
	router     *router.Router

	view     map[string]sighting // what gossip has told it
	adopted  map[string]sighting
	adopting bool
	hastened bool

	talks       []*talk
	awaited     []*errand
	pausedUntil time.Duration
	stalled     time.Duration // how long it has stood still, until it notices
	side        side          // of a cut
	leaves      bool          // it drains
	left        bool          // clients are sent away
	mourns      time.Duration // until when what is deleted leaves tombstones
	gone        bool
}

// A sighting is what gossip says of an id; that of the greatest version is right.
type sighting struct {
	boot    uint64
	state   simState
	version uint64
}

type simState uint8

const (
	departed simState = iota // it has left, or was down for too long
	down
	draining
	active
)

// here reports whether a member is alive.
func (s simState) here() bool { return s >= draining }

// An errand is an answer that somebody waits for.
type errand struct {
	pending *protocol.Pending
	then    func(*protocol.Response)
}

func (n *node) String() string { return fmt.Sprintf("%s#%d", n.ID, n.Boot) }

// launch starts a member that knows what one of the others knows.
func (w *world) launch(id string) *node {
	n := &node{Member: Member{ID: id, Boot: uint64(len(w.nodes) + 1)}, w: w, view: map[string]sighting{}}
	n.clock = storage.NewManualClock(2_000_000_000 + w.second + w.rnd.Int64N(3))
	var err error
	n.store, err = storage.Open(storage.Config{MaxBytes: 1 << 20, MaxItemBytes: 64 << 10, Clock: n.clock, NodeTag: uint16(n.Boot), Partitions: simPartitions})
	if err != nil {
		panic(err)
	}
	if w.splits {
		n.mourn(simMourn * time.Second) // as a node does while others are out of reach
	}
	await := func(p *protocol.Pending, then func(*protocol.Response)) {
		n.awaited = append(n.awaited, &errand{pending: p, then: then})
	}
	after := func(pause time.Duration, f func()) { w.after(pause, n, f) }
	duty := piece.NewDuty(1, n.watch())
	soon := func(f func()) { w.after(w.upTo(simHop), n, f) }
	n.replicator = replicator.New(replicator.Config{
		Self:       n.Member,
		Store:      n.store,
		Next:       executor.New(executor.Config{Store: n.store, Clock: n.clock}),
		Send:       n.copyTo,
		Await:      await,
		After:      after,
		Go:         soon,
		Place:      func(part uint32) piece.Place { return n.handover.Place(part) },
		Written:    func() { n.handover.Written() },
		Fenced:     n.doubt,
		Ack:        w.ack,
		Log:        w.log(n),
		Duty:       duty,
		Rate:       w.rate(),
		PieceBytes: 64 << w.rnd.IntN(8),
	})
	n.handover = New(Config{
		Self:     n.Member,
		Store:    n.store,
		Next:     n.replicator,
		Send:     n.copyTo,
		Await:    await,
		After:    after,
		Go:       soon,
		Missed:   func(m Member) bool { s := n.view[m.ID]; return s.boot == m.Boot && s.state == down },
		Hasten:   n.hasten,
		Mourning: func() time.Duration { return max(0, n.mourns-w.now) },
		Mourn:    n.mourn,
		Copies: Copies{
			Take: n.replicator.Take, Yield: n.replicator.Yield, Spoil: n.replicator.Spoil, Copied: n.replicator.Copied, Clean: n.replicator.Clean,
			Receive: n.replicator.Receive, Feed: n.replicator.Feed, Keeps: n.replicator.Keeps, Release: n.replicator.Release,
			Part: n.replicator.Part, Settle: n.replicator.Settle, Stalled: n.replicator.Stalled,
		},
		Log:  w.log(n),
		Duty: duty,
		Rate: w.rate(),
	})
	n.handover.pieceBytes = 64 << w.rnd.IntN(8)
	n.router = router.New(router.Config{
		Next: n.handover,
		Self: id,
		Find: n.wayTo,
		Now:  func() time.Time { return time.Unix(0, int64(w.now)) },
		After: func(pause time.Duration) *protocol.Pending {
			pending := protocol.NewPending(nil)
			w.after(pause, n, pending.Complete)
			return pending
		},
		GetErrors: w.keeps || w.cuts || w.seed%2 == 0,
	})
	if seeds := w.standing(); len(seeds) > 0 {
		seed := seeds[w.rnd.IntN(len(seeds))]
		n.side = seed.side
		maps.Copy(n.view, seed.view)
		for _, id := range slices.Sorted(maps.Keys(n.view)) {
			n.grace(id)
		}
	}
	w.nodes = append(w.nodes, n)
	w.tell("%v is launched", n)
	w.announce(n, active, 0, w.spread)
	n.adopt()
	w.after(w.upTo(w.spread), n, func() { // it asks again, now that it is known
		for _, id := range slices.Sorted(maps.Keys(w.truth)) {
			if s := w.truth[id]; !w.apart(n, w.find(Member{ID: id, Boot: s.boot})) {
				n.learn(id, s)
			}
		}
	})
	if n.side != whole {
		w.miss(n)
	}
	return n
}

// watch gives the clock by which a node finds out what its work costs: no time passes in a world while somebody works, so if processors are slow it runs ahead a little with each look.
func (n *node) watch() func() time.Duration {
	ahead := time.Duration(0)
	return func() time.Duration {
		if n.w.slow {
			ahead += n.w.upTo(100 * time.Microsecond)
		}
		return n.w.now + ahead
	}
}

// rate draws at how many bytes a second items are moved: what fills a store must get through.
func (w *world) rate() func() int64 {
	var rate int64
	if w.evicts {
		rate = 1 << (20 + w.rnd.IntN(4))
	} else {
		rate = 1 << (10 + w.rnd.IntN(12))
	}
	return func() int64 { return rate }
}

// log gives what writes a node's lines into the story, if somebody is to read it.
func (w *world) log(n *node) *slog.Logger {
	if *seedFlag < 0 {
		return nil
	}
	return slog.New(slog.NewTextHandler(teller(func(line string) { w.tell("%v: %s", n, line) }), nil))
}

// A teller is a writer of lines.
type teller func(line string)

func (t teller) Write(line []byte) (int, error) {
	_, text, _ := strings.Cut(strings.TrimSpace(string(line)), "msg=")
	t(text)
	return len(line), nil
}

// simHop bounds how long a goroutine that may run has not begun to.
const simHop = 300 * time.Microsecond

// standing lists the members that a client may be sent to.
func (w *world) standing() (nodes []*node) {
	for _, n := range w.nodes {
		if !n.gone && !n.leaves && n.pausedUntil <= w.now {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// announce spreads what happened to a member.
func (w *world) announce(about *node, state simState, earliest, spread time.Duration) {
	w.version++
	s := sighting{boot: about.Boot, state: state, version: w.version}
	if before := w.truth[about.ID]; before.boot > about.Boot {
		return // another run of it is known already
	}
	w.truth[about.ID] = s
	if !about.gone && state.here() {
		about.view[about.ID] = s
	}
	for _, n := range w.nodes {
		if !n.gone && n != about && n.side == about.side {
			w.after(earliest+w.upTo(spread), n, func() { n.learn(about.ID, s) })
		}
	}
}

func (n *node) learn(id string, s sighting) {
	if s.version <= n.view[id].version || id == n.ID && s.boot == n.Boot {
		return
	}
	n.view[id] = s
	n.adoptLater(n.w.spread)
	n.grace(id)
}

// grace lets who is down keep its place for a while.
func (n *node) grace(id string) {
	s := n.view[id]
	if s.state != down {
		return
	}
	n.w.after(simGrace, n, func() {
		if n.view[id] == s {
			s.state = departed
			n.view[id] = s
			n.adoptLater(n.w.spread)
		}
	})
}

func (n *node) adoptLater(quiet time.Duration) {
	if !n.adopting {
		n.adopting = true
		n.w.after(n.w.upTo(quiet), n, func() { n.adopting = false; n.adopt() })
	}
}

func (n *node) hasten() {
	if !n.hastened {
		n.hastened = true
		n.w.after(n.w.upTo(time.Millisecond), n, func() { n.hastened = false; n.adopt() })
	}
}

// adopt is what node.Node does of that name.
func (n *node) adopt() {
	same := func(a, b sighting) bool { return a.boot == b.boot && a.state == b.state }
	if maps.EqualFunc(n.view, n.adopted, same) {
		return
	}
	var placed []ring.Member
	var others []Member
	living := 0
	for _, id := range slices.Sorted(maps.Keys(n.view)) {
		s := n.view[id]
		if s.state == active || s.state == down && n.w.copies > 1 {
			placed = append(placed, ring.Member{ID: id, Weight: 1})
		}
		if s.state == active {
			living++
		}
		if s.state == down {
			n.mourn(simMourn * time.Second)
		}
		if m := (Member{ID: id, Boot: s.boot}); s.state.here() && m != n.Member {
			others = append(others, m)
		}
	}
	n.adopted = maps.Clone(n.view)
	if living == 0 && n.router.Table() != nil {
		return
	}
	table, err := ring.Build(placed, n.w.params)
	if err == nil && len(placed) > 0 {
		members := table.Members()
		table, err = table.Led(func(i int) bool { return n.view[members[i].ID].state == active })
	}
	if err != nil {
		panic(err)
	}
	self, ways := -1, make([]router.Send, len(placed))
	for i, m := range table.Members() {
		if to := (Member{ID: m.ID, Boot: n.view[m.ID].boot}); to == n.Member {
			self = i
		} else {
			ways[i] = func(req *protocol.Request) *protocol.Pending { return n.w.send(n, to, true, req) }
		}
	}
	n.w.tell("%v adopts %v of %v (self %d, others %v)", n, living, table.Members(), self, others)
	n.replicator.Adopt(table, self, others)
	n.handover.Adopt(table, self, others)
	if n.router.Table() == nil || n.w.rnd.IntN(2) == 0 {
		n.router.Adopt(table, ways)
		return
	}
	adopted := n.adopted
	n.w.after(n.w.upTo(simHop), n, func() {
		if same := maps.Equal(adopted, n.adopted); same {
			n.router.Adopt(table, ways)
		}
	})
}

func (n *node) doubt() {
	n.replicator.Doubt()
	n.handover.Doubt()
}

// mourn is what node.Node does of that name.
func (n *node) mourn(span time.Duration) {
	if until := n.w.now + span; until > n.mourns {
		n.mourns = until
		n.store.Mourn(simMourn)
		n.w.after(span, n, func() {
			if n.mourns == until {
				n.store.Mourn(0)
			}
		})
	}
}

// door answers on copy lanes, as node's does.
type door struct{ n *node }

func (d door) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Follow, protocol.Unfollow, protocol.Copy, protocol.Draw:
		return d.n.replicator.Door().Handle(req, resp)
	}
	return d.n.handover.Door().Handle(req, resp)
}

func (n *node) wayTo(id string) router.Send {
	s, known := n.view[id]
	to := Member{ID: id, Boot: s.boot}
	if !known || !s.state.here() || to == n.Member {
		return nil
	}
	return func(req *protocol.Request) *protocol.Pending { return n.w.send(n, to, true, req) }
}

func (n *node) copyTo(id string, req *protocol.Request) *protocol.Pending {
	s, known := n.view[id]
	to := Member{ID: id, Boot: s.boot}
	if !known || s.state == departed || to == n.Member {
		gone := protocol.NewPending(nil)
		gone.Response.Status = protocol.PeerLost
		gone.Complete()
		return gone
	}
	return n.w.send(n, to, false, req)
}

func (n *node) newTalk(handler protocol.Handler) *talk {
	n.w.serial++
	k := &talk{node: n, handler: handler, origin: uint32(n.w.serial)}
	n.talks = append(n.talks, k)
	return k
}

// look puts on the heap who may go on.
func (n *node) look() {
	if n.gone {
		return
	}
	for _, k := range n.talks {
		if !k.called && k.ready() {
			k.called = true
			n.w.after(n.w.upTo(simHop), n, func() { k.called = false; k.run() })
		}
	}
	n.awaited = slices.DeleteFunc(n.awaited, func(e *errand) bool {
		if e.pending.Done() {
			n.w.after(n.w.upTo(simHop), n, func() { e.then(&e.pending.Response); e.pending.Release() })
			return true
		}
		return false
	})
}

// wake is what node.Node does of the name awake.
func (n *node) wake() {
	stalled := n.stalled
	if n.stalled = 0; stalled > simStall {
		n.doubt()
	}
}

const (
	// simStall is after how long a node doubts, and simVerdict after how long the others begin to take it for dead.
	simStall   = 1300 * time.Millisecond
	simVerdict = 1800 * time.Millisecond
	// simMourn is for how many seconds a deletion is remembered, from when somebody is missed.
	simMourn = 3600
	// simGrace is for how long who is down keeps its place, if there are copies.
	simGrace = 3 * time.Second
)

func (n *node) pause(span time.Duration) {
	w := n.w
	w.tell("%v stands still for %v", n, span)
	n.pausedUntil, n.stalled = w.now+span, span
	w.after(span, n, func() {}) // it looks at the clock all the time
	if span > simVerdict {
		w.after(simVerdict, nil, func() { w.announce(n, down, 0, 500*time.Millisecond) })
		w.after(span, n, func() { w.announce(n, n.state(), 0, w.spread) })
	}
}

// condemn has the others take a member for dead that goes on all the while, until they hear from it. Nothing happens while another is condemned: members that take each
// other for dead are the two sides of a split, of which TestSimCut judges.
func (n *node) condemn(span time.Duration) {
	const meet = 2 * time.Second // from when they hear from it until all have adopted a table with it
	if n.w.condemned != n && n.w.now < n.w.condemnedUntil {
		return
	}
	n.w.condemned, n.w.condemnedUntil = n, n.w.now+span+meet
	n.w.tell("%v is condemned for %v", n, span)
	n.w.announce(n, down, 0, n.w.spread)
	n.w.after(span, n, func() { n.w.announce(n, n.state(), 0, n.w.spread) })
}

func (n *node) state() simState {
	if n.leaves {
		return draining
	}
	return active
}

func (n *node) crash() {
	n.w.tell("%v crashes", n)
	n.gone = true
	state := down
	if n.leaves { // no place is kept for it
		state = departed
	}
	n.w.announce(n, state, 500*time.Millisecond, 1500*time.Millisecond)
	n.w.hangUp(n)
}

// drain is what node.Node does of that name, and then it leaves.
func (n *node) drain() {
	w := n.w
	w.tell("%v drains", n)
	n.leaves = true
	w.announce(n, draining, 0, w.spread)
	n.adoptLater(w.spread)
	began := w.now
	var look func()
	look = func() {
		if !(n.handover.Empty() && n.replicator.Idle()) && w.now < began+30*time.Second {
			w.after(20*time.Millisecond, n, look)
			return
		}
		w.tell("%v leaves: %+v", n, n.handover.Count())
		if w.strict && !n.handover.Empty() {
			w.fault("%v does not get rid of all: %+v", n, n.handover.Count())
		}
		n.left = true
		w.announce(n, departed, 0, w.spread)
		w.after(3*w.spread, n, func() {
			w.tell("%v is gone", n)
			n.handover.Stop()
			n.replicator.Stop()
			n.gone = true
			w.hangUp(n)
		})
	}
	w.after(20*time.Millisecond, n, look)
}
