package handover

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
)

// A side is where a member is while a cut is between two.
type side uint8

const whole side = 0 // there is no cut

// A cut is a time in which the members of one side heard nothing of those of the other. Both go on.
type cut struct {
	from, healed int // steps
	of           map[*node]side
}

const (
	// simSkew is more than two members' clocks are apart: what is done so much later is newer.
	simSkew = 4 * time.Second
	// simRejoin is how long members may need to find each other again.
	simRejoin = 2 * time.Second
)

// cutPlan makes of a seed what is to happen to a cluster that is cut in two, and heals.
func cutPlan(seed uint64) plan {
	p := planOf(5 * seed)
	p.seed, p.strict, p.cuts, p.actions, p.idle = seed, false, true, 0, 150*time.Millisecond
	p.copies = 1 + int(seed%3)/2 + int(seed%7)/6
	p.crashes = seed%5 == 4
	p.flushes = seed%4 == 3
	return p
}

// fullPlan is copiesPlan or planOf with stores that are full, and flush_all.
func fullPlan(seed uint64) plan {
	p := planOf(seed / 2)
	if seed%2 == 1 {
		p = copiesPlan(seed / 2)
	}
	p.seed, p.evicts, p.flushes = seed, seed%3 > 0, seed%3 < 2
	return p
}

// quiet reports whether a lot is not to be played on a side, nor after the heal: of most keys what is done last is done on one side, for what both go on to change tells little in the end.
func (c *cut) quiet(key string, s side, lot int) bool {
	switch kind := int(key[len(key)-1]) % 4; {
	case kind == 0: // it is there before, and deleted
		return s == whole || lot != lotDelete
	case kind == 3:
		return false
	default:
		return s != side(kind)
	}
}

// playCut lets some members settle, cuts them in two, lets both sides change, and heals.
func (w *world) playCut() {
	for i := range 2 + w.rnd.IntN(4) {
		w.run(w.now + w.upTo(100*time.Millisecond))
		w.launch(fmt.Sprintf("m%d", i+1))
	}
	if w.run(w.now + time.Second); !w.calm() {
		return
	}
	w.split()
	for i := range w.rnd.IntN(4) {
		w.run(w.now + w.upTo(2*time.Second))
		w.act(fmt.Sprintf("n%d", i+1))
	}
	w.run(w.now + w.upTo(8*time.Second))
	if nodes := w.standing(); w.flushes && len(nodes) > 0 {
		w.sweep(nodes[w.rnd.IntN(len(nodes))])
		w.run(w.now + w.upTo(time.Second))
	}
	w.heal()
	for i := range w.rnd.IntN(3) {
		w.run(w.now + w.upTo(2*time.Second))
		w.act(fmt.Sprintf("h%d", i+1))
	}
	w.run(w.now + simRejoin + simVerdict + simGrace)
}

// split cuts the members in two.
func (w *world) split() {
	nodes := slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.gone })
	w.rnd.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	w.cut = &cut{from: w.step, healed: openStep, of: map[*node]side{}}
	for i, n := range nodes {
		if n.side = 1; i > 0 && (i == 1 || w.rnd.IntN(2) == 0) {
			n.side = 2
		}
		w.cut.of[n] = n.side
		w.tell("%v is on side %d", n, n.side)
	}
	for _, n := range w.nodes {
		if !n.gone {
			w.miss(n)
		}
	}
}

// miss has a member find out that it hears nothing of those on the other side.
func (w *world) miss(n *node) {
	w.cut.of[n] = n.side
	for _, id := range slices.Sorted(maps.Keys(w.truth)) {
		boot := w.truth[id].boot
		w.after(simVerdict+w.upTo(500*time.Millisecond), n, func() {
			s, known := n.view[id]
			if !known || s.boot != boot || !s.state.here() || !w.apart(n, w.find(Member{ID: id, Boot: boot})) {
				return
			}
			w.version++
			s.state, s.version = down, w.version
			n.learn(id, s)
		})
	}
}

// heal lets the sides hear each other, and after a while find each other.
func (w *world) heal() {
	w.tell("the cut is healed")
	w.cut.healed = w.step
	for _, n := range w.nodes {
		n.side = whole
	}
	w.after(w.upTo(simRejoin), nil, func() {
		mark := uint64(0)
		for _, n := range w.nodes {
			if !n.gone {
				mark = max(mark, n.store.Flushed())
			}
		}
		for _, id := range slices.Sorted(maps.Keys(w.truth)) {
			w.version++
			s := w.truth[id]
			s.version = w.version
			w.truth[id] = s
			for _, n := range w.nodes {
				w.after(w.upTo(w.spread), n, func() { n.learn(id, s) })
			}
		}
		for _, n := range w.nodes {
			w.after(w.upTo(time.Second), n, func() { n.store.FlushBefore(mark) }) // a full exchange tells it
		}
	})
}

