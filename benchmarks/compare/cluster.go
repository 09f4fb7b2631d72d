package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memring/memring/benchmarks/load"
)

// cluster asks clusters of several sizes, all nodes alike, and compares the CPU that a request costs all their nodes together. There
// is no memcached here: the first cluster is what the others are measured by. If that is one node, one node alone of two is asked beside it, for what the other one has.
//
//	start a cluster of each size -> fill each -> for each workload: rounds of (a slice for each cluster) -> medians
type cluster struct {
	*bench
	sizes  []int
	rounds int
	slice  time.Duration
}

const (
	threeBar = 1.6  // times one node's
	growBar  = 1.15 // times that of the next smaller cluster, from three nodes on

	formBound = 60 * time.Second // until all members see one another
)

func newCluster(b *bench, flags *flag.FlagSet) *cluster {
	c := &cluster{bench: b, sizes: []int{1, 3, 10}}
	flags.IntVar(&c.rounds, "rounds", 7, "slices for each cluster and workload; the median counts")
	flags.DurationVar(&c.slice, "slice", time.Second, "`TIME` that a cluster is asked without a break")
	flags.Func("nodes", "`SIZES` of the clusters, with commas, the first of which is what the others are measured by (1,3,10)", func(s string) (err error) {
		c.sizes, err = numbers(s)
		return err
	})
	return c
}

func clusterWorkloads() []workload {
	gets := load.Mix{Get: 90, Set: 10}
	return []workload{
		{name: "50 connections", config: load.Config{Conns: 50, Mix: gets}},
		{name: "16 pipelined", config: load.Config{Conns: 50, Depth: 16, Mix: gets}},
		{name: "multi-get of 100", config: load.Config{Conns: 50, Mix: load.Mix{MultiGet: 1}}},
	}
}

// run writes what it has also when it is interrupted, or a workload fails: the results then say so.
func (c *cluster) run(ctx context.Context) (err error) {
	if c.rounds < 1 || c.slice <= 0 {
		return errors.New("-rounds and -slice must be above 0")
	}
	parties := make([]party, len(c.sizes))
	for i, n := range c.sizes {
		nodes, stop, formErr := c.formed(ctx, n, nil)
		defer func() { err = errors.Join(err, stop()) }()
		if formErr != nil {
			return formErr
		}
		parties[i] = party{nodes, nodes}
	}
	t := table{title: "CPU of a request in clusters of several sizes", columns: []string{
		"workload", "nodes", "us of all nodes", fmt.Sprintf("times that of %d", c.sizes[0]), "bar", "held", "requests/s", "p99.9 us",
	}}
	var marks []mark
	asked := c.askAll(ctx, parties, func(w workload, rounds [][]slice) {
		for i, n := range c.sizes {
			row, ratio := c.row(w.name, rounds, i)
			c.progress.Say("%-18s %3s nodes %8s us  x %s  bar %s %s", row[0], row[1], row[2], row[3], row[4], row[5])
			t.rows = append(t.rows, row)
			marks = append(marks, mark{line: w.name, series: fmt.Sprintf("%d nodes", n), value: ratio})
		}
	})
	if len(t.rows) == 0 {
		return asked
	}
	forwarded := ""
	if asked == nil && c.sizes[0] == 1 {
		forwarded, asked = c.forwarded(ctx, parties[0])
	}
	before := "![ratios of CPU](cluster.svg)\n\n" + partial(ctx, asked) + c.circumstances()
	if err := t.write(c.out, "cluster", before, fmt.Sprintf(clusterNotes, c.rounds, c.slice)+forwarded); err != nil {
		return errors.Join(asked, err)
	}
	c.progress.Say("%s", filepath.Join(c.out, "cluster.md"))
	return errors.Join(asked, plotRatios(filepath.Join(c.out, "cluster.svg"), "CPU of a request, all nodes together", "times that of the smallest cluster", marks))
}

// askAll measures one workload after the other, and tells each as it is done.
func (c *cluster) askAll(ctx context.Context, parties []party, done func(workload, [][]slice)) error {
	for _, w := range clusterWorkloads() {
		rounds, err := measure(ctx, c.progress, parties, w.name, w.config, c.rounds, c.slice)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		done(w, rounds)
	}
	return nil
}

// formed starts a cluster that holds all keys. stop ends what has started, also after an error.
func (c *cluster) formed(ctx context.Context, n int, flags func(i int) []string) (nodes []*server, stop func() error, err error) {
	c.progress.Begin("starting %d nodes", n)
	c.progress.At(0, 1)
	nodes, err = startCluster(ctx, c.memring, n, c.limits[0], flags)
	stop = func() (err error) {
		for _, s := range nodes {
			err = errors.Join(err, s.stop())
		}
		return err
	}
	if err == nil {
		err = c.settle(ctx, nodes)
	}
	return nodes, stop, err
}

