package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/memring/memring/benchmarks/load"
)

const (
	// judgedFrom is how many periods must have passed before it is judged what grows.
	judgedFrom = 8

	// fullShare of the most that the store ever takes is what it has once the caches are full. Before, it takes what it was given as items are
	// written, and memory that grows says nothing.
	fullShare = 0.99

	// soakMemoryBar is how much memory may grow from then to the end, by the line through all that was read; what is counted may by soakSpareBar.
	soakMemoryBar = 0.03
	soakSpareBar  = 16

	// soakTimesBar is how much longer requests may take in the last periods than in the first ones after the first, as many as there are wires.
	soakTimesBar = 1.5
)

// words are the columns of a period, but for its number.
func (r soaked) words() []string {
	at := func(quantile float64) string {
		return strconv.FormatInt(r.report.Times.ValueAtQuantile(quantile)/int64(time.Microsecond), 10)
	}
	return []string{
		r.wire.String(), strconv.FormatUint(r.report.Requests, 10), strconv.FormatUint(r.report.Misses, 10), strconv.FormatUint(r.report.Errors, 10),
		at(50), at(99), at(99.9), megabytes(r.rss), megabytes(r.store), strconv.Itoa(r.descriptors), strconv.Itoa(r.goroutines),
	}
}

// A finding is one thing that must not grow, or not be.
type finding struct {
	what string
	held bool
}

// findings are none while too little time has passed.
func (s *soak) findings() (all []finding) {
	n := len(s.rows)
	if n < judgedFrom {
		return nil
	}
	add := func(held bool, format string, args ...any) {
		all = append(all, finding{fmt.Sprintf(format, args...), held})
	}
	bound := uint64(soakMembers) * (uint64(s.limits[0])<<20 + allowance + soakConns/soakMembers*allowancePerConn)
	var most, refused uint64
	for _, r := range s.rows {
		most, refused = max(most, r.rss), refused+r.report.Errors
	}
	add(most <= bound, "memory is %s MB at most (promised: %s, which is -m, 16 MB and 16 KB for each connection, of all three)", megabytes(most), megabytes(bound))
	if warm := s.warmedUp(); warm < 0 {
		add(false, "memory cannot be judged: at half time the caches were not full (-for longer, or less -m)")
	} else {
		grown := growth(s.rows[warm:])
		add(grown <= soakMemoryBar, "memory has grown by %.1f %% since period %d (at most %.0f %%)", 100*grown, warm+1, 100*soakMemoryBar)
	}
	var descriptors, goroutines int
	for _, r := range s.rows[:n/4+1] {
		descriptors, goroutines = max(descriptors, r.descriptors), max(goroutines, r.goroutines)
	}
	last := s.rows[n-1]
	add(last.descriptors <= descriptors+soakSpareBar, "descriptors are %d, and were %d (at most %d more)", last.descriptors, descriptors, soakSpareBar)
	add(last.goroutines <= goroutines+soakSpareBar, "goroutines are %d, and were %d (at most %d more)", last.goroutines, goroutines, soakSpareBar)
	wires := len(load.Wires) // of which each period has one, so that as many have all
	before, after := timesOf(s.rows[1:1+wires]), timesOf(s.rows[n-wires:])
	for _, quantile := range []float64{50, 99} {
		was, is := time.Duration(before.ValueAtQuantile(quantile)), time.Duration(after.ValueAtQuantile(quantile))
		add(float64(is) <= soakTimesBar*float64(was), "p%.0f is %v in the last %d periods, and was %v in those after the first (at most %.1f times)", quantile, is, wires, was, soakTimesBar)
	}
	add(refused == 0, "%d requests were refused in all (none may be: nodes that come and go in order cost no request)", refused)
	return all
}

// warmedUp is how many periods are for warming up: a quarter of them, and more if the caches are not full by then; half of them at most: -1 if they are not full even then.
func (s *soak) warmedUp() int {
	var most uint64
	for _, r := range s.rows {
		most = max(most, r.store)
	}
	for n := len(s.rows) / 4; n <= len(s.rows)/2; n++ {
		if float64(s.rows[n-1].store) >= fullShare*float64(most) {
			return n
		}
	}
	return -1
}

// growth is by how much of what there was memory has grown, from end to end of the line that lies nearest to all: one look finds a little more or less.
func growth(rows []soaked) float64 {
	middle := float64(len(rows)-1) / 2
	mean, rise, run := 0.0, 0.0, 0.0
	for i, r := range rows {
		mean += float64(r.rss) / float64(len(rows))
		rise += (float64(i) - middle) * float64(r.rss)
		run += (float64(i) - middle) * (float64(i) - middle)
	}
	slope := rise / run
	return slope * 2 * middle / (mean - slope*middle)
}

// timesOf are those of some periods together.
func timesOf(rows []soaked) *hdrhistogram.Histogram {
	first := rows[0].report.Times
	all := hdrhistogram.New(first.LowestTrackableValue(), first.HighestTrackableValue(), int(first.SignificantFigures()))
	for _, r := range rows {
		all.Merge(r.report.Times)
	}
	return all
}

// judge is an error if anything has.
func (s *soak) judge() (err error) {
	for _, v := range s.findings() {
		if s.progress.Say("%s  %s", map[bool]string{true: "held", false: "NOT HELD"}[v.held], v.what); !v.held {
			err = errors.Join(err, errors.New(v.what))
		}
	}
	return err
}

// write leaves the table, with a word before it.
func (s *soak) write(word string) error {
	t := table{title: "A cluster under load for long", columns: []string{
		"period", "wire", "requests", "misses", "refused", "p50 us", "p99 us", "p99.9 us", "RSS MB", "of it the store", "descriptors", "goroutines",
	}}
	for i, r := range s.rows {
		t.rows = append(t.rows, append([]string{strconv.Itoa(i + 1)}, r.words()...))
	}
	after := fmt.Sprintf(soakNotes, s.period, s.rate, s.limits[0])
	for _, v := range s.findings() {
		after += fmt.Sprintf("- %s: %s\n", map[bool]string{true: "held", false: "**NOT HELD**"}[v.held], v.what)
	}
	if len(s.rows) < judgedFrom {
		after += fmt.Sprintf("Not judged: fewer than %d periods.\n", judgedFrom)
	}
	if err := t.write(s.out, "soak", word+s.circumstances(), after); err != nil {
		return err
	}
	s.progress.Say("%s", filepath.Join(s.out, "soak.md"))
	return nil
}

const soakNotes = `Three nodes, asked through all of them; in each period of %v a fourth one joins, and leaves again in order. Memory, descriptors and goroutines are those of the three together,
after the period's load has ended and its connections are gone. An open loop of %.0f requests a second: 75 %% get, 15 %% set, 2 %% get of 20 keys, 4 %% touch, 4 %% incr; 100,000 keys by Zipf 0.99, values of 50 to 5000 bytes, -m %d; each request
timed from when it was due; every value read is compared.

`
