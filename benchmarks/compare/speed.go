package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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

// A slice is what one server did in one.
type slice struct {
	cost float64 // microseconds of CPU for each request
	rate float64 // requests a second

	p50, p99, tail float64 // quantiles of the times, in microseconds; tail is p99.9
}

func (s *speed) run(ctx context.Context) (err error) {
	if s.rounds < 1 || s.slice <= 0 {
		return errors.New("-rounds and -slice must be above 0")
	}
	plain, end, err := s.pair(ctx, s.threads, s.pinned)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	t := table{title: "Speed beside memcached", columns: []string{
		"workload", "memcached us", "memring us", "ratio", "bar", "held", "aim", "lowest", "highest", "requests/s memcached", "requests/s memring", "p99.9 us memcached", "p99.9 us memring",
	}}
	var marks []mark
	filled := load.Range{}
	for _, w := range workloads() {
		if !s.only.MatchString(w.name) {
			continue
		}
		servers := plain
		if w.tls {
			secure, stop, startErr := s.securePair(ctx)
			defer func() { err = errors.Join(err, stop()) }()
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
			top, err := ask(ctx, servers[:1], servers[:1], w.config, s.slice)
			if err != nil {
				return err
			}
			w.config.Rate = top.rate / 10
		}
		m, err := measure(ctx, s.progress, servers, w.name, w.config, s.rounds, s.slice)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		t.rows = append(t.rows, m.rows(w)...)
		marks = append(marks, mark{line: w.name, series: "measured", value: m.ratio}, mark{line: w.name, series: "bar", value: w.bar})
		s.progress.say("%-24s %7.2f  %7.2f us  x %.2f (%.2f to %.2f)  bar %.2f %s", w.name, m.cost[0], m.cost[1], m.ratio, m.lowest, m.highest, w.bar, whether(m.ratio, w.bar))
	}
	if len(t.rows) == 0 {
		return fmt.Errorf("no workload matches -only %s", s.only)
	}
	if s.only.MatchString("idle connection") {
		row, err := s.idle(plain)
		if err != nil {
			return err
		}
		t.rows = append(t.rows, row)
	}
	if err := t.write(s.out, "speed", "![ratios of CPU](speed.svg)\n\n"+s.circumstances(), fmt.Sprintf(speedNotes, s.rounds, s.slice, s.threads, s.pinnedWords(s.pinned, s.threads))); err != nil {
		return err
	}
	s.progress.say("%s", filepath.Join(s.out, "speed.md"))
	return plotRatios(filepath.Join(s.out, "speed.svg"), "CPU of a request beside memcached (left of 1: memring takes less)", "memring's CPU per request / memcached's", marks)
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

// acceptTime is more than a server takes to accept a connection, which is not to be counted as part of its requests: its client has it before.
const acceptTime = 100 * time.Microsecond

// ask gives nodes that hold the same keys one slice together, of their CPU all; asked are the doors, which are some of them.
func ask(ctx context.Context, doors, nodes []*server, c load.Config, length time.Duration) (got slice, err error) {
	var before, after time.Duration
	var err1, err2 error
	for _, s := range doors {
		c.Addrs = append(c.Addrs, s.door(c.TLS != nil))
	}
	c.Duration = length
	c.Begun = func() {
		time.Sleep(time.Duration(c.Conns) * acceptTime)
		before, err1 = cpuOf(nodes)
	}
	c.Ended = func() { after, err2 = cpuOf(nodes) }
	r, err := load.Run(ctx, c)
	if err := errors.Join(err, err1, err2, ctx.Err()); err != nil {
		return got, err
	}
	if r.Wrong > 0 || r.Misses > 0 || r.Errors > 0 || r.Requests == 0 {
		return got, fmt.Errorf("%s: of %d requests %d answers were wrong, %d misses, %d refused", doors[0].name, r.Requests, r.Wrong, r.Misses, r.Errors)
	}
	at := func(quantile float64) float64 { return float64(r.Times.ValueAtQuantile(quantile)) / 1000 }
	return slice{cost: float64(after-before) / 1000 / float64(r.Requests), rate: r.PerSecond(), p50: at(50), p99: at(99), tail: at(99.9)}, nil
}

func cpuOf(servers []*server) (sum time.Duration, err error) {
	for _, s := range servers {
		cpu, err := s.cpu()
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

// A measurement is what the rounds of one workload come to.
type measurement struct {
	ratio, lowest, highest float64 // of the rounds
	cost, rate             [2]float64
	p50, p99, tail         [2]float64
	tailRatio              float64
}

// measure asks both servers in turn.
func measure(ctx context.Context, p *progress, servers [2]*server, name string, c load.Config, count int, length time.Duration) (m measurement, err error) {
	rounds := make([][2]slice, count)
	for round := range rounds {
		p.begin("%s, round %d", name, round+1)
		p.at(uint64(round), uint64(count))
		for turn := range servers {
			i := (turn + round) % 2 // who begins changes
			if rounds[round][i], err = ask(ctx, servers[i:i+1], servers[i:i+1], c, length); err != nil {
				return m, err
			}
		}
	}
	return summed(rounds), nil
}

func summed(rounds [][2]slice) (m measurement) {
	ratios := overRounds(rounds, func(r [2]slice) float64 { return r[1].cost / r[0].cost })
	m.ratio, m.lowest, m.highest = median(ratios), slices.Min(ratios), slices.Max(ratios)
	m.tailRatio = median(overRounds(rounds, func(r [2]slice) float64 { return r[1].tail / r[0].tail }))
	for i := range 2 {
		m.cost[i] = median(overRounds(rounds, func(r [2]slice) float64 { return r[i].cost }))
		m.rate[i] = median(overRounds(rounds, func(r [2]slice) float64 { return r[i].rate }))
		m.p50[i] = median(overRounds(rounds, func(r [2]slice) float64 { return r[i].p50 }))
		m.p99[i] = median(overRounds(rounds, func(r [2]slice) float64 { return r[i].p99 }))
		m.tail[i] = median(overRounds(rounds, func(r [2]slice) float64 { return r[i].tail }))
	}
	return m
}

func overRounds(rounds [][2]slice, f func([2]slice) float64) []float64 {
	all := make([]float64, len(rounds))
	for i, r := range rounds {
		all[i] = f(r)
	}
	return all
}

// median is the middle one, or the mean of the two in the middle.
func median(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
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
			"p99.9 of the same", f("%.0f", m.tail[0]), f("%.0f", m.tail[1]), f("%.2f", m.tailRatio), f("%.2f", tailBar), whether(m.tailRatio, tailBar), "1.00", "", "", "", "", "", "",
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

const (
	idleConns = 900     // memcached serves 1024 by default
	idleBar   = 8 << 10 // bytes of RSS for each
	idleAim   = 1 << 10
)

// idle opens connections that say nothing, and reads what they cost.
func (s *speed) idle(servers [2]*server) (row []string, err error) {
	var each [2]float64
	for i, server := range servers {
		var silent []net.Conn
		silent, each[i], err = openIdle(server, idleConns)
		for _, c := range silent {
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			return nil, err
		}
	}
	s.progress.say("%-24s %7.0f  %7.0f bytes", "idle connection", each[0], each[1])
	return []string{
		"idle connection, bytes", fmt.Sprintf("%.0f", each[0]), fmt.Sprintf("%.0f", each[1]), "", strconv.Itoa(idleBar), whether(each[1], idleBar), strconv.Itoa(idleAim), "", "", "", "", "", "",
	}, nil
}

func converse(c net.Conn, say string) error {
	if err := c.SetDeadline(time.Now().Add(askBound)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(say)); err != nil {
		return err
	}
	var answer [64]byte
	_, err := c.Read(answer[:])
	return err
}

const speedNotes = `Server CPU (user and system, what the kernel's scheduler counted for the server's threads) for each request, in microseconds, and memring's by memcached's: lower is better. Medians
of %d rounds; in each round both servers are asked for %v, one after the other, and the ratio is the median of the rounds' ratios ("lowest" and "highest" are the rounds at the ends). Both
servers have -t %d.%s Unless the name says otherwise: text protocol, 50 connections, 100,000 keys of 30 bytes, values of 100 bytes, 90 %% get and 10 %% set, keys all alike, all hits, a closed loop; every value
read is compared. "paced" is an open loop at a tenth of memcached's top rate, times counted from when a request was due. meta and binary are beside memcached on the same protocol; their bars are the
text's plus 10 %%. The load generator runs on the same machine, one thread.

Not measured here: unread answers (node/server's tests bound what they may take); forwarding and more nodes than one are in cluster.md (make bench-cluster), more connections in scale.md
(make bench-scale).
`
