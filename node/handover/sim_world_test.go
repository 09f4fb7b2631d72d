package handover

import (
	"bytes"
	"container/heap"
	"fmt"
	"hash"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// A world is some members, what is between them and a clock that moves from event to event. One goroutine plays all of it, and what is left to chance
// is drawn from one seed: so a world can be played again.
//
//	heap of events -> one happens -> whoever may go on now is put on the heap -> invariants
type world struct {
	condemned      *node // who is taken for dead and is not, or was last
	condemnedUntil time.Duration

	plan
	rnd    *rand.Rand
	now    time.Duration
	events eventHeap
	serial uint64
	second int64 // that the clocks of all stores have reached

	params  ring.Params
	nodes   []*node // all that have ever run
	truth   map[string]sighting
	version uint64
	lanes   map[laneKey]*time.Duration // when the last message of a lane is delivered
	lines   map[laneKey]*talk          // the other ends of lanes

	clients []*client
	history map[string][]*op
	step    int // counts what clients do, for the histories
	ended   bool
	cut     *cut // if there was one
	sweeps  int  // begun: each is one flush_all
	killed  int  // of those who gave something away
	faults  []string
	story   []string // told if it fails
	print   hash.Hash32
	steps   []trace // told if a seed does not play the same again
}

// A trace is one event, and the print of all that was said until it was over.
type trace struct {
	at    time.Duration
	node  *node
	print uint32
}

// A plan is what may happen in a world.
type plan struct {
	seed     uint64
	strict   bool           // nothing is lost and nobody dies: so no item may be missing and no request fail
	copies   int            // members that hold each item; 0 is 1
	ack      replicator.Ack // whom its members wait for
	keeps    bool           // what happens to one member at a time must cost no item: all is well before the next
	losses   float64        // of messages, in a thousand
	crashes  bool           // and pauses
	kills    bool           // who gives partitions away may die before all of them has arrived
	pauses   time.Duration  // the longest; from simVerdict on the others take who stands still for dead
	slanders bool           // members are taken for dead that are not
	cuts     bool           // once nobody on one side hears of the other; both go on, and meet again
	flushes  bool           // now and then
	evicts   bool           // stores are full
	splits   bool           // what one side does is not known to the other: only the end is looked at
	spread   time.Duration  // until all have heard what happened
	slowest  time.Duration  // a message
	slow     bool           // processors: what goes by and by takes many slices
	idle     time.Duration  // the longest that a client waits before it asks again
	actions  int
	members  int
	deadline time.Duration
}

type event struct {
	at     time.Duration
	serial uint64
	node   *node // who does it; nil: nobody in particular
	do     func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].serial < h[j].serial
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(e any)   { *h = append(*h, e.(event)) }
func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = event{}
	*h = (*h)[:last]
	return e
}

func newWorld(p plan) *world {
	params := ring.DefaultParams()
	params.Partitions, params.VNodes, params.Copies = simPartitions, 10, max(p.copies, 1)
	return &world{
		plan: p, rnd: rand.New(rand.NewPCG(p.seed, 0)), params: params, truth: map[string]sighting{},
		lanes: map[laneKey]*time.Duration{}, lines: map[laneKey]*talk{}, history: map[string][]*op{}, print: crc32.NewIEEE(),
	}
}

// simPartitions is few, so that several keys share one.
const simPartitions = 67

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf("%9.3f ms  ", float64(w.now)/1e6)+fmt.Sprintf(format, args...))
}

func (w *world) fault(format string, args ...any) {
	w.tell("FAULT: "+format, args...)
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// imprint adds something to the print of what was said.
func (w *world) imprint(what ...any) { fmt.Fprintln(w.print, what...) }

// upTo draws a time.
func (w *world) upTo(longest time.Duration) time.Duration {
	return time.Duration(w.rnd.Int64N(int64(longest) + 1))
}

func (w *world) after(pause time.Duration, n *node, do func()) {
	w.serial++
	heap.Push(&w.events, event{at: w.now + pause, serial: w.serial, node: n, do: do})
}

// run lets events happen until then.
func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until && len(w.faults) == 0 {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		for ; w.second < int64(w.now/time.Second); w.second++ {
			for _, n := range w.nodes {
				n.clock.Advance(1)
			}
		}
		if n := e.node; n != nil {
			if n.gone {
				continue
			}
			if n.pausedUntil > e.at { // it keeps its serial, so all that waits happens in its order
				e.at = n.pausedUntil
				heap.Push(&w.events, e)
				continue
			}
			n.wake()
		}
		e.do()
		w.steps = append(w.steps, trace{e.at, e.node, w.print.Sum32()})
		for _, n := range w.nodes {
			n.look()
		}
		w.checkHolders()
	}
	w.now = max(w.now, until)
}

