package warm

import (
	"math"
	"testing"
	"time"
)

// played makes a recording of so many requests a second, of which each second's part hits.
func played(perSecond int, ratios ...float64) (r Recording) {
	for second, ratio := range ratios {
		hits := 0
		for i := range perSecond {
			s := Sample{Sent: time.Duration(second)*Second + time.Duration(i)*Second/time.Duration(perSecond), Took: time.Millisecond, Result: Miss}
			if float64(hits) < ratio/100*float64(i+1)-1e-9 {
				s.Result = Hit
				hits++
			}
			r.Samples = append(r.Samples, s)
		}
	}
	return r
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	f := func(part float64, of []time.Duration, want time.Duration) {
		t.Helper()
		if got := quantile(of, part); got != want {
			t.Errorf("the %v quantile of %d is %d, want %d", part, len(of), got, want)
		}
	}
	f(0.5, hundred, 50)
	f(0.99, hundred, 99)
	f(0.999, hundred, 100)
	f(0, hundred, 1)
	f(1, hundred, 100)
	f(0.99, hundred[:1], 1)
	f(0.99, nil, 0)
}

func TestWindow(t *testing.T) {
	r := Recording{Samples: []Sample{
		{Sent: 0, Took: 1, Op: Get, Result: Hit},
		{Sent: 5, Took: 2, Op: Absent, Result: Miss},
		{Sent: 5, Took: 3, Op: Update, Result: Done},
		{Sent: 7, Took: 4, Op: Get, Result: Failed},
		{Sent: 9, Took: 9, Op: Fill, Result: Done},
	}}
	f := func(from, to time.Duration, want Window) {
		t.Helper()
		want.From, want.To = from, to
		if got := r.Over(from, to); got != want {
			t.Errorf("%d to %d: %+v, want %+v", from, to, got, want)
		}
	}
	f(0, 10, Window{Requests: 5, Gets: 3, Hits: 1, Failed: 1, P50: 3, P99: 9, P99p9: 9})
	f(0, 5, Window{Requests: 1, Gets: 1, Hits: 1, P50: 1, P99: 1, P99p9: 1})
	f(5, 7, Window{Requests: 2, Gets: 1, P50: 2, P99: 3, P99p9: 3})
	f(10, 20, Window{})
	f(7, 6, Window{})
	if got := r.Over(0, 10).Ratio(); math.Abs(got-100.0/3) > 1e-9 {
		t.Errorf("ratio %v", got)
	}
	if got := len(r.Only(func(s Sample) bool { return s.Op == Get }).Samples); got != 2 {
		t.Errorf("%d gets", got)
	}
}

func TestSliding(t *testing.T) {
	r := played(100, 50, 50, 50)
	all := r.Sliding(0, 3*Second, Second)
	if len(all) != 9 || all[0].To != Second || all[8].From != 2*Second || all[8].To != 3*Second {
		t.Errorf("%d windows", len(all))
	}
	for _, w := range all {
		if w.Requests != 100 {
			t.Errorf("%+v", w)
		}
	}
}

