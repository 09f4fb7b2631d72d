package router_test

import (
	"fmt"
	"testing"

	"github.com/memring/memring/node/router"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// A zoned is a router of m0, in zone a, with m1 in its zone and m2 in another; two of them hold each partition. It notes who is asked.
type zoned struct {
	*router.Router
	table *ring.Table
	asked []string
	here  bool            // a copy is here
	mate  protocol.Status // what m1 says to who will do with a copy
}

func newZoned(t testing.TB) *zoned {
	t.Helper()
	params := ring.DefaultParams()
	params.Copies = 2
	table, err := ring.Build([]ring.Member{{ID: "m0", Zone: "a", Weight: 1}, {ID: "m1", Zone: "a", Weight: 1}, {ID: "m2", Zone: "b", Weight: 1}}, params)
	if err != nil {
		t.Fatal(err)
	}
	z := &zoned{table: table, mate: protocol.OK}
	z.Router = router.New(router.Config{Next: &here{}, Zone: "a", Copy: func(_ *protocol.Request, resp *protocol.Response) bool {
		resp.Status = protocol.OK
		return z.here
	}})
	way := func(id string) router.Send {
		return func(req *protocol.Request) *protocol.Pending {
			if req.Options.Has(protocol.FromCopy) {
				z.asked = append(z.asked, id+" copy")
				return protocol.Answered(z.mate)
			}
			z.asked = append(z.asked, id)
			return protocol.Answered(protocol.OK)
		}
	}
	z.Adopt(table, []router.Send{nil, way("m1"), way("m2")})
	return z
}

// key gives one that these hold, the first being its owner.
func (z *zoned) key(owner, replica int) string {
	for n := 0; ; n++ {
		key := fmt.Sprintf("key%d", n)
		if row := z.table.Holders(z.table.Partition([]byte(key))); int(row[0]) == owner && int(row[1]) == replica {
			return key
		}
	}
}

func TestCopiesAreAskedFirst(t *testing.T) {
	f := func(what string, owner, replica int, req protocol.Request, here bool, mate protocol.Status, want ...string) {
		t.Helper()
		z := newZoned(t)
		z.here, z.mate = here, mate
		req.Key = []byte(z.key(owner, replica))
		var resp protocol.Response
		if pending := z.Handle(&req, &resp); pending != nil {
			pending = pending.Resolve(&req)
			resp = pending.Response
		}
		if fmt.Sprint(z.asked) != fmt.Sprint(want) || resp.Status != protocol.OK {
			t.Errorf("%s: asked %v, want %v; status %d", what, z.asked, want, resp.Status)
		}
	}
	get := protocol.Request{Op: protocol.Get}
	f("a copy is here", 2, 0, get, true, protocol.OK)
	f("none that is good is here", 2, 0, get, false, protocol.OK, "m2")
	f("a copy is in the zone", 2, 1, get, false, protocol.OK, "m1 copy")
	f("it has none that is good", 2, 1, get, false, protocol.PeerMoved, "m1 copy", "m2")
	f("it cannot be reached", 2, 1, get, false, protocol.PeerLost, "m1 copy", "m2")
	f("its owner is in the zone", 1, 2, get, false, protocol.OK, "m1")
	f("a write", 2, 1, protocol.Request{Op: protocol.Set}, true, protocol.OK, "m2")
	f("a get that may change the item", 2, 1, protocol.Request{Op: protocol.Gat}, true, protocol.OK, "m2")
	f("a get behind a write", 2, 1, protocol.Request{Op: protocol.Get, AfterWrite: true}, true, protocol.OK, "m2")
	f("it is mine", 0, 2, get, false, protocol.OK)
}

func TestAskingForACopyAllocatesNothing(t *testing.T) {
	z := newZoned(t)
	req := protocol.Request{Op: protocol.Get, Key: []byte(z.key(2, 1))}
	var resp protocol.Response
	run := func() {
		z.asked = z.asked[:0]
		z.Handle(&req, &resp).Resolve(&req).Release()
	}
	run()
	if got := testing.AllocsPerRun(1000, run); got >= 1.1 { // the name that it notes
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkFromCopy(b *testing.B) {
	z := newZoned(b)
	req := protocol.Request{Op: protocol.Get, Key: []byte(z.key(2, 1))}
	var resp protocol.Response
	b.ReportAllocs()
	for b.Loop() {
		z.asked = z.asked[:0]
		z.Handle(&req, &resp).Resolve(&req).Release()
	}
}
