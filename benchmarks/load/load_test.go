package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/benchmarks/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfig(t *testing.T) {
	f := func(right bool, change func(*Config)) {
		t.Helper()
		c := Config{Addrs: []string{"127.0.0.1:1"}, Duration: time.Second}
		change(&c)
		if err := c.complete(); (err == nil) != right {
			t.Errorf("%+v: %v", c, err)
		}
	}
	f(true, func(*Config) {})
	f(true, func(c *Config) { c.Duration, c.Requests = 0, 7 })
	f(true, func(c *Config) { c.Keying.Zipf = 1 })
	f(false, func(c *Config) { c.Addrs = nil })
	f(false, func(c *Config) { c.Duration = 0 })
	f(false, func(c *Config) { c.Conns = -1 })
	f(false, func(c *Config) { c.Depth = maxDepth + 1 })
	f(false, func(c *Config) { c.ValueBytes = Range{100, 50} })
	f(false, func(c *Config) { c.ValueBytes = Range{1, 2 << 20} })
	f(false, func(c *Config) { c.Mix.Set = -1 })
	f(false, func(c *Config) { c.Keying = Keying{Zipf: 1, Hot: 0.1} })
	f(false, func(c *Config) { c.Keying.Hot = 1 })
}

func newTestConn(t testing.TB, c Config) *conn {
	c.Addrs, c.Duration = []string{"127.0.0.1:1"}, time.Second
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	report, left := newReport(), uint64(math.MaxUint64)
	return newConn(newDealer(&c, 0), trace.NewValues(), &report, &left)
}

func TestDealerKeepsTheMix(t *testing.T) {
	d := newTestConn(t, Config{Mix: Mix{Get: 5, Set: 2, MultiGet: 1, Touch: 1, Incr: 1}, PerGet: 3, Keys: 500}).dealer
	const n = 100_000
	var r request
	var got [5]int
	for range n {
		d.deal(&r)
		got[r.op]++
		wantKeys := 1
		if r.op == multiGet {
			wantKeys = 3
		}
		if len(r.keys) != wantKeys {
			t.Fatalf("%d has %d keys", r.op, len(r.keys))
		}
		for _, key := range r.keys {
			if counter := key >= 500; counter != (r.op == incr) || key >= 500+counters {
				t.Fatalf("op %d asks for key %d", r.op, key)
			}
		}
	}
	for o, part := range []float64{0.5, 0.2, 0.1, 0.1, 0.1} {
		if math.Abs(float64(got[o])/n-part) > 0.01 {
			t.Errorf("op %d came %d times", o, got[o])
		}
	}
}

func TestDealerKeepsTheKeying(t *testing.T) {
	d := newTestConn(t, Config{Keys: 1000, Keying: Keying{Hot: 0.1, HotShare: 0.9}}).dealer
	hot := 0
	for range 10_000 {
		if d.key() < 100 {
			hot++
		}
	}
	if hot < 8800 || hot > 9200 {
		t.Errorf("%d of 10,000 are hot", hot)
	}
}

// answer is what a server that has every key says to one request, in one wire.
func answer(c *conn, r *request) (text []byte) {
	value := func(key uint32) []byte { return c.values.Of(key, c.dealer.config.sizeOf(key)) }
	name := func(key uint32) string { return string(trace.AppendKey(nil, key)) }
	packet := func(opcode byte, opaque int, extras string, value []byte) {
		p := head(nil, opcode, len(extras), 0, len(value), uint32(opaque))
		p[0] = answered
		text = append(append(append(text, p...), extras...), value...)
	}
	say := func(format string, args ...any) { text = fmt.Appendf(text, format+"\r\n", args...) }
	switch wire := c.dealer.config.Wire; {
	case wire == Binary && r.op == multiGet:
		for i, key := range r.keys {
			packet(opGetKQ, i, "\x00\x00\x00\x00", value(key))
		}
		packet(opNoop, 0, "", nil)
	case wire == Binary && r.op == get:
		packet(opGet, 0, "\x00\x00\x00\x00", value(r.keys[0]))
	case wire == Binary:
		packet(map[op]byte{set: opSet, touch: opTouch, incr: opIncrement}[r.op], 0, "", nil)
	case r.op == set:
		say(map[Wire]string{Text: "STORED", Meta: "HD"}[wire])
	case r.op == touch:
		say(map[Wire]string{Text: "TOUCHED", Meta: "HD"}[wire])
	case r.op == incr && wire == Text:
		say("17")
	case r.op == incr:
		say("VA 2\r\n17")
	default:
		for _, key := range r.keys {
			if wire == Text {
				say("VALUE %s 0 %d\r\n%s", name(key), len(value(key)), value(key))
			} else {
				say("VA %d k%s\r\n%s", len(value(key)), name(key), value(key))
			}
		}
		switch {
		case wire == Text:
			say("END")
		case r.op == multiGet:
			say("MN")
		}
	}
	return text
}

