package parcel

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// left is the room that d has.
func left(d *Depot) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left
}

// Whatever parts come and are asked for, in any order, nothing is counted that is not kept.
func TestParcelsHaveABoundAndAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 64 << 20
		d := New(room/2, room)
		d.left = room // so that two of the largest fill it
		deliver := func(number uint64, at, all, part int) protocol.Status {
			return d.Deliver(Ticket{Lane: 1, Number: number, Coming: true}, &protocol.Request{Initial: uint64(at), CAS: uint64(all), Value: make([]byte, part)})
		}
		is := func(what string, got, want any) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		is("room for four of the largest", left(New(room/2, room)), 2*room)
		is("or for more", left(New(room/8, room)), room)
		is("over the bound", deliver(1, 0, d.maxValueBytes+1, 10), protocol.TooLarge)
		is("not the first", deliver(1, 10, 100, 10), protocol.PeerLost)
		is("first of a large one", deliver(1, 0, d.maxValueBytes, 10), protocol.OK)
		is("first of another", deliver(2, 0, d.maxValueBytes, 10), protocol.OK)
		is("no room for a third", deliver(3, 0, 100, 10), protocol.PeerOverloaded)
		is("nor to keep one", d.Keep(Ticket{Lane: 1, Number: 1}, make([]byte, 10)), false)
		is("a part at a wrong place", deliver(1, 11, d.maxValueBytes, 10), protocol.PeerLost)
		is("drops it, so there is room", deliver(3, 0, 20, 10), protocol.OK)
		_, whole := d.Delivered(Ticket{Lane: 1, Number: 3, Coming: true})
		is("half of it is whole", whole, false)
		is("more than was said", deliver(3, 10, 20, 11), protocol.PeerLost)

		time.Sleep(patience - time.Second)
		is("a part in time", deliver(2, 10, d.maxValueBytes, 10), protocol.OK)
		time.Sleep(patience - time.Second)
		is("and another", deliver(2, 20, d.maxValueBytes, 10), protocol.OK)
		time.Sleep(patience + time.Second)
		is("one too late", deliver(2, 30, d.maxValueBytes, 10), protocol.PeerLost)
		is("all room is back", left(d), room)

		out := Ticket{Lane: 1, Number: 1}
		value := make([]byte, 2*frame.PartBytes+5)
		is("kept", d.Keep(out, value), true)
		part, more := d.Part(out, frame.PartBytes)
		is("the second part", len(part), frame.PartBytes)
		is("is not the last", more, true)
		part, more = d.Part(out, 2*frame.PartBytes)
		is("the third part", len(part), 5)
		is("is the last", more, false)
		part, _ = d.Part(out, 0)
		is("then it is gone", len(part), 0)
		for _, at := range []uint64{uint64(len(value)), 1 << 63, 1<<64 - 1} {
			is("kept again", d.Keep(out, value), true)
			part, more = d.Part(out, at)
			is("behind the end there is nothing", len(part), 0)
			is("nor more", more, false)
			is("and it is gone", left(d), room)
		}
		is("kept once more", d.Keep(out, value), true)
		time.Sleep(patience + time.Second)
		is("its room is back, when nobody has asked for long", left(d), room)
	})
}
