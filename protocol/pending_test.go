package protocol_test

import (
	"sync"
	"testing"

	"github.com/memring/memring/protocol"
)

// Answers meet their waiters, whoever comes first, and however often the Pendings are used again.
func TestPendingMeetsItsWaiter(t *testing.T) {
	const rounds = 10_000
	asked := make(chan *protocol.Pending, 16)
	var running sync.WaitGroup
	running.Go(func() {
		for n := uint64(0); n < rounds; n++ {
			p := <-asked
			p.Response.Number = n
			p.Complete()
		}
	})
	for n := uint64(0); n < rounds; n++ {
		p := protocol.NewPending(nil)
		asked <- p
		if p.Wait(); p.Response.Number != n {
			t.Fatalf("answer %d to question %d", p.Response.Number, n)
		}
		p.Release()
	}
	running.Wait()
}

func TestWaitFlushes(t *testing.T) {
	var p *protocol.Pending
	flushes := 0
	p = protocol.NewPending(func() { flushes++; p.Response.Status = protocol.OK; p.Complete() })
	if p.Wait(); flushes != 1 || p.Response.Status != protocol.OK {
		t.Fatalf("%d flushes, status %d", flushes, p.Response.Status)
	}
	if p.Flush(); flushes != 1 {
		t.Fatal("flushed after it was completed")
	}
}

func TestOnLossReplacesFailuresBetweenMembersOnly(t *testing.T) {
	f := func(status, onLoss, want protocol.Status) {
		t.Helper()
		p := protocol.NewPending(nil)
		defer p.Release()
		p.Response.Status = status
		p.Complete()
		p.OnLoss = onLoss
		if p.Resolve(nil); p.Response.Status != want {
			t.Errorf("status %d with OnLoss %d: %d, want %d", status, onLoss, p.Response.Status, want)
		}
	}
	f(protocol.PeerLost, protocol.NotFound, protocol.NotFound)
	f(protocol.PeerTimeout, protocol.NotFound, protocol.NotFound)
	f(protocol.PeerOverloaded, protocol.NotFound, protocol.NotFound)
	f(protocol.PeerLost, protocol.Unset, protocol.PeerLost)
	f(protocol.OK, protocol.NotFound, protocol.OK)
	f(protocol.ServerError, protocol.NotFound, protocol.ServerError)
}

func TestCompletingTwiceIsFound(t *testing.T) {
	p := protocol.NewPending(nil)
	p.Complete()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Complete()
}

func TestEveryOpIsDescribed(t *testing.T) {
	names := map[string]protocol.Op{}
	for op := protocol.None; op.Known(); op++ {
		name := op.String()
		if other, taken := names[name]; name == "" || name == "unknown" || taken {
			t.Errorf("op %d is called %q, as is %d", op, name, other)
		}
		names[name] = op
	}
	if protocol.Op(255).Known() || protocol.Op(255).String() != "unknown" {
		t.Error("op 255 is known")
	}
}

func BenchmarkPending(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p := protocol.NewPending(nil)
		p.Complete()
		p.Wait()
		p.Release()
	}
}
