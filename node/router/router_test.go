package router_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// here answers everything itself and counts.
type here struct{ handled int }

func (h *here) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	h.handled++
	resp.Status = protocol.OK
	return nil
}

// routed gives a router of the first of size members; the others cannot be reached.
func routed(t *testing.T, size int) (*router.Router, *here, *ring.Table) {
	t.Helper()
	var members []ring.Member
	for i := range size {
		members = append(members, ring.Member{ID: fmt.Sprintf("m%d", i), Weight: 1})
	}
	table, err := ring.Build(members, ring.DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	peers := peer.New(peer.Config{
		Self: peer.Self{ID: "m0"}, Deadline: time.Second,
		Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, errors.New("nobody there") },
	})
	t.Cleanup(peers.Stop)
	ways := make([]router.Send, size)
	for i := 1; i < size; i++ {
		ways[i] = peers.Link(members[i].ID, netip.AddrPort{}).Send
	}
	next := &here{}
	r := router.New(router.Config{Next: next})
	r.Adopt(table, ways)
	return r, next, table
}

func ask(r *router.Router, op protocol.Op, key string) (resp protocol.Response, forwarded bool) {
	pending := r.Handle(&protocol.Request{Op: op, Key: []byte(key)}, &resp)
	if pending == nil {
		return resp, false
	}
	pending = pending.Resolve(nil)
	defer pending.Release()
	return protocol.Response{Status: pending.Response.Status}, true
}

func TestEachKeyGoesToItsOwner(t *testing.T) {
	r, next, table := routed(t, 3)
	forwards := uint64(0)
	for k := range 300 {
		key := fmt.Sprintf("key%d", k)
		mine := table.Owner(table.Partition([]byte(key))) == 0
		before := next.handled
		if _, forwarded := ask(r, protocol.Set, key); forwarded == mine || (next.handled > before) != mine {
			t.Fatalf("%s is mine: %v, forwarded: %v", key, mine, forwarded)
		}
		if !mine {
			forwards++
		}
	}
	if got := r.Stats().Forwarded.Load(); got != forwards || forwards == 0 {
		t.Fatalf("%d counted, %d forwarded", got, forwards)
	}
}

func TestAloneEverythingIsMine(t *testing.T) {
	next := &here{}
	r := router.New(router.Config{Next: next})
	for _, op := range []protocol.Op{protocol.Get, protocol.Set, protocol.Flush, protocol.Noop} {
		if resp, forwarded := ask(r, op, "k"); forwarded || resp.Status != protocol.OK {
			t.Errorf("%s before any table: forwarded %v, status %d", op, forwarded, resp.Status)
		}
	}
}

// The only member of the table may be another one: this node leaves. And who was alone finds owners again when somebody comes.
func TestWhoIsAloneIsAskedOfEachTable(t *testing.T) {
	r, next, table := routed(t, 1)
	asked := 0
	other := router.Send(func(*protocol.Request) *protocol.Pending { asked++; return protocol.Answered(protocol.OK) })
	f := func(ways []router.Send, table *ring.Table, want int) {
		t.Helper()
		r.Adopt(table, ways)
		before, here := asked, next.handled
		for k := range 100 {
			ask(r, protocol.Get, fmt.Sprintf("key%d", k))
		}
		if asked-before != want || next.handled-here != 100-want {
			t.Errorf("of 100 keys %d went to the other and %d stayed; want %d and %d", asked-before, next.handled-here, want, 100-want)
		}
	}
	two, err := ring.Build([]ring.Member{{ID: "m0", Weight: 1}, {ID: "m1", Weight: 1}}, ring.DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	others := 0
	for k := range 100 {
		others += two.Owner(two.Partition(fmt.Appendf(nil, "key%d", k)))
	}
	f([]router.Send{nil}, table, 0)
	f([]router.Send{other}, table, 100)
	f([]router.Send{nil, other}, two, others)
	f([]router.Send{nil}, table, 0)
}

// CLUSTER.md 4.3, C3: the keys of a dead member miss; what would change them is refused.
func TestKeysOfALostMember(t *testing.T) {
	r, _, table := routed(t, 2)
	key := ""
	for k := 0; key == ""; k++ {
		if s := fmt.Sprint(k); table.Owner(table.Partition([]byte(s))) == 1 {
			key = s
		}
	}
	f := func(op protocol.Op, want protocol.Status) {
		t.Helper()
		if resp, _ := ask(r, op, key); resp.Status != want {
			t.Errorf("%s: status %d, want %d", op, resp.Status, want)
		}
	}
	f(protocol.Get, protocol.NotFound)
	f(protocol.Inspect, protocol.NotFound)
	f(protocol.Set, protocol.PeerLost)
	f(protocol.Delete, protocol.PeerLost)
	f(protocol.Incr, protocol.PeerLost)
	f(protocol.Gat, protocol.PeerLost)
}

func TestFlushTellsHowFarItCame(t *testing.T) {
	r, next, _ := routed(t, 3)
	resp, _ := ask(r, protocol.Flush, "")
	if next.handled != 2 || resp.Status != protocol.ServerError || string(resp.Value) != "flush_all reached 1 of 3" {
		t.Fatalf("status %d, %q", resp.Status, resp.Value)
	}
	r, next, _ = routed(t, 1)
	if resp, _ := ask(r, protocol.Flush, ""); next.handled != 2 || resp.Status != protocol.OK {
		t.Fatalf("alone: status %d", resp.Status)
	}
}

func TestMineLeavesKeysOfThisNode(t *testing.T) {
	f := func(size, least, most int) {
		t.Helper()
		r, _, table := routed(t, size)
		var keys [][]byte
		for i := range 1000 {
			keys = append(keys, fmt.Appendf(nil, "key%d", i))
		}
		keys = r.Mine(keys)
		if len(keys) < least || len(keys) > most {
			t.Errorf("%d members: %d of 1000", size, len(keys))
		}
		for _, key := range keys {
			if table.Owner(table.Partition(key)) != 0 {
				t.Fatalf("%d members: %s", size, key)
			}
		}
	}
	f(1, 1000, 1000)
	f(3, 200, 450)
}

func BenchmarkMine(b *testing.B) {
	table, err := ring.Build([]ring.Member{{ID: "m0", Weight: 1}}, ring.DefaultParams())
	if err != nil {
		b.Fatal(err)
	}
	r := router.New(router.Config{Next: &here{}})
	r.Adopt(table, []router.Send{nil})
	req, resp := protocol.Request{Op: protocol.Get, Key: []byte("some-key-of-usual-length")}, protocol.Response{}
	b.ReportAllocs()
	for b.Loop() {
		r.Handle(&req, &resp)
	}
}
