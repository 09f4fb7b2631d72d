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
	return k.answer()
}

// pour says much, while answers are read.
func (k *asker) pour(words string) {
	_ = k.conn.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(k.conn, words) }()
}

// answer gives the next line.
func (k *asker) answer() string {
	line, err := k.in.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimRight(line, "\r\n")
}

// get gives the value of a key, and whether there is one; an error is a value of its own.
func (k *asker) get(key string) (value string, found bool) {
	return k.value(key, k.line("get %s", key))
}

// each asks for PREFIX0 and so on, all on their way at once, and gives of each what get gives.
func (k *asker) each(prefix string, count int, f func(key, value string, found bool)) {
	var gets strings.Builder
	for i := range count {
		fmt.Fprintf(&gets, "get %s%d\r\n", prefix, i)
	}
	k.pour(gets.String())
	for i := range count {
		key := fmt.Sprintf("%s%d", prefix, i)
		value, found := k.value(key, k.answer())
		f(key, value, found)
	}
}

// value is what get gives, from the first line of the answer on.
func (k *asker) value(key, head string) (value string, found bool) {
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

// valueOf is long enough for a hand-over of all to take a while.
func valueOf(key string) string { return "v" + key[1:] + strings.Repeat(".", 300) }

func setAll(t testing.TB, k *asker, count int) {
	t.Helper()
	var sets strings.Builder
	for i := range count {
		value := valueOf(fmt.Sprintf("k%d", i))
		fmt.Fprintf(&sets, "set k%d %d 0 %d\r\n%s\r\n", i, i, len(value), value)
	}
	k.pour(sets.String())
	for i := range count {
		if got := k.answer(); got != "STORED" {
			t.Fatalf("set k%d: %s", i, got)
		}
	}
}

func expectAll(t testing.TB, k *asker, what string, count int) {
	t.Helper()
	missing := 0
	k.each("k", count, func(key, value string, found bool) {
		if !found {
			missing++
		} else if value != valueOf(key) {
			t.Errorf("%s: %s is %q", what, key, value)
		}
	})
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
				case value != valueOf(key):
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

// A scene is a cluster under pressure, in which nothing may be lost: no item, no count, no answer.
type scene struct {
	t *testing.T
	c *nodetest.Cluster
	k *asker
	l *pressure
}

const sceneKeys = 3000

func begin(t *testing.T, size int, options ...nodetest.Option) *scene {
	c := nodetest.Start(t, size, append(options, func(cfg *node.Config) { cfg.MaxBytes = 32 << 20 })...)
	k := newAsker(t, c.Dial(0))
	setAll(t, k, sceneKeys)
	for i := range 10 {
		if got := k.line("set counter%d 0 0 1\r\n0", i); got != "STORED" {
			t.Fatal(got)
		}
	}
	return &scene{t: t, c: c, k: k, l: press(t, c, 0, sceneKeys)}
}

// step does something to the members, and waits until some load was served after it.
func (s *scene) step(what string, do func()) {
	s.t.Helper()
	before := s.l.asked.Load()
	do()
	s.c.Wait("some load after", func() bool { return s.t.Failed() || s.l.asked.Load() > before+50 })
	s.t.Logf("%s: %d rounds of requests, %d misses", what, s.l.asked.Load(), s.l.missed.Load())
}

func (s *scene) settle() {
	s.t.Helper()
	s.c.WaitAgreed()
	s.c.WaitSettled()
}

// end checks that all is there.
func (s *scene) end() {
	s.t.Helper()
	s.l.stop()
	if s.l.missed.Load() > 0 {
		s.t.Errorf("%d misses", s.l.missed.Load())
	}
	for i, n := range s.c.Nodes {
		if n != nil {
			expectAll(s.t, newAsker(s.t, s.c.Dial(i)), fmt.Sprintf("in the end, through node %d", i), sceneKeys)
		}
	}
	sum := int64(0)
	for i := range 10 {
		value, _ := s.k.get(fmt.Sprintf("counter%d", i))
		var count int64
		fmt.Sscan(value, &count)
		sum += count
	}
	if sum != s.l.sum.Load() {
		s.t.Errorf("the counters add up to %d, and %d counts were acknowledged", sum, s.l.sum.Load())
	}
}

func TestTheCacheStaysWarm(t *testing.T) {
	s := begin(t, 2)
	f := func(what string, do func()) {
		t.Helper()
		s.step(what, do)
		s.settle()
	}
	f("a third joins", func() { s.c.Launch() })
	f("a fourth joins", func() { s.c.Launch() })
	f("the second leaves", func() { s.c.Stop(1) })
	f("the third leaves", func() { s.c.Stop(2) })
	f("two join at once", func() { s.c.Launch(); s.c.Launch() })
	s.end()
}

// What moves again while it is still on its way is served all the time.
func TestMembersComeAndGoDuringAHandover(t *testing.T) {
	s := begin(t, 2, nodetest.AllPartitions, func(cfg *node.Config) { cfg.HandoverRate = 300 << 10 })
	s.step("a third joins", func() { s.c.Launch() })
	s.step("a fourth joins meanwhile", func() { s.c.Launch() })
	s.step("the third leaves again", func() { s.c.Stop(2) })
	s.settle()
	s.end()
}
