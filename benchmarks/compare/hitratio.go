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
	"strconv"
	"strings"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

const (
	// level is how much two miss ratios may differ and still be called the same.
	level = 0.01

	// requestsPerMegabyte of -m bounds the length of a trace: a case should take seconds, and still turn the cache over some times.
	requestsPerMegabyte = 40_000
	// mostRequests is as many as turn over what is larger, too.
	mostRequests = 5_000_000
)

// hitRatio plays traces cache-aside to both servers and compares how much they miss.
//
//	for each -m, footprint and trace: make it fit -> for each server: start, play, ask how much memory it took, stop -> a row
type hitRatio struct {
	*bench
	directory  string
	footprints []int // times -m
	only       *regexp.Regexp
	seed       uint64
	rate       float64
}

func newHitRatio(b *bench, flags *flag.FlagSet) *hitRatio {
	h := &hitRatio{bench: b, footprints: []int{4, 12}, only: regexp.MustCompile("")}
	flags.StringVar(&h.directory, "traces", tracesByDefault(), "`DIRECTORY` of recorded traces (*.csv.gz); or MEMRING_TRACES in the environment")
	flags.Func("footprints", "`TIMES` -m that all items of a trace take together, with commas (4,12)", func(s string) (err error) {
		h.footprints, err = numbers(s)
		return err
	})
	flags.Func("only", "play only traces whose name matches this `REGEXP`", func(s string) (err error) {
		h.only, err = regexp.Compile(s)
		return err
	})
	flags.Uint64Var(&h.seed, "seed", 1, "of the generated traces")
	flags.Float64Var(&h.rate, "rate", 100_000, "`REQUESTS` a second of the traces with TTLs; they must come at the same rate to all. The results name a server that falls behind")
	return h
}

func tracesByDefault() string {
	if directory := os.Getenv("MEMRING_TRACES"); directory != "" {
		return directory
	}
	return "../shared/traces"
}

// An outcome is one server's part of a case.
type outcome struct {
	all, warm trace.Tally   // warm: the second half
	late      time.Duration // trace.Player's
	rss       uint64
}

type hitCase struct {
	name      string
	limit     int // megabytes
	footprint uint64
	keys      int
	requests  int
	tenants   int
	factor    float64
	outcomes  [2]outcome // memcached's, memring's
}

// ratio is memring's miss ratio over memcached's.
func (c *hitCase) ratio() float64 {
	return c.outcomes[1].all.MissRatio() / c.outcomes[0].all.MissRatio()
}

// run writes what it has also when it is interrupted, or a trace fails: the results then say so.
func (h *hitRatio) run(ctx context.Context) error {
	var cases []*hitCase
	err := h.playAll(ctx, &cases)
	switch {
	case len(cases) > 0:
		return errors.Join(err, h.write(cases, partial(ctx, err)))
	case err == nil:
		return fmt.Errorf("no trace matches -only %s", h.only)
	}
	return err
}

