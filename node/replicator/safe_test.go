package replicator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// What a client reads is safe: until a replica has it, it waits.
func TestReadsWaitForWritesThatAreNotSafe(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	set, read := holder.set(key, "v"), holder.get(key)
	w.expect("a write that no replica has", set, unanswered)
	w.expect("a read of it", read, unanswered)
	w.expect("a read of another key", holder.get("other"), protocol.NotFound)
	w.run()
	w.expect("a write that the replica has", set, protocol.OK)
	w.expect("a read of it", read, protocol.OK)
	if got := string(read.Response.Value); got != "v" || replica.has(key) != "v" {
		t.Errorf("read %q, and the replica has %q", got, replica.has(key))
	}
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept when all is safe: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
}

// A read waits for all writes before it, and sees the last.
func TestAReadWaitsForAllWritesBeforeIt(t *testing.T) {
	w, holder, _, key, _ := pair(t, AckOne)
	w.slow["holder>replica"] = true
	for i := range 3 {
		holder.set(key, fmt.Sprint("v", i))
	}
	read := holder.get(key)
	for range 3 {
		w.expect("a read", read, unanswered)
		first := w.late[0]
		w.late = w.late[1:]
		first()
	}
	if w.expect("a read when all are safe", read, protocol.OK); string(read.Response.Value) != "v2" {
		t.Errorf("read %q, want v2", read.Response.Value)
	}
}

// With --ack none nobody waits.
func TestAckNoneHasNobodyWait(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckNone)
	w.expect("a write", holder.set(key, "v"), protocol.OK)
	w.expect("a read", holder.get(key), protocol.OK)
	if w.run(); replica.has(key) != "v" {
		t.Errorf("the replica has %q", replica.has(key))
	}
}

// What is to be gone is gone at the replica as well, also if the holder has evicted it: else it would be back with the replica's turn.
func TestWhatIsToBeGoneIsGoneAtTheReplica(t *testing.T) {
	f := func(what string, req protocol.Request) {
		t.Helper()
		w, holder, replica, key, _ := pair(t, AckOne)
		holder.set(key, "v")
		w.run()
		holder.evict(key)
		req.Key = []byte(key)
		answer := holder.ask(req)
		w.expect(what+" until the replica has heard", answer, unanswered)
		w.run()
		if w.expect(what, answer, protocol.NotFound); replica.has(key) != "nothing" {
			t.Errorf("%s: the replica has %q still", what, replica.has(key))
		}
	}
	f("delete", protocol.Request{Op: protocol.Delete})
	f("touch -1", protocol.Request{Op: protocol.Touch, Exptime: -1})
	f("gat -1", protocol.Request{Op: protocol.Gat, Exptime: -1})
}

// A replica that is silent costs its writers Patience, and no memory: what comes after is refused before it is done, until the replica is one no more.
func TestASilentReplicaCostsNoMemory(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	const early = 10
	w.cut["holder>replica"] = true
	var answers []*protocol.Pending
	for i := range early {
		answers = append(answers, holder.set(key, fmt.Sprint("early", i)))
	}
	read := holder.get(key)
	w.run()
	for _, answer := range answers {
		w.expect("a write", answer, unanswered)
	}
	w.pass(500 * time.Millisecond)
	for _, answer := range answers {
		w.expect("a write when Patience is over", answer, protocol.PeerTimeout)
	}
	w.expect("a read when Patience is over", read, protocol.PeerTimeout)
	for range 1000 {
		w.expect("a write that comes later", holder.set(key, "late"), protocol.PeerTimeout)
		w.expect("a read that comes later", holder.get(key), protocol.PeerTimeout)
		w.run()
	}
	if writes, readers, waiting := holder.open(); writes != early || readers != 0 || waiting != early {
		t.Errorf("kept: %d writes, %d readers, %d waiting; want %d, 0, %d", writes, readers, waiting, early, early)
	}
	if holder.has(key) != "early9" {
		t.Errorf("refused, and done: %q", holder.has(key))
	}

	w.cut["holder>replica"] = false
	w.pass(3 * time.Second)
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept when it is heard again: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
	if !replica.whole() || replica.has(key) != "early9" {
		t.Errorf("copies are not begun anew: %+v, %q", replica.Count(), replica.has(key))
	}
	set := holder.set(key, "after")
	if w.run(); replica.has(key) != "after" {
		t.Errorf("the replica has %q", replica.has(key))
	}
	w.expect("a write when it is heard again", set, protocol.OK)
}

