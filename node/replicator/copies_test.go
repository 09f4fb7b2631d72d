package replicator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A member that is taken for dead, is back, and is gone again before it could be told that its copies are of no use: it is told when it is back to stay.
func TestAFlapLeavesNoOldCopy(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	holder.set(key, "v1")
	w.run()
	w.cut["holder>replica"] = true
	holder.sees(false)
	w.run()
	w.expect("a write alone", holder.set(key, "v2"), protocol.OK)
	for range 3 {
		holder.sees(true)
		w.run()
		holder.sees(false)
		w.pass(time.Second)
	}
	w.cut["holder>replica"] = false
	holder.sees(true)
	w.pass(3 * time.Second)
	if replica.has(key) != "v2" || !replica.whole() {
		t.Errorf("back to stay, it has %q, and copies %+v", replica.has(key), replica.Count())
	}
	set := holder.set(key, "v3")
	w.run()
	w.expect("a write with a replica", set, protocol.OK)
	replica.sees(false)
	if kept := replica.Take(part); !slices.Equal(kept, part) || replica.has(key) != "v3" {
		t.Errorf("taken over: its copy is of use: %v, with %q", slices.Equal(kept, part), replica.has(key))
	}
}

// A replica for which the holder is dead for a while, as it draws, goes on when he is back: it does not stay with half a copy.
func TestHalfACopyBecomesWhole(t *testing.T) {
	w := newWorld(t)
	holder, replica := w.launch("holder", 100, piece.Holder, AckOne), w.launch("replica", 200, piece.Elsewhere, AckOne)
	holder.cfg.PieceBytes, replica.cfg.Rate = 64, func() int64 { return 6400 } // a piece of some items each 10 ms
	table := tableOf(t, 2, "holder", "replica")
	var keys []string
	for i := range 200 {
		key := fmt.Sprint("key", i)
		if table.Members()[table.Owner(table.Partition([]byte(key)))].ID == "holder" {
			keys = append(keys, key)
		}
		holder.set(key, key)
	}
	w.meet()
	w.pass(100 * time.Millisecond)
	if count := replica.Count(); count.Kept == 0 || count.Whole > 0 {
		t.Fatalf("not amid drawing: %+v", count)
	}
	w.cut["replica>holder"] = true
	replica.sees(false)
	w.pass(3 * time.Second)
	w.cut["replica>holder"] = false
	replica.sees(true)
	w.pass(20 * time.Second)
	if !replica.whole() || holder.Count().Full != replica.Count().Whole {
		t.Errorf("the holder has %+v, the replica %+v", holder.Count(), replica.Count())
	}
	for _, key := range keys {
		if replica.has(key) != key {
			t.Errorf("%s: the replica has %q", key, replica.has(key))
		}
	}
}

// What is written while a replica draws is not replaced by what is drawn later.
func TestWhatIsWrittenWhileAReplicaDraws(t *testing.T) {
	w := newWorld(t)
	holder, replica := w.launch("holder", 100, piece.Holder, AckOne), w.launch("replica", 200, piece.Elsewhere, AckOne)
	holder.cfg.PieceBytes, replica.cfg.Rate = 64, func() int64 { return 6400 }
	for i := range 200 {
		holder.set(fmt.Sprint("key", i), "old")
	}
	w.meet()
	w.pass(100 * time.Millisecond)
	if count := replica.Count(); count.Kept == 0 || count.Whole > 0 {
		t.Fatalf("not amid drawing: %+v", count)
	}
	for i := range 200 {
		if key := fmt.Sprint("key", i); i%2 == 0 {
			holder.set(key, "new")
		} else {
			holder.ask(protocol.Request{Op: protocol.Delete, Key: []byte(key)})
		}
	}
	w.pass(20 * time.Second)
	if !replica.whole() {
		t.Fatalf("not whole: %+v", replica.Count())
	}
	for i := range 200 {
		key := fmt.Sprint("key", i)
		if replica.Keeps(replica.partOf(storage.Hash([]byte(key)))) && replica.has(key) != holder.has(key) {
			t.Errorf("%s: the replica has %q, the holder %q", key, replica.has(key), holder.has(key))
		}
	}
}

// A copy of which something may have been evicted is not taken for all that its holder had: it is pulled.
func TestACopyThatLostSomethingIsNotWhole(t *testing.T) {
	f := func(what string, fill int, want bool) {
		t.Helper()
		w, holder, replica, key, part := pair(t, AckOne)
		holder.set(key, "v")
		w.run()
		for i := range fill {
			held := replica.store.Hold(fmt.Append(nil, "fill", i))
			if err := held.Mirror(storage.Item{Value: make([]byte, 32<<10), CAS: uint64(i + 1)}); err != nil {
				t.Fatal(err)
			}
			held.Release()
		}
		var parting piece.Parting
		holder.place = piece.Leaving
		holder.Part(part, replica.id, func(p piece.Parting) { parting = p })
		if base := replica.Receive(part, parting.Whole, piece.NewSet(worldParts), holder.id); slices.Equal(base.Whole, part) != want || slices.Equal(base.Some, part) == want {
			t.Errorf("%s: whole: %v, some: %v", what, base.Whole.Len(), base.Some.Len())
		}
	}
	f("a copy", 0, true)
	f("a copy in a full store", 200, false)
}

