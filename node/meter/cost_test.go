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

// BenchmarkCost tells what measuring adds to a request: to its parsing, its run on a store and its answer, without the socket and without a router, so it is
// the most that it can be of a whole request. Both are asked in turn, and of each the quickest turn counts, for that one nobody has disturbed.
func BenchmarkCost(b *testing.B) {
	clock := storage.NewManualClock(1_700_000_000)
	store, err := storage.Open(storage.Config{MaxBytes: 64 << 20, MaxItemBytes: 1 << 20, Clock: clock})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	end := executor.New(executor.Config{Store: store, Clock: clock})
	wires := func() *session.Wires {
		return session.NewWires(text.New(text.Config{MaxItemBytes: 1 << 20}), meta.New(meta.Config{MaxItemBytes: 1 << 20}), meta.Speaks, nil)
	}
	const requests = 100 // pipelined
	var batch strings.Builder
	fill := session.New(end, wires(), 1)
	for k := range requests {
		fmt.Fprintf(&batch, "get key:%d\r\n", k)
		fill.Answer(fmt.Appendf(nil, "set key:%d 0 0 100\r\n%s\r\n", k, strings.Repeat("v", 100)))
	}
	asked := []byte(batch.String())
	plain := session.New(end, wires(), 1)
	measured := session.New(meter.New(meter.Config{Every: 64}).Client(end, 1), wires(), 1)
	turn := func(s *session.Session, batches int) time.Duration {
		began := time.Now()
		for range batches {
			for in := asked; len(in) > 0; {
				_, used := s.Answer(in)
				in = in[used:]
			}
		}
		return time.Since(began) / time.Duration(batches*requests)
	}
	least := [2]time.Duration{time.Hour, time.Hour}
	for range b.N {
		for range 100 {
			least[0] = min(least[0], turn(plain, 100))
			least[1] = min(least[1], turn(measured, 100))
		}
	}
	b.ReportMetric(float64(least[0]), "ns/request")
	b.ReportMetric(float64(least[1]), "ns/measured-request")
	b.ReportMetric(100*(float64(least[1])/float64(least[0])-1), "%more")
}