// flushSoon has somebody flush all, now and then.
func (w *world) flushSoon() {
	pause := 1500 * time.Millisecond
	if w.keeps {
		pause = simVerdict + simGrace // as far apart as what happens to members
	}
	w.after(w.upTo(2*pause), nil, func() {
		const most = 4 // each is in every key's history
		nodes := w.standing()
		if w.sweeps == most || w.ended {
			return
		}
		if len(nodes) > 0 {
			w.sweep(nodes[w.rnd.IntN(len(nodes))])
		}
		w.flushSoon()
	})
}

// sweep is what router.Router does for a flush_all, but without waiting where it stands, and once: the greatest mark that a member has is that of all. If they do not see each other alike, its end is
// not known.
func (w *world) sweep(n *node) {
	w.sweeps++
	w.step++
	o := &op{kind: opFlush, client: -1, asked: n, side: n.side, at: w.now, call: w.step, ret: openStep}
	for i := range simKeys {
		key := fmt.Sprintf("key%d", i)
		w.history[key] = append(w.history[key], o)
	}
	w.tell("%v sweeps", n)
	adopted := n.adopted
	n.askAll(protocol.Request{Op: protocol.FlushMark}, func(answers []protocol.Response) {
		mark := uint64(0)
		for _, a := range answers {
			mark = max(mark, a.Number)
		}
		told := len(answers)
		n.askAll(protocol.Request{Op: protocol.Flush, Delta: mark}, func(answers []protocol.Response) {
			alike := maps.Equal(adopted, n.adopted) && len(answers) == told
			for _, a := range answers {
				alike = alike && a.Status == protocol.OK && a.Number == answers[0].Number
			}
			w.step++
			if alike {
				o.ret, o.status, o.until = w.step, protocol.OK, w.now
			}
			w.tell("%v has swept: %v", n, alike)
		})
	})
}

// askAll asks this node and all that it sees, and hands on what they say: nothing, if one of them does not answer.
func (n *node) askAll(req protocol.Request, then func([]protocol.Response)) {
	answers := make([]protocol.Response, 1)
	if n.handover.Handle(&req, &answers[0]) != nil {
		panic("a node answers this by itself at once")
	}
	left := 0
	for _, id := range slices.Sorted(maps.Keys(n.adopted)) {
		s := n.adopted[id]
		to := Member{ID: id, Boot: s.boot}
		if !s.state.here() || to == n.Member {
			continue
		}
		left++
		n.awaited = append(n.awaited, &errand{n.w.send(n, to, true, clone(&req)), func(resp *protocol.Response) {
			if resp.Status == protocol.OK {
				answer := protocol.Response{}
				copyResponse(&answer, resp)
				answers = append(answers, answer)
				if left--; left == 0 {
					then(answers)
				}
			}
		}})
	}
	if left == 0 {
		then(answers)
	}
}

// judgeCut holds what was told to CLUSTER.md 4.3, C7 and C8.
func (w *world) judgeCut() {
	for i := range simKeys {
		key := fmt.Sprintf("key%d", i)
		ops := w.history[key]
		wrong := ""
		for s := range side(2) {
			if !explained(beside(w.cut.seenFrom(s+1, ops)), lost) {
				wrong = fmt.Sprintf("no order explains what was told on side %d", s+1)
			}
		}
		if healed := w.healedWrong(ops); healed != "" {
			wrong = healed
		}
		if wrong != "" {
			for _, o := range ops {
				w.tell("    %v", o)
			}
			w.fault("%s: %s (partition %d)", key, wrong, w.nodes[0].partition(key))
		}
	}
}

// seenFrom gives what happened on one side until the heal. What was still open at the cut, and asked on the other side, may have been done here.
func (c *cut) seenFrom(s side, ops []*op) (seen []*op) {
	for _, o := range ops {
		switch {
		case o.call > c.healed || o.last || o.side != whole && o.side != s:
			continue
		case o.ret > c.healed || o.side == whole && o.ret > c.from && c.of[o.asked] != s:
			open := *o
			open.ret = openStep
			o = &open
		}
		seen = append(seen, o)
	}
	return seen
}

