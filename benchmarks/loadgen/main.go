// Command loadgen asks memcached servers for what its flags say, and tells how fast and how right the answers were.
//
//	go run ./benchmarks/loadgen -addr 127.0.0.1:11211 -conns 50 -mix get=90,set=10 -zipf 0.99 -for 10s
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/memring/memring/benchmarks/load"
	"github.com/memring/memring/benchmarks/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, progress.New(os.Stderr))
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "loadgen:", err)
		os.Exit(1)
	}
}

// run tells the result to out.
func run(ctx context.Context, args []string, out io.Writer, far *progress.Progress) error {
	var config load.Config
	flags := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "tell the result as JSON")
	fill := flags.Bool("fill", true, "set all keys first, so that gets hit")
	overTLS := flags.Bool("tls", false, "over TLS, whatever the server's certificate (a closed loop only)")
	addrs := flags.String("addr", "127.0.0.1:11211", "`HOST:PORT` of a server, or of several with commas; the connections are dealt to them in turn")
	flags.Func("wire", "text, meta or binary (text)", func(s string) (err error) {
		config.Wire, err = wireOf(s)
		return err
	})
	flags.Func("mix", "`WEIGHTS` of get, set, mget, touch and incr, as get=90,set=10 (get=1)", func(s string) (err error) {
		config.Mix, err = mixOf(s)
		return err
	})
	flags.Func("value", "`BYTES` of a value, or least-most: evenly over their logarithm (100)", func(s string) (err error) {
		config.ValueBytes, err = rangeOf(s)
		return err
	})
	flags.IntVar(&config.Conns, "conns", 50, "connections")
	flags.IntVar(&config.Depth, "depth", 1, "requests sent together on a connection before their answers are read")
	flags.IntVar(&config.Threads, "threads", 1, "system threads that ask")
	flags.IntVar(&config.PerGet, "per-get", 100, "keys of a multi-get")
	flags.IntVar(&config.Keys, "keys", 100_000, "different keys")
	flags.Float64Var(&config.Keying.Zipf, "zipf", 0, "exponent of the keys' popularity; 0: all alike")
	flags.Float64Var(&config.Keying.Hot, "hot", 0, "part of the keys that are hot")
	flags.Float64Var(&config.Keying.HotShare, "hot-share", 0.9, "part of the requests that ask for hot keys, if some are")
	flags.Uint64Var(&config.Seed, "seed", 1, "of all that is drawn")
	flags.Float64Var(&config.Rate, "rate", 0, "requests a second of all connections, each timed from when it was due; 0: as fast as they are answered")
	flags.DurationVar(&config.Duration, "for", 10*time.Second, "how long to ask")
	flags.Uint64Var(&config.Requests, "requests", 0, "how many requests at most; 0: as many as fit in the time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	defer far.Clear()
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	config.Addrs = strings.Split(*addrs, ",")
	if *overTLS {
		config.TLS = &tls.Config{InsecureSkipVerify: true} // the load is of no value to anyone
	}
	if *fill {
		if *overTLS {
			return errors.New("-fill writes without TLS: fill before, and say -fill=false")
		}
		far.Begin("setting all keys")
		config.Filled = far.At
		if err := load.Fill(ctx, config); err != nil {
			return err
		}
	}
	if far.Seen() {
		config.Meanwhile = meanwhile(far, config)
	}
	report, err := load.Run(ctx, config)
	far.Clear() // the result may go to the same terminal
	if err != nil {
		return err
	}
	if report.Wrong > 0 {
		err = fmt.Errorf("%d answers hold another value than was set", report.Wrong)
	}
	return errors.Join(tell(out, report, *asJSON), err)
}

// meanwhile gives what shows how a run of this Config goes on.
func meanwhile(far *progress.Progress, c load.Config) func(*load.Report) {
	var before load.Report // but for its Times
	return func(soFar *load.Report) {
		far.Begin("%s", soFarWords(soFar, &before, &c))
		before = *soFar
		before.Times = nil
		if c.Requests > 0 {
			far.At(soFar.Requests, c.Requests)
		} else {
			far.At(uint64(soFar.Elapsed), uint64(c.Duration))
		}
	}
}

