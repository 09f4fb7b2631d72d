package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// left is the room that p has.
func left(p *parcels) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// Whatever parts come and are asked for, in any order, nothing is counted that is not kept.
func TestParcelsHaveABoundAndAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParcels(minParcelsBytes / 2)
		p.left = minParcelsBytes // so that two of the largest fill it
		door := new(Door)
		deliver := func(number uint64, at, all, part int) protocol.Status {
			return p.deliver(ticket{door: door, number: number, coming: true}, &protocol.Request{Initial: uint64(at), CAS: uint64(all), Value: make([]byte, part)})
		}
		is := func(what string, got, want any) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		is("over the bound", deliver(1, 0, p.maxValueBytes+1, 10), protocol.TooLarge)
		is("not the first", deliver(1, 10, 100, 10), protocol.PeerLost)
		is("first of a large one", deliver(1, 0, p.maxValueBytes, 10), protocol.OK)
		is("first of another", deliver(2, 0, p.maxValueBytes, 10), protocol.OK)
		is("no room for a third", deliver(3, 0, 100, 10), protocol.PeerOverloaded)
		is("nor to keep one", p.keep(ticket{door: door, number: 1}, make([]byte, 10)), false)
		is("a part at a wrong place", deliver(1, 11, p.maxValueBytes, 10), protocol.PeerLost)
		is("drops it, so there is room", deliver(3, 0, 20, 10), protocol.OK)
		_, whole := p.delivered(ticket{door: door, number: 3, coming: true})
		is("half of it is whole", whole, false)
		is("more than was said", deliver(3, 10, 20, 11), protocol.PeerLost)

		time.Sleep(parcelPatience - time.Second)
		is("a part in time", deliver(2, 10, p.maxValueBytes, 10), protocol.OK)
		time.Sleep(parcelPatience - time.Second)
		is("and another", deliver(2, 20, p.maxValueBytes, 10), protocol.OK)
		time.Sleep(parcelPatience + time.Second)
		is("one too late", deliver(2, 30, p.maxValueBytes, 10), protocol.PeerLost)
		is("all room is back", left(p), minParcelsBytes)

		out := ticket{door: door, number: 1}
		value := make([]byte, 2*frame.PartBytes+5)
		is("kept", p.keep(out, value), true)
		part, more := p.part(out, frame.PartBytes)
		is("the second part", len(part), frame.PartBytes)
		is("is not the last", more, true)
		part, more = p.part(out, 2*frame.PartBytes)
		is("the third part", len(part), 5)
		is("is the last", more, false)
		part, _ = p.part(out, 0)
		is("then it is gone", len(part), 0)
		for _, at := range []uint64{uint64(len(value)), 1 << 63, 1<<64 - 1} {
			is("kept again", p.keep(out, value), true)
			part, more = p.part(out, at)
			is("behind the end there is nothing", len(part), 0)
			is("nor more", more, false)
			is("and it is gone", left(p), minParcelsBytes)
		}
		is("kept once more", p.keep(out, value), true)
		time.Sleep(parcelPatience + time.Second)
		is("its room is back, when nobody has asked for long", left(p), minParcelsBytes)
	})
}
