package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memring/memring/benchmarks/warm"
)

// warmth asks a cluster cache-aside while a node joins, is drained, is restarted or is killed; then three memcacheds behind ketama likewise.
//
//	for each ground (memring, memring with copies for a kill alone, memcached): start three nodes
//	    for each event: make it warm -> a quiet time under load -> the event -> until it is steady again -> a row, a panel
//
// The load never stops from the quiet time on, so an event is compared with the seconds before it.
type warmth struct {
	*bench
	config       warm.Config
	quiet, after time.Duration
	events       []string
	on           []string

	rows []warmRow
}

const (
	nodesAtFirst = 3

	// connecting is left out of the quiet time: clients open their connections, and nodes one lane to another.
	connecting = time.Second

	// leastAfter is how long an event is watched at least, and stillFor how long nothing must have moved before it is over.
	leastAfter = 6 * time.Second
	stillFor   = 2 * time.Second

	// actBound is the longest that a node may take to join, to end or to come back: memring's own --drain-timeout is 30 s.
	actBound = 60 * time.Second

	// warmPasses bounds how often all keys are asked for without an error before an event: caches too small for them never have them all.
	warmPasses = 3

	// unlistedFor lies between an operator's taking a memcached from the clients' list and its end.
	unlistedFor = 500 * time.Millisecond
)

// onMemring, onCopies and onMemcached are the grounds.
const (
	onMemring   = "memring"
	onCopies    = "memring, 2 copies"
	onMemcached = "memcached, ketama"
)

// allEvents are those that can be asked for, in the order in which they happen.
func allEvents() []string { return []string{"join", "drain", "restart", "kill"} }

func newWarmth(b *bench, flags *flag.FlagSet) *warmth {
	w := &warmth{bench: b, events: allEvents(), on: []string{"memring", "memcached"}}
	flags.DurationVar(&w.quiet, "quiet", 5*time.Second, "`TIME` under load before each event")
	flags.DurationVar(&w.after, "after", 12*time.Second, "longest `TIME` under load after a node has joined, left or come back")
	list := func(to *[]string, known ...string) func(string) error {
		return func(s string) error {
			*to = strings.Split(s, ",")
			for _, word := range *to {
				if !slices.Contains(known, word) {
					return fmt.Errorf("%q is none of %s", word, strings.Join(known, ","))
				}
			}
			return nil
		}
	}
	flags.Func("events", "some of join,drain,restart,kill", list(&w.events, allEvents()...))
	flags.Func("on", "some of memring,memcached", list(&w.on, "memring", "memcached"))
	flags.IntVar(&w.config.Clients, "clients", 32, "clients, each waits for one answer at a time")
	flags.Float64Var(&w.config.Rate, "rate", 5_000, "`REQUESTS` a second of all clients")
	flags.IntVar(&w.config.Keys, "keys", 300_000, "keys that the database has; all of them must fit into two nodes twice")
	flags.Float64Var(&w.config.Zipf, "zipf", 0.99, "exponent of the keys' popularity")
	flags.IntVar(&w.config.Absent, "absent", 6, "of a hundred requests, gets of keys that the database has not")
	flags.IntVar(&w.config.Updates, "updates", 5, "of a hundred requests, sets of a new version")
	flags.DurationVar(&w.config.Patience, "patience", 2*time.Second, "longest `TIME` that a client waits for an answer")
	flags.Uint64Var(&w.config.Seed, "seed", 1, "of all that is drawn")
	w.config.LeastBytes, w.config.MostBytes = 100, 1500
	return w
}

// run writes what it has also when it is interrupted, or an event fails: the results then say so.
func (w *warmth) run(ctx context.Context) error {
	if w.quiet < 2*warm.Second || w.after < warm.Second {
		return errors.New("-quiet must be 2s at least, -after 1s")
	}
	err := w.all(ctx)
	if len(w.rows) == 0 {
		return err
	}
	return errors.Join(err, w.write(partial(ctx, err)))
}

