package replicator

import (
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// grave gives the version of the tombstone that a member has of a key; 0: it has none.
func (m *member) grave(key string) uint64 {
	held := m.store.Hold([]byte(key))
	defer held.Release()
	it, _ := held.Grave()
	return it.Version
}

func (m *member) remove(key string) *protocol.Pending {
	return m.ask(protocol.Request{Op: protocol.Delete, Key: []byte(key)})
}

// What a replica has not heard it may bring back one day, from the other side of a cut: so it leaves a tombstone, of the time when it was deleted.
func TestADeletionThatIsNotAcknowledgedLeavesATombstone(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	holder.set(key, "v")
	w.run()
	w.cut["holder>replica"] = true
	gone := holder.remove(key)
	w.clock.Advance(1)
	before := holder.store.Latest()
	w.run()
	if version := holder.grave(key); version == 0 || version >= before {
		t.Errorf("a tombstone of version %x, want one before %x", version, before)
	}
	w.cut["holder>replica"] = false
	w.pass(time.Second)
	w.expect("a deletion", gone, protocol.OK)
	if here, there := holder.grave(key), replica.grave(key); here == 0 || here != there {
		t.Errorf("tombstones of version %x here, %x there", here, there)
	}
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept when all is safe: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
	holder.set(key, "again")
	if w.run(); holder.has(key) != "again" || replica.has(key) != "again" {
		t.Errorf("stored after that: %q here, %q there", holder.has(key), replica.has(key))
	}
}

// What all have heard nobody can bring back.
func TestADeletionThatIsAcknowledgedLeavesNone(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	holder.set(key, "v")
	gone := holder.remove(key)
	w.run()
	w.expect("a deletion", gone, protocol.OK)
	if here, there := holder.store.Tombstones(), replica.store.Tombstones(); here+there > 0 {
		t.Errorf("%d tombstones here, %d there", here, there)
	}
}

// What has been written since is not buried.
func TestWhatIsStoredAgainIsNotBuried(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	w.cut["holder>replica"] = true
	holder.remove(key)
	holder.set(key, "since")
	w.run()
	w.cut["holder>replica"] = false
	w.pass(time.Second)
	if holder.has(key) != "since" || replica.has(key) != "since" {
		t.Errorf("%q here, %q there", holder.has(key), replica.has(key))
	}
}

// Those replicas have the tombstone too that had acknowledged the deletion: one of them may be the next holder.
func TestAllReplicasHaveTheTombstone(t *testing.T) {
	h := newHolder(t, AckOne)
	key, _, replicas := h.own()
	h.ask(protocol.Request{Op: protocol.Delete, Key: []byte(key)})
	h.answer(replicas[0], protocol.OK)
	h.answer(replicas[1], protocol.PeerTimeout)
	h.sent = nil
	due := h.later
	h.later = nil
	for _, f := range due {
		f()
	}
	if len(h.sent) != 2 || h.sent[0].to != replicas[0] || h.sent[1].to != replicas[1] {
		t.Errorf("sent again: %+v", h.sent)
	}
}

// Who gives a partition away gives the tombstones along of what not all have acknowledged.
func TestAnOpenDeletionIsBuriedWhenItsPartitionIsGivenAway(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	holder.set(key, "v")
	w.run()
	w.slow["holder>replica"] = true
	holder.remove(key)
	holder.place = piece.Leaving
	var given *piece.Parting
	holder.Part(part, replica.id, func(p piece.Parting) { given = &p })
	w.pass(settleFor + lookAgain)
	if given == nil || !given.Whole.Empty() || holder.grave(key) == 0 {
		t.Errorf("given %+v, the tombstone is of version %x", given, holder.grave(key))
	}
}

// A replica that holds the partition, and not on the strength of its copy, does not have all that was acknowledged here: both have held it, apart from each other, and neither is to forget what it has.
func TestWhoHoldsItAsWellFencesNobody(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	replica.Doubt()
	replica.place = piece.Holder
	set := holder.set(key, "v")
	w.pass(5 * time.Second)
	w.expect("a write", set, protocol.PeerTimeout)
	if holder.fenced > 0 || holder.has(key) != "v" {
		t.Errorf("fenced %d times, there is %q", holder.fenced, holder.has(key))
	}
	holder.Release(part)
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept when they merge: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
}
