package node_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/memring/memring/node"
)

// batch stores keys, from a first one on, in one go.
func (k *asker) batch(prefix string, first, count int, value string) (stored int) {
	var sets strings.Builder
	for i := range count {
		fmt.Fprintf(&sets, "set %s%d 0 0 %d\r\n%s\r\n", prefix, first+i, len(value), value)
	}
	k.pour(sets.String())
	for range count {
		if k.answer() == "STORED" {
			stored++
		}
	}
	return stored
}

// A flush_all among writes leaves nothing in the stores of the replicas that is not at the holder as well: else it would be back after a crash.
func TestFlushAllLeavesNothingAtReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("flushes under load")
	}
	t.Parallel()
	const (
		rounds, writers, batch = 4, 4, 50
		before, after          = 1000, 10 // writes of all before the flush, batches of each after it
	)
	c := copied(t, 3)
	flusher := newAsker(t, c.Dial(0))
	for round := range rounds {
		var written [writers]int
		var total atomic.Int64
		var flushed atomic.Bool
		var all sync.WaitGroup
		for w := range writers {
			k := newAsker(t, c.Dial(w%3))
			all.Go(func() {
				for left := after; left > 0; {
					if flushed.Load() {
						left--
					}
					if stored := k.batch(fmt.Sprintf("r%dw%d-", round, w), written[w], batch, "x"); stored < batch {
						t.Errorf("%d of %d stored", stored, batch)
						return
					}
					written[w] += batch
					total.Add(batch)
				}
			})
		}
		c.Wait("there is something to flush", func() bool { return total.Load() >= before })
		got := flusher.line("flush_all")
		flushed.Store(true)
		if got != "OK" {
			t.Errorf("flush_all: %s", got)
		}
		all.Wait()
		hits := 0
		for w := range writers {
			flusher.each(fmt.Sprintf("r%dw%d-", round, w), written[w], func(_, _ string, found bool) {
				if found {
					hits++
				}
			})
		}
		if items := itemsOf(t, c); items != 2*hits {
			t.Errorf("round %d: %d items in all stores, and %d keys are hits; want each twice", round, items, hits)
		}
		flusher.line("flush_all")
	}
}

// A full cache with copies is as warm after a drain as before: what is read there all the time is not dropped, though the copies of it are gone that nobody read.
func TestAFullCacheWithCopiesStaysWarm(t *testing.T) {
	if testing.Short() {
		t.Skip("fills stores")
	}
	t.Parallel()
	const hot, cold, batch = 600, 24_000, 1000
	c := copied(t, 3, func(cfg *node.Config) { cfg.MaxBytes = 8 << 20 })
	k := newAsker(t, c.Dial(0))
	value := strings.Repeat("v", 1000)
	k.batch("hot", 0, hot, value)
	hits := func() (count int) {
		k.each("hot", hot, func(_, _ string, found bool) {
			if found {
				count++
			}
		})
		return count
	}
	for i := 0; i < cold; i += batch {
		k.batch("cold", i, batch, value)
		hits()
	}
	before := hits()
	c.Stop(2)
	c.WaitAgreed()
	c.WaitSettled()
	if after := hits(); before < hot/2 || after < before*97/100 {
		t.Errorf("%d of %d hot items are hits before a drain, %d after it", before, hot, after)
	}
}