// TestConnTakesAnswersInAnyPieces feeds every wire's answers cut at every byte.
func TestConnTakesAnswersInAnyPieces(t *testing.T) {
	for wire := range Wires {
		f := func(piece int) {
			t.Helper()
			c := newTestConn(t, Config{Wire: Wire(wire), Depth: 40, PerGet: 5, Keys: 100, ValueBytes: Range{1, 300}, Mix: Mix{1, 1, 1, 1, 1}})
			c.ask(0)
			var in []byte
			keys := 0
			for i := range c.waiting() {
				in = append(in, answer(c, &c.open[i])...)
				keys += len(c.open[i].keys)
			}
			for len(in) > 0 {
				n := copy(c.space(), in[:min(piece, len(in))])
				in = in[n:]
				if err := c.came(n, 5000); err != nil {
					t.Fatalf("%v, in pieces of %d: %v", Wire(wire), piece, err)
				}
			}
			r := c.report
			if c.waiting() != 0 || r.Requests != 40 || r.Hits != uint64(keys) || r.Misses+r.Wrong+r.Errors != 0 || r.Times.TotalCount() != 40 {
				t.Errorf("%v, in pieces of %d: %d wait, %+v", Wire(wire), piece, c.waiting(), *r)
			}
		}
		for piece := 1; piece < 70; piece++ {
			f(piece)
		}
		f(4000)
	}
}

func TestConnSeesWhatIsWrong(t *testing.T) {
	f := func(wire Wire, o op, said string, want Report) {
		t.Helper()
		c := newTestConn(t, Config{Wire: wire, Keys: 1, PerGet: 2, ValueBytes: Range{Least: 3}, Mix: map[op]Mix{get: {Get: 1}, set: {Set: 1}, multiGet: {MultiGet: 1}, incr: {Incr: 1}}[o]})
		c.ask(0)
		said = strings.NewReplacer("KEY", string(trace.AppendKey(nil, c.open[0].keys[0])), "<v>", string(c.values.Of(0, c.dealer.config.sizeOf(0)))).Replace(said)
		err := c.came(copy(c.space(), said), 1)
		got := *c.report
		if want.Requests == 0 {
			if err == nil {
				t.Errorf("%v: %q is taken", wire, said)
			}
			return
		}
		if err != nil || got.Hits != want.Hits || got.Misses != want.Misses || got.Wrong != want.Wrong || got.Errors != want.Errors || got.Requests != want.Requests {
			t.Errorf("%v: %q gives %v, %+v", wire, said, err, got)
		}
	}
	f(Text, get, "VALUE KEY 0 3\r\n<v>\r\nEND\r\n", Report{Requests: 1, Hits: 1})
	f(Text, get, "END\r\n", Report{Requests: 1, Misses: 1})
	f(Text, get, "VALUE KEY 0 3\r\nxyz\r\nEND\r\n", Report{Requests: 1, Hits: 1, Wrong: 1})
	f(Text, get, "VALUE KEY 0 2\r\nxy\r\nEND\r\n", Report{Requests: 1, Hits: 1, Wrong: 1})
	f(Text, get, "SERVER_ERROR out of memory\r\n", Report{Requests: 1, Errors: 1})
	f(Text, get, "VALUE KEZ 0 3\r\n<v>\r\nEND\r\n", Report{})
	f(Text, get, "ERROR\r\n", Report{})
	f(Text, get, "END\r\nEND\r\n", Report{})
	f(Text, set, "STORED\r\n", Report{Requests: 1, Hits: 1})
	f(Text, set, "HD\r\n", Report{})
	f(Text, incr, "NOT_FOUND\r\n", Report{Requests: 1, Misses: 1})
	f(Text, incr, "many\r\n", Report{})
	f(Text, multiGet, "VALUE KEY 0 3\r\n<v>\r\nEND\r\n", Report{Requests: 1, Hits: 1, Misses: 1})
	f(Meta, multiGet, "VA 3 kKEY\r\n<v>\r\nMN\r\n", Report{Requests: 1, Hits: 1, Misses: 1})
	f(Meta, multiGet, "SERVER_ERROR out of memory\r\nVA 3 kKEY\r\n<v>\r\nMN\r\n", Report{Requests: 1, Hits: 1, Misses: 1, Errors: 1})
	f(Meta, get, "EN\r\n", Report{Requests: 1, Misses: 1})
	f(Meta, get, "HD\r\n", Report{})
	f(Meta, multiGet, "HD\r\nMN\r\n", Report{})
	f(Meta, get, "VA 3 kKEZ\r\n<v>\r\n", Report{})
	f(Binary, get, "\x80\x00"+strings.Repeat("\x00", 22), Report{})
	f(Binary, get, "\x81\x00\x00\x00\x00\x00\x00\x01"+strings.Repeat("\x00", 16), Report{Requests: 1, Misses: 1})
	f(Binary, multiGet, "\x81\x0d\x00\x00\x00\x00\x00\x82"+strings.Repeat("\x00", 16)+"\x81\x0a"+strings.Repeat("\x00", 22), Report{Requests: 1, Misses: 2, Errors: 1})
	f(Binary, set, "\x81\x01\x00\x00\x00\x00\x00\x82"+strings.Repeat("\x00", 16), Report{Requests: 1, Errors: 1})
}