// Copies on their way are waited for when partitions are given away, for so long; then they are given as they are.
func TestPartDoesNotWaitForEver(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckNone)
	w.slow["holder>replica"] = true
	holder.set(key, "v")
	holder.place = piece.Leaving
	var parting *piece.Parting
	holder.Part(part, replica.id, func(p piece.Parting) { parting = &p })
	if w.pass(settleFor - lookAgain); parting != nil {
		t.Fatal("not waited for")
	}
	if w.pass(2 * lookAgain); parting == nil || !parting.Whole.Empty() {
		t.Errorf("after %v: %+v", settleFor, parting)
	}
}

// With each table it is settled anew who is to acknowledge: who leads next. A replica that is to be one no more comes last.
func TestWhoIsAwaitedAfterAdopt(t *testing.T) {
	h := newHolder(t, AckOne)
	params := ring.DefaultParams()
	params.Copies, params.Partitions = 3, h.table.Partitions()
	for i := 0; ; i++ {
		key := fmt.Sprint("key", i)
		part := h.table.Partition([]byte(key))
		before := namesOf(h.table, part)
		if before[0] != "n0" {
			continue
		}
		var members []ring.Member
		for _, m := range h.table.Members() {
			if m.ID != before[1] {
				members = append(members, m)
			}
		}
		without, err := ring.Build(members, params)
		if err != nil {
			t.Fatal(err)
		}
		if after := namesOf(without, part); after[0] != "n0" || after[1] != before[2] {
			continue
		}
		h.Adopt(without, without.Index("n0"), []piece.Member{{ID: "n1", Boot: 1}, {ID: "n2", Boot: 1}, {ID: "n3", Boot: 1}}) // he drains
		set := h.ask(protocol.Request{Op: protocol.Set, Key: []byte(key), Value: []byte("v")})
		if h.answer(before[1], protocol.OK); set.Done() {
			t.Error("answered when only he has it who is to have no copy")
		}
		if h.answer(before[2], protocol.OK); !set.Done() {
			t.Error("not answered when he has it who leads next")
		}
		return
	}
}

// namesOf lists who holds a partition.
func namesOf(table *ring.Table, part uint32) (names []string) {
	for _, m := range table.Holders(part) {
		names = append(names, table.Members()[m].ID)
	}
	return names
}

// Who gave a partition in which it is to be no replica hears of it until those who are have whole copies, and not longer: else this node would be alone with it meanwhile.
func TestWhoIsNoReplicaFollowsUntilOthersDo(t *testing.T) {
	w := newWorld(t)
	for i, id := range []string{"holder", "giver", "third"} {
		w.launch(id, uint64(100*(i+1)), piece.Elsewhere, AckOne)
	}
	holder, giver := w.members["holder"], w.members["giver"]
	holder.place = piece.Holder
	holder.sees(true)
	replicas, strangers := piece.NewSet(worldParts), piece.NewSet(worldParts)
	for part := range uint32(worldParts) {
		switch names := namesOf(holder.table, part); {
		case names[0] != "holder":
		case names[1] == "giver":
			replicas.Add(int(part))
		default:
			strangers.Add(int(part))
		}
	}
	if replicas.Empty() || strangers.Empty() {
		t.Fatalf("the table has no such partitions: %v, %v", replicas, strangers)
	}
	both := slices.Clone(replicas)
	for part := range strangers.All() {
		both.Add(part)
	}
	holder.Feed(giver.id, 1, both, both)
	follows := func(part int) bool {
		feeds := holder.feeds.Load(part)
		return feeds != nil && slices.ContainsFunc(*feeds, func(f *feed) bool { return f.to == giver.id })
	}
	for part := range both.All() {
		if !follows(part) {
			t.Errorf("partition %d, held by %v: not followed at first", part, namesOf(holder.table, uint32(part)))
		}
	}
	giver.sees(true)
	w.members["third"].sees(true)
	w.pass(5 * time.Second)
	for part := range strangers.All() {
		if follows(part) || holder.Count().Spare > 0 {
			t.Errorf("partition %d, held by %v: followed still: %+v", part, namesOf(holder.table, uint32(part)), holder.Count())
		}
	}
}
