package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"go.uber.org/goleak"

	"github.com/memring/memring/benchmarks/load"
	"github.com/memring/memring/benchmarks/progress"
	"github.com/memring/memring/benchmarks/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNumbers(t *testing.T) {
	f := func(list string, want ...int) {
		t.Helper()
		if got, err := numbers(list); (err != nil) != (want == nil) || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v", list, got, err)
		}
	}
	f("64", 64)
	f("64, 256,1024", 64, 256, 1024)
	f("")
	f("64,")
	f("0")
	f("-1")
	f("much")
}

func TestVerdict(t *testing.T) {
	f := func(ratio float64, want string) {
		t.Helper()
		if got := verdict(ratio); got != want {
			t.Errorf("%v is %s, want %s", ratio, got, want)
		}
	}
	f(0.5, "better")
	f(0.995, "level")
	f(1.0, "level")
	f(1.009, "level")
	f(1.011, "WORSE")
}

func TestMedian(t *testing.T) {
	f := func(want float64, all ...float64) {
		t.Helper()
		if got := median(all); got != want {
			t.Errorf("the median of %v is %v, want %v", all, got, want)
		}
	}
	f(1, 1)
	f(2, 3, 1, 2)
	f(2.5, 4, 1, 2, 3)
}

// TestSummed: the ratio of CPU is that of neighbours, not that of medians, which may come from different rounds; that of times is what stands beside it.
func TestSummed(t *testing.T) {
	m := summed([][]slice{
		{{cost: 10, rate: 5, tail: 100}, {cost: 5, rate: 10, tail: 100}},
		{{cost: 20, rate: 5, tail: 300}, {cost: 10, rate: 10, tail: 300}},
		{{cost: 10, rate: 5, tail: 100}, {cost: 20, rate: 10, tail: 400}},
	})
	if m.ratio != 0.5 || m.lowest != 0.5 || m.highest != 2 || m.cost != [2]float64{10, 10} {
		t.Errorf("%+v", m)
	}
	if m.tail != [2]float64{100, 300} || m.tailRatio != 3 || m.tailLowest != 1 || m.tailHighest != 4 {
		t.Errorf("%+v", m)
	}
	w := workload{name: "w", bar: 0.4, paced: true}
	if rows := m.rows(w); len(rows) != 2 || !slices.Contains(rows[0], "NO") || !slices.Contains(rows[1], "NO") || len(rows[0]) != len(rows[1]) {
		t.Errorf("%v", rows)
	}
}

func TestTable(t *testing.T) {
	table := table{title: "T", columns: []string{"name", "n"}, rows: [][]string{{"a", "1"}, {"größer", "22"}}}
	const want = "| name   |  n |\n|--------|---:|\n| a      |  1 |\n| größer | 22 |\n"
	if got := table.markdown(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	directory := filepath.Join(t.TempDir(), "new")
	if err := table.write(directory, "x", "before", "after"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(directory, "x.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 3 || rows[2][1] != "22" {
		t.Errorf("the CSV holds %v, %v", rows, err)
	}
}

// TestCompare runs the comparisons, made small, with the program that is there on both sides.
func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	if _, err := exec.LookPath("memcached"); err != nil {
		t.Skip("no memcached here")
	}
	memring := buildMemring(t)
	f := func(name string, args ...string) {
		t.Helper()
		out := t.TempDir()
		args = append(args, "-memring", memring, "-out", out)
		if !slices.Contains(args, "-m") {
			args = append(args, "-m", "8")
		}
		if err := run(context.Background(), args); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		text, err := os.ReadFile(filepath.Join(out, name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{strings.Join(args, " "), "|---", name + ".svg"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s.md does not contain %q:\n%s", name, want, text)
			}
		}
		if svg, err := os.ReadFile(filepath.Join(out, name+".svg")); err != nil || !strings.Contains(string(svg), "<svg") {
			t.Errorf("%s.svg is no plot: %v", name, err)
		}
	}
	f("hitratio", "hitratio", "-traces", "", "-footprints", "3", "-only", "one-hit")
	f("fill", "fill", "-only", "100 KB")
	f("speed", "speed", "-only", "^(1 connection|paced.*|TLS.*|idle.*)$", "-rounds", "2", "-slice", "50ms", "-m", "64")
	f("speed", "speed", "-only", "^idle", "-m", "64")
	f("cluster", "cluster", "-nodes", "1,2", "-rounds", "1", "-slice", "50ms", "-m", "64")
	f("scale", "scale", "-conns", "1,100", "-idle", "50", "-busy", "20", "-rounds", "1", "-slice", "50ms", "-m", "64")
	f("warm", "warm", "-on", "memcached", "-events", "kill", "-keys", "2000", "-rate", "1000", "-quiet", "2s", "-after", "1s", "-m", "64")
}

// TestSoak is a short one: nodes join and leave under load, and what is counted is counted.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	out := t.TempDir()
	if err := run(context.Background(), []string{"soak", "-for", "4s", "-period", "2s", "-rate", "500", "-m", "64", "-memring", buildMemring(t), "-out", out}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "soak.md"))
	if err != nil || !strings.Contains(string(text), "\n| 2      | meta") || !strings.Contains(string(text), "Not judged") {
		t.Errorf("%v\n%s", err, text)
	}
}

