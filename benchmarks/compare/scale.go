package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/memring/memring/benchmarks/load"
)

// scale asks both servers the same number of requests a second over ever more connections, and at last over a thousand while ten thousand say nothing.
//
//	start both -> open and close the idle ones: memory for each -> fill
//	           -> for each number of connections: rounds of (memcached's slice, memring's slice) -> medians
//	           -> open the idle ones again: the same for the busy ones beside them
type scale struct {
	*bench
	rounds  int
	slice   time.Duration
	threads int
	rate    float64
	conns   []int
	idle    int
	busy    int
	pinned  bool
}

const (
	fewConns   = 100 // what many are measured by
	manyBar    = 2.0 // times the p99 of fewConns
	spareConns = 200 // that a server takes beyond those it is asked over
)

func newScale(b *bench, flags *flag.FlagSet) *scale {
	s := &scale{bench: b, conns: []int{1, 10, fewConns, 1000, 10_000}}
	flags.IntVar(&s.rounds, "rounds", 5, "slices for each server and number of connections; the median counts")
	flags.DurationVar(&s.slice, "slice", time.Second, "`TIME` that a server is asked without a break")
	flags.IntVar(&s.threads, "threads", 1, "-t of both servers")
	flags.Float64Var(&s.rate, "rate", 10_000, "`REQUESTS` a second, over all connections")
	flags.IntVar(&s.idle, "idle", 10_000, "`CONNECTIONS` that say nothing while the busy ones do")
	flags.IntVar(&s.busy, "busy", 1000, "`CONNECTIONS` that are busy beside them")
	flags.BoolVar(&s.pinned, "pin", true, "give the servers processors of their own, apart from the load's")
	flags.Func("conns", "numbers of connections, with commas (1,10,100,1000,10000)", func(list string) (err error) {
		s.conns, err = numbers(list)
		return err
	})
	return s
}

// run writes what it has also when it is interrupted, or a number of connections fails: the results then say so.
func (s *scale) run(ctx context.Context) (err error) {
	if s.rounds < 1 || s.slice <= 0 || s.rate <= 0 || s.idle < 1 || s.busy < 1 {
		return errors.New("-rounds, -slice, -rate, -idle and -busy must be above 0")
	}
	most := max(slices.Max(s.conns), s.idle+s.busy) + spareConns
	servers, end, err := s.pair(ctx, s.threads, s.pinned, "-c", strconv.Itoa(most))
	defer func() { err = errors.Join(err, end()) }()
	if err != nil {
		return err
	}
	t := table{title: "Few connections and many", columns: []string{
		"connections", "memcached us", "memring us", "ratio", "p50 us memcached", "p50 us memring", "p99 us memcached", "p99 us memring", fmt.Sprintf("memring's p99 / that of %d", fewConns), "bar", "held",
	}}
	idle, err := idleBytes(servers, s.idle)
	if err != nil {
		return err
	}
	var marks []mark
	few := 0.0
	asked := s.askAll(ctx, servers, func(name string, m measurement, bar float64) {
		if name == strconv.Itoa(fewConns) {
			few = m.p99[1]
		}
		f := func(x float64) string { return fmt.Sprintf("%.0f", x) }
		line := []string{name, fmt.Sprintf("%.2f", m.cost[0]), fmt.Sprintf("%.2f", m.cost[1]), fmt.Sprintf("%.2f", m.ratio), f(m.p50[0]), f(m.p50[1]), f(m.p99[0]), f(m.p99[1]), "", "", ""}
		if few > 0 {
			line[8] = fmt.Sprintf("%.2f", m.p99[1]/few)
			if bar > 0 {
				line[9], line[10] = fmt.Sprintf("%.2f", bar), whether(m.p99[1]/few, bar)
			}
		}
		t.rows = append(t.rows, line)
		s.progress.Say("%-28s %7.2f %7.2f us  x %.2f  p99 %.0f %.0f us %s", name, m.cost[0], m.cost[1], m.ratio, m.p99[0], m.p99[1], line[10])
		for i, server := range servers {
			marks = append(marks, mark{line: name, series: server.name, value: m.p99[i] / m.p99[0]})
		}
	})
	t.rows = append(t.rows, []string{
		"bytes of each idle one", fmt.Sprintf("%.0f", idle[0]), fmt.Sprintf("%.0f", idle[1]), "", "", "", "", "", "", strconv.Itoa(idleBar), whether(idle[1], idleBar),
	})
	before := "![times of answers](scale.svg)\n\n" + partial(ctx, asked) + s.circumstances()
	if err := t.write(s.out, "scale", before, fmt.Sprintf(scaleNotes, s.rounds, s.slice, s.threads, s.pinnedWords(s.pinned, s.threads), s.rate)); err != nil {
		return errors.Join(asked, err)
	}
	s.progress.Say("%s", filepath.Join(s.out, "scale.md"))
	return errors.Join(asked, plotRatios(filepath.Join(s.out, "scale.svg"), "p99 at the same rate over more and more connections", "times memcached's", marks))
}

// askAll asks over each number of connections, then the busy ones beside those that say nothing, and tells each as it is done. Only the last has a bar.
func (s *scale) askAll(ctx context.Context, servers [2]*server, done func(name string, m measurement, bar float64)) error {
	config := load.Config{Mix: load.Mix{Get: 90, Set: 10}, Rate: s.rate}
	if err := fillBoth(ctx, servers, config); err != nil {
		return err
	}
	for _, config.Conns = range s.conns {
		name := strconv.Itoa(config.Conns)
		rounds, err := measure(ctx, s.progress, alone(servers), name+" connections", config, s.rounds, s.slice)
		if err != nil {
			return fmt.Errorf("%s connections: %w", name, err)
		}
		done(name, summed(rounds), 0)
	}
	config.Conns = s.busy
	rounds := make([][]slice, s.rounds)
	for i := range rounds {
		rounds[i] = make([]slice, len(servers))
	}
	for i := range servers {
		if err := s.crowded(ctx, servers, i, config, rounds); err != nil {
			return fmt.Errorf("%d beside %d: %w", s.busy, s.idle, err)
		}
	}
	done(fmt.Sprintf("%d beside %d idle ones", s.busy, s.idle), summed(rounds), manyBar)
	return nil
}

// crowded asks one server, that has idle connections as well. One after the other, since a process may not have so many files.
func (s *scale) crowded(ctx context.Context, servers [2]*server, i int, config load.Config, rounds [][]slice) error {
	s.progress.Begin("%s, %d beside %d idle ones", servers[i].name, s.busy, s.idle)
	s.progress.At(0, 1)
	silent, err := openIdle(servers[i], s.idle)
	defer func() {
		for _, c := range silent {
			_ = c.Close()
		}
	}()
	for round := range rounds {
		if err == nil {
			rounds[round][i], err = ask(ctx, alone(servers)[i], config, s.slice)
		}
	}
	return err
}

const scaleNotes = `Medians of %d rounds; in each round both servers are asked for %v, one after the other; beside idle connections first the one, then the other. Both have -t %d.%s An open loop of %.0f requests a second over all connections together, each timed
from when it was due; text protocol, 100,000 keys of 30 bytes, values of 100 bytes, 90 %% get and 10 %% set, all hits, every value read is compared. CPU, and the memory of idle connections, as in speed.md.
`