// soFarWords say what is done or left, how fast it goes since what was before, and what has come of it all.
func soFarWords(soFar, before *load.Report, c *load.Config) string {
	how := fmt.Sprintf("%.0f s left", max(c.Duration-soFar.Elapsed, 0).Seconds())
	if c.Requests > 0 {
		how = fmt.Sprintf("%d of %d requests", soFar.Requests, c.Requests)
	}
	now := load.Report{Requests: soFar.Requests - before.Requests, Elapsed: soFar.Elapsed - before.Elapsed}
	return fmt.Sprintf("%s, %.0f a second, p99 so far %d us, %d refused, %d wrong", how, now.PerSecond(), soFar.Times.ValueAtQuantile(99)/1000, soFar.Errors, soFar.Wrong)
}

// A result is a Report in words that stay the same.
type result struct {
	Requests  uint64             `json:"requests"`
	Keys      uint64             `json:"keys"`
	Hits      uint64             `json:"hits"`
	Misses    uint64             `json:"misses"`
	Errors    uint64             `json:"errors"`
	Wrong     uint64             `json:"wrong"`
	Seconds   float64            `json:"seconds"`
	PerSecond float64            `json:"requests_per_second"`
	BytesIn   uint64             `json:"bytes_in"`
	BytesOut  uint64             `json:"bytes_out"`
	CPU       float64            `json:"own_cpu_seconds"`
	Micros    map[string]float64 `json:"microseconds"`
}

// quantiles of the times, by the names they have in the output.
var quantiles = []struct {
	name string
	at   float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}, {"max", 100}}

func tell(out io.Writer, report *load.Report, asJSON bool) error {
	r := result{
		Requests: report.Requests, Keys: report.Keys, Hits: report.Hits, Misses: report.Misses, Errors: report.Errors, Wrong: report.Wrong,
		Seconds: report.Elapsed.Seconds(), PerSecond: report.PerSecond(), BytesIn: report.BytesIn, BytesOut: report.BytesOut, CPU: ownCPU(),
		Micros: map[string]float64{"mean": report.Times.Mean() / 1000},
	}
	for _, q := range quantiles {
		r.Micros[q.name] = float64(report.Times.ValueAtQuantile(q.at)) / 1000
	}
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "requests  %d in %.2f s: %.0f a second\n", r.Requests, r.Seconds, r.PerSecond)
	fmt.Fprintf(&text, "keys      %d: %d hits, %d misses, %d refused, %d wrong\n", r.Keys, r.Hits, r.Misses, r.Errors, r.Wrong)
	fmt.Fprintf(&text, "bytes     %d in, %d out\n", r.BytesIn, r.BytesOut)
	fmt.Fprintf(&text, "own cpu   %.2f s\n", r.CPU)
	fmt.Fprintf(&text, "times     mean %.0f us", r.Micros["mean"])
	for _, q := range quantiles {
		fmt.Fprintf(&text, ", %s %.0f", q.name, r.Micros[q.name])
	}
	_, err := fmt.Fprintln(out, text.String())
	return err
}

// ownCPU is what this process has taken of the processors, filling included.
func ownCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func wireOf(name string) (load.Wire, error) {
	i := slices.Index(load.Wires[:], name)
	if i < 0 {
		return 0, fmt.Errorf("it is one of %s", strings.Join(load.Wires[:], ", "))
	}
	return load.Wire(i), nil
}

func mixOf(list string) (m load.Mix, err error) {
	weights := map[string]*int{"get": &m.Get, "set": &m.Set, "mget": &m.MultiGet, "touch": &m.Touch, "incr": &m.Incr}
	for word := range strings.SplitSeq(list, ",") {
		name, weight, _ := strings.Cut(word, "=")
		to, ok := weights[name]
		n, err := strconv.Atoi(weight)
		if !ok || err != nil || n < 0 {
			return m, fmt.Errorf("%q is not a command of get, set, mget, touch and incr, = and its weight", word)
		}
		*to = n
	}
	return m, nil
}

func rangeOf(text string) (r load.Range, err error) {
	least, most, ranged := strings.Cut(text, "-")
	if r.Least, err = strconv.Atoi(least); err != nil {
		return r, err
	}
	r.Most = r.Least
	if ranged {
		r.Most, err = strconv.Atoi(most)
	}
	return r, err
}