func (w *warmth) all(ctx context.Context) error {
	if slices.Contains(w.on, "memring") {
		if err := w.play(ctx, w.memringGround(onMemring), w.events); err != nil {
			return err
		}
		if slices.Contains(w.events, "kill") {
			if err := w.play(ctx, w.memringGround(onCopies, "--copies", "2"), []string{"kill"}); err != nil {
				return err
			}
		}
	}
	if slices.Contains(w.on, "memcached") {
		return w.play(ctx, w.memcachedGround(), w.events)
	}
	return nil
}

// play has a ground go through its events, in their order.
func (w *warmth) play(ctx context.Context, g *ground, events []string) (err error) {
	if len(events) == 0 {
		return nil
	}
	defer func() {
		for _, n := range g.nodes {
			n.kill() // what they hold is worth nothing now
		}
	}()
	w.progress.Begin("%s: starting %d nodes", g.name, nodesAtFirst)
	w.progress.At(0, 1)
	if err := g.start(ctx); err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	fleet, err := warm.NewFleet(w.config)
	if err != nil {
		return err
	}
	w.progress.Begin("%s: making it warm", g.name)
	if _, _, err := g.warm(ctx, fleet); err != nil {
		return fmt.Errorf("%s: %w", g.name, err)
	}
	for _, event := range events {
		row, err := w.measure(ctx, g, fleet, event)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", g.name, event, err)
		}
		w.rows = append(w.rows, *row)
		w.progress.Say("%s", row.say())
	}
	return nil
}

// A warmRow is one event on one ground.
type warmRow struct {
	event, on string
	times     warm.Times
	recording warm.Recording
	outcome   warm.Outcome
	routes    []route
	lost      int // keys that missed when all were asked for afterwards
}

// measure has one event happen under load, then looks for what is lost, and sets it.
func (w *warmth) measure(ctx context.Context, g *ground, fleet *warm.Fleet, event string) (*warmRow, error) {
	g.list()
	owners := g.owners()
	before, err := owners(ctx)
	if err != nil {
		return nil, err
	}
	e := &happening{warmth: w, ground: g, name: event, run: fleet.Start(g.servers), times: warm.Times{Quiet: connecting, Event: connecting + w.quiet}}
	err = e.watch(ctx)
	row := &warmRow{event: event, on: g.name, recording: e.run.Stop()}
	if err != nil {
		return nil, err
	}
	after, err := owners(ctx)
	if err != nil {
		return nil, err
	}
	var values warm.Tally
	if row.lost, values, err = g.warm(ctx, fleet); err != nil {
		return nil, err
	}
	row.recording.Tally.Add(values)
	row.times, row.outcome = e.times, row.recording.Outcome(e.times)
	row.routes = routesOf(row.recording, e.times, row.outcome, before, after, e.victim)
	return row, nil
}

// bars says which ones an event has: that of the hit ratio, of errors, of times.
func (r *warmRow) bars() (ratio, errorless, fast bool) {
	orderly := r.on != onMemcached && r.event != "kill"
	return orderly || r.on == onCopies, orderly, orderly // whoever is killed takes what only it has
}

func (r *warmRow) say() string {
	o := r.outcome
	return fmt.Sprintf("%-8s %-18s %6.2f %%, at worst %6.2f, steady after %5s s, %d errors, p99 %s -> %s ms", r.event, r.on, o.Steady, o.Low, r.again(),
		o.Errors, milliseconds(o.Quiet.P99), milliseconds(o.Meanwhile.P99))
}

// again tells when the last second ended that was below the bar.
func (r *warmRow) again() string {
	if !r.outcome.Recovered {
		return fmt.Sprintf("> %.1f", (r.times.End - r.times.Event).Seconds())
	}
	return strconv.FormatFloat(r.outcome.Again.Seconds(), 'f', 2, 64)
}

// known tells how long a death went unnoticed; what is planned is told by who does it.
func (r *warmRow) known() string {
	if r.event != "kill" || r.on == onMemcached {
		return ""
	}
	return strconv.FormatFloat(r.outcome.DetectedIn.Seconds(), 'f', 2, 64)
}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(milli(d), 'f', 2, 64)
}
