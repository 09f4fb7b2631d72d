package replicator

import (
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// A long item is not sent where it is written, for that takes long; what is written of its key meanwhile goes behind it, and is acknowledged with what there is by then.
func TestALongItemIsNotWaitedFor(t *testing.T) {
	w, holder, replica, key, _ := pair(t, AckOne)
	holder.cfg.LongBytes = 1000
	long := strings.Repeat("x", 2000)
	first := holder.set(key, long)
	if len(w.queue) != 1 || replica.has(key) != "nothing" { // the errand to send it
		t.Fatalf("%d things are under way, and the replica has %d bytes", len(w.queue), len(replica.has(key)))
	}
	second := holder.ask(protocol.Request{Op: protocol.Append, Key: []byte(key), Value: []byte("y")})
	third := holder.set(key, "short")
	read := holder.get(key)
	for what, answer := range map[string]*protocol.Pending{"the first": first, "the second": second, "the third": third, "a read": read} {
		w.expect(what, answer, unanswered)
	}
	before := holder.stats.Copied.Load()
	w.run()
	for what, answer := range map[string]*protocol.Pending{"the first": first, "the second": second, "the third": third, "a read": read} {
		w.expect(what, answer, protocol.OK)
	}
	if replica.has(key) != "short" || holder.stats.Copied.Load() != before {
		t.Errorf("the replica has %q", replica.has(key))
	}
	again := holder.set(key, "later")
	w.run()
	if w.expect("what comes when it is sent", again, protocol.OK); replica.has(key) != "later" {
		t.Errorf("later the replica has %q", replica.has(key))
	}
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
}

// One that fails is sent again like any other, and one of a partition that is given away meanwhile is not sent.
func TestALongItemThatIsNotSent(t *testing.T) {
	w, holder, replica, key, part := pair(t, AckOne)
	holder.cfg.LongBytes = 1000
	long := strings.Repeat("x", 2000)
	w.cut["holder>replica"] = true
	failed := holder.set(key, long)
	w.run()
	w.cut["holder>replica"] = false
	w.pass(50 * time.Millisecond)
	if w.expect("what failed, sent again", failed, protocol.OK); replica.has(key) != long {
		t.Errorf("the replica has %d bytes", len(replica.has(key)))
	}
	given := holder.set(key, long+"y")
	holder.place = piece.Elsewhere
	holder.Release(part)
	w.pass(time.Second)
	if w.expect("of a partition that is in doubt", given, protocol.PeerTimeout); replica.has(key) == long+"y" {
		t.Error("the replica has what was written last of what is in doubt")
	}
	if writes, readers, waiting := holder.open(); writes+readers+waiting > 0 {
		t.Errorf("kept: %d writes, %d readers, %d waiting", writes, readers, waiting)
	}
}
