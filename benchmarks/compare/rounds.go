package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/memring/memring/benchmarks/load"
	"github.com/memring/memring/benchmarks/progress"
)

// A slice is what one server did in one.
type slice struct {
	cost float64 // microseconds of CPU for each request
	rate float64 // requests a second

	p50, p99, tail float64 // quantiles of the times, in microseconds; tail is p99.9
}

// acceptTime is more than a server takes to accept a connection, which is not to be counted as part of its requests: its client has it before.
const acceptTime = 100 * time.Microsecond

// A party is nodes that hold the same keys, and those of them that are asked.
type party struct{ doors, nodes []*server }

// alone makes a party of each server.
func alone(servers [2]*server) []party {
	return []party{{servers[:1], servers[:1]}, {servers[1:], servers[1:]}}
}

// errWrong is what no server may do, whatever else goes on.
var errWrong = errors.New("answers hold another value than was set")

// ask gives a party one slice, of the CPU of all its nodes. An answer that is no hit is an error.
func ask(ctx context.Context, p party, c load.Config, length time.Duration) (got slice, err error) {
	var before, after time.Duration
	var err1, err2 error
	for _, s := range p.doors {
		c.Addrs = append(c.Addrs, s.door(c.TLS != nil))
	}
	c.Duration = length
	c.Begun = func() {
		time.Sleep(time.Duration(c.Conns) * acceptTime)
		before, err1 = cpuOf(p.nodes)
	}
	c.Ended = func() { after, err2 = cpuOf(p.nodes) }
	r, err := load.Run(ctx, c)
	if err := errors.Join(err, err1, err2, ctx.Err()); err != nil {
		return got, err
	}
	switch name := p.doors[0].name; {
	case r.Wrong > 0:
		return got, fmt.Errorf("%s: %d of %d %w", name, r.Wrong, r.Requests, errWrong)
	case r.Misses > 0 || r.Errors > 0 || r.Requests == 0:
		return got, fmt.Errorf("%s: of %d requests %d missed, %d were refused", name, r.Requests, r.Misses, r.Errors)
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

// measure asks the parties in turn, each for a slice in every round, and gives slices[round][party].
func measure(ctx context.Context, p *progress.Progress, parties []party, name string, c load.Config, count int, length time.Duration) ([][]slice, error) {
	rounds := make([][]slice, count)
	for round := range rounds {
		p.Begin("%s, round %d", name, round+1)
		p.At(uint64(round), uint64(count))
		rounds[round] = make([]slice, len(parties))
		for turn := range parties {
			i := (turn + round) % len(parties) // who begins changes
			var err error
			if rounds[round][i], err = ask(ctx, parties[i], c, length); err != nil {
				return nil, err
			}
		}
	}
	return rounds, nil
}

// A measurement is what the rounds of one workload, asked of two, come to.
type measurement struct {
	ratio, lowest, highest float64 // of the rounds' CPU
	cost, rate             [2]float64
	p50, p99, tail         [2]float64

	// tailRatio is that of the medians, not the median of the rounds' ratios as for CPU: a p99.9 of one slice is so rough that the two may lie
	// far apart, and then the ratio must be that of the figures beside it.
	tailRatio, tailLowest, tailHighest float64
}

func summed(rounds [][]slice) (m measurement) {
	ratios := over(rounds, func(r []slice) float64 { return r[1].cost / r[0].cost })
	m.ratio, m.lowest, m.highest = median(ratios), slices.Min(ratios), slices.Max(ratios)
	for i := range 2 {
		m.cost[i] = medianOver(rounds, func(r []slice) float64 { return r[i].cost })
		m.rate[i] = medianOver(rounds, func(r []slice) float64 { return r[i].rate })
		m.p50[i] = medianOver(rounds, func(r []slice) float64 { return r[i].p50 })
		m.p99[i] = medianOver(rounds, func(r []slice) float64 { return r[i].p99 })
		m.tail[i] = medianOver(rounds, func(r []slice) float64 { return r[i].tail })
	}
	tails := over(rounds, func(r []slice) float64 { return r[1].tail / r[0].tail })
	m.tailRatio, m.tailLowest, m.tailHighest = m.tail[1]/m.tail[0], slices.Min(tails), slices.Max(tails)
	return m
}

func over(rounds [][]slice, f func([]slice) float64) []float64 {
	all := make([]float64, len(rounds))
	for i, r := range rounds {
		all[i] = f(r)
	}
	return all
}

func medianOver(rounds [][]slice, f func([]slice) float64) float64 { return median(over(rounds, f)) }

// median is the middle one, or the mean of the two in the middle.
func median(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(all))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