// startCluster starts n nodes that have found one another and shared the partitions, each with more flags of its own, if any. What has started is given with an error too, to be stopped.
func startCluster(ctx context.Context, path string, n, limit int, flags func(i int) []string) (nodes []*server, err error) {
	for i := range n {
		more := []string{"--id", fmt.Sprintf("n%d", i), "-m", strconv.Itoa(limit), "-t", "1", "--drain-timeout", "0"}
		if flags != nil {
			more = append(more, flags(i)...)
		}
		if i > 0 {
			more = append(more, "--join", "127.0.0.1:"+argument(nodes[0], "--gossip-port"))
		}
		s, err := memringAt(path).start(ctx, more...)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, s)
	}
	ctx, cancel := context.WithTimeout(ctx, formBound)
	defer cancel()
	for _, s := range nodes {
		for !s.shares(n) {
			if err := pause(ctx, pollEvery); err != nil {
				return nodes, fmt.Errorf("%s does not share its partitions with %d members: %w", s.addr, n, err)
			}
		}
	}
	return nodes, nil
}

// settle fills a cluster until a slice through all its nodes misses nothing.
func (c *cluster) settle(ctx context.Context, nodes []*server) error {
	ctx, cancel := context.WithTimeout(ctx, formBound)
	defer cancel()
	for {
		if err := load.Fill(ctx, load.Config{Addrs: []string{nodes[0].addr}}); err != nil { // any node takes every key
			return err
		}
		_, err := ask(ctx, party{nodes, nodes}, clusterWorkloads()[0].config, c.slice)
		if err == nil || errors.Is(err, errWrong) || ctx.Err() != nil {
			return err
		}
		c.progress.Say("%d nodes have not settled: %v", len(nodes), err)
	}
}

// argument gives the word after a flag.
func argument(s *server, name string) string {
	if i := slices.Index(s.cmd.Args, name); i >= 0 && i+1 < len(s.cmd.Args) {
		return s.cmd.Args[i+1]
	}
	return ""
}

// shares reports whether a node and n-1 others are agreed on which partitions each of them has, and none is on the move: what is asked meanwhile costs more.
func (s *server) shares(n int) bool {
	lines, err := s.ask("cluster status\r\n", "END")
	if err != nil {
		return false
	}
	placed := 0
	for _, line := range lines {
		if strings.HasPrefix(line, "MEMBER ") && !strings.Contains(line, " owned=0 ") {
			placed++
		}
	}
	return placed == n && strings.HasSuffix(lines[0], " moving=0 problems=0")
}

// members tells how many a node sees that are active, 0 if it does not answer.
func (s *server) members() int {
	lines, err := s.ask("cluster members\r\n", "END")
	if err != nil {
		return 0
	}
	return strings.Count(strings.Join(lines, "\n"), "state=active")
}

// seen waits until all of these nodes see so many members.
func seen(ctx context.Context, want int, nodes ...*server) error {
	ctx, cancel := context.WithTimeout(ctx, formBound)
	defer cancel()
	for _, s := range nodes {
		for s.members() != want {
			if err := pause(ctx, pollEvery); err != nil {
				return fmt.Errorf("%s does not see %d members: %w", s.addr, want, err)
			}
		}
	}
	return nil
}

// row is what the i-th cluster took, and its ratio to the first one.
func (c *cluster) row(name string, rounds [][]slice, i int) (row []string, ratio float64) {
	over := func(f func([]slice) float64) float64 { return medianOver(rounds, f) }
	ratio = over(func(r []slice) float64 { return r[i].cost / r[0].cost })
	bar, held := "", ""
	switch {
	case i > 0 && c.sizes[i] == 3 && c.sizes[0] == 1:
		bar, held = fmt.Sprintf("%.2f", threeBar), whether(ratio, threeBar)
	case i > 0 && c.sizes[i-1] >= 3:
		grown := over(func(r []slice) float64 { return r[i].cost / r[i-1].cost })
		bar, held = fmt.Sprintf("%.2f of %d nodes'", growBar, c.sizes[i-1]), whether(grown, growBar)
	}
	return []string{
		name, strconv.Itoa(c.sizes[i]), fmt.Sprintf("%.2f", over(func(r []slice) float64 { return r[i].cost })), fmt.Sprintf("%.2f", ratio), bar, held,
		fmt.Sprintf("%.0f", over(func(r []slice) float64 { return r[i].rate })), fmt.Sprintf("%.0f", over(func(r []slice) float64 { return r[i].tail })),
	}, ratio
}

const clusterNotes = `CPU (user and system) of all nodes together for each request, medians of %d rounds; in each round every cluster is asked for %v, one after the other, through all its nodes alike, and the ratio is
the median of the rounds' ratios. Of n nodes a request reaches its owner at once one time in n, and is forwarded otherwise. All run on this one machine with -t 1 each: requests a second say little here, as the
processors are shared by all of them. 100,000 keys of 30 bytes, values of 100 bytes, 90 %% get and 10 %% set, text protocol, all hits, every value read is compared.
`
