package replicator

import (
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// keptAll reports whether a replica has the copies under the number that it had, so that nothing was begun anew.
func keptAll(replica *member, before *copying, part piece.Set) bool {
	for p := range part.All() {
		if replica.copies.Load(int(p)) != before {
			return false
		}
	}
	return true
}

func copyingOf(m *member, part piece.Set) (c *copying) {
	for p := range part.All() {
		c = m.copies.Load(int(p))
	}
	return c
}

// A replica that does not acknowledge for a moment is sent the same again, and keeps all its copies.
func TestACopyIsSentAgain(t *testing.T) {
	f := func(what string, ack Ack, silent time.Duration, kept bool, want protocol.Status) {
		t.Helper()
		w, holder, replica, key, part := pair(t, ack)
		before := copyingOf(replica, part)
		w.cut["holder>replica"] = true
		set := holder.set(key, "v1")
		w.pass(silent)
		w.cut["holder>replica"] = false
		w.pass(100 * time.Millisecond)
		w.expect(what, set, want)
		if got := keptAll(replica, before, part); got != kept {
			t.Errorf("%s: keeps its copies: %v, want %v", what, got, kept)
		}
		w.pass(3 * time.Second)
		if replica.has(key) != "v1" || !replica.whole() {
			t.Errorf("%s: the replica has %q, and %+v", what, replica.has(key), replica.Count())
		}
		if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
			t.Errorf("%s: kept: %d writes, %d readers, %d waiting", what, writes, readers, waiting)
		}
		again := holder.set(key, "v2")
		w.run()
		if w.expect(what+", later", again, protocol.OK); replica.has(key) != "v2" {
			t.Errorf("%s: later the replica has %q", what, replica.has(key))
		}
	}
	f("silent for a moment", AckOne, 50*time.Millisecond, true, protocol.OK)
	f("silent for a moment, and nobody waits", AckNone, 50*time.Millisecond, true, protocol.OK)
	f("silent for too long", AckOne, 400*time.Millisecond, false, protocol.OK)
	f("silent for longer than Patience", AckOne, time.Second, false, protocol.PeerTimeout)
}

// What is sent again is the item of that moment, or that it is gone.
func TestWhatIsSentAgainIsOfNow(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	w.cut["holder>replica"] = true
	set := holder.set(key, "v1")
	w.run()
	w.cut["holder>replica"] = false
	gone := holder.ask(protocol.Request{Op: protocol.Delete, Key: []byte(key)})
	w.pass(50 * time.Millisecond)
	w.expect("the set", set, protocol.OK)
	if w.expect("the deletion", gone, protocol.OK); replica.has(key) != "nothing" {
		t.Errorf("deleted, and the replica has %q", replica.has(key))
	}
}

// What was lost on its way and comes after all, behind what was sent again, replaces nothing.
func TestWhatComesTooLateIsRefused(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	old := protocol.Request{Op: protocol.Copy, CAS: copyingOf(replica, part).number, Value: piece.Append(nil, []byte(key), holder.item("old"))}
	w.cut["holder>replica"] = true
	holder.set(key, "v1")
	w.run()
	w.cut["holder>replica"] = false
	w.pass(50 * time.Millisecond)
	var resp protocol.Response
	if replica.Door().Handle(&old, &resp); resp.Status == protocol.OK || replica.has(key) != "v1" {
		t.Errorf("status %d, and the replica has %q, want v1", resp.Status, replica.has(key))
	}
}

// Copies that were under way when one failed, and are answered later, are sent again too: what is acknowledged is what the replica has.
func TestCopiesUnderWayAreSentAgain(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	w.slow["holder>replica"] = true
	late := holder.set(key, "v1")
	w.slow["holder>replica"], w.cut["holder>replica"] = false, true
	failed := holder.set(key, "v2")
	w.run()
	w.cut["holder>replica"] = false
	w.arrive()
	w.expect("what was under way", late, unanswered)
	w.pass(50 * time.Millisecond)
	w.expect("what was under way, sent again", late, protocol.OK)
	if w.expect("what failed, sent again", failed, protocol.OK); replica.has(key) != "v2" {
		t.Errorf("the replica has %q, want v2", replica.has(key))
	}
}