func buildMemring(t *testing.T) string {
	t.Helper()
	memring := filepath.Join(t.TempDir(), "memring")
	if said, err := exec.Command("go", "build", "-o", memring, "../../cmd/memring").CombinedOutput(); err != nil {
		t.Fatalf("build memring: %v\n%s", err, said)
	}
	return memring
}

// TestFindings: what has grown is told, and what was there before, or comes and goes, is not.
func TestFindings(t *testing.T) {
	f := func(what string, want bool, n int, change func(rows []soaked)) {
		t.Helper()
		s := &soak{bench: &bench{limits: []int{40}, progress: progress.New(os.Stderr)}}
		for i := range n {
			r := soaked{report: load.Report{Times: hdrhistogram.New(1000, 1e9, 3)}, wire: load.Wire(i % 3), rss: 120 << 20, store: 100 << 20, descriptors: 50, goroutines: 200}
			if err := r.report.Times.RecordValue(1e6 + int64(i%3)*1e5); err != nil {
				t.Fatal(err)
			}
			s.rows = append(s.rows, r)
		}
		change(s.rows)
		if err := s.judge(); (err == nil) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	each := func(change func(i int, r *soaked)) func([]soaked) {
		return func(rows []soaked) {
			for i := range rows {
				change(i, &rows[i])
			}
		}
	}
	last := func(change func(*soaked)) func([]soaked) {
		return func(rows []soaked) { change(&rows[len(rows)-1]) }
	}
	f("nothing", true, 30, last(func(*soaked) {}))
	f("memory, ever more", false, 30, each(func(i int, r *soaked) { r.rss += uint64(i) << 18 }))
	f("memory, until the caches are full", true, 30, each(func(i int, r *soaked) { r.store = uint64(min(i, 12)) << 23; r.rss = r.store + 20<<20 }))
	f("memory, beyond half time", false, 30, each(func(i int, r *soaked) { r.store = uint64(i) * 3 << 20; r.rss = r.store + 20<<20 }))
	f("memory, up and down", true, 30, each(func(i int, r *soaked) { r.rss += uint64(i%2) << 22 }))
	f("memory, more than was promised", false, 30, func(rows []soaked) { rows[3].rss *= 2 })
	f("descriptors", false, 30, last(func(r *soaked) { r.descriptors += 20 }))
	f("goroutines", false, 30, last(func(r *soaked) { r.goroutines += 20 }))
	f("times", false, 30, func(rows []soaked) {
		for _, r := range rows[27:] {
			_ = r.report.Times.RecordValue(2e6)
		}
	})
	f("refused", false, 30, last(func(r *soaked) { r.report.Errors = 1 }))
	f("too early", true, 4, last(func(r *soaked) { r.rss *= 2 }))
}

// TestInterrupted: what was measured is kept.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h := &hitRatio{bench: &bench{out: t.TempDir(), progress: progress.New(os.Stderr)}, only: regexp.MustCompile("")}
	some := outcome{all: trace.Tally{Gets: 10, Misses: 5}}
	late := some
	late.late = 3 * time.Second
	if err := h.write([]*hitCase{{name: "x", limit: 64, outcomes: [2]outcome{late, some}}}, partial(ctx, ctx.Err())); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(h.out, "hitratio.md"))
	if err != nil || !strings.Contains(string(text), "**Interrupted: some of it is missing.** Of 1 cases") || !strings.Contains(string(text), "memcached on x at -m 64 (by up to 3.0 s)") {
		t.Errorf("%v:\n%s", err, text)
	}
	if err := h.run(ctx); err == nil {
		t.Error("a cancelled run ends well")
	}
}

