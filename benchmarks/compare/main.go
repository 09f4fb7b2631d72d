// Command compare starts memcached and memring side by side, gives both the same load, and writes down what came of it.
//
//	hitratio   play traces cache-aside to both: who misses less, in how much memory
//	fill       fill both with values of one size: how much memory they take, and how many items they hold in it
//	speed      ask both in turn: the CPU that a request costs them
//	measuring  ask memring with what it counts and measures, and without (no memcached): what that costs
//	scale      ask both over 1 to 10,000 connections
//	cluster    ask clusters of 1, 3 and 10 nodes in turn (no memcached): the CPU that a request costs all of their nodes
//	warm       ask clusters of both while nodes join, leave, restart and die: the hit ratio, and what clients see
//	soak       ask a cluster for half an hour while nodes join and leave: what grows?
//
// Servers are asked one at a time. Results are a table (Markdown), the same as CSV, and a plot (SVG).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/memring/memring/benchmarks/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	const usage = "compare hitratio|fill|speed|measuring|scale|cluster|warm|soak [flags]; -h after it tells the flags"
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("compare "+args[0], flag.ContinueOnError)
	b := bench{command: "go run ./benchmarks/compare " + strings.Join(args, " "), progress: progress.New(os.Stderr)}
	b.processors, _ = allowed() // elsewhere than on Linux none are given out
	switch args[0] {
	case "measuring":
	case "cluster", "soak":
		b.instead = func() []recipe { return []recipe{memringAt(b.memring)} }
	default:
		flags.StringVar(&b.memcached, "memcached", "memcached", "the memcached to compare with: a `PATH`, or a name in PATH")
	}
	if args[0] != "measuring" { // that has builds of its own
		flags.StringVar(&b.memring, "memring", "bin/memring", "`PATH` of memring")
	}
	flags.StringVar(&b.out, "out", "benchmarks/results", "`DIRECTORY` for the results")
	flags.Func("m", "memory limit of each server, in `MEGABYTES`; hitratio and fill take several, with commas", func(s string) (err error) {
		b.limits, err = numbers(s)
		return err
	})
	var do func(context.Context) error
	switch args[0] {
	case "hitratio":
		b.limits = []int{64, 256}
		do = newHitRatio(&b, flags).run
	case "fill":
		b.limits = []int{64, 256}
		do = newFill(&b, flags).run
	case "speed":
		b.limits = []int{1024}
		do = newSpeed(&b, flags).run
	case "scale":
		b.limits = []int{1024}
		do = newScale(&b, flags).run
	case "soak":
		b.limits = []int{256}
		do = newSoak(&b, flags).run
	case "cluster":
		b.limits = []int{256}
		do = newCluster(&b, flags).run
	case "measuring":
		b.limits = []int{1024}
		do = newMeasuring(&b, flags).run
	case "warm":
		b.limits = []int{256}
		do = newWarmth(&b, flags).run
	default:
		return fmt.Errorf("%q: %s", args[0], usage)
	}
	one := len(b.limits) == 1
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if one && len(b.limits) > 1 {
		return fmt.Errorf("-m: %s takes one limit", args[0])
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	for _, rival := range b.rivals() {
		version, err := rival.version()
		if err != nil {
			return err
		}
		b.versions = append(b.versions, rival.name+" "+version)
	}
	defer b.progress.Clear()
	return do(ctx)
}

// A bench is what all comparisons need.
type bench struct {
	command            string // that made the results
	memcached, memring string
	out                string
	limits             []int     // megabytes
	certificate        [2]string // files of the servers' chain and key; "": without TLS
	processors         []int     // that this process may run on; nil: that is not known
	versions           []string  // of the rivals, with their names
	progress           *progress.Progress
	instead            func() []recipe // nil: memcached and memring
}

// rivals gives the servers' recipes: two that are compared, memcached first where it is one of them, or memring alone.
func (b *bench) rivals() []recipe {
	if b.instead != nil {
		return b.instead()
	}
	return []recipe{memcachedAt(b.memcached), memringAt(b.memring)}
}

func numbers(list string) (all []int, err error) {
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("%q is no whole number above 0", word)
		}
		all = append(all, n)
	}
	return all, nil
}
