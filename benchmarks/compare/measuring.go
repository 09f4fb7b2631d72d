package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/memring/memring/benchmarks/load"
)

// measuring asks memring twice, in turn: as it is, and a build without counters (.make/bare) that measures no requests either. What the first takes more is what metrics and
// hot keys cost together.
type measuring struct {
	*speed
	builds  string
	layouts int
	layout  int // of now, from 1
	starts  int
}

const (
	// measuringBar is how much of a bare request's CPU one may take.
	measuringBar = 1.02

	// leastStarts have a mean that deviates.
	leastStarts = 2
)

func newMeasuring(b *bench, flags *flag.FlagSet) *measuring {
	m := &measuring{speed: &speed{bench: b, only: regexp.MustCompile("")}}
	// What is looked for is small, so the slices are short, and many: whatever else the machine does then disturbs both of a round alike.
	flags.IntVar(&m.starts, "starts", 48, "how often both are started; the mean counts")
	flags.IntVar(&m.rounds, "rounds", 7, "slices for each side and workload after each start; the median counts")
	flags.DurationVar(&m.slice, "slice", 50*time.Millisecond, "`TIME` that a side is asked without a break")
	flags.IntVar(&m.threads, "threads", 1, "-t of both")
	flags.Func("only", "only workloads whose name matches this `REGEXP`", func(text string) (err error) {
		m.only, err = regexp.Compile(text)
		return err
	})
	flags.StringVar(&m.builds, "builds", "bin/measuring", "`DIR` of the builds that .make/bare has made")
	b.instead = m.pairOf
	return m
}

// pairOf gives the bare and the full build of a layout.
func (m *measuring) pairOf() []recipe {
	at := func(name string) recipe {
		return memringAt(filepath.Join(m.builds, fmt.Sprintf("%s-%d", name, max(m.layout, 1))))
	}
	bare, full := at("bare"), at("full")
	bare.name += ", bare"
	args := bare.args
	bare.args = func() ([]string, string, error) {
		words, addr, err := args()
		return append(words, "--measure-every", "0"), addr, err
	}
	return []recipe{bare, full}
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

// run writes what it has also when it is interrupted, or a start fails, once two of them were whole: the results then say so.
func (m *measuring) run(ctx context.Context) error {
	if m.rounds < 1 || m.starts < leastStarts || m.slice <= 0 {
		return errors.New("-rounds and -slice must be above 0, -starts above 1")
	}
	workloads := slices.DeleteFunc(measuringWorkloads(), func(w workload) bool { return !m.only.MatchString(w.name) })
	if len(workloads) == 0 {
		return fmt.Errorf("no workload matches -only %s", m.only)
	}
	for m.layouts = 0; ; m.layouts++ {
		if _, err := os.Stat(filepath.Join(m.builds, fmt.Sprintf("full-%d", m.layouts+1))); err != nil {
			break
		}
	}
	each := make([][]measurement, len(workloads))
	starts, asked := 0, error(nil)
	for asked == nil && starts < m.starts {
		m.layout = 1 + starts%m.layouts
		if asked = m.again(ctx, workloads, each); asked == nil {
			starts++
		}
	}
	if asked != nil {
		asked = fmt.Errorf("start %d: %w", starts+1, asked)
	}
	if starts < leastStarts {
		return asked
	}
	t := table{title: "What metrics and hot keys cost", columns: []string{"workload", "us without", "us with", "ratio", "+-", "bar", "held", "lowest", "highest"}}
	for i, w := range workloads {
		of := func(f func(measurement) float64) (all []float64) {
			for _, got := range each[i] {
				all = append(all, f(got))
			}
			return all
		}
		f := func(x float64) string { return fmt.Sprintf("%.3f", x) }
		ratios := of(func(m measurement) float64 { return m.ratio })
		ratio, deviation := mean(ratios)
		held := whether(ratio, measuringBar)
		without, with := median(of(func(m measurement) float64 { return m.cost[0] })), median(of(func(m measurement) float64 { return m.cost[1] }))
		t.rows = append(t.rows, []string{w.name, f(without), f(with), f(ratio), f(deviation), f(measuringBar), held, f(slices.Min(ratios)), f(slices.Max(ratios))})
		m.progress.Say("%-18s %7.3f  %7.3f us  x %.3f +- %.3f  (%.3f to %.3f)  bar %.2f %s", w.name, without, with, ratio, deviation, slices.Min(ratios), slices.Max(ratios), measuringBar, held)
	}
	head := partial(ctx, asked) + fmt.Sprintf("Made by\n\n    %s\n\nwith %s; %s.", m.command, strings.Join(m.versions, " and "), machine())
	if err := t.write(m.out, "measuring", head, fmt.Sprintf(measuringNotes, starts, m.layouts, m.rounds, m.slice, m.threads, m.pinnedWords(true, m.threads))); err != nil {
		return errors.Join(asked, err)
	}
	m.progress.Say("%s", filepath.Join(m.out, "measuring.md"))
	return asked
}

// again starts both anew, and adds to each workload's measurements.
func (m *measuring) again(ctx context.Context, workloads []workload, each [][]measurement) (err error) {
	servers, end, err := m.pair(ctx, m.threads, true)
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	if err := fillBoth(ctx, servers, measuringWorkloads()[0].config); err != nil {
		return err
	}
	for i, w := range workloads {
		rounds, err := measure(ctx, m.progress, alone(servers), w.name, w.config, m.rounds, m.slice)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		each[i] = append(each[i], summed(rounds))
	}
	return nil
}

// mean gives it, and its standard deviation: about as far as another run's is from it.
func mean(all []float64) (mean, deviation float64) {
	n := float64(len(all))
	for _, x := range all {
		mean += x / n
	}
	for _, x := range all {
		deviation += (x - mean) * (x - mean) / (n - 1) / n
	}
	return mean, math.Sqrt(deviation)
}

const measuringNotes = `CPU of the server (user and system) for each request, in microseconds. "Without" is the same code, from which .make/bare has taken the counting of requests, bytes and forwards,
started with --measure-every 0, so that no latencies and no keys are measured either; "with" is memring as it is. Both are started %d times, for a process is some hundredths dearer or cheaper than the next of the
same build, by where its memory lies; in turn in %d builds of each, in which the linker has put the code elsewhere, for that matters as much. Each time both are asked for %d rounds of %v, one after the other. A start's
ratio is the median of its rounds' ratios, and the ratio is the mean of the starts'; +- is the standard deviation of that mean, "lowest" and "highest" are starts. Both have -t %d.%s Text protocol,
100,000 keys of 30 bytes, values of 100 bytes, 90 %% get and 10 %% set.
`
