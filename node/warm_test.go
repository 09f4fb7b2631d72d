package node_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// A asker is a client's conversation with one node.
type asker struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func newAsker(t testing.TB, conn net.Conn) *asker {
	return &asker{t: t, conn: conn, in: bufio.NewReader(conn)}
}

// line says something and gives the first line of the answer.
func (k *asker) line(format string, args ...any) string {
	_ = k.conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(k.conn, format+"\r\n", args...)
	line, err := k.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimRight(line, "\r\n")
}

// get gives the value of a key, and whether there is one; an error is a value of its own.
func (k *asker) get(key string) (value string, found bool) {
	head := k.line("get %s", key)
	if head == "END" {
		return "", false
	}
	var flags, size int
	if _, err := fmt.Sscanf(head, "VALUE "+key+" %d %d", &flags, &size); err != nil {
		return head, true
	}
	data := make([]byte, size+len("\r\nEND\r\n"))
	if _, err := io.ReadFull(k.in, data); err != nil {
		return err.Error(), true
	}
	return string(data[:size]), true
}

func setAll(t testing.TB, k *asker, count int) {
	t.Helper()
	for i := range count {
		if got := k.line("set k%d %d 0 %d\r\nv%d", i, i, len(fmt.Sprintf("v%d", i)), i); got != "STORED" {
			t.Fatalf("set k%d: %s", i, got)
		}
	}
}

func expectAll(t testing.TB, k *asker, what string, count int) {
	t.Helper()
	missing := 0
	for i := range count {
		value, found := k.get(fmt.Sprintf("k%d", i))
		if !found {
			missing++
		} else if value != fmt.Sprintf("v%d", i) {
			t.Errorf("%s: k%d is %q", what, i, value)
		}
	}
	if missing > 0 {
		t.Errorf("%s: %d of %d keys missing", what, missing, count)
	}
}

// A pressure asks and counts, from a node that stays, while the members change. It ends with stop.
type pressure struct {
	stop                   func()
	asked, missed, refused atomic.Int64
	stale                  atomic.Int64
	sum                    atomic.Int64 // of the counter, as acknowledged
}

func press(t testing.TB, c *nodetest.Cluster, at, keys int) *pressure {
	l := &pressure{}
	var running sync.WaitGroup
	ended := make(chan struct{})
	for g := range 4 {
		k := newAsker(t, c.Dial(at))
		running.Go(func() {
			version := 0
			for i := g; ; i += 7 {
				select {
				case <-ended:
					return
				default:
				}
				if t.Failed() {
					return
				}
				key := fmt.Sprintf("k%d", i%keys)
				switch value, found := k.get(key); {
				case !found:
					l.missed.Add(1)
				case value != "v"+key[1:]:
					l.refused.Add(1)
					t.Errorf("get %s: %q", key, value)
				}
				version++
				mine := fmt.Sprintf("own%d-%d", g, i%50)
				value := fmt.Sprintf("%08d", version)
				if got := k.line("set %s 0 0 8\r\n%s", mine, value); got != "STORED" {
					l.refused.Add(1)
					t.Errorf("set %s: %s", mine, got)
				} else if got, _ := k.get(mine); got != value {
					l.stale.Add(1)
					t.Errorf("%s is %q after it was set to %s", mine, got, value)
				}
				if got := k.line("delete %s", mine); got != "DELETED" {
					t.Errorf("delete %s: %s", mine, got)
				} else if got, found := k.get(mine); found {
					l.stale.Add(1)
					t.Errorf("%s is %q after it was deleted", mine, got)
				}
				if got := k.line("incr counter%d 1", i%10); strings.Trim(got, "0123456789") != "" {
					t.Errorf("incr: %s", got)
				} else {
					l.sum.Add(1)
				}
				l.asked.Add(1)
			}
		})
	}
	l.stop = func() { close(ended); running.Wait() }
	return l
}

// Members come and go in order, and nothing is lost: no item, no count, no answer.
func TestTheCacheStaysWarm(t *testing.T) {
	const keys = 3000
	c := nodetest.Start(t, 2, func(cfg *node.Config) { cfg.MaxBytes = 32 << 20 }, patient)
	k := newAsker(t, c.Dial(0))
	setAll(t, k, keys)
	for i := range 10 {
		if got := k.line("set counter%d 0 0 1\r\n0", i); got != "STORED" {
			t.Fatal(got)
		}
	}
	l := press(t, c, 0, keys)
	steps := []struct {
		what string
		do   func()
	}{
		{"a third joins", func() { c.Launch() }},
		{"a fourth joins", func() { c.Launch() }},
		{"the second leaves", func() { c.Stop(1) }},
		{"the third leaves", func() { c.Stop(2) }},
		{"two join at once", func() { c.Launch(); c.Launch() }},
	}
	for _, step := range steps {
		before := l.asked.Load()
		step.do()
		c.WaitAgreed()
		c.WaitSettled()
		c.Wait("some load after", func() bool { return t.Failed() || l.asked.Load() > before+50 })
		t.Logf("%s: %d rounds of requests, %d misses", step.what, l.asked.Load(), l.missed.Load())
	}
	l.stop()
	if l.missed.Load() > 0 {
		t.Errorf("%d misses", l.missed.Load())
	}
	for i, n := range c.Nodes {
		if n != nil {
			expectAll(t, newAsker(t, c.Dial(i)), fmt.Sprintf("in the end, through node %d", i), keys)
		}
	}
	sum := int64(0)
	for i := range 10 {
		value, _ := k.get(fmt.Sprintf("counter%d", i))
		var count int64
		fmt.Sscan(value, &count)
		sum += count
	}
	if sum != l.sum.Load() {
		t.Errorf("the counters add up to %d, and %d counts were acknowledged", sum, l.sum.Load())
	}
}
