package node

import (
	"testing"

	"github.com/memring/memring/storage"
)

// A member that a flush_all did not reach hears of it later, and drops what is older.
func TestFlushedElsewhere(t *testing.T) {
	clock := storage.NewManualClock(1_800_000_000)
	open := func() *Node {
		store, err := storage.Open(storage.Config{MaxBytes: 4 << 20, MaxItemBytes: 1 << 16, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		return &Node{store: store}
	}
	there := func(n *Node, key string) bool {
		held := n.store.Hold([]byte(key))
		defer held.Release()
		return held.Has()
	}
	put := func(n *Node, key string) {
		held := n.store.Hold([]byte(key))
		defer held.Release()
		if _, err := held.Put(storage.Item{}); err != nil {
			t.Fatal(err)
		}
	}
	here, away := open(), open()
	put(away, "old")
	away.flushedElsewhere(here.store.Flushed())
	here.store.FlushAll(0, away.store.FlushMark(0))
	clock.Advance(1) // a flush lets the clock of versions run ahead by less
	put(away, "new")
	if !there(away, "old") {
		t.Error("flushed by nobody")
	}
	away.flushedElsewhere(here.store.Flushed())
	away.errands.Stop()
	if there(away, "old") || !there(away, "new") || away.store.Flushed() != here.store.Flushed() {
		t.Errorf("old %t, new %t", there(away, "old"), there(away, "new"))
	}
}