// TestRun asks a real memcached, in each wire, by both ways to drive.
func TestRun(t *testing.T) {
	addr := startMemcached(t)
	base := Config{Addrs: []string{addr}, Keys: 2000, ValueBytes: Range{1, 100_000}, PerGet: 20}
	if err := Fill(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	f := func(wire Wire, change func(*Config), run func(context.Context, Config) (*Report, error)) {
		t.Helper()
		c := base
		c.Wire, c.Conns, c.Threads, c.Depth, c.Requests, c.Mix = wire, 5, 2, 8, 3000, Mix{5, 2, 1, 1, 1}
		change(&c)
		r, err := run(t.Context(), c)
		if err != nil {
			t.Fatalf("%v: %v", wire, err)
		}
		if r.Requests != c.Requests || r.Hits != r.Keys || r.Misses+r.Wrong+r.Errors != 0 || r.Times.TotalCount() != int64(c.Requests) {
			t.Errorf("%v: %+v", wire, *r)
		}
	}
	for wire := range Wires {
		f(Wire(wire), func(*Config) {}, Run)
		f(Wire(wire), func(c *Config) { c.Depth, c.Rate = 1, 50_000 }, Run)
		f(Wire(wire), func(c *Config) { c.Threads = 1 }, byGoroutines)
	}
}

// byGoroutines runs a thread as if over TLS.
func byGoroutines(ctx context.Context, c Config) (*Report, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	report, all := newReport(), &total{report: newReport(), meanwhile: c.Meanwhile}
	err := newThread(&c, 0, trace.NewValues(), &report, all, time.Now()).goroutines(ctx)
	all.take(&report)
	return &all.report, err
}

// TestRunTellsMeanwhile: what is told grows, and nothing of it is lost at the end, or counted twice.
func TestRunTellsMeanwhile(t *testing.T) {
	f := func(c Config, run func(context.Context, Config) (*Report, error)) {
		t.Helper()
		server := startEmpty(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var requests uint64
		calls := 0
		c.Addrs, c.Conns, c.Depth, c.Duration = []string{server.addr}, 4, 10, time.Hour
		c.Meanwhile = func(soFar *Report) {
			if calls++; calls == 2 {
				cancel()
			}
			if soFar.Requests <= requests || soFar.Elapsed < time.Duration(calls)*meanwhileEvery || soFar.Times.TotalCount() != int64(soFar.Requests) {
				t.Errorf("told %+v after %d requests", *soFar, requests)
			}
			requests = soFar.Requests
		}
		r, err := run(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if answered := server.answered.Load(); r.Requests != answered || r.Misses != answered || r.Times.TotalCount() != int64(answered) || r.Requests < requests || r.Elapsed < 2*meanwhileEvery {
			t.Errorf("%+v of %d answers, %d of which were told", *r, answered, requests)
		}
	}
	f(Config{Threads: 2, Rate: 2000}, Run)
	f(Config{Threads: 1}, byGoroutines)
}

// An empty is a server that has no key, and counts what it is asked.
type empty struct {
	addr     string
	answered atomic.Uint64
}

// startEmpty gives one that ends with the test.
func startEmpty(t *testing.T) *empty {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &empty{addr: l.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			all.Go(func() {
				defer func() { _ = c.Close() }()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					e.answered.Add(1)
					if _, err := c.Write([]byte("END\r\n")); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return e
}

// TestRunKeepsTheRate: never more, and as many unless the machine is too busy at the end: then in another try.
func TestRunKeepsTheRate(t *testing.T) {
	addr := startMemcached(t)
	var most uint64
	for try := 0; try < 10 && most < 1900; try++ {
		r, err := Run(t.Context(), Config{Addrs: []string{addr}, Conns: 4, Rate: 5000, Duration: 400 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, r.Requests)
	}
	if most < 1900 || most > 2001 {
		t.Errorf("%d requests in 400 ms at 5,000 a second", most)
	}
}

func TestRunEnds(t *testing.T) {
	if _, err := Run(t.Context(), Config{Addrs: []string{"127.0.0.1:1"}, Requests: 1}); err == nil {
		t.Error("nobody is there, and it runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	addr := startMemcached(t)
	if _, err := Run(ctx, Config{Addrs: []string{addr}, Conns: 3, Duration: time.Hour}); err != nil {
		t.Error(err)
	}
}

// startMemcached gives the address of one that ends with the test.
func startMemcached(t *testing.T) string {
	if _, err := exec.LookPath("memcached"); err != nil {
		t.Skip("no memcached here")
	}
	port, err := "", errors.New("not tried yet")
	for tries := 0; err != nil && tries < 100; tries++ {
		port = strconv.Itoa(15_000 + rand.IntN(17_000)) // below those that the system gives away: nobody comes first
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + port
	server := exec.Command("memcached", "-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "512", "-t", "1")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestConnAllocatesNothing(t *testing.T) {
	for wire := range Wires {
		c := newTestConn(t, Config{Wire: Wire(wire), Depth: 16, PerGet: 5, Keys: 100, Mix: Mix{Get: 4, Set: 1}})
		c.ask(0)
		stored := map[Wire]string{Text: "STORED\r\n", Meta: "HD\r\n", Binary: "\x81\x01" + strings.Repeat("\x00", 22)}[Wire(wire)]
		missed := map[Wire]string{Text: "END\r\n", Meta: "EN\r\n", Binary: "\x81\x00\x00\x00\x00\x00\x00\x01" + strings.Repeat("\x00", 16)}[Wire(wire)]
		var said []byte
		round := func() {
			c.out = c.out[:0]
			c.ask(0)
			said = said[:0]
			for i := c.first; i < c.last; i++ {
				r := &c.open[i&uint64(len(c.open)-1)]
				if r.op == set {
					said = append(said, stored...)
				} else {
					said = append(said, missed...)
				}
			}
			if err := c.came(copy(c.space(), said), 1); err != nil {
				t.Fatal(err)
			}
		}
		c.first = c.last
		for range 100 {
			round()
		}
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%v: %v allocations for 16 requests", Wire(wire), n)
		}
	}
}

func BenchmarkConn(b *testing.B) {
	for wire := range Wires {
		b.Run(Wire(wire).String(), func(b *testing.B) {
			c := newTestConn(b, Config{Wire: Wire(wire), Keys: 100})
			for b.Loop() {
				c.out = c.out[:0]
				c.ask(0)
				said := answer(c, &c.open[c.first&uint64(len(c.open)-1)])
				if err := c.came(copy(c.space(), said), 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
