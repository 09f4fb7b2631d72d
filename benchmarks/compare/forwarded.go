package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/memring/memring/benchmarks/load"
)

// heaviest is the greatest --weight: of two nodes, of which one has it and the other has 1, the former owns so many of heaviest+1 keys.
const heaviest = 32

// forwarded asks the light one of two nodes, so that nearly all is forwarded, beside a node alone, and gives a table: with an error, that of what was measured before, if anything.
func (c *cluster) forwarded(ctx context.Context, alone party) (text string, err error) {
	pair, stop, err := c.formed(ctx, 2, func(i int) []string {
		return []string{"--weight", strconv.Itoa([]int{1, heaviest}[i])}
	})
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return "", fmt.Errorf("forwarded: %w", err)
	}
	parties := []party{alone, {pair[:1], pair}}
	t := table{columns: []string{"forwarded", "us of one node", "us of both", "times", "bar", "held", "p50 us of one node", "p50 us", "more", "bar", "held"}}
	gets := load.Mix{Get: 90, Set: 10}
	for _, w := range []struct {
		workload
		extra float64 // p50 may be so many microseconds more; 0: any
	}{
		{workload{name: "1 connection", config: load.Config{Conns: 1, Mix: gets}}, 60},
		{workload{name: "50 connections", config: load.Config{Conns: 50, Mix: gets}, bar: 1.6}, 0},
		{workload{name: "64 in flight", config: load.Config{Conns: 4, Depth: 16, Mix: gets}, bar: 1.4}, 0},
	} {
		rounds, failed := measure(ctx, c.progress, parties, "forwarded, "+w.name, w.config, c.rounds, c.slice)
		if failed != nil {
			err = fmt.Errorf("forwarded, %s: %w", w.name, failed)
			break
		}
		over := func(f func([]slice) float64) float64 { return medianOver(rounds, f) }
		ratio, more := over(func(r []slice) float64 { return r[1].cost / r[0].cost }), over(func(r []slice) float64 { return r[1].p50 - r[0].p50 })
		f := func(format string, x float64) string { return fmt.Sprintf(format, x) }
		row := []string{
			w.name, f("%.2f", over(func(r []slice) float64 { return r[0].cost })), f("%.2f", over(func(r []slice) float64 { return r[1].cost })), f("%.2f", ratio), "", "",
			f("%.0f", over(func(r []slice) float64 { return r[0].p50 })), f("%.0f", over(func(r []slice) float64 { return r[1].p50 })), f("%.0f", more), "", "",
		}
		if w.bar > 0 {
			row[4], row[5] = f("%.2f", w.bar), whether(ratio, w.bar)
		}
		if w.extra > 0 {
			row[9], row[10] = f("%.0f", w.extra), whether(more, w.extra)
		}
		c.progress.Say("forwarded, %-18s %s us, %s us  x %s %s  p50 + %s us %s", row[0], row[1], row[2], row[3], row[5], row[8], row[10])
		t.rows = append(t.rows, row)
	}
	if len(t.rows) == 0 {
		return "", err
	}
	return fmt.Sprintf(forwardedNotes, heaviest, heaviest+1) + t.markdown(), err
}

const forwardedNotes = `
## A node that owns nearly nothing

One of two nodes is asked, and the other one owns %d of %d keys: so nearly all is forwarded. Beside it, in the same rounds, the same of one node alone. CPU of both nodes together.

`
