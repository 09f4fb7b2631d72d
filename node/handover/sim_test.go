package handover

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
)

var seedFlag = flag.Int64("seed", -1, "play this world alone, and tell its story: go test ./node/handover -run Sim -seed N -v")

// planOf makes of a seed what is to happen.
func planOf(seed uint64) plan {
	p := plan{seed: seed, spread: 100 * time.Millisecond, slowest: 2 * time.Millisecond, actions: 4, members: 5, deadline: 500 * time.Millisecond}
	p.pauses = simVerdict - p.spread
	switch seed % 5 {
	case 0, 1:
		p.strict = true
	case 2:
		p.crashes = true
	case 3:
		p.crashes, p.losses, p.slowest = true, 20, 50*time.Millisecond
	case 4:
		p.crashes, p.splits, p.pauses = true, true, 4*time.Second
	}
	return p
}

// play lets a world happen from the first member to the end, and gives what was wrong with it.
func play(p plan) *world {
	w := newWorld(p)
	defer func() {
		for _, n := range w.nodes {
			n.store.Close()
		}
	}()
	w.launch("m0")
	for range 6 {
		w.addClient()
	}
	for i := range p.actions {
		w.run(w.now + w.upTo(400*time.Millisecond))
		w.act(fmt.Sprintf("m%d", i+1))
	}
	w.run(w.now + 500*time.Millisecond)
	w.finish()
	return w
}

// act lets one thing happen to the members.
func (w *world) act(fresh string) {
	nodes := w.standing()
	lot := w.rnd.IntN(10)
	switch {
	case len(nodes) < 2 || lot < 4 && len(nodes) < w.members:
		w.launch(fresh)
	case w.crashes && lot < 6:
		n := nodes[w.rnd.IntN(len(nodes))]
		n.crash()
		if w.rnd.IntN(2) == 0 {
			w.launch(n.ID)
		}
	case w.crashes && lot < 8:
		nodes[w.rnd.IntN(len(nodes))].pause(w.upTo(w.pauses))
	default:
		nodes[w.rnd.IntN(len(nodes))].drain()
	}
}

// patience is how long a world may take to settle when nothing happens any more.
const patience = 30 * time.Second

// finish lets the world settle, and looks at what has become of it.
func (w *world) finish() {
	w.losses = 0
	limit := w.now + patience
	for len(w.faults) == 0 && (w.unsettled() != "" || w.open() > 0 && w.ended) || !w.ended {
		if w.unsettled() == "" {
			w.ended = true
		}
		if w.now > limit {
			w.fault("not settled after %v: %s, %d requests open", patience, w.unsettled(), w.open())
			return
		}
		w.run(w.now + 100*time.Millisecond)
		if len(w.faults) > 0 {
			return
		}
	}
	for i := range simKeys { // what is there in the end, by anybody's word
		nodes := w.standing()
		c := w.clients[i%len(w.clients)]
		c.node = nodes[w.rnd.IntN(len(nodes))]
		c.talk = c.node.newTalk(c.node.router)
		c.send(fmt.Sprintf("key%d", i), &op{kind: opGet})
	}
	w.run(w.now + 2*w.deadline)
	if w.open() > 0 {
		w.fault("%d requests of the last are open", w.open())
	}
	if w.splits {
		return
	}
	for i := range simKeys {
		key := fmt.Sprintf("key%d", i)
		ops := w.history[key]
		if !w.strict {
			ops = slices.DeleteFunc(ops, func(o *op) bool { return o.kind == opGet && o.status == protocol.NotFound })
		}
		if !explained(ops, !w.strict) {
			for _, o := range ops {
				w.tell("    %v", o)
			}
			w.fault("%s: no order explains this (partition %d)", key, w.nodes[0].partition(key))
		}
	}
}

func (n *node) partition(key string) uint32 { return n.router.Table().Partition([]byte(key)) }

func (w *world) open() (count int) {
	for _, c := range w.clients {
		count += len(c.open)
	}
	return count
}

// unsettled tells what is not yet as it should stay; "" if all is.
func (w *world) unsettled() string {
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		if n.leaves || n.pausedUntil > w.now {
			return fmt.Sprintf("%v is about to leave or paused", n)
		}
		if count := n.handover.Count(); count.Wanted+count.Arriving+count.Given > 0 || len(n.handover.waiting) > 0 {
			return fmt.Sprintf("%v has %+v, %d waiting", n, count, len(n.handover.waiting))
		}
		for part := range uint32(simPartitions) {
			if n.handover.Holds(part) != (n.router.Table().Members()[n.router.Table().Owner(part)].ID == n.ID) {
				return fmt.Sprintf("%v and partition %d", n, part)
			}
		}
	}
	return ""
}

// Sim: whatever happens, in whatever order, what is promised holds (CLUSTER.md 4.3).
func TestSim(t *testing.T) {
	if *seedFlag >= 0 {
		w := play(planOf(uint64(*seedFlag)))
		for _, line := range w.story {
			t.Log(line)
		}
		report(t, w)
		return
	}
	seeds := uint64(120)
	if testing.Short() {
		seeds = 40
	}
	simulate(t, 0, seeds)
}

func simulate(t *testing.T, from, to uint64) {
	for seed := from; seed < to; seed++ {
		report(t, play(planOf(seed)))
	}
}

func report(t *testing.T, w *world) {
	for _, fault := range w.faults {
		t.Errorf("seed %d: %s (see it with -run Sim -seed %d -v)", w.seed, fault, w.seed)
	}
}
