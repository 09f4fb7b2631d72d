package meter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/storage"
)

// BenchmarkCost tells what a pipelined get takes from its parsing to its answer, without the socket and without a router, so what is measured and counted is the most
// that it can be of a whole request; the quickest of many turns counts, for that one nobody has disturbed. "bare" measures nothing; it counts, though, unless it is of a tree from which .make/bare has taken that: .make/cost compares the two.
func BenchmarkCost(b *testing.B) {
	clock := storage.NewManualClock(1_700_000_000)
	store, err := storage.Open(storage.Config{MaxBytes: 64 << 20, MaxItemBytes: 1 << 20, Clock: clock})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	end := executor.New(executor.Config{Store: store, Clock: clock})
	begin := func() *session.Session {
		s := session.New(end, session.NewWires(text.New(text.Config{MaxItemBytes: 1 << 20}), meta.New(meta.Config{MaxItemBytes: 1 << 20}), meta.Speaks, nil), 1)
		s.CountTo(end.Counter(1))
		return s
	}
	const (
		requests = 100 // in a batch
		batches  = 20
	)
	var batch strings.Builder
	fill := begin()
	for k := range requests {
		fmt.Fprintf(&batch, "get key:%d\r\n", k)
		fill.Answer(fmt.Appendf(nil, "set key:%d 0 0 100\r\n%s\r\n", k, strings.Repeat("v", 100)))
	}
	asked := []byte(batch.String())
	f := func(name string, every int) {
		b.Run(name, func(b *testing.B) {
			s := begin()
			meter.New(meter.Config{Every: every}).Client(s, end)
			least := time.Hour
			for b.Loop() {
				began := time.Now()
				for range batches {
					for in := asked; len(in) > 0; {
						_, used := s.Answer(in)
						in = in[used:]
					}
				}
				least = min(least, time.Since(began))
			}
			b.ReportMetric(float64(least)/(batches*requests), "ns/request")
		})
	}
	f("bare", 0)
	f("measured", 64)
}