// Who is taken for dead is waited for no more.
func TestNobodyWaitsForTheDead(t *testing.T) {
	w, holder, _, key, _ := pair(t, AckOne)
	w.cut["holder>replica"] = true
	set, read := holder.set(key, "v"), holder.get(key)
	w.run()
	holder.sees(false)
	w.expect("a write", set, protocol.OK)
	w.expect("a read", read, protocol.OK)
	w.expect("a write without a replica", holder.set(key, "w"), protocol.OK)
}

// When partitions are in doubt nobody is told that his write is done: whoever has them now may not have it.
func TestReleaseAcknowledgesNothing(t *testing.T) {
	w, holder, _, key, part := pair(t, AckOne)
	w.slow["holder>replica"] = true
	set, read := holder.set(key, "v"), holder.get(key)
	holder.place = piece.Leaving
	holder.Release(part)
	w.expect("a write", set, protocol.PeerTimeout)
	w.expect("a read", read, protocol.PeerTimeout)
	w.arrive()
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
}

// A replica that is taking over does not store what its former holder sends, and that is no leave for him to go on alone: when it is sent again he finds out.
func TestACopyThatComesWhileItsReplicaTakesOver(t *testing.T) {
	f := func(what string, place piece.Place) {
		t.Helper()
		w, holder, replica, key, part := pair(t, AckOne)
		holder.set(key, "v1")
		w.run()
		w.slow["holder>replica"] = true
		set := holder.set(key, "v2")
		replica.sees(false)
		replica.place = piece.Leaving
		if !slices.Equal(replica.Take(part), part) {
			t.Fatal("its copy is of no use")
		}
		replica.place = place
		w.slow["holder>replica"] = false
		w.arrive()
		replica.place = piece.Holder
		w.pass(5 * time.Second)
		w.expect(what, set, protocol.PeerTimeout)
		if holder.fenced != 1 || replica.has(key) != "v1" {
			t.Errorf("%s: fenced %d times, want once; there is %q", what, holder.fenced, replica.has(key))
		}
	}
	f("before it holds the partition", piece.Leaving)
	f("when it holds the partition", piece.Holder)
}

// Nor is it when a replica that has taken over is told, once it is heard again, that its copy is of no use.
func TestWhoHasTakenOverIsNotGoneOnWithout(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	w.cut["holder>replica"] = true
	set := holder.set(key, "v")
	w.run()
	replica.sees(false)
	replica.place = piece.Leaving
	if !slices.Equal(replica.Take(part), part) {
		t.Fatal("its copy is of no use")
	}
	replica.place = piece.Holder
	replica.sees(true)
	w.cut["holder>replica"] = false
	w.pass(5 * time.Second)
	w.expect("a write", set, protocol.PeerTimeout)
	w.expect("a read", holder.get(key), protocol.PeerTimeout)
	holder.Release(part)
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept when they merge: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
}

// Stop leaves nobody without an answer, and what comes from a replica later is no matter.
func TestStopAnswersAll(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	w.slow["holder>replica"] = true
	set, read := holder.set(key, "v"), holder.get(key)
	parted := false
	holder.Part(part, replica.id, func(piece.Parting) { parted = true })
	if parted {
		t.Error("given away with a write on its way")
	}
	holder.Stop()
	w.expect("a write", set, protocol.PeerTimeout)
	w.expect("a read", read, protocol.PeerTimeout)
	if w.pass(lookAgain); !parted {
		t.Error("who gives partitions away waits still")
	}
	w.arrive()
	if writes, _, _ := holder.open(); writes > 0 {
		t.Errorf("%d writes are kept", writes)
	}
}
