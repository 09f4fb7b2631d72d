package handover

import (
	"fmt"
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

func put(t *testing.T, s *storage.Store, key string, unique uint64) (kept storage.Item) {
	t.Helper()
	held := s.Hold([]byte(key))
	defer held.Release()
	err := error(nil)
	if it := (storage.Item{Value: []byte("value"), CAS: unique}); unique != 0 {
		err = held.PutWithCAS(it)
	} else {
		_, err = held.Put(it)
	}
	if err != nil {
		t.Fatal(err)
	}
	kept, _ = held.Item()
	kept.Value = nil
	return kept
}

func get(s *storage.Store, key string) (storage.Item, bool) {
	it, _, found := s.Get(nil, []byte(key))
	it.Value = nil
	return it, found
}

// What a client has chosen for a CAS unique goes with the item, and does not decide whether it is taken, in a piece or alone.
func TestChosenCASIsHandedOver(t *testing.T) {
	f := func(fetched bool) {
		t.Helper()
		s := &stage{members: map[string]*Handover{}}
		former, taken := s.enter(t, "a"), s.enter(t, "b")
		a, b := s.members["a"], s.members["b"]
		former.FlushAll(0, 0)
		taken.FlushAll(0, former.Flushed())
		a.Adopt(tableOf(t, "a"), 0, nil)
		both := tableOf(t, "a", "b")
		kept := map[string]storage.Item{}
		for i := range uint64(200) {
			key := fmt.Sprint("key", i)
			if both.Owner(both.Partition([]byte(key))) == 1 {
				kept[key] = put(t, former, key, []uint64{0, 1, i + 2, 1<<64 - 1, 1 << 63}[i%5])
			}
		}
		a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
		b.Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
		for fetched && len(b.arrivals) == 0 {
			due := s.now[0]
			s.now = s.now[1:]
			due()
		}
		for key, want := range kept {
			if fetched {
				var resp protocol.Response
				a.Door().Handle(&protocol.Request{Op: protocol.Fetch, Key: []byte(key), Delta: b.arrivals[0].move}, &resp)
				b.install(b.arrivals[0], []byte(key), piece.ItemOf(&resp))
			} else {
				s.run(true)
			}
			if got, found := get(taken, key); !found || got.CAS != want.CAS || got.Version != want.Version {
				t.Errorf("fetched %t: %s is %+v, was %+v", fetched, key, got, want)
			}
		}
		s.run(true)
	}
	f(false)
	f(true)
}

// CLUSTER.md 4.2, 10: who was away when all was flushed obeys when he is back, whether he asks or is asked; a flush that is to come reaches who joins.
func TestFlushesAreHandedOver(t *testing.T) {
	f := func(flushed string) {
		t.Helper()
		s := &stage{members: map[string]*Handover{}}
		stores := map[string]*storage.Store{"a": s.enter(t, "a"), "b": s.enter(t, "b")}
		a, b := s.members["a"], s.members["b"]
		away := map[string]string{"a": "b", "b": "a"}[flushed]
		for i := range 200 {
			put(t, stores[away], fmt.Sprint("key", i), 0)
			put(t, stores[flushed], fmt.Sprint("other", i), 0)
		}
		mark := max(stores["a"].Latest(), stores["b"].Latest())
		stores[flushed].FlushAll(0, mark)
		stores[flushed].FlushAll(10, mark+1<<40)
		both := tableOf(t, "a", "b")
		a.Adopt(tableOf(t, "a"), 0, nil)
		a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
		b.Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
		s.run(true)
		for id, store := range stores {
			if got := store.Stats().Items; got != 0 || store.Flushed() != mark {
				t.Errorf("%s flushes: %s has %d items, and has flushed to %d, not %d", flushed, id, got, store.Flushed(), mark)
			}
		}
		if in, planned := stores["b"].FlushPlan(); flushed == "a" && (in != 10 || planned != mark+1<<40) {
			t.Errorf("b is to flush in %d s to %d", in, planned)
		}
	}
	f("a")
	f("b")
}

// What a member had before a flush_all, and another has been sent but not taken yet, is not taken, though its clock was ahead.
func TestWhatIsOnItsWayIsFlushed(t *testing.T) {
	s := &stage{members: map[string]*Handover{}}
	former, taken := s.enter(t, "a"), s.enter(t, "b")
	a, b := s.members["a"], s.members["b"]
	former.Witness(former.Latest() + 5000<<21) // it is five seconds ahead
	for i := range 200 {
		put(t, former, fmt.Sprint("key", i), 0)
	}
	both := tableOf(t, "a", "b")
	a.Adopt(tableOf(t, "a"), 0, nil)
	a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
	b.Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
	for a.Stats().ItemsOut.Load() == 0 {
		due := s.now[0]
		s.now = s.now[1:]
		due()
	}
	mark := max(former.FlushMark(0), taken.FlushMark(0))
	taken.FlushAll(0, mark)
	former.FlushAll(0, mark)
	s.run(true)
	if items := taken.Stats().Items; items != 0 {
		t.Errorf("%d items of before", items)
	}
	for _, store := range []*storage.Store{former, taken} {
		if it := put(t, store, "new", 0); it.Version <= mark {
			t.Errorf("%+v is stored after a flush to %d", it, mark)
		}
	}
}

// A clock that is ahead is followed, and told.
func TestClocksAheadAreCounted(t *testing.T) {
	f := func(seconds int64, want int64) {
		t.Helper()
		s := &stage{members: map[string]*Handover{}}
		former, taken := s.enter(t, "a"), s.enter(t, "b")
		a, b := s.members["a"], s.members["b"]
		former.Witness(former.Latest() + uint64(seconds*1000)<<21)
		a.Adopt(tableOf(t, "a"), 0, nil)
		a.Adopt(tableOf(t, "a", "b"), 0, []Member{{ID: "b", Boot: 7}})
		b.Adopt(tableOf(t, "a", "b"), 1, []Member{{ID: "a", Boot: 7}})
		s.run(true)
		if got := b.Stats().ClocksAhead.Load(); got != want {
			t.Errorf("%d s ahead: counted %d, want %d", seconds, got, want)
		}
		if theirs, ours := former.Latest(), put(t, taken, "k", 0).Version; ours <= theirs {
			t.Errorf("%d s ahead: %d put after %d", seconds, ours, theirs)
		}
	}
	f(0, 0)
	f(1, 0)
	f(2, 1)
	f(60, 1)
}
