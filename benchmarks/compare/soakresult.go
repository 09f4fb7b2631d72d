package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// judgedFrom is how many periods must have passed before it is judged what grows; the first quarter of them is for warming up.
	judgedFrom = 8

	// Afterwards memory may grow by a twentieth, and what is counted by what happens to be at work when it is looked.
	soakMemoryBar = 1.05
	soakSpareBar  = 16

	// soakTimesBar is how much longer the last period's requests may take, p99, than those of the first one after warming up on the same wire.
	soakTimesBar = 1.5
)

// words are the columns of a period, but for its number.
func (r soaked) words() []string {
	at := func(quantile float64) string {
		return strconv.FormatInt(r.report.Times.ValueAtQuantile(quantile)/int64(time.Microsecond), 10)
	}
	return []string{
		r.wire.String(), strconv.FormatUint(r.report.Requests, 10), strconv.FormatUint(r.report.Misses, 10), strconv.FormatUint(r.report.Errors, 10),
		at(50), at(99), at(99.9), megabytes(r.rss), strconv.Itoa(r.descriptors), strconv.Itoa(r.goroutines),
	}
}

// A finding is one thing that must not grow, or not be.
type finding struct {
	what string
	held bool
}

// findings are none while too little time has passed.
func (s *soak) findings() (all []finding) {
	if len(s.rows) < judgedFrom {
		return nil
	}
	first, last := s.rows[:len(s.rows)/4+1], s.rows[len(s.rows)-1]
	var rss, refused uint64
	for _, r := range s.rows {
		refused += r.report.Errors
	}
	var descriptors, goroutines int
	for _, r := range first {
		rss, descriptors, goroutines = max(rss, r.rss), max(descriptors, r.descriptors), max(goroutines, r.goroutines)
	}
	before := s.rows[1]
	for _, r := range s.rows[2:] {
		if before.wire != last.wire {
			before = r
		}
	}
	p99, p99Before := last.report.Times.ValueAtQuantile(99), before.report.Times.ValueAtQuantile(99)
	add := func(held bool, format string, args ...any) {
		all = append(all, finding{fmt.Sprintf(format, args...), held})
	}
	add(float64(last.rss) <= soakMemoryBar*float64(rss), "memory is %s MB at the end, and was %s at most in the first quarter (at most %.2f times)", megabytes(last.rss), megabytes(rss), soakMemoryBar)
	add(last.descriptors <= descriptors+soakSpareBar, "descriptors are %d, and were %d (at most %d more)", last.descriptors, descriptors, soakSpareBar)
	add(last.goroutines <= goroutines+soakSpareBar, "goroutines are %d, and were %d (at most %d more)", last.goroutines, goroutines, soakSpareBar)
	add(float64(p99) <= soakTimesBar*float64(p99Before), "p99 is %v, and was %v when this wire was first asked after a period (at most %.1f times)", time.Duration(p99), time.Duration(p99Before), soakTimesBar)
	add(refused == 0, "%d requests were refused in all (none may be: nodes that come and go in order cost no request)", refused)
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
		"period", "wire", "requests", "misses", "refused", "p50 us", "p99 us", "p99.9 us", "RSS MB", "descriptors", "goroutines",
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
after the period's load has ended. An open loop of %.0f requests a second: 75 %% get, 15 %% set, 2 %% get of 20 keys, 4 %% touch, 4 %% incr; 100,000 keys by Zipf 0.99, values of 50 to 5000 bytes, -m %d; each request
timed from when it was due; every value read is compared.

`