// TestInterruptedRunsKeepWhatTheyHave: one that is interrupted after its first figures leaves them, says so, and leaves no server behind (TestMain
// would see who waits for it).
func TestInterruptedRunsKeepWhatTheyHave(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	memring := buildMemring(t)
	ctx, cancel := context.WithCancel(t.Context())
	bench := func(said string) *bench {
		ctx, cancel = context.WithCancel(t.Context())
		return &bench{memring: memring, out: t.TempDir(), limits: []int{64}, progress: progress.New(&interrupting{text: said, interrupt: cancel})}
	}
	f := func(name string, run func(context.Context) error, out string, rows int) {
		t.Helper()
		defer cancel()
		if err := run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		text, err := os.ReadFile(filepath.Join(out, name+".md"))
		if err != nil || !strings.Contains(string(text), "**Interrupted: some of it is missing.**") {
			t.Errorf("%s.md: %v\n%s", name, err, text)
		}
		lines, err := os.ReadFile(filepath.Join(out, name+".csv"))
		if got := strings.Count(string(lines), "\n"); err != nil || got != 1+rows {
			t.Errorf("%s.csv: %d lines, want %d, %v", name, got, 1+rows, err)
		}
	}
	const short = 200 * time.Millisecond

	b := bench("1   ")
	b.instead = func() []recipe { return []recipe{memringAt(memring), memringAt(memring)} }
	s := newScale(b, flag.NewFlagSet("", flag.ContinueOnError))
	s.rounds, s.slice, s.conns, s.idle, s.busy = 1, short, []int{1, 2}, 10, 5
	f("scale", s.run, b.out, 2) // the idle ones too

	b = bench("50 connections")
	c := newCluster(b, flag.NewFlagSet("", flag.ContinueOnError))
	c.rounds, c.slice, c.sizes = 1, short, []int{1}
	f("cluster", c.run, b.out, 1)

	b = bench("forwarded, 1 connection")
	c = newCluster(b, flag.NewFlagSet("", flag.ContinueOnError))
	c.rounds, c.slice, c.sizes = 1, short, []int{1}
	f("cluster", c.run, b.out, len(clusterWorkloads()))
	if text, err := os.ReadFile(filepath.Join(b.out, "cluster.md")); err != nil || !strings.Contains(string(text), "| 1 connection |") {
		t.Errorf("what was forwarded is lost: %v\n%s", err, text)
	}

	b = bench("")
	b.progress = progress.New(io.Discard)
	m := newMeasuring(b, flag.NewFlagSet("", flag.ContinueOnError))
	m.rounds, m.slice, m.builds = 1, short, t.TempDir()
	for _, name := range []string{"bare-1", "full-1"} {
		if err := os.Symlink(memring, filepath.Join(m.builds, name)); err != nil {
			t.Fatal(err)
		}
	}
	starts, builds := 0, b.instead
	b.instead = func() []recipe {
		if starts++; starts > leastStarts {
			cancel()
		}
		return builds()
	}
	f("measuring", m.run, b.out, len(measuringWorkloads()))
}