// checkHolders: a partition has one holder at a time.
func (w *world) checkHolders() {
	if w.splits || w.slanders || w.cut != nil {
		return
	}
	for part := range uint32(simPartitions) {
		var holder *node
		for _, n := range w.nodes {
			if n.gone || n.stalled > 0 || !n.handover.Holds(part) { // who stands still answers nobody, and asks before he does
				continue
			}
			if holder != nil {
				w.fault("partition %d is held by %v and by %v", part, holder, n)
			}
			holder = n
		}
	}
}

// A laneKey names a direction between two runs of nodes, or of a client to one.
type laneKey struct {
	from, to Member
	forward  bool
	back     bool
	number   uint32
}

const simLanes = 2

// send hands a message to a lane, as peer.Link does: the answer, or why there is none, comes by itself.
func (w *world) send(from *node, to Member, forward bool, req *protocol.Request) *protocol.Pending {
	pending := protocol.NewPending(nil)
	open := true
	finish := func(resp *protocol.Response) {
		if !open {
			return
		}
		open = false
		fill(pending, resp)
		pending.Complete()
	}
	failed := func(status protocol.Status) func() {
		return func() { finish(&protocol.Response{Status: status}) }
	}
	w.after(w.deadline, from, failed(protocol.PeerTimeout))
	w.imprint(w.now, from.Member, to, forward, req.Op, string(req.Key), string(req.Value), req.CAS, req.Delta)
	key := laneKey{from: from.Member, to: to, forward: forward, number: req.Origin % simLanes}
	target := w.find(to)
	copied := clone(req)
	w.deliver(key, target, func() {
		if w.apart(from, target) {
			return
		}
		w.line(key, target).say(copied, func(resp *protocol.Response) {
			answer := protocol.Response{}
			copyResponse(&answer, resp)
			w.imprint(w.now, from.Member, to, answer.Status, answer.CAS, string(answer.Value))
			back := key
			back.back = true
			if !w.apart(from, target) {
				w.deliver(back, from, func() { finish(&answer) })
			}
		})
	})
	if target.gone { // its port is closed
		w.after(w.upTo(w.slowest), from, failed(protocol.PeerLost))
	}
	return pending
}

// apart reports whether a split is between two members.
func (w *world) apart(a, b *node) bool { return a.side != b.side }

// deliver has a message arrive after a while, behind those before it on its lane; or never, or much later on a connection that was given up.
func (w *world) deliver(key laneKey, to *node, do func()) {
	switch lot := w.rnd.Float64() * 1000; {
	case lot < w.losses:
		return
	case lot < w.losses*1.2:
		w.after(w.deadline/2+w.upTo(2*w.deadline), to, do)
		return
	}
	last := w.lanes[key]
	if last == nil {
		last = new(time.Duration)
		w.lanes[key] = last
	}
	*last = max(*last, w.now+w.delay())
	w.after(*last-w.now, to, do)
}

// delay draws how long a message takes: mostly little.
func (w *world) delay() time.Duration {
	if w.rnd.IntN(10) == 0 {
		return w.upTo(w.slowest)
	}
	return w.upTo(w.slowest / 10)
}

// line gives the conversation at the other end of a lane.
func (w *world) line(key laneKey, at *node) *talk {
	if w.lines[key] == nil {
		handler := protocol.Handler(door{at})
		if key.forward {
			handler = at.handover.Lane()
		}
		w.lines[key] = at.newTalk(handler)
	}
	return w.lines[key]
}

func (w *world) find(m Member) *node {
	for _, n := range w.nodes {
		if n.Member == m {
			return n
		}
	}
	panic("a member that never was")
}

func clone(req *protocol.Request) *protocol.Request {
	copied := *req
	copied.Key, copied.Value = bytes.Clone(req.Key), bytes.Clone(req.Value)
	copied.View = 0
	return &copied
}

func copyResponse(to, from *protocol.Response) {
	scratch := append(to.Scratch[:0], from.Value...)
	*to = *from
	to.Scratch, to.Value = scratch, scratch
}

func fill(pending *protocol.Pending, resp *protocol.Response) { copyResponse(&pending.Response, resp) }
