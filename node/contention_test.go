package node_test

import (
	"bytes"
	"fmt"
	"net"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/node/nodetest"
)

// BenchmarkContention has many connections ask one node at once, for reads and writes of many keys, and reports how long goroutines waited for locks of any
// kind, the runtime's own included, in hundreds of the processor time taken: with -cpu 2 at most 1 is wanted.
func BenchmarkContention(b *testing.B) {
	const conns, batch, keys = 32, 16, 10_000
	c := nodetest.Start(b, 1, nodetest.AllPartitions)
	value := strings.Repeat("v", 100)
	talk := func(client, rounds int, conn net.Conn) {
		in := make([]byte, 4<<10)
		for r := range rounds {
			var out []byte
			for i := range batch {
				key := (client*7919 + r*batch + i) % keys
				if i == 0 {
					out = fmt.Appendf(out, "set key%05d 0 0 100\r\n%s\r\n", key, value)
				} else {
					out = fmt.Appendf(out, "get key%05d\r\n", key)
				}
			}
			if _, err := conn.Write(append(out, "mn\r\n"...)); err != nil {
				b.Error(err)
				return
			}
			for got := 0; !bytes.HasSuffix(in[:got], []byte("MN\r\n")); {
				n, err := conn.Read(in[got:])
				if err != nil {
					b.Error(err)
					return
				}
				got += n
			}
		}
	}
	var open [conns]net.Conn
	for i := range open {
		open[i] = c.Dial(0)
	}
	waited, worked := lockTime(), cpuTime(b)
	b.ResetTimer()
	var all sync.WaitGroup
	for client, conn := range open {
		all.Go(func() { talk(client, b.N/conns/batch+1, conn) })
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(100*float64(lockTime()-waited)/float64(cpuTime(b)-worked), "%waited/cpu")
}

// lockTime is how long goroutines have waited for locks.
func lockTime() time.Duration {
	sample := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}

// cpuTime is what the process has taken of the processors.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
