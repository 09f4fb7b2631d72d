package sweep

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

const parts = 4

// A ground is a store of some items of each partition, and a Sweep of which nothing goes on before it is let.
type ground struct {
	*Sweep
	t       *testing.T
	store   *storage.Store
	keys    [parts][]string
	needed  piece.Set
	later   []func()
	swept   int
	dropped atomic.Int64
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{t: t, needed: piece.NewSet(parts)}
	var err error
	if g.store, err = storage.Open(storage.Config{MaxBytes: 64 << 20, Clock: storage.NewManualClock(2_000_000_000), Partitions: parts}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.store.Close)
	var passed time.Duration
	g.Sweep = New(Config{
		Store: g.store, Dropped: &g.dropped,
		Droppable: func(part uint32) bool { return !g.needed.Has(int(part)) },
		Duty:      piece.NewDuty(1, func() time.Duration { passed += time.Millisecond; return passed }), // slices are as short as they may be
		After:     func(_ time.Duration, f func()) { g.later = append(g.later, f) },
		Swept:     func() { g.swept++ },
	})
	for i := range 2000 {
		key := fmt.Sprint("key", i)
		part := ring.PartitionOf(storage.Hash([]byte(key)), parts)
		g.keys[part] = append(g.keys[part], key)
		g.put(key)
	}
	return g
}

func (g *ground) put(key string) {
	g.t.Helper()
	held := g.store.Hold([]byte(key))
	defer held.Release()
	if _, err := held.Put(storage.Item{Value: []byte("v")}); err != nil {
		g.t.Fatal(err)
	}
}

// left counts the items of a partition that are there.
func (g *ground) left(part int) (count int) {
	for _, key := range g.keys[part] {
		if _, _, found := g.store.Get(nil, []byte(key)); found {
			count++
		}
	}
	return count
}

// goSome lets so many slices happen, and reports how many there were.
func (g *ground) goSome(most int) (slices int) {
	for ; slices < most && len(g.later) > 0; slices++ {
		next := g.later[0]
		g.later = g.later[1:]
		next()
	}
	return slices
}

func (g *ground) expect(when string, dirty, left [parts]bool) {
	g.t.Helper()
	for part := range parts {
		if g.Dirty(part) != dirty[part] {
			g.t.Errorf("%s: partition %d is dirty: %v", when, part, g.Dirty(part))
		}
		want := 0
		if left[part] {
			want = len(g.keys[part])
		}
		if got := g.left(part); got != want {
			g.t.Errorf("%s: %d items are left of partition %d, want %d", when, got, part, want)
		}
	}
}

// What is dirty goes in slices, and nothing else; it is dirty until all of it has gone.
func TestSweep(t *testing.T) {
	g := newGround(t)
	g.Soil(1)
	g.Soil(2)
	g.Begin()
	g.Begin() // it goes on already
	if g.left(1) == 0 || !g.Dirty(1) {
		t.Error("all is dropped in one go")
	}
	if slices := g.goSome(1 << 20); slices < 10 || g.swept != 1 {
		t.Errorf("%d slices, told %d times that it is over", slices, g.swept)
	}
	g.expect("swept", [parts]bool{}, [parts]bool{0: true, 3: true})
	if want := int64(len(g.keys[1]) + len(g.keys[2])); g.dropped.Load() != want || g.Len() != 0 {
		t.Errorf("%d dropped, want %d; %d are dirty", g.dropped.Load(), want, g.Len())
	}
	if g.Begin(); len(g.later) > 0 {
		t.Error("it begins though all is clean")
	}
}

// What comes to be needed amid a sweep is not touched any more, and what was soiled again is still dirty after it.
func TestAmidASweep(t *testing.T) {
	g := newGround(t)
	for part := range parts {
		g.Soil(part)
	}
	g.Begin()
	for g.left(2) == len(g.keys[2]) { // some of it has gone
		g.goSome(1)
	}
	const needed = 1
	cleaned := piece.NewSet(parts)
	cleaned.Add(0)
	g.Clean(cleaned)
	if g.Dirty(0) || g.left(0) > 0 {
		t.Errorf("cleaned at once: dirty %v, %d items left", g.Dirty(0), g.left(0))
	}
	g.needed.Add(needed)
	for _, key := range append(g.keys[0], g.keys[needed]...) {
		g.put(key)
	}
	g.Soil(2)
	g.goSome(1 << 20)
	for _, key := range g.keys[3] {
		g.put(key)
	}
	if !g.Dirty(2) || g.Dirty(3) {
		t.Errorf("swept once: what was soiled again is dirty: %v, and the rest: %v", g.Dirty(2), g.Dirty(3))
	}
	g.Clean(g.dirty)
	g.expect("but what is needed is clean", [parts]bool{needed: true}, [parts]bool{0: true, needed: true, 3: true})
	g.needed.Remove(needed)
	g.Begin()
	g.goSome(1 << 20)
	g.expect("in the end", [parts]bool{}, [parts]bool{0: true, 3: true})
}
