package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/memring/memring/benchmarks/warm"
)

// A route is how requests got to a key's owner, and how long that took.
type route struct {
	name             string
	quiet, meanwhile warm.Window
}

// routesOf tells requests apart by their key's owner before and after. Only keys whose owners are known count.
func routesOf(r warm.Recording, t warm.Times, o warm.Outcome, before, after []uint8, victim *node) (routes []route) {
	moved := func(key uint32) bool {
		return before[key] != after[key] || victim != nil && before[key] == victim.seat.Number
	}
	known := func(s warm.Sample) bool { return int(s.Key) < min(len(before), len(after)) }
	add := func(name string, wanted func(warm.Sample) bool) {
		only := r.Only(wanted)
		if q, m := only.Over(t.Quiet, t.Event), only.Over(t.Event, o.Meanwhile.To); q.Requests > 0 {
			routes = append(routes, route{name, q, m})
		}
	}
	add("to its owner", func(s warm.Sample) bool { return known(s) && !moved(s.Key) && s.Server == before[s.Key] })
	add("forwarded", func(s warm.Sample) bool { return known(s) && !moved(s.Key) && s.Server != before[s.Key] })
	add("of a key that moves", func(s warm.Sample) bool { return known(s) && moved(s.Key) })
	return routes
}

// write leaves the tables, the windows and the plot, with a word before them.
func (w *warmth) write(word string) error {
	t := table{title: "Warmth: the hit ratio while nodes come and go", columns: []string{
		"event", "on", "steady %", "worst quiet second %", "worst second %", "points below", "held", "worst 250 ms %", "steady after s",
		"errors", "held", "stale", "wrong", "keys missing then %", "p99 quiet ms", "p99 meanwhile ms", "times", "held", "worst second's p99 ms", "before", "handed over in s", "known to all in s",
	}}
	for i := range w.rows {
		t.rows = append(t.rows, w.rows[i].figures(w.config.Keys))
	}
	before := "![hit ratios and times](warm.svg)\n\n" + word + w.summary() + "\n\n" + w.circumstances() + priority()
	if err := t.write(w.out, "warm", before, w.notes()+"\n"+w.routes()+"\n"+w.errors()); err != nil {
		return err
	}
	if err := w.writeWindows(filepath.Join(w.out, "warm-windows.csv")); err != nil {
		return err
	}
	w.progress.Say("%s\n%s", w.summary(), filepath.Join(w.out, "warm.md"))
	return plotWarmth(filepath.Join(w.out, "warm.svg"), w.rows)
}

// priority says so when all of it ran before others of the machine, or after them (proc_pid_stat(5): nice is the 19th word, rt_priority the 40th).
func priority() string {
	text, _ := os.ReadFile("/proc/self/stat")
	switch words := strings.Fields(string(text)); {
	case len(words) < 40:
		return ""
	case words[39] != "0":
		return " All of it ran before other processes of the machine (real-time priority " + words[39] + ")."
	case words[18] != "0":
		return " All of it ran at nice " + words[18] + "."
	}
	return ""
}

func (r *warmRow) figures(keys int) []string {
	o := r.outcome
	ratio, errorless, fast := r.bars()
	percent := func(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) }
	return []string{
		r.event, r.on, percent(o.Steady), percent(o.QuietLow), percent(o.Low), percent(o.Below()), heldIf(ratio, o.Warm()), percent(o.LowStep), r.again(),
		strconv.Itoa(o.Errors), heldIf(errorless, o.Errorless()), strconv.Itoa(o.Stale), strconv.Itoa(o.Wrong), percent(100 * float64(r.lost) / float64(keys)),
		milliseconds(o.Quiet.P99), milliseconds(o.Meanwhile.P99), percent(o.Slower()), heldIf(fast, o.Fast()),
		milliseconds(o.WorstP99), milliseconds(o.QuietP99), percent(o.Handover.Seconds()), r.known(),
	}
}

func heldIf(barred, held bool) string {
	switch {
	case !barred:
		return ""
	case held:
		return "yes"
	}
	return "NO"
}

// summary counts the bars, and says what values were stale or wrong.
func (w *warmth) summary() string {
	var bars, held, stale, wrong int
	for i := range w.rows {
		r := &w.rows[i]
		ratio, errorless, fast := r.bars()
		for _, bar := range [...]struct{ is, held bool }{{ratio, r.outcome.Warm()}, {errorless, r.outcome.Errorless()}, {fast, r.outcome.Fast()}} {
			if bar.is {
				bars++
			}
			if bar.is && bar.held {
				held++
			}
		}
		if r.on != onMemcached {
			stale, wrong = stale+r.outcome.Stale, wrong+r.outcome.Wrong
		}
	}
	return fmt.Sprintf("memring holds %d of %d bars; of the values it gave, %d were stale and %d wrong.", held, bars, stale, wrong)
}

