package peer_test

import (
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/protocol"
)

// Requests over loopback, both sides in this process: the time and the writes per request, for callers that wait for each answer, and for
// one that has many under way; as it is, and encrypted.
func BenchmarkForward(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkForward(b, nil, member(b, echo{})) })
	b.Run("encrypted", func(b *testing.B) {
		benchmarkForward(b, keyed(b, "here", aKey), secureMember(b, echo{}, keyed(b, "there", aKey)))
	})
}

func benchmarkForward(b *testing.B, identity *identity.Identity, there *host) {
	f := func(name string, callers, pipelined int) {
		b.Run(name, func(b *testing.B) {
			p := peersOf(b, peer.Config{Deadline: 5 * time.Second, Identity: identity})
			link := p.Link("there", there.addr)
			ask(b, link, get("warm"))
			b.ReportAllocs()
			b.ResetTimer()
			rounds := max(b.N/(callers*pipelined), 1)
			var running sync.WaitGroup
			for origin := range uint32(callers) {
				running.Go(func() {
					req := get("a-key-of-common-length")
					req.Origin = origin
					waiting := make([]*protocol.Pending, pipelined)
					for range rounds {
						for i := range waiting {
							waiting[i] = link.Send(req)
						}
						for i := len(waiting) - 1; i >= 0; i-- {
							waiting[i].Wait()
						}
						for _, pending := range waiting {
							if pending.Response.Status != protocol.OK {
								b.Errorf("status %d", pending.Response.Status)
							}
							pending.Release()
						}
					}
				})
			}
			running.Wait()
			requests := float64(rounds * callers * pipelined)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/requests, "ns/request")
			b.ReportMetric(float64(p.Stats().Writes.Load())/requests, "writes/request")
		})
	}
	f("1-caller", 1, 1)
	f("50-callers", 50, 1)
	f("100-pipelined", 1, 100)
	f("50-callers-16-pipelined", 50, 16)
}

// A value of 16 MiB to a peer, and back, in parts.
func BenchmarkLongValue(b *testing.B) {
	link, _, _ := shelves(b, peer.Config{Deadline: 20 * time.Second})
	value := pattern(16 << 20)
	f := func(name string, req *protocol.Request) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				pending := link.Send(req)
				if pending.Wait(); pending.Response.Status != protocol.OK {
					b.Fatalf("status %d", pending.Response.Status)
				}
				pending.Release()
			}
		})
	}
	set := &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: value}
	ask(b, link, set)
	f("set", set)
	f("get", get("k"))
}