// An interrupting is a log that interrupts whoever writes a line with a text to it.
type interrupting struct {
	text      string
	interrupt func()
}

func (i *interrupting) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.text) {
		i.interrupt()
	}
	return len(p), nil
}

func TestPartial(t *testing.T) {
	if got := partial(context.Background(), nil); got != "" {
		t.Errorf("what is whole is called %q", got)
	}
	if got := partial(context.Background(), errors.New("no room")); !strings.Contains(got, "no room") {
		t.Errorf("%q does not say why", got)
	}
}

// TestAskTakesHitsOnly: a server that answers wrong, misses or refuses is not measured.
func TestAskTakesHitsOnly(t *testing.T) {
	self, err := os.FindProcess(os.Getpid()) // whose CPU it is does not matter
	if err != nil {
		t.Fatal(err)
	}
	f := func(answer string, wrong bool) {
		t.Helper()
		s := &server{name: "liar", addr: sayAlways(t, answer), cmd: &exec.Cmd{Process: self}}
		if _, err := ask(t.Context(), party{[]*server{s}, []*server{s}}, load.Config{Requests: 3}, time.Minute); err == nil || errors.Is(err, errWrong) != wrong {
			t.Errorf("%q: %v", answer, err)
		}
	}
	f("VALUE KEY 0 3\r\nxyz\r\nEND\r\n", true)
	f("END\r\n", false)
	f("SERVER_ERROR out of memory\r\n", false)
}

// TestIdleConnectionsAreServed: one that is accepted and refused costs nothing, and does not count.
func TestIdleConnectionsAreServed(t *testing.T) {
	f := func(answer string, right bool) {
		t.Helper()
		conns, err := openIdle(&server{addr: sayAlways(t, answer)}, 1)
		for _, c := range conns {
			_ = c.Close()
		}
		if (err == nil) != right {
			t.Errorf("%q: %v", answer, err)
		}
	}
	f("VERSION 1.6.45\r\n", true)
	f("ERROR Too many open connections\r\n", false)
}

// sayAlways gives the address of a server that says the same to whatever is asked, and ends with the test; KEY is the key asked for.
func sayAlways(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		for lines := bufio.NewScanner(c); lines.Scan(); {
			_, key, _ := strings.Cut(lines.Text(), " ")
			if _, err := c.Write([]byte(strings.ReplaceAll(answer, "KEY", key))); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return l.Addr().String()
}

func TestServerThatDoesNotStart(t *testing.T) {
	r := recipe{name: "false", path: "false", args: func() ([]string, string, error) { return nil, "127.0.0.1:1", nil }}
	if s, err := r.start(context.Background()); err == nil {
		t.Errorf("%s has started", s.name)
	} else if !strings.Contains(err.Error(), "exit status 1") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r = recipe{name: "sleep", path: "sleep", args: func() ([]string, string, error) { return []string{"60"}, "127.0.0.1:1", nil }}
	if s, err := r.start(ctx); err == nil {
		t.Errorf("%s has started", s.name)
	}
}

func TestRunRefuses(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		if err := run(context.Background(), args); err == nil {
			t.Errorf("%v is taken", fmt.Sprint(args))
		}
	}
	f()
	f("nonsense")
	f("fill", "word")
	f("speed", "-rounds", "0")
	f("speed", "-only", "(")
	f("speed", "-only", "nonsense")
	f("speed", "-m", "64,256")
	f("cluster", "-memcached", "memcached")
	f("fill", "-laps", "0")
	f("fill", "-m", "0")
	f("fill", "-only", "3 GB")
	f("hitratio", "-memcached", "/nowhere/memcached")
	f("scale", "-rate", "0")
	f("soak", "-for", "1s", "-period", "1s")
	f("warm", "-events", "flood")
	f("warm", "-on", "redis")
	f("warm", "-quiet", "1s")
	f("warm", "-rate", "0", "-on", "memcached")
}