func (h *hitRatio) playAll(ctx context.Context, cases *[]*hitCase) error {
	recorded, err := h.recorded()
	if err != nil {
		return err
	}
	for _, limit := range h.limits {
		requests := min(limit*requestsPerMegabyte, mostRequests)
		for _, times := range h.footprints {
			footprint := uint64(limit) * uint64(times) << 20
			for _, t := range recorded {
				tenants := max(1, min(int(footprint/footprintOf(t)), requests/len(t.Requests)))
				if err := h.add(ctx, cases, t.Stack(tenants), limit, footprint, tenants); err != nil {
					return err
				}
			}
			for _, k := range trace.Kinds() {
				if !h.only.MatchString(k.Name) {
					continue
				}
				if err := h.add(ctx, cases, k.Synthetic(footprint, requests, h.seed), limit, footprint, 1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// recorded reads the traces of the directory; without one the generated ones must do.
func (h *hitRatio) recorded() (all []*trace.Trace, err error) {
	paths, err := filepath.Glob(filepath.Join(h.directory, "*.csv.gz"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		h.progress.Say("no recorded traces in %s: only generated ones are played", h.directory)
	}
	for _, path := range paths {
		if !h.only.MatchString(strings.TrimSuffix(filepath.Base(path), ".csv.gz")) {
			continue
		}
		t, err := trace.Open(path)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func footprintOf(t *trace.Trace) uint64 {
	bytes, _ := t.Footprint()
	return max(bytes, 1)
}

// add measures a case.
func (h *hitRatio) add(ctx context.Context, cases *[]*hitCase, t *trace.Trace, limit int, footprint uint64, tenants int) error {
	fitted, factor := t.Fit(footprint)
	c := &hitCase{name: t.Name, limit: limit, requests: len(t.Requests), tenants: tenants, factor: factor}
	c.footprint, c.keys = fitted.Footprint()
	for i, rival := range h.rivals() {
		h.progress.Begin("-m %d, %s (%s MB) to %s", limit, t.Name, megabytes(c.footprint), rival.name)
		o, err := h.play(ctx, rival, fitted, limit)
		if err != nil {
			return fmt.Errorf("-m %d, %s to %s: %w", limit, t.Name, rival.name, err)
		}
		c.outcomes[i] = o
	}
	a, b := c.outcomes[0], c.outcomes[1]
	h.progress.Say("-m %-4d %-12s %6s MB  misses %.4f  %.4f  x %.3f   RSS %s  %s MB", limit, t.Name, megabytes(c.footprint),
		a.all.MissRatio(), b.all.MissRatio(), c.ratio(), megabytes(a.rss), megabytes(b.rss))
	*cases = append(*cases, c)
	return nil
}

// play gives one server the whole trace, in two halves.
func (h *hitRatio) play(ctx context.Context, r recipe, t *trace.Trace, limit int) (o outcome, err error) {
	s, err := r.start(ctx, "-m", strconv.Itoa(limit))
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p, err := trace.Dial(s.addr)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	p.Played = func(n uint64) { h.progress.At(n, uint64(len(t.Requests))) }
	if t.Paced {
		p.Rate = h.rate
	}
	half := len(t.Requests) / 2
	cold, err := p.Play(ctx, slices.Values(t.Requests[:half]))
	if err != nil {
		return o, err
	}
	if o.warm, err = p.Play(ctx, slices.Values(t.Requests[half:])); err != nil {
		return o, err
	}
	o.all = cold.Plus(o.warm)
	if o.all.Wrong > 0 {
		return o, fmt.Errorf("%d answers hold another value than was set", o.all.Wrong)
	}
	o.late = p.Late
	o.rss, _, err = s.memory()
	return o, err
}

// write leaves the table, with a word before it, and the plot.
func (h *hitRatio) write(cases []*hitCase, word string) error {
	t := table{title: "Hit ratio beside memcached", columns: []string{
		"trace", "-m", "footprint MB", "times -m", "keys", "requests", "tenants", "sizes x", "misses memcached", "misses memring", "ratio", "verdict",
		"2nd half memcached", "2nd half memring", "bytes missed memcached", "bytes missed memring", "RSS MB memcached", "RSS MB memring",
		"refused memcached", "refused memring",
	}}
	ratio := func(f float64) string { return strconv.FormatFloat(f, 'f', 4, 64) }
	for _, c := range cases {
		a, b := c.outcomes[0], c.outcomes[1]
		t.rows = append(t.rows, []string{
			c.name, strconv.Itoa(c.limit), megabytes(c.footprint), fmt.Sprintf("%.1f", float64(c.footprint)/float64(int(1)<<20*c.limit)),
			strconv.Itoa(c.keys), strconv.Itoa(c.requests), strconv.Itoa(c.tenants), fmt.Sprintf("%.2f", c.factor),
			ratio(a.all.MissRatio()), ratio(b.all.MissRatio()), fmt.Sprintf("%.3f", c.ratio()), verdict(c.ratio()),
			ratio(a.warm.MissRatio()), ratio(b.warm.MissRatio()), ratio(a.all.ByteMissRatio()), ratio(b.all.ByteMissRatio()),
			megabytes(a.rss), megabytes(b.rss), strconv.FormatUint(a.all.Refused, 10), strconv.FormatUint(b.all.Refused, 10),
		})
	}
	before := "![ratios of misses](hitratio.svg)\n\n" + word + summary(cases) + "\n\n" + h.circumstances()
	if err := t.write(h.out, "hitratio", before, hitRatioNotes); err != nil {
		return err
	}
	h.progress.Say("%s\n%s", summary(cases), filepath.Join(h.out, "hitratio.md"))
	return plotHitRatio(filepath.Join(h.out, "hitratio.svg"), cases)
}

func verdict(ratio float64) string {
	switch {
	case ratio < 1-level:
		return "better"
	case ratio > 1+level:
		return "WORSE"
	}
	return "level"
}

// summary counts, and names where memring loses and who was late.
func summary(cases []*hitCase) string {
	verdicts := map[string]int{}
	var logs float64
	var lost, larger, late []string
	for _, c := range cases {
		verdicts[verdict(c.ratio())]++
		logs += math.Log(c.ratio())
		if verdict(c.ratio()) == "WORSE" {
			lost = append(lost, fmt.Sprintf("%s at -m %d, %s MB (x %.3f)", c.name, c.limit, megabytes(c.footprint), c.ratio()))
		}
		if c.outcomes[1].rss > c.outcomes[0].rss {
			larger = append(larger, fmt.Sprintf("%s at -m %d, %s MB (+ %s MB)", c.name, c.limit, megabytes(c.footprint), megabytes(c.outcomes[1].rss-c.outcomes[0].rss)))
		}
		for i, name := range []string{"memcached", "memring"} {
			if c.outcomes[i].late > 0 {
				late = append(late, fmt.Sprintf("%s on %s at -m %d (by up to %.1f s)", name, c.name, c.limit, c.outcomes[i].late.Seconds()))
			}
		}
	}
	said := fmt.Sprintf("Of %d cases memring misses less in %d, as much (within %.0f %%) in %d, more in %d; the geometric mean of its misses over memcached's is %.3f.\n\n"+
		"It misses more on: %s.\n\nIt takes more memory (RSS) than memcached on: %s.",
		len(cases), verdicts["better"], 100*level, verdicts["level"], verdicts["WORSE"], math.Exp(logs/float64(len(cases))), listed(lost), listed(larger))
	if len(late) > 0 {
		said += "\n\nThese were behind the rate of their trace, so that TTLs ran out earlier in it: " + listed(late) + "."
	}
	return said
}

func listed(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, "; ")
}

const hitRatioNotes = `Each trace is played cache-aside over one connection: a get, and a set of what it missed. "misses" is the part of all gets that missed, from an empty
cache on; "2nd half" counts only the second half of the trace, "bytes missed" weighs each get with its size (key and value). "footprint" is the sum of the
sizes of all keys asked for. To have it some times -m, a recorded trace is played by several tenants at once, each with its own keys and shifted in time
("tenants"), and all sizes are multiplied by one factor ("sizes x", cut at 1 MB). "refused" counts sets answered with an error. RSS is what the kernel says at the end.
Traces with TTLs are played at the same fixed rate to both. Every value read is compared, byte by byte; a wrong one ends the run.

Recorded traces: orm-busy, orm-night, web07, web12 are cache2k's, (c) headissue GmbH, Jens Wilke, CC BY 4.0; keys renumbered, sizes added. The others are generated
by ` + "`benchmarks/trace`" + `.
`