// beside lets what is made of an item while all is flushed stay: it is newer than the mark, though what it is made of is not.
func beside(ops []*op) []*op {
	ops = slices.Clone(ops)
	for i, f := range ops {
		made := func(o *op) bool {
			return (o.kind == opIncr || o.kind == opCAS) && o.status != protocol.NotFound && o.call < f.ret && o.ret > f.call
		}
		if f.kind == opFlush && slices.ContainsFunc(ops, made) {
			open := *f
			open.ret = openStep
			ops[i] = &open
		}
	}
	return ops
}

// healedWrong says what is wrong with what is there in the end: all must tell the same, and that must be the newest that was acknowledged on either side, unless it was deleted later.
func (w *world) healedWrong(ops []*op) string {
	var final, newest *op
	for _, o := range ops {
		switch {
		case o.last && final != nil && (o.status != final.status || o.unique != final.unique):
			return fmt.Sprintf("%v tells something else than %v", o.asked, final.asked)
		case o.last:
			final = o
		case o.stored() && (newest == nil || o.unique > newest.unique):
			newest = o
		}
	}
	switch {
	case final == nil || newest == nil || w.crashes: // what has crashed may have had the newest, or what tells that it is deleted
	case final.status == protocol.NotFound && !slices.ContainsFunc(ops, func(d *op) bool { return d.removes() && w.cut.mayFollow(d, newest) }):
		return fmt.Sprintf("the newest is gone: %v", newest)
	case final.status == protocol.OK && final.unique < newest.unique:
		return fmt.Sprintf("there is an older item than %v", newest)
	case final.status == protocol.OK && final.unique == newest.unique:
		for _, d := range ops {
			if d.removes() && d.ret != openStep && w.cut.follows(d, newest) {
				return fmt.Sprintf("%v was undone: %v is there", d, newest)
			}
		}
	}
	return ""
}

// stored reports whether it is known that an op stored something.
func (o *op) stored() bool {
	return o.ret != openStep && o.status == protocol.OK && (o.kind == opSet || o.kind == opAdd || o.kind == opIncr || o.kind == opCAS)
}

// removes reports whether an op, once done, leaves nothing.
func (o *op) removes() bool {
	return (o.kind == opDelete || o.kind == opFlush) && !(o.ret != openStep && o.status == protocol.PeerMoved)
}

// follows reports whether a removal certainly came after a write, by the versions that both have.
func (c *cut) follows(d, o *op) bool {
	switch {
	case o.ret > d.call:
		return false
	case o.until+simSkew < d.at, o.side == d.side && o.side != whole, d.call > o.ret && d.ret <= c.from:
		return true
	default: // it found this one, or one that is newer
		return o.ret <= c.from && d.kind == opDelete && d.status == protocol.OK
	}
}

// mayFollow reports whether a removal may have come after a write, or have a greater version: when it is done on another side, or after the heal, where what was two sides does not know of each other until it has merged.
func (c *cut) mayFollow(d, o *op) bool {
	apart := d.side != o.side || d.call > c.healed
	return d.ret == openStep || d.ret > o.call || d.until+simSkew > o.at && apart
}

// Sim: both sides of a cut go on, and change; when they meet the newest wins, and what was deleted stays so.
func TestSimCut(t *testing.T) {
	if *seedFlag >= 0 {
		tellStory(t, cutPlan(uint64(*seedFlag)))
		return
	}
	simulate(t, cutPlan, seedsOf(24))
	for _, seed := range []uint64{
		433,                       // two give each other the same at once
		2030,                      // a member has a tombstone, and both sides hold its partition
		17, 176, 1301, 1448, 1637, // what is deleted before anybody has noticed the cut
		4218,                         // what is deleted on one side after the heal has a greater version than what is stored on the other a moment later
		1406, 2511, 3002, 3611, 4070, // what is deleted by one who came later, and misses nobody
	} {
		report(t, play(cutPlan(seed)))
	}
}

// Sim: stores are full, and now and then all is flushed.
func TestSimFull(t *testing.T) {
	if *seedFlag >= 0 {
		tellStory(t, fullPlan(uint64(*seedFlag)))
		return
	}
	simulate(t, fullPlan, seedsOf(6))
	report(t, play(fullPlan(3137))) // the next run of who has crashed is written to, and crashes as well
}
