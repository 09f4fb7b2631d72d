package handover

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/memring/memring/protocol"
)

// A client asks one node after another, and writes down what it asked and what it was told.
type client struct {
	w      *world
	number int
	node   *node
	talk   *talk
	open   map[*op]bool
	unique map[string]uint64 // CAS uniques it has seen, by key
}

// An op is one request of a client's, and the answer.
type op struct {
	client    int
	kind      opKind
	arg       uint64 // the value, or how much to count
	cas       uint64
	call, ret int // steps of the world; ret is the far future until there is an answer that tells what was done
	status    protocol.Status
	value     uint64
	unique    uint64 // of the answer
	asked     *node
	side      side          // it was asked on
	at, until time.Duration // when it was called and answered
	last      bool          // asked when all is over
}

type opKind uint8

const (
	opGet opKind = iota
	opSet
	opAdd
	opDelete
	opIncr
	opCAS
	opFlush // of all keys
	opFill  // of a key that nobody looks at, with so long a value that others are evicted
)

func (o *op) String() string {
	kind := [...]string{"get", "set", "add", "delete", "incr", "cas", "flush_all", "fill"}[o.kind]
	return fmt.Sprintf("client %d at %v (side %d), steps %d-%d: %s %d (%x) -> status %d, %d (%x)", o.client, o.asked, o.side, o.call, o.ret, kind, o.arg, o.cas, o.status, o.value, o.unique)
}

const (
	simKeys      = 30
	simFills     = 40
	simFillBytes = 40 << 10

	maxOps   = 64 // of a key: a bit each
	openStep = math.MaxInt
)

func (w *world) addClient() {
	c := &client{w: w, number: len(w.clients), open: map[*op]bool{}, unique: map[string]uint64{}}
	w.clients = append(w.clients, c)
	w.after(0, nil, c.ask)
}

// ask sends the next batch, to the node it has or another one.
func (c *client) ask() {
	w := c.w
	if w.ended || len(c.open) > 0 {
		return
	}
	if c.node == nil || c.node.gone || c.node.left || w.rnd.IntN(20) == 0 {
		nodes := w.standing()
		if len(nodes) == 0 {
			w.after(10*time.Millisecond, nil, c.ask)
			return
		}
		c.node = nodes[w.rnd.IntN(len(nodes))]
		c.talk = c.node.newTalk(c.node.router)
	}
	count := 1
	if w.rnd.IntN(3) == 0 {
		count += w.rnd.IntN(4)
	}
	for range count {
		key := fmt.Sprintf("key%d", w.rnd.IntN(simKeys))
		if len(w.history[key]) >= maxOps-8 {
			continue
		}
		if o := c.draw(key); o.kind != opFill {
			c.send(key, o)
		} else {
			c.send(fmt.Sprintf("fill%d", w.rnd.IntN(simFills)), o)
		}
	}
	if len(c.open) == 0 { // these keys' histories are long enough
		w.after(10*time.Millisecond, nil, c.ask)
	}
}

// lotDelete is the lot of draw that is a deletion.
const lotDelete = 3

func (c *client) draw(key string) *op {
	w := c.w
	o := &op{kind: opGet, arg: uint64(w.step+1) * 1000}
	if w.evicts && w.rnd.IntN(4) == 0 {
		o.kind = opFill
		return o
	}
	lot := w.rnd.IntN(12)
	if w.cut != nil && w.cut.quiet(key, c.node.side, lot) {
		lot = 11
	}
	switch lot {
	case 0, 1:
		o.kind = opSet
	case 2:
		o.kind = opAdd
	case lotDelete:
		o.kind = opDelete
	case 4, 5:
		o.kind, o.arg = opIncr, 1
	case 6:
		if o.cas = c.unique[key]; o.cas != 0 {
			o.kind = opCAS
		}
	}
	return o
}

func (c *client) send(key string, o *op) {
	w := c.w
	w.step++
	o.client, o.asked, o.side, o.at, o.call, o.ret = c.number, c.node, c.node.side, w.now, w.step, openStep
	if o.kind != opFill {
		w.history[key] = append(w.history[key], o)
	}
	c.open[o] = true
	req := &protocol.Request{Op: [...]protocol.Op{protocol.Get, protocol.Set, protocol.Add, protocol.Delete, protocol.Incr, protocol.Set, protocol.Flush, protocol.Set}[o.kind], Key: []byte(key)}
	switch o.kind {
	case opSet, opAdd:
		req.Value = strconv.AppendUint(nil, o.arg, 10)
	case opCAS:
		req.Value, req.CAS, req.Options = strconv.AppendUint(nil, o.arg, 10), o.cas, protocol.Compare
	case opIncr:
		req.Delta = o.arg
	case opFill:
		req.Value = make([]byte, simFillBytes)
	}
	talk, node := c.talk, c.node
	there := laneKey{from: Member{ID: "client", Boot: uint64(c.number)}, to: node.Member, number: talk.origin}
	back := there
	back.back = true
	w.certain(there, node, func() {
		talk.say(req, func(resp *protocol.Response) {
			var answer protocol.Response
			copyResponse(&answer, resp)
			w.certain(back, nil, func() { c.hear(key, o, &answer) })
		})
	})
}

