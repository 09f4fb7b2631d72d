package handover

import (
	"fmt"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
)

// A replica that stood still has given up its copies, and their holder does not know that when it drains; or the last of a copy is on its way to the replica just
// then. What the replica lacks is pulled all the same.
func TestSimADrainCostsNothingWhateverItsReplicaHas(t *testing.T) {
	f := func(what string, prepare func(w *world, holder, replica *node)) {
		t.Helper()
		for seed := range seedsOf(20) {
			p := copiesPlan(0)
			p.seed, p.copies = seed, 2
			w := newWorld(p)
			holder := w.launch("m0")
			w.run(w.now + 200*time.Millisecond)
			replica := w.launch("m1")
			prepare(w, holder, replica)
			holder.drain()
			if !w.calm() {
				t.Fatalf("%s, seed %d: %v", what, seed, w.faults)
			}
			w.run(w.now + 5*time.Second)
			lost := 0
			for i := range simKeys {
				if _, _, found := replica.store.Get(nil, fmt.Append(nil, "key", i)); !found {
					lost++
				}
			}
			if lost > 0 {
				t.Errorf("%s, seed %d: %d of %d items are lost by a drain", what, seed, lost, simKeys)
			}
			for _, n := range w.nodes {
				n.store.Close()
			}
		}
	}
	f("after a standstill", func(w *world, holder, replica *node) {
		if !w.calm() {
			t.Fatal(w.faults)
		}
		fillAll(w)
		w.run(w.now + time.Second)
		replica.pause(simStall + 200*time.Millisecond) // not long enough for a verdict
		w.run(w.now + 1200*time.Millisecond)
	})
	f("while it draws", func(w *world, holder, _ *node) {
		fillAll(w)
		w.run(w.now + w.upTo(time.Second))
	})
}

// Who stands still while partitions arrive goes on with what has not arrived: nobody has taken it for dead, so nobody else has them.
func TestSimAStandstillAmidAMoveCostsNothing(t *testing.T) {
	f := func(what string, stalls func(w *world, joiner *node) []*node) {
		t.Helper()
		arrived := 0
		for seed := range seedsOf(20) {
			p := copiesPlan(0)
			p.seed, p.copies = seed, int(1+seed%2)
			w := newWorld(p)
			w.launch("m0")
			w.run(w.now + 200*time.Millisecond)
			w.launch("m1")
			if !w.calm() {
				t.Fatal(w.faults)
			}
			fillAll(w)
			w.run(w.now + time.Second)
			joiner := w.launch("m2")
			for limit := w.now + patience; joiner.handover.Count().Arriving == 0 && w.now < limit; {
				w.run(w.now + time.Millisecond)
			}
			arrived += joiner.handover.Count().Arriving
			for _, n := range stalls(w, joiner) {
				n.pause(simStall + 200*time.Millisecond) // not long enough for a verdict
			}
			w.run(w.now + 1200*time.Millisecond)
			if !w.calm() {
				t.Fatalf("%s, seed %d: %v", what, seed, w.faults)
			}
			w.run(w.now + 5*time.Second)
			for i := range simKeys {
				key, there := fmt.Sprint("key", i), false
				for _, n := range w.nodes {
					if n.handover.Holds(n.partition(key)) {
						_, _, there = n.store.Get(nil, []byte(key))
					}
				}
				if !there {
					t.Errorf("%s, seed %d: %s is lost", what, seed, key)
				}
			}
			for _, n := range w.nodes {
				n.store.Close()
			}
		}
		if arrived == 0 {
			t.Errorf("%s: nothing was arriving", what)
		}
	}
	f("the joiner", func(_ *world, joiner *node) []*node { return []*node{joiner} })
	f("all", func(w *world, _ *node) []*node { return w.nodes })
}

// fillAll stores all keys, each where it is held.
func fillAll(w *world) {
	for i := range simKeys {
		key := fmt.Sprint("key", i)
		for _, n := range w.nodes {
			if n.handover.Holds(n.partition(key)) {
				n.handover.Handle(&protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte("some value that takes room")}, &protocol.Response{})
				break
			}
		}
	}
}

// Sim: who is condemned just when its link is back is asked again before somebody takes what it holds.
func TestSimAGhostIsAskedAgain(t *testing.T) {
	for seed := range seedsOf(30) {
		w := newWorld(plan{seed: seed, copies: 2, spread: 20 * time.Millisecond, slowest: 2 * time.Millisecond, deadline: 20 * time.Millisecond, members: 3})
		for i := range 3 {
			w.launch(fmt.Sprintf("m%d", i))
			w.run(w.now + time.Second)
		}
		if w.calm() {
			victim := w.nodes[1]
			victim.side = 1
			for _, n := range w.nodes {
				if n != victim {
					w.version++
					n.learn(victim.ID, sighting{boot: victim.Boot, state: down, version: w.version})
				}
			}
			w.run(w.now + ghostPatience/2)
			victim.side = whole
			w.run(w.now + time.Second)
			w.announce(victim, active, 0, w.spread)
			w.calm()
		}
		report(t, w)
		for _, n := range w.nodes {
			n.store.Close()
		}
	}
}
