package executor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

const start = 1_700_000_000

// bench is an executor over a small store whose clock stands at start.
type bench struct {
	*executor.Executor
	clock *storage.Clock
	store *storage.Store
}

func newBench(t testing.TB, cfg executor.Config) *bench {
	t.Helper()
	return newBenchFor(t, cfg, 1<<16)
}

// newBenchFor makes one for items of up to so many bytes.
func newBenchFor(t testing.TB, cfg executor.Config, maxItemBytes int) *bench {
	t.Helper()
	clock := storage.NewManualClock(start)
	store, err := storage.Open(storage.Config{MaxBytes: 4 << 20, MaxItemBytes: maxItemBytes, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	cfg.Store, cfg.Clock = store, clock
	return &bench{executor.New(cfg), clock, store}
}

// do runs one request and tells the answer in a line: the status, and the value if there is one.
func (b *bench) do(req protocol.Request) (string, protocol.Response) {
	var resp protocol.Response
	if b.Handle(&req, &resp) != nil {
		panic("an executor answers at once")
	}
	names := map[protocol.Status]string{
		protocol.OK: "ok", protocol.NotFound: "notfound", protocol.NotStored: "notstored", protocol.Exists: "exists", protocol.NonNumeric: "nonnumeric",
		protocol.TooLarge: "toolarge", protocol.NotAllowed: "notallowed", protocol.UnknownCommand: "unknown",
	}
	line := names[resp.Status]
	if len(resp.Value) > 0 {
		line += " " + string(resp.Value)
	}
	if req.Op == protocol.Incr || req.Op == protocol.Decr {
		line += fmt.Sprintf(" %d", resp.Number)
	}
	return line, resp
}

func request(op protocol.Op, key, value string) protocol.Request {
	return protocol.Request{Op: op, Key: []byte(key), Value: []byte(value)}
}

// steps plays a story: each step is a request and the line it must be answered with.
type step struct {
	req  protocol.Request
	want string
}

func play(t *testing.T, b *bench, steps ...step) {
	t.Helper()
	for i, s := range steps {
		if got, _ := b.do(s.req); got != s.want {
			t.Fatalf("step %d, %s: %q, want %q", i, s.req.Op, got, s.want)
		}
	}
}

func with(req protocol.Request, change func(*protocol.Request)) protocol.Request {
	change(&req)
	return req
}

func TestStores(t *testing.T) {
	get := request(protocol.Get, "k", "")
	play(t, newBench(t, executor.Config{}),
		step{get, "notfound"},
		step{request(protocol.Replace, "k", "a"), "notstored"},
		step{request(protocol.Append, "k", "a"), "notstored"},
		step{request(protocol.Prepend, "k", "a"), "notstored"},
		step{request(protocol.Add, "k", "b"), "ok"},
		step{request(protocol.Add, "k", "c"), "notstored"},
		step{get, "ok b"},
		step{request(protocol.Replace, "k", "d"), "ok"},
		step{request(protocol.Append, "k", "e"), "ok"},
		step{request(protocol.Prepend, "k", "c"), "ok"},
		step{get, "ok cde"},
		step{request(protocol.Delete, "k", ""), "ok"},
		step{request(protocol.Delete, "k", ""), "notfound"},
		step{get, "notfound"},
	)
}

func TestAppendKeepsFlagsAndExpiry(t *testing.T) {
	b := newBench(t, executor.Config{})
	b.do(with(request(protocol.Set, "k", "a"), func(r *protocol.Request) { r.Flags, r.Exptime = 7, 10 }))
	b.do(with(request(protocol.Append, "k", "b"), func(r *protocol.Request) { r.Flags, r.Exptime = 9, 1000 }))
	if _, resp := b.do(request(protocol.Get, "k", "")); string(resp.Value) != "ab" || resp.Flags != 7 || resp.TTL != 10 {
		t.Fatalf("value %q, flags %d, TTL %d; want ab, 7, 10", resp.Value, resp.Flags, resp.TTL)
	}
}

func TestCompareAndSet(t *testing.T) {
	b := newBench(t, executor.Config{})
	cas := func(value string, unique uint64) protocol.Request {
		return with(request(protocol.Set, "k", value), func(r *protocol.Request) { r.Options, r.CAS = protocol.Compare, unique })
	}
	play(t, b, step{cas("a", 1), "notfound"}, step{request(protocol.Set, "k", "a"), "ok"})
	_, first := b.do(request(protocol.Get, "k", ""))
	play(t, b, step{cas("b", first.CAS), "ok"}, step{cas("c", first.CAS), "exists"}, step{request(protocol.Get, "k", ""), "ok b"})
	if _, second := b.do(request(protocol.Get, "k", "")); second.CAS <= first.CAS {
		t.Fatalf("the CAS unique went from %d to %d", first.CAS, second.CAS)
	}
	stats := b.Stats()
	if hits, misses, bad := stats.CasHits.Load(), stats.CasMisses.Load(), stats.CasBadval.Load(); hits != 1 || misses != 1 || bad != 1 {
		t.Fatalf("%d hits, %d misses, %d bad; want 1 each", hits, misses, bad)
	}
}

func TestCounting(t *testing.T) {
	f := func(op protocol.Op, value string, delta uint64, want, stored string) {
		t.Helper()
		b := newBench(t, executor.Config{})
		b.do(request(protocol.Set, "k", value))
		if got, _ := b.do(with(request(op, "k", ""), func(r *protocol.Request) { r.Delta = delta })); got != want {
			t.Errorf("%s %q by %d: %q, want %q", op, value, delta, got, want)
		}
		if _, resp := b.do(request(protocol.Get, "k", "")); string(resp.Value) != stored {
			t.Errorf("%s %q by %d stored %q, want %q", op, value, delta, resp.Value, stored)
		}
	}
	f(protocol.Incr, "1", 2, "ok 3", "3")
	f(protocol.Incr, "9", 1, "ok 10", "10")
	f(protocol.Incr, "18446744073709551615", 2, "ok 1", "1                   ")
	f(protocol.Incr, " 5 ", 1, "ok 6", "6  ")
	f(protocol.Incr, "5 five", 1, "ok 6", "6     ")
	f(protocol.Decr, "5", 6, "ok 0", "0")
	f(protocol.Decr, "10", 1, "ok 9", "9 ")
	f(protocol.Decr, "10", 10, "ok 0", "0 ")
	for _, bad := range []string{"", "a", "5a", "-1", "+1", "18446744073709551616", "1.5", " "} {
		f(protocol.Incr, bad, 1, "nonnumeric 0", bad)
	}
	play(t, newBench(t, executor.Config{}), step{request(protocol.Incr, "k", ""), "notfound 0"})
}

func TestExpiry(t *testing.T) {
	f := func(exptime int64, wait int64, want string) {
		t.Helper()
		b := newBench(t, executor.Config{})
		b.do(with(request(protocol.Set, "k", "v"), func(r *protocol.Request) { r.Exptime = exptime }))
		b.clock.Advance(wait)
		if got, _ := b.do(request(protocol.Get, "k", "")); got != want {
			t.Errorf("exptime %d after %d s: %q, want %q", exptime, wait, got, want)
		}
	}
	f(0, 1<<30, "ok v")
	f(-1, 0, "notfound")
	f(10, 9, "ok v")
	f(10, 10, "notfound")
	f(60*60*24*30, 60*60*24*30-1, "ok v")
	f(60*60*24*30+1, 0, "notfound") // a second of 1970
	f(start+5, 4, "ok v")
	f(start+5, 5, "notfound")
	f(start-1, 0, "notfound")
}

func TestTouchAndGat(t *testing.T) {
	b := newBench(t, executor.Config{})
	touch := with(request(protocol.Touch, "k", ""), func(r *protocol.Request) { r.Exptime = 100 })
	gat := with(request(protocol.Gat, "k", ""), func(r *protocol.Request) { r.Exptime, r.Options = 200, protocol.SetExptime })
	play(t, b, step{touch, "notfound"}, step{gat, "notfound"})
	b.do(with(request(protocol.Set, "k", "v"), func(r *protocol.Request) { r.Exptime = 10 }))
	play(t, b, step{touch, "ok"})
	b.clock.Advance(50)
	play(t, b, step{gat, "ok v"})
	b.clock.Advance(199)
	play(t, b, step{request(protocol.Get, "k", ""), "ok v"})
	b.clock.Advance(1)
	play(t, b, step{request(protocol.Get, "k", ""), "notfound"})
}

// A long value is withheld from who asks for a brief answer, is not copied for that, and is told of all the same; who asks for it again leaves no trace.
func TestBriefAndAgain(t *testing.T) {
	b := newBenchFor(t, executor.Config{}, 100<<10)
	f := func(op protocol.Op, valueBytes int) {
		t.Helper()
		b.do(request(protocol.Set, "k", strings.Repeat("x", valueBytes)))
		brief := with(request(op, "k", ""), func(r *protocol.Request) { r.Options = protocol.Brief })
		withheld := valueBytes > protocol.BulkBytes
		_, first := b.do(brief)
		if first.Marks.Has(protocol.Withheld) != withheld || (len(first.Value) == 0) != withheld || int(first.Size) != valueBytes || cap(first.Scratch) > 2*protocol.BulkBytes {
			t.Errorf("%s of %d bytes: marks %b, value of %d, size %d, scratch of %d", op, valueBytes, first.Marks, len(first.Value), first.Size, cap(first.Scratch))
		}
		b.do(request(protocol.Set, "k", strings.Repeat("y", valueBytes)))
		for range 2 {
			_, again := b.do(with(request(protocol.Get, "k", ""), func(r *protocol.Request) { r.Options = protocol.NoBump | protocol.Again }))
			if len(again.Value) != valueBytes || int(again.Size) != valueBytes || again.Marks != 0 {
				t.Errorf("again, %d bytes: marks %b, value of %d, size %d", valueBytes, again.Marks, len(again.Value), again.Size)
			}
		}
		without := with(brief, func(r *protocol.Request) { r.Options |= protocol.NoValue })
		if _, bare := b.do(without); bare.Marks.Has(protocol.Withheld) || len(bare.Value) > 0 || int(bare.Size) != valueBytes {
			t.Errorf("%s of %d bytes without the value: marks %b, value of %d, size %d", op, valueBytes, bare.Marks, len(bare.Value), bare.Size)
		}
	}
	for _, op := range []protocol.Op{protocol.Get, protocol.Gat} {
		f(op, 100)
		f(op, protocol.BulkBytes)
		f(op, 90<<10)
	}
}

func TestFlush(t *testing.T) {
	b := newBench(t, executor.Config{})
	get, set := request(protocol.Get, "k", ""), request(protocol.Set, "k", "v")
	flush := request(protocol.Flush, "", "")
	play(t, b, step{set, "ok"}, step{flush, "ok"}, step{get, "notfound"}, step{set, "ok"}, step{get, "ok v"})
	play(t, b, step{with(flush, func(r *protocol.Request) { r.Exptime = 10 }), "ok"}, step{get, "ok v"}, step{request(protocol.Set, "late", "v"), "ok"})
	b.clock.Advance(10)
	play(t, b, step{get, "notfound"}, step{request(protocol.Get, "late", ""), "notfound"}, step{set, "ok"}, step{get, "ok v"})
	play(t, newBench(t, executor.Config{NoFlush: true}), step{set, "ok"}, step{flush, "notallowed"}, step{get, "ok v"})
}

// What is refused for its size takes the old value along: it is out of date (memcached's stale data rule).
func TestRefusedStoresRemoveTheOldValue(t *testing.T) {
	b := newBench(t, executor.Config{})
	get, large := request(protocol.Get, "k", ""), strings.Repeat("x", 1<<16)
	play(t, b, step{request(protocol.Set, "k", "old"), "ok"}, step{request(protocol.Set, "k", large), "toolarge"}, step{get, "notfound"})
	discard := with(request(protocol.Discard, "k", ""), func(r *protocol.Request) { r.Reason = protocol.TooLarge })
	play(t, b, step{request(protocol.Set, "k", "old"), "ok"}, step{discard, "toolarge"}, step{get, "notfound"})
	if got := b.Stats().TooLarge.Load(); got != 2 {
		t.Fatalf("store_too_large is %d, want 2", got)
	}
}

func TestLeases(t *testing.T) {
	b := newBench(t, executor.Config{})
	ask := func(change func(*protocol.Request)) (string, protocol.Marks) {
		line, resp := b.do(with(request(protocol.Gat, "k", ""), func(r *protocol.Request) { r.Options = protocol.Lease; change(r) }))
		return line, resp.Marks
	}
	expect := func(what string, change func(*protocol.Request), wantLine string, wantMarks protocol.Marks) {
		t.Helper()
		if line, marks := ask(change); line != wantLine || marks&^protocol.Fetched != wantMarks {
			t.Fatalf("%s: %q, marks %04b; want %q, %04b", what, line, marks, wantLine, wantMarks)
		}
	}
	vivify := func(r *protocol.Request) { r.Options |= protocol.Vivify; r.VivifyExptime = 30 }
	recache := func(r *protocol.Request) { r.Options |= protocol.Recache; r.RecacheTTL = 20 }
	expect("the first to miss", vivify, "ok", protocol.Won)
	expect("the second", vivify, "ok", protocol.Leased)
	b.do(with(request(protocol.Set, "k", "v"), func(r *protocol.Request) { r.Exptime = 30 }))
	expect("filled, and fresh", recache, "ok v", 0)
	b.clock.Advance(11)
	expect("the first to see it late", recache, "ok v", protocol.Won)
	expect("the second", recache, "ok v", protocol.Leased)
	b.do(with(request(protocol.Delete, "k", ""), func(r *protocol.Request) { r.Options = protocol.Invalidate }))
	plain := func(*protocol.Request) {}
	expect("the first to see it stale", plain, "ok v", protocol.Won|protocol.Stale)
	expect("the second", plain, "ok v", protocol.Leased|protocol.Stale)
	b.do(request(protocol.Set, "k", "new"))
	expect("stored anew", plain, "ok new", 0)
}

func BenchmarkExecutor(b *testing.B) {
	e := newBench(b, executor.Config{})
	f := func(name string, req protocol.Request) {
		b.Run(name, func(b *testing.B) {
			var resp protocol.Response
			b.ReportAllocs()
			for b.Loop() {
				resp.Reset()
				e.Handle(&req, &resp)
			}
		})
	}
	value := strings.Repeat("v", 100)
	f("set", request(protocol.Set, "key", value))
	f("get", request(protocol.Get, "key", ""))
	f("get-miss", request(protocol.Get, "other", ""))
	e.do(request(protocol.Set, "number", "1"))
	f("incr", with(request(protocol.Incr, "number", ""), func(r *protocol.Request) { r.Delta = 1 }))
	f("touch", request(protocol.Touch, "key", ""))
}

// A get is counted once: in its conversation's Tally, if that has one, which is counted when it is handed on.
func TestGetsAreCountedOnce(t *testing.T) {
	b := newBench(t, executor.Config{})
	counted := func() (hits, misses uint64) {
		stats := b.Stats()
		return stats.GetHits.Load(), stats.GetMisses.Load()
	}
	f := func(wantHits, wantMisses uint64) {
		t.Helper()
		if hits, misses := counted(); hits != wantHits || misses != wantMisses {
			t.Errorf("%d hits, %d misses; want %d, %d", hits, misses, wantHits, wantMisses)
		}
	}
	b.do(request(protocol.Set, "k", "v"))
	b.do(request(protocol.Get, "k", ""))
	b.do(request(protocol.Get, "absent", ""))
	f(1, 1)
	tally := new(protocol.Tally)
	told := func(r *protocol.Request) { r.Tally = tally }
	b.do(with(request(protocol.Get, "k", ""), told))
	b.do(with(request(protocol.Get, "k", ""), told))
	b.do(with(request(protocol.Get, "absent", ""), told))
	f(1, 1)
	if *tally != (protocol.Tally{Hits: 2, Misses: 1}) {
		t.Errorf("got %+v", *tally)
	}
	b.Counter(7)(*tally)
	f(3, 2)
}