// certain delivers what cannot be lost: clients' connections are not what is looked at.
func (w *world) certain(key laneKey, to *node, do func()) {
	losses := w.losses
	w.losses = 0
	w.deliver(key, to, do)
	w.losses = losses
}

func (c *client) hear(key string, o *op, resp *protocol.Response) {
	w := c.w
	if !c.open[o] {
		return
	}
	w.step++
	o.status, o.unique, o.until = resp.Status, resp.CAS, w.now
	switch {
	case o.kind == opIncr:
		o.value = resp.Number
	case o.kind == opGet && resp.Status == protocol.OK:
		o.value, _ = strconv.ParseUint(string(resp.Value), 10, 64)
	}
	if !resp.Status.FromPeer() || resp.Status == protocol.PeerMoved {
		o.ret = w.step
	}
	if resp.Status.FromPeer() && w.strict {
		w.fault("%s: %v", key, o)
	}
	if resp.CAS != 0 {
		c.unique[key] = resp.CAS
	}
	delete(c.open, o)
	if len(c.open) == 0 {
		w.after(w.upTo(w.idle), nil, c.ask)
	}
}

// hangUp tells clients that their node is gone: what they have asked is not known to be done.
func (w *world) hangUp(n *node) {
	for _, c := range w.clients {
		if c.node == n {
			clear(c.open)
			c.node = nil
			w.after(w.upTo(time.Millisecond), nil, c.ask)
		}
	}
}

// An image is what an item is, to those who asked for it.
type image struct {
	there  bool
	value  uint64
	unique uint64 // 0: not known
	last   uint64 // the greatest that was seen
}

// maxPositions bounds the search: a history with many requests without an answer, which it does not decide by then, is taken to be right.
const maxPositions = 50_000

// A loss is what may become of items that nobody has deleted, at any time.
type loss uint8

const (
	kept   loss = iota
	lost        // they vanish
	hidden      // they are evicted where one is asked for, and may be found in a copy later
)

// explained reports whether some order of the ops, each at one moment between its call and its answer, and each client's in its order, explains all the
// answers. What has no answer may have been done at any time, or not at all.
func explained(ops []*op, may loss) bool {
	type position struct {
		done uint64
		image
	}
	var needed uint64
	before := make([]uint64, len(ops))
	for i, o := range ops {
		if o.ret != openStep {
			needed |= 1 << i
		}
		for j, p := range ops {
			if p.ret < o.call || j < i && p.client == o.client && p.asked == o.asked && p.ret != openStep {
				before[i] |= 1 << j
			}
		}
	}
	seen := map[position]bool{}
	var from func(p position) bool
	from = func(p position) bool {
		if p.done&needed == needed {
			return true
		}
		if seen[p] {
			return false
		}
		if len(seen) > maxPositions {
			return true
		}
		seen[p] = true
		for left := ^p.done & (1<<len(ops) - 1); left != 0; left &= left - 1 {
			i := bits.TrailingZeros64(left)
			if before[i]&^p.done != 0 {
				continue
			}
			if next, ok := ops[i].play(p.image, may); ok && from(position{p.done | 1<<i, next}) {
				return true
			}
		}
		return false
	}
	return from(position{})
}

// play gives the image after an op; false if the answer is none that it could have had.
func (o *op) play(now image, may loss) (image, bool) {
	known, vanish := o.ret != openStep, may != kept
	if known && o.status == protocol.PeerMoved {
		return now, true // not done
	}
	if known && vanish && now.there && o.missed() {
		if may == hidden && o.kind != opAdd && o.kind != opDelete {
			return now, true
		}
		now.there = false
	}
	matches := now.unique == 0 || o.cas == now.unique
	written := func(value uint64) (image, bool) {
		next := image{there: true, value: value, last: now.last}
		if known {
			next.unique = o.unique
			if !vanish && o.unique <= now.last || o.status != protocol.OK {
				return now, false
			}
			next.last = max(next.last, o.unique)
		}
		return next, true
	}
	switch o.kind {
	case opGet:
		if !known || o.status == protocol.NotFound {
			return now, !known || !now.there
		}
		ok := o.status == protocol.OK && now.there && o.value == now.value && (now.unique == 0 || now.unique == o.unique)
		now.unique, now.last = o.unique, max(now.last, o.unique)
		return now, ok
	case opSet:
		return written(o.arg)
	case opAdd:
		if now.there && (known || !vanish) { // without an answer it may have found that the item had vanished
			return now, !known || o.status == protocol.NotStored
		}
		return written(o.arg)
	case opDelete:
		ok := !known || (o.status == protocol.OK) == now.there
		now.there, now.value, now.unique = false, 0, 0
		return now, ok
	case opFlush:
		now.there, now.value, now.unique = false, 0, 0
		return now, true
	case opIncr:
		if !now.there {
			return now, !known || o.status == protocol.NotFound
		}
		if known && o.value != now.value+o.arg {
			return now, false
		}
		return written(now.value + o.arg)
	default:
		switch {
		case !now.there:
			return now, !known || o.status == protocol.NotFound
		case !known && !matches, known && o.status == protocol.Exists && (now.unique != o.cas):
			return now, true
		case !matches:
			return now, false
		}
		return written(o.arg)
	}
}

// missed reports whether the answer says that there is no item.
func (o *op) missed() bool {
	return o.status == protocol.NotFound || o.kind == opAdd && o.status == protocol.OK
}
