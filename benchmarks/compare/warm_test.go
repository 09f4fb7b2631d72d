package main

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/benchmarks/warm"

	"github.com/memring/memring/benchmarks/progress"
)

func TestOwnerNumber(t *testing.T) {
	f := func(said string, want int) {
		t.Helper()
		got, err := ownerNumber(bufio.NewReader(strings.NewReader(said)))
		if (err != nil) != (want < 0) || err == nil && int(got) != want {
			t.Errorf("%q is %d, %v", said, got, err)
		}
	}
	f("OWNER n2 partition=335 client=127.0.0.1:11211\r\nEND\r\n", 2)
	f("OWNER n2 partition=335\r\n", -1)
	f("OWNER other\r\nEND\r\n", -1)
	f("OWNER\r\nEND\r\n", -1)
	f("ERROR\r\n", -1)
	f("", -1)
}

func TestLastingPorts(t *testing.T) {
	ports, err := lastingPorts(5)
	if err != nil || len(ports) != 5 {
		t.Fatalf("%v, %v", ports, err)
	}
	if slices.Sort(ports); len(slices.Compact(ports)) != 5 {
		t.Errorf("one port twice: %v", ports)
	}
	for _, port := range ports {
		if n, err := strconv.Atoi(port); err != nil || n >= 32_768 {
			t.Errorf("%s may be anybody's", port)
		}
	}
}

// TestRoutes: requests are told apart by where their key's owner was and is.
func TestRoutes(t *testing.T) {
	const ms = time.Millisecond
	at := warm.Times{Quiet: 0, Event: 10 * ms, Settled: 20 * ms, End: 20 * ms}
	r := warm.Recording{Samples: []warm.Sample{
		{Sent: 1 * ms, Key: 0, Server: 0},
		{Sent: 2 * ms, Key: 0, Server: 1},
		{Sent: 3 * ms, Key: 1, Server: 1}, // its owner changes
		{Sent: 4 * ms, Key: 2, Server: 2}, // its owner goes, and comes back
		{Sent: 5 * ms, Key: 3, Server: 0}, // not followed
		{Sent: 12 * ms, Key: 0, Server: 1},
		{Sent: 13 * ms, Key: 0, Server: 1},
	}}
	f := func(victim *node, want map[string][2]int) {
		t.Helper()
		got := routesOf(r, at, warm.Outcome{Meanwhile: warm.Window{To: 20 * ms}}, []uint8{0, 1, 2}, []uint8{0, 3, 2}, victim)
		if len(got) != len(want) {
			t.Errorf("%d routes, want %d", len(got), len(want))
		}
		for _, route := range got {
			if counts := [2]int{route.quiet.Requests, route.meanwhile.Requests}; counts != want[route.name] {
				t.Errorf("%s: %v, want %v", route.name, counts, want[route.name])
			}
		}
	}
	f(nil, map[string][2]int{"to its owner": {2, 0}, "forwarded": {1, 2}, "of a key that moves": {1, 0}})
	f(&node{seat: &warm.Server{Number: 2}}, map[string][2]int{"to its owner": {1, 0}, "forwarded": {1, 2}, "of a key that moves": {2, 0}})
}

// TestWarmResults: which bars there are, whether they are held, and that all of it is written.
func TestWarmResults(t *testing.T) {
	good := warm.Outcome{Steady: 93, Low: 92.9, LowDetected: 92.9, Recovered: true, Quiet: warm.Window{P99: time.Millisecond}, Meanwhile: warm.Window{P99: time.Millisecond}}
	bad := good
	bad.LowDetected, bad.Errors, bad.Stale, bad.Meanwhile.P99, bad.Thin = 80, 1, 2, 3*time.Millisecond, 5
	at := warm.Times{Quiet: 0, Event: 2 * time.Second, Settled: 3 * time.Second, End: 4 * time.Second}
	var r warm.Recording
	for i := range 400 {
		r.Samples = append(r.Samples, warm.Sample{Sent: time.Duration(i) * 10 * time.Millisecond, Took: time.Millisecond, Result: warm.Hit})
	}
	r.Tally.Add(warm.Tally{Errors: map[string]int{"SERVER_ERROR x": 1}, Moved: 3})
	w := &warmth{bench: &bench{out: t.TempDir(), limits: []int{64}, progress: progress.New(os.Stderr)}, rows: []warmRow{
		{event: "join", on: onMemring, times: at, recording: r, outcome: good},
		{event: "drain", on: onMemring, times: at, recording: r, outcome: bad},
		{event: "kill", on: onCopies, times: at, recording: r, outcome: bad},
		{event: "join", on: onMemcached, times: at, recording: r, outcome: bad},
		{event: "kill", on: onMemring, times: at, recording: r, outcome: bad},
	}}
	w.config.Keys = 100
	f := func(row int, want ...string) {
		t.Helper()
		figures := w.rows[row].figures(w.config.Keys)
		if got := []string{figures[6], figures[10], figures[17]}; !slices.Equal(got, want) {
			t.Errorf("%s on %s: %v, want %v", w.rows[row].event, w.rows[row].on, got, want)
		}
	}
	f(0, "yes", "yes", "yes")
	f(1, "NO", "NO", "NO")
	f(2, "NO", "", "")
	f(3, "", "", "")
	f(4, "", "", "")
	if err := w.write("**Interrupted.** "); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(w.out, "warm.md"))
	for _, want := range []string{"**Interrupted.** memring holds 3 of 7 bars", "6 were stale", "join, memring: 1 times `SERVER_ERROR x`", "another server 3 times", "5 seconds after the event"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%v: no %q in\n%s", err, want, text)
		}
	}
	windows, err := os.ReadFile(filepath.Join(w.out, "warm-windows.csv"))
	if lines := strings.Count(string(windows), "\n"); err != nil || lines != 1+5*16 {
		t.Errorf("%d lines of windows, %v", lines, err)
	}
	if svg, err := os.ReadFile(filepath.Join(w.out, "warm.svg")); err != nil || !strings.Contains(string(svg), "<svg") {
		t.Error("no plot", err)
	}
}