func (w *warmth) notes() string {
	c := w.config
	return fmt.Sprintf(`Load: %d clients, %.0f requests a second of all, Zipf %.2f over %d keys, values of %d to %d bytes; of a hundred requests %d are gets of keys that the database has, %d gets of keys that it has not
(always a miss), %d sets of a new version. What misses is set: cache-aside. Three nodes of -m %d at first; the fourth joins, the second is drained, the third is restarted or killed. After
each event all keys are asked for, and what misses is set. A request counts in the second in which it was sent, and its time from when it was due (if its client was free: from when it was sent).

- "Steady" is the hit ratio of the %v before the event. A "second" is any second, they slide by 250 ms (but for those with less than a twentieth of their requests, which are listed below). "Points below" is by how much the worst second after the event lies below
  steady (after a kill: the worst that begins after all nodes know of it); the bar is %.1f. "Steady after" is when the last second ended that was further below. A kill with one copy has no bars: what the node had is gone.
- An error is what a client sees: an error line, an answer that does not come within %v, is cut short or strange, and a connection refused or closed. The last is no error if not a
  byte of the answer had come and that server was being stopped, or was stopped since the connection was opened: then the client asks another server the same. The bar is none on join, drain and restart.
- "Meanwhile" is from the event until the hand-over is over: the process has started or ended, and no node's number of items changes any more. The p99 of all requests in it may be
  twice that of the quiet time. "Before" is the worst quiet second's.
- "Stale" values are older than one whose set was acknowledged before they were asked for. Every byte of every value is compared. "Keys missing then" are those, of all, that
  miss when each is asked for once after the load; values that are stale then count too.

memring's clients each stay with one node, dealt to all evenly, and go to another when theirs is gone; nobody tells them of the fourth. memcached's have ketama (160 points a server): their list
is changed at once for a join and a drain, there before the process is told to end; a server that does not answer is left out for 2 s, its keys then belong to others, until it answers again.
All run on one machine, clients too.
`, c.Clients, c.Rate, c.Zipf, c.Keys, c.LeastBytes, c.MostBytes, 100-c.Absent-c.Updates, c.Absent, c.Updates, w.limits[0], w.quiet, warm.PointsBar, c.Patience)
}

// routes gives the times by route.
func (w *warmth) routes() string {
	t := table{columns: []string{"event", "on", "requests", "quiet p50 ms", "p99", "p99.9", "meanwhile p50 ms", "p99", "p99.9"}}
	for i := range w.rows {
		r := &w.rows[i]
		for _, route := range append([]route{{"all", r.outcome.Quiet, r.outcome.Meanwhile}}, r.routes...) {
			q, m := route.quiet, route.meanwhile
			t.rows = append(t.rows, []string{
				r.event, r.on, route.name, milliseconds(q.P50), milliseconds(q.P99), milliseconds(q.P99p9), milliseconds(m.P50), milliseconds(m.P99), milliseconds(m.P99p9),
			})
		}
	}
	return "## Times by route\n\n" + t.markdown() + fmt.Sprintf("\nBy the owners of the %d most popular keys before and after the event.\n", asked)
}

// errors lists what clients saw, and what they could not see.
func (w *warmth) errors() string {
	var text strings.Builder
	for _, r := range w.rows {
		for _, said := range r.recording.Tally.ErrorTexts() {
			fmt.Fprintf(&text, "- %s, %s: %d times `%s`\n", r.event, r.on, r.recording.Tally.Errors[said], said)
		}
		if t := r.recording.Tally; t.Moved+t.Late > 0 {
			fmt.Fprintf(&text, "- %s, %s: clients went to another server %d times, theirs having been stopped; %d values read were of a set that was never answered\n", r.event, r.on, t.Moved, t.Late)
		}
		if n := r.outcome.Thin; n > 0 {
			fmt.Fprintf(&text, "- %s, %s: %d seconds after the event (they slide by 250 ms) had too few requests to count: the machine or the cluster stood still\n", r.event, r.on, n)
		}
	}
	return "## Errors, connections lost with their server, and seconds that do not count\n\n" + text.String()
}

// writeWindows leaves every step of every event.
func (w *warmth) writeWindows(path string) error {
	rows := [][]string{{"event", "on", "seconds", "requests", "hit ratio %", "of a second %", "errors", "p50 ms", "p99 ms", "p99.9 ms"}}
	for _, r := range w.rows {
		for _, step := range r.recording.Sliding(0, r.times.End, warm.Step) {
			ofSecond := ""
			if second := r.recording.Over(step.From, step.From+warm.Second); second.To <= r.times.End {
				ofSecond = strconv.FormatFloat(second.Ratio(), 'f', 3, 64)
			}
			rows = append(rows, []string{
				r.event, r.on, strconv.FormatFloat((step.From - r.times.Event).Seconds(), 'f', 3, 64), strconv.Itoa(step.Requests),
				strconv.FormatFloat(step.Ratio(), 'f', 3, 64), ofSecond, strconv.Itoa(step.Failed), milliseconds(step.P50), milliseconds(step.P99), milliseconds(step.P99p9),
			})
		}
	}
	return writeCSV(path, rows)
}
