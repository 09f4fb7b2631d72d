package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/memring/memring/benchmarks/load"
)

// A workload is one row of the bars: what is asked, and how much of memcached's CPU for each request memring may take.
type workload struct {
	name   string
	config load.Config
	bar    float64 // at most
	aim    float64 // then; 0: nothing beyond the bar
	paced  bool    // at a tenth of memcached's top rate
	tls    bool    // encrypted
}

// workloads are in an order that fills the servers as rarely as the sizes of values allow.
func workloads() []workload {
	gets := load.Mix{Get: 90, Set: 10}
	mixed := func(conns, depth, value int) load.Config {
		return load.Config{Conns: conns, Depth: depth, Mix: gets, ValueBytes: load.Range{Least: value}}
	}
	with := func(c load.Config, change func(*load.Config)) load.Config {
		change(&c)
		return c
	}
	multi := func(c *load.Config) { c.Mix = load.Mix{MultiGet: 1} }
	return []workload{
		{name: "1 connection", config: mixed(1, 1, 100), bar: 1.10, aim: 1.0},
		{name: "50 connections", config: mixed(50, 1, 100), bar: 1.0, aim: 0.80},
		{name: "500 connections", config: mixed(500, 1, 100), bar: 1.05, aim: 0.85},
		{name: "paced, 50 connections", config: mixed(50, 1, 100), bar: 1.05, aim: 0.95, paced: true},
		{name: "16 pipelined", config: mixed(50, 16, 100), bar: 0.75, aim: 0.40},
		{name: "100 pipelined", config: mixed(50, 100, 100), bar: 0.60, aim: 0.25},
		{name: "multi-get of 100", config: with(mixed(50, 1, 100), multi), bar: 0.80, aim: 0.25},
		{name: "half sets", config: with(mixed(50, 1, 100), func(c *load.Config) { c.Mix = load.Mix{Get: 1, Set: 1} }), bar: 1.0, aim: 0.85},
		{name: "meta, 50 connections", config: with(mixed(50, 1, 100), func(c *load.Config) { c.Wire = load.Meta }), bar: 1.10},
		{name: "meta, 16 pipelined", config: with(mixed(50, 16, 100), func(c *load.Config) { c.Wire = load.Meta }), bar: 0.825},
		{name: "binary, 50 connections", config: with(mixed(50, 1, 100), func(c *load.Config) { c.Wire = load.Binary }), bar: 1.10},
		{name: "binary, 16 pipelined", config: with(mixed(50, 16, 100), func(c *load.Config) { c.Wire = load.Binary }), bar: 0.825},
		{name: "TLS, 50 connections", config: mixed(50, 1, 100), bar: 1.0, aim: 0.85, tls: true},
		{name: "50 connections, 1 KB", config: mixed(50, 1, 1024), bar: 1.0, aim: 0.80},
		{name: "multi-get of 100, 1 KB", config: with(mixed(50, 1, 1024), multi), bar: 0.80, aim: 0.35},
		{name: "64 KB values", config: with(mixed(50, 1, 64<<10), func(c *load.Config) { c.Mix, c.Keys = load.Mix{Get: 1}, 2000 }), bar: 1.15, aim: 1.0},
	}
}

// speed gives both servers the same workloads, in turn for a slice of time each, and compares the CPU that a request costs them.
//
//	start both -> for each workload: fill, then rounds of (memcached's slice, memring's slice) -> the median of the rounds' ratios
//
// Both live all the time; who has no slice sleeps. A slice's ratio is taken beside its neighbour's, so a machine that others use too
// disturbs both sides of a ratio alike, or one round of several.
type speed struct {
	*bench
	only    *regexp.Regexp
	rounds  int
	slice   time.Duration
	threads int
	pinned  bool
}

func newSpeed(b *bench, flags *flag.FlagSet) *speed {
	s := &speed{bench: b, only: regexp.MustCompile("")}
	flags.IntVar(&s.rounds, "rounds", 7, "slices for each server and workload; the median counts")
	flags.DurationVar(&s.slice, "slice", time.Second, "`TIME` that a server is asked without a break")
	flags.IntVar(&s.threads, "threads", 1, "-t of both servers")
	flags.BoolVar(&s.pinned, "pin", true, "give the servers processors of their own, apart from the load's")
	flags.Func("only", "only workloads whose name matches this `REGEXP`", func(text string) (err error) {
		s.only, err = regexp.Compile(text)
		return err
	})
	return s
}