// TestOutcome: the bars, beside what they are held to.
func TestOutcome(t *testing.T) {
	times := Times{Quiet: Second, Event: 4 * Second, Detected: 4 * Second, Settled: 6 * Second, End: 10 * Second}
	f := func(change func(*Recording, *Times), check func(Outcome) bool) {
		t.Helper()
		r, at := played(1000, 10, 90, 90, 90, 90, 90, 90, 90, 90, 90), times // the first second does not count
		change(&r, &at)
		if o := r.Outcome(at); !check(o) {
			t.Errorf("%+v", o)
		}
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 0.11 }
	f(func(*Recording, *Times) {}, func(o Outcome) bool {
		return near(o.Steady, 90) && near(o.QuietLow, 90) && near(o.Low, 90) && o.Thin == 0 && o.Warm() && o.Errorless() && o.Fast() && o.Right() && o.Recovered && o.Again == 0 &&
			o.Handover == 2*Second && o.Quiet.Requests == 3000 && o.Meanwhile.Requests == 2000
	})
	f(func(r *Recording, _ *Times) { *r = played(1000, 90, 90, 90, 90, 89.8, 89.7, 90, 90, 90, 90) }, func(o Outcome) bool {
		return o.Warm() && near(o.Below(), 0.3) && o.Recovered && o.Again == 0
	})
	f(func(r *Recording, _ *Times) { *r = played(1000, 90, 90, 90, 90, 60, 85, 90, 90, 90, 90) }, func(o Outcome) bool {
		return !o.Warm() && near(o.Below(), 30) && near(o.Low, 60) && o.Recovered && o.Again > 2*Second && o.Again <= 3*Second
	})
	f(func(r *Recording, _ *Times) { *r = played(1000, 90, 90, 90, 90, 60, 85, 85, 85, 85, 85) }, func(o Outcome) bool {
		return !o.Warm() && !o.Recovered
	})
	f(func(r *Recording, at *Times) { // what is lost before anybody knows is not held against it
		*r = played(1000, 90, 90, 90, 90, 60, 90, 90, 90, 90, 90)
		at.Detected = 5 * Second
	}, func(o Outcome) bool {
		return o.Warm() && near(o.Low, 60) && near(o.LowDetected, 90) && o.DetectedIn == Second
	})
	f(func(r *Recording, _ *Times) { // the machine stood still: one get missed in that second
		r.Samples = append(append(r.Samples[:5000:5000], Sample{Sent: 5 * Second, Result: Miss}), r.Samples[6000:]...)
	}, func(o Outcome) bool { return o.Warm() && o.Thin == 1 })
	f(func(r *Recording, _ *Times) {
		for i := range r.Samples[5000:5030] {
			r.Samples[5000+i].Took = 3 * time.Millisecond
		}
	}, func(o Outcome) bool {
		return !o.Fast() && o.Slower() == 3 && o.Quiet.P99 == time.Millisecond && o.WorstP99 == 3*time.Millisecond && o.QuietP99 == time.Millisecond
	})
	f(func(r *Recording, _ *Times) { r.Tally = Tally{Errors: map[string]int{"x": 2, "y": 1}, Stale: 1} }, func(o Outcome) bool {
		return !o.Errorless() && o.Errors == 3 && !o.Right()
	})
	f(func(r *Recording, at *Times) { r.Samples, at.Settled = nil, at.Event }, func(o Outcome) bool { return o.Slower() == 0 && o.Meanwhile.To == 5*Second })
}

func TestTally(t *testing.T) {
	var all Tally
	all.Add(Tally{Errors: map[string]int{"b": 1, "a": 2}, Wrong: 1, Stale: 2, Late: 3, Moved: 4})
	all.Add(Tally{Errors: map[string]int{"b": 1}, Wrong: 1})
	if texts := all.ErrorTexts(); len(texts) != 2 || texts[0] != "a" || all.Errors["b"] != 2 || all.Wrong != 2 || all.Stale != 2 || all.Late != 3 || all.Moved != 4 {
		t.Errorf("%+v", all)
	}
	c := &client{tally: Tally{Errors: map[string]int{}}}
	for i := range 100 {
		c.count(time.Duration(i).String())
	}
	if len(c.tally.Errors) > maxKinds+1 || c.tally.Errors["others"] != 100-maxKinds {
		t.Errorf("%d kinds", len(c.tally.Errors))
	}
}

func BenchmarkJudge(b *testing.B) {
	l := newLedger(someConfig())
	version, _ := l.begin(1)
	value := l.appendValue(nil, 1, version)
	l.end(1, version, true, false)
	for b.Loop() {
		if l.judge(1, 1, value) != right {
			b.Fatal("not right")
		}
	}
}
