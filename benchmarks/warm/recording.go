package warm

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// A Result is what came of a request.
type Result uint8

const (
	Done   Result = iota // a set that was acknowledged
	Hit                  // whatever the value: wrong and stale ones are counted in the Tally
	Miss                 //
	Failed               // the client saw an error
)

// A Sample is one request.
type Sample struct {
	Sent   time.Duration // since the run's begin
	Took   time.Duration // from when it was due, or from when it was sent if its client was free and only its timer late
	Key    uint32
	Server uint8 // the last one asked
	Op     Op
	Result Result
}

// A Tally is what is not told by time.
type Tally struct {
	Errors             map[string]int // by text
	Wrong, Stale, Late int            // values read: see standing
	Moved              int            // times that a client asked another server, its own having been stopped
}

// Add adds another tally.
func (t *Tally) Add(o Tally) {
	if t.Errors == nil {
		t.Errors = map[string]int{}
	}
	for text, n := range o.Errors {
		t.Errors[text] += n
	}
	t.Wrong, t.Stale, t.Late, t.Moved = t.Wrong+o.Wrong, t.Stale+o.Stale, t.Late+o.Late, t.Moved+o.Moved
}

// A Recording is all that came of a run, in the order in which it was sent.
type Recording struct {
	Samples []Sample
	Tally   Tally
}

func recording(clients []*client) Recording {
	var all Recording
	for _, c := range clients {
		all.Samples = append(all.Samples, c.samples...)
		all.Tally.Add(c.tally)
	}
	slices.SortStableFunc(all.Samples, func(a, b Sample) int { return cmp.Compare(a.Sent, b.Sent) })
	return all
}

// ErrorTexts gives the errors that clients saw, in order.
func (t Tally) ErrorTexts() []string { return slices.Sorted(maps.Keys(t.Errors)) }

// A Window is what came of the requests that were sent in a span of time, its end not in it.
type Window struct {
	From, To        time.Duration
	Requests, Gets  int
	Hits, Failed    int
	P50, P99, P99p9 time.Duration
}

// Ratio is the part of gets that hit, in hundreds; 0 without any.
func (w Window) Ratio() float64 {
	if w.Gets == 0 {
		return 0
	}
	return 100 * float64(w.Hits) / float64(w.Gets)
}

// span gives the samples sent from one time to another.
func span(samples []Sample, from, to time.Duration) []Sample {
	at := func(t time.Duration) int {
		i, _ := slices.BinarySearchFunc(samples, t, func(s Sample, t time.Duration) int { return cmp.Compare(s.Sent, t) })
		return i
	}
	return samples[at(from):max(at(from), at(to))]
}

// Over gives the window of a span.
func (r Recording) Over(from, to time.Duration) Window {
	return window(span(r.Samples, from, to), from, to)
}

// Only keeps the samples that are wanted.
func (r Recording) Only(wanted func(Sample) bool) Recording {
	kept := Recording{Tally: r.Tally}
	for _, s := range r.Samples {
		if wanted(s) {
			kept.Samples = append(kept.Samples, s)
		}
	}
	return kept
}

func window(samples []Sample, from, to time.Duration) Window {
	w := Window{From: from, To: to, Requests: len(samples)}
	times := make([]time.Duration, len(samples))
	for i, s := range samples {
		times[i] = s.Took
		if s.Op == Get || s.Op == Absent {
			w.Gets++
		}
		switch s.Result {
		case Hit:
			w.Hits++
		case Failed:
			w.Failed++
		case Miss, Done:
		}
	}
	slices.Sort(times)
	w.P50, w.P99, w.P99p9 = quantile(times, 0.50), quantile(times, 0.99), quantile(times, 0.999)
	return w
}

// quantile is the smallest time that so large a part of all do not exceed (the nearest rank); 0 of none.
func quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(part * float64(len(sorted)))
	if float64(rank) < part*float64(len(sorted)) {
		rank++
	}
	return sorted[max(rank-1, 0)]
}

const (
	// Step is how far windows slide, and Second how long they are: "any second" is any one that begins at a step.
	Step   = 250 * time.Millisecond
	Second = time.Second
)

// Sliding gives all windows of a width that lie within a span, one beginning at each Step.
func (r Recording) Sliding(from, to, width time.Duration) (all []Window) {
	for at := from; at+width <= to; at += Step {
		all = append(all, r.Over(at, at+width))
	}
	return all
}