// run writes what it has also when it is interrupted, or a workload fails: the results then say so.
func (s *speed) run(ctx context.Context) (err error) {
	if s.rounds < 1 || s.slice <= 0 {
		return errors.New("-rounds and -slice must be above 0")
	}
	chosen := slices.DeleteFunc(workloads(), func(w workload) bool { return !s.only.MatchString(w.name) })
	idle := s.only.MatchString(idleName)
	if len(chosen) == 0 && !idle {
		return fmt.Errorf("no workload matches -only %s", s.only)
	}
	plain, end, err := s.pair(ctx, s.threads, s.pinned)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	t := table{title: "Speed beside memcached", columns: []string{
		"workload", "memcached us", "memring us", "ratio", "bar", "held", "aim", "lowest", "highest", "requests/s memcached", "requests/s memring", "p99.9 us memcached", "p99.9 us memring",
	}}
	var idleRow []string
	if idle { // first, while no connection has left memory behind that the next one would use
		if idleRow, err = s.idle(plain); err != nil {
			return err
		}
	}
	var marks []mark
	asked := s.askAll(ctx, plain, chosen, func(w workload, m measurement) {
		t.rows = append(t.rows, m.rows(w)...)
		marks = append(marks, mark{line: w.name, series: "measured", value: m.ratio}, mark{line: w.name, series: "bar", value: w.bar})
		s.progress.Say("%-24s %7.2f  %7.2f us  x %.2f (%.2f to %.2f)  bar %.2f %s", w.name, m.cost[0], m.cost[1], m.ratio, m.lowest, m.highest, w.bar, whether(m.ratio, w.bar))
	})
	if idle {
		t.rows = append(t.rows, idleRow)
	}
	if len(t.rows) == 0 {
		return asked
	}
	before := "![ratios of CPU](speed.svg)\n\n" + partial(ctx, asked) + s.circumstances()
	if err := t.write(s.out, "speed", before, fmt.Sprintf(speedNotes, s.rounds, s.slice, s.threads, s.pinnedWords(s.pinned, s.threads), idleConns, idleFirst)); err != nil {
		return errors.Join(asked, err)
	}
	s.progress.Say("%s", filepath.Join(s.out, "speed.md"))
	return errors.Join(asked, plotRatios(filepath.Join(s.out, "speed.svg"), "CPU of a request beside memcached (left of 1: memring takes less)", "memring's CPU per request / memcached's", marks))
}

// askAll measures one workload after the other, and tells each as it is done.
func (s *speed) askAll(ctx context.Context, plain [2]*server, chosen []workload, done func(workload, measurement)) (err error) {
	filled := load.Range{}
	for i, w := range chosen {
		servers := plain
		if w.tls {
			secure, stop, startErr := s.securePair(ctx)
			defer func() { err = errors.Join(err, stop()) }() // at the end of all: it gives this process all processors back
			if startErr != nil {
				return startErr
			}
			servers, w.config.TLS = secure, trusting()
		}
		if w.tls || w.config.ValueBytes != filled {
			if err := fillBoth(ctx, servers, w.config); err != nil {
				return err
			}
		}
		if !w.tls {
			filled = w.config.ValueBytes
		}
		if w.paced {
			top, err := ask(ctx, alone(servers)[0], w.config, s.slice)
			if err != nil {
				return err
			}
			w.config.Rate = top.rate / 10
		}
		rounds, err := measure(ctx, s.progress, alone(servers), fmt.Sprintf("%s (%d of %d)", w.name, i+1, len(chosen)), w.config, s.rounds, s.slice)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		done(w, summed(rounds))
	}
	return nil
}

func fillBoth(ctx context.Context, servers [2]*server, c load.Config) error {
	for _, server := range servers {
		c.Addrs = []string{server.addr}
		if err := load.Fill(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", server.name, err)
		}
	}
	return nil
}

const tailBar = 1.5 // of memcached's p99.9, at the same pace

// rows are the workload's own, and if it is paced that of the tail too: times only compare at the same rate.
func (m measurement) rows(w workload) [][]string {
	f := func(format string, x float64) string { return fmt.Sprintf(format, x) }
	aim := ""
	if w.aim > 0 {
		aim = f("%.2f", w.aim)
	}
	rows := [][]string{{
		w.name, f("%.2f", m.cost[0]), f("%.2f", m.cost[1]), f("%.2f", m.ratio), f("%.2f", w.bar), whether(m.ratio, w.bar), aim, f("%.2f", m.lowest), f("%.2f", m.highest),
		f("%.0f", m.rate[0]), f("%.0f", m.rate[1]), f("%.0f", m.tail[0]), f("%.0f", m.tail[1]),
	}}
	if w.paced {
		rows = append(rows, []string{
			"p99.9 of the same", f("%.0f", m.tail[0]), f("%.0f", m.tail[1]), f("%.2f", m.tailRatio), f("%.2f", tailBar), whether(m.tailRatio, tailBar), "1.00",
			f("%.2f", m.tailLowest), f("%.2f", m.tailHighest), "", "", "", "",
		})
	}
	return rows
}

func whether(ratio, bar float64) string {
	if ratio <= bar {
		return "yes"
	}
	return "NO"
}

const speedNotes = `Server CPU (user and system, what the kernel's scheduler counted for the server's threads) for each request, in microseconds, and memring's by memcached's: lower is better. Medians
of %d rounds; in each round both servers are asked for %v, one after the other, and the ratio is the median of the rounds' ratios ("lowest" and "highest" are the rounds at the ends). Both
servers have -t %d.%s Unless the name says otherwise: text protocol, 50 connections, 100,000 keys of 30 bytes, values of 100 bytes, 90 %% get and 10 %% set, keys all alike, all hits, a closed loop; every value
read is compared. "paced" is an open loop at a tenth of memcached's top rate, times counted from when a request was due; the ratio of its p99.9 is that of the medians. meta and binary are beside memcached on the same protocol; their bars are the
text's plus 10 %%. The load generator runs on the same machine, one thread (over TLS a goroutine for each connection). An "idle connection" has said one word; %d are opened to servers that have
no more than %d of the kind and have had no other yet, and the growth of RSS is divided by them.

Not measured here: unread answers (node/server's tests bound what they may take); forwarding and more nodes than one are in cluster.md (make bench-cluster), more connections in scale.md
(make bench-scale).
`
