package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/memring/memring/benchmarks/load"
)

// measuring asks memring twice, in turn: as it is, and a build without counters (.make/bare) that measures no requests either. What the first takes more is what metrics and
// hot keys cost together.
type measuring struct {
	*speed
	without string
	starts  int
}

// measuringBar is how much of a bare request's CPU one may take.
const measuringBar = 1.02

func newMeasuring(b *bench, flags *flag.FlagSet) *measuring {
	m := &measuring{speed: &speed{bench: b, only: regexp.MustCompile("")}}
	// What is looked for is small, so the slices are short, and many: whatever else the machine does then disturbs both of a round alike.
	flags.IntVar(&m.starts, "starts", 25, "how often both are started; the median counts")
	flags.IntVar(&m.rounds, "rounds", 15, "slices for each side and workload after each start; the median counts")
	flags.DurationVar(&m.slice, "slice", 100*time.Millisecond, "`TIME` that a side is asked without a break")
	flags.IntVar(&m.threads, "threads", 1, "-t of both")
	flags.Func("only", "only workloads whose name matches this `REGEXP`", func(text string) (err error) {
		m.only, err = regexp.Compile(text)
		return err
	})
	flags.StringVar(&m.without, "without", "bin/memring-bare", "`PATH` of the memring without counters")
	b.instead = func() [2]recipe {
		bare, full := memringAt(m.without), memringAt(b.memring)
		bare.name += ", bare"
		return [2]recipe{bare, full}
	}
	return m
}

func measuringWorkloads() []workload {
	gets := load.Mix{Get: 90, Set: 10}
	value := load.Range{Least: 100}
	return []workload{
		{name: "50 connections", config: load.Config{Conns: 50, Depth: 1, Mix: gets, ValueBytes: value}},
		{name: "16 pipelined", config: load.Config{Conns: 50, Depth: 16, Mix: gets, ValueBytes: value}},
		{name: "multi-get of 100", config: load.Config{Conns: 50, Depth: 1, Mix: load.Mix{MultiGet: 1}, ValueBytes: value}},
	}
}

func (m *measuring) run(ctx context.Context) error {
	if m.rounds < 1 || m.starts < 1 || m.slice <= 0 {
		return errors.New("-rounds, -starts and -slice must be above 0")
	}
	workloads := slices.DeleteFunc(measuringWorkloads(), func(w workload) bool { return !m.only.MatchString(w.name) })
	each := make([][]measurement, len(workloads))
	for start := range m.starts {
		if err := m.again(ctx, workloads, each); err != nil {
			return fmt.Errorf("start %d: %w", start+1, err)
		}
	}
	t := table{title: "What metrics and hot keys cost", columns: []string{"workload", "us without", "us with", "ratio", "bar", "held", "lowest", "highest"}}
	for i, w := range workloads {
		of := func(f func(measurement) float64) (all []float64) {
			for _, got := range each[i] {
				all = append(all, f(got))
			}
			return all
		}
		f := func(x float64) string { return fmt.Sprintf("%.3f", x) }
		ratios := of(func(m measurement) float64 { return m.ratio })
		ratio, held := median(ratios), whether(median(ratios), measuringBar)
		without, with := median(of(func(m measurement) float64 { return m.cost[0] })), median(of(func(m measurement) float64 { return m.cost[1] }))
		t.rows = append(t.rows, []string{w.name, f(without), f(with), f(ratio), f(measuringBar), held, f(slices.Min(ratios)), f(slices.Max(ratios))})
		m.progress.say("%-18s %7.3f  %7.3f us  x %.3f  (%.3f to %.3f)  bar %.2f %s", w.name, without, with, ratio, slices.Min(ratios), slices.Max(ratios), measuringBar, held)
	}
	head := fmt.Sprintf("Made by\n\n    %s\n\nwith memring %s and %s; %s.", m.command, m.versions[0], m.versions[1], machine())
	if err := t.write(m.out, "measuring", head, fmt.Sprintf(measuringNotes, m.starts, m.rounds, m.slice, m.threads)); err != nil {
		return err
	}
	m.progress.say("%s", filepath.Join(m.out, "measuring.md"))
	return nil
}

// again starts both anew, and adds to each workload's measurements.
func (m *measuring) again(ctx context.Context, workloads []workload, each [][]measurement) (err error) {
	var servers [2]*server
	for i, rival := range m.rivals() {
		more := []string{"-m", strconv.Itoa(m.limits[0]), "-t", strconv.Itoa(m.threads)}
		if i == 0 {
			more = append(more, "--measure-every", "0")
		}
		if servers[i], err = rival.start(ctx, more...); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, servers[i].stop()) }()
	}
	if err := fillBoth(ctx, servers, measuringWorkloads()[0].config); err != nil {
		return err
	}
	for i, w := range workloads {
		got, err := measure(ctx, m.progress, servers, w.name, w.config, m.rounds, m.slice)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		each[i] = append(each[i], got)
	}
	return nil
}

const measuringNotes = `CPU of the server (user and system) for each request, in microseconds. "Without" is the same code, from which .make/bare has taken the counting of requests, bytes and forwards,
started with --measure-every 0, so that no latencies and no keys are measured either; "with" is memring as it is. Both are started %d times, for a process is some hundredths dearer or cheaper than the next of the
same build, by where its memory lies; each time both are asked for %d rounds of %v, one after the other. A start's ratio is the median of its rounds' ratios, and the ratio is the median of the starts' ("lowest" and "highest" are
those at the ends). Both have -t %d. Text protocol, 100,000 keys of 30 bytes, values of 100 bytes, 90 %% get and 10 %% set.
`
