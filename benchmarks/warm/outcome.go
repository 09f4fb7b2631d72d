package warm

import "time"

// Times are what happened when in a recording.
type Times struct {
	Quiet    time.Duration // steady from here on
	Event    time.Duration // until here
	Detected time.Duration // from here on the others know of it; Event, where that makes no difference
	Settled  time.Duration // the hand-over was over, as far as can be seen from outside
	End      time.Duration
}

// An Outcome is an event in figures.
type Outcome struct {
	Steady               float64 // hit ratio of the whole quiet time, in hundreds
	QuietLow             float64 // of the quiet time's worst second
	Low                  float64 // of the worst second that begins after the event
	LowStep              float64 // of the worst step after it
	LowDetected          float64 // of the worst second that begins after it was detected
	Again                time.Duration
	Recovered            bool
	Errors               int
	Quiet, Meanwhile     Window
	QuietP99, WorstP99   time.Duration // of the worst second before and after
	Wrong, Stale, Moved  int
	Thin                 int // seconds after the event that have no ratio: see thinPart
	Handover, DetectedIn time.Duration
}

const (
	// PointsBar is how far the hit ratio may fall below its steady value in any second.
	PointsBar = 0.5

	// TimesBar is how much longer than quiet ones the 99th of a hundred requests may take during a hand-over.
	TimesBar = 2.0
)

// thinPart: a window with fewer than a twentieth of its gets has no ratio that means much. It comes when the machine stands still, and shows in the times.
const thinPart = 20

// Outcome sums up a recording with one event.
func (r Recording) Outcome(t Times) Outcome {
	o := Outcome{
		Quiet: r.Over(t.Quiet, t.Event), Meanwhile: r.Over(t.Event, max(t.Settled, t.Event+Second)),
		Wrong: r.Tally.Wrong, Stale: r.Tally.Stale, Moved: r.Tally.Moved,
		Handover: t.Settled - t.Event, DetectedIn: t.Detected - t.Event,
	}
	o.Steady = o.Quiet.Ratio()
	thin := float64(o.Quiet.Gets) / (t.Event - t.Quiet).Seconds() / thinPart
	before, after := r.Sliding(t.Quiet, t.Event, Second), r.Sliding(t.Event, t.End, Second)
	o.QuietLow, o.Low, o.LowDetected = lowest(before, thin), lowest(after, thin), lowest(r.Sliding(t.Detected, t.End, Second), thin)
	o.LowStep = lowest(r.Sliding(t.Event, t.End, Step), thin/float64(Second/Step))
	o.QuietP99, o.WorstP99 = slowest(before), slowest(r.Sliding(t.Event, o.Meanwhile.To, Second))
	for _, n := range r.Tally.Errors {
		o.Errors += n
	}
	o.Recovered = true
	for i, w := range after {
		if float64(w.Gets) <= thin {
			o.Thin++
		} else if w.Ratio() < o.Steady-PointsBar {
			o.Again = w.To - t.Event
			o.Recovered = i < len(after)-1
		}
	}
	return o
}

// lowest gives the worst ratio of windows with more gets than a few.
func lowest(windows []Window, few float64) float64 {
	low := 100.0
	for _, w := range windows {
		if float64(w.Gets) > few {
			low = min(low, w.Ratio())
		}
	}
	return low
}

func slowest(windows []Window) (p99 time.Duration) {
	for _, w := range windows {
		p99 = max(p99, w.P99)
	}
	return p99
}

// Below is how many points the worst second lay below the steady ratio, counted from when the event was detected.
func (o Outcome) Below() float64 { return max(o.Steady-o.LowDetected, 0) }

// Slower is how much longer the 99th of a hundred requests took meanwhile.
func (o Outcome) Slower() float64 {
	if o.Quiet.P99 == 0 {
		return 0
	}
	return float64(o.Meanwhile.P99) / float64(o.Quiet.P99)
}

// Warm, Errorless, Fast and Right say whether the bars are held.
func (o Outcome) Warm() bool      { return o.Below() <= PointsBar }
func (o Outcome) Errorless() bool { return o.Errors == 0 }
func (o Outcome) Fast() bool      { return o.Slower() <= TimesBar }
func (o Outcome) Right() bool     { return o.Wrong == 0 && o.Stale == 0 }
