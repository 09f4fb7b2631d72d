package replicator

import (
	"testing"
	"time"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// lone gives a holder whose replica, if it has one, acknowledges at once.
func lone(tb testing.TB, replicas int) *Replicator {
	tb.Helper()
	clock := storage.NewManualClock(2_000_000_000)
	store, err := storage.Open(storage.Config{MaxBytes: 8 << 20, MaxItemBytes: 64 << 10, Clock: clock, Partitions: worldParts})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(store.Close)
	r := New(Config{
		Self: piece.Member{ID: "holder", Boot: 1}, Store: store, Next: executor.New(executor.Config{Store: store, Clock: clock}),
		Send:    func(string, *protocol.Request) *protocol.Pending { return protocol.Answered(protocol.OK) },
		Await:   func(*protocol.Pending, func(*protocol.Response)) {},
		After:   func(time.Duration, func()) {},
		Go:      func(func()) {},
		Place:   func(uint32) piece.Place { return piece.Holder },
		Written: func() {}, Fenced: func() {},
	})
	replica := piece.Member{ID: "replica", Boot: 1}
	table := tableOf(tb, 2, "holder", "replica")
	r.Adopt(table, table.Index("holder"), []piece.Member{replica})
	if replicas > 0 {
		all := piece.NewSet(worldParts)
		for part := range worldParts {
			all.Add(part)
		}
		r.Feed(replica, 1, all, all)
	}
	return r
}

// run gives what has a request answered, again and again.
func run(tb testing.TB, r *Replicator, req *protocol.Request, want protocol.Status) func() {
	var resp protocol.Response
	return func() {
		status := protocol.Unset
		if pending := r.Handle(req, &resp); pending != nil {
			status = pending.Resolve(req).Response.Status
			pending.Release()
		} else {
			status = resp.Status
		}
		if status != want {
			tb.Fatalf("status %d, want %d", status, want)
		}
	}
}

func set() *protocol.Request {
	return &protocol.Request{Op: protocol.Set, Key: []byte("key"), Value: make([]byte, 100)}
}

func BenchmarkWrite(b *testing.B) {
	f := func(name string, replicas int) {
		b.Run(name, func(b *testing.B) {
			write := run(b, lone(b, replicas), set(), protocol.OK)
			b.ReportAllocs()
			for b.Loop() {
				write()
			}
		})
	}
	f("without a replica", 0)
	f("with one", 1)
}
