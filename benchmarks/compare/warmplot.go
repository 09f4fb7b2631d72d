package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/memring/memring/benchmarks/warm"
)

// plotWarmth draws a column for each event: the hit ratio of each second above, the 99th of a hundred times of each step below. Time 0 is the event.
func plotWarmth(path string, rows []warmRow) error {
	const panelWidth, panelHeight = 9 * vg.Centimeter, 7 * vg.Centimeter
	var events []string
	low := 100.0
	for _, r := range rows {
		if !slices.Contains(events, r.event) {
			events = append(events, r.event)
		}
		for _, w := range r.recording.Sliding(r.times.Quiet, r.times.End, warm.Second) {
			if w.Gets > 0 {
				low = min(low, w.Ratio())
			}
		}
	}
	ratios, times := make([]*plot.Plot, len(events)), make([]*plot.Plot, len(events))
	for i, event := range events {
		var err error
		if ratios[i], err = panel(rows, event, warm.Second, warm.Window.Ratio); err != nil {
			return err
		}
		ratios[i].Title.Text = event
		ratios[i].Y.Min, ratios[i].Y.Max = math.Floor(low-1), 100
		p99 := func(w warm.Window) float64 { return max(milli(w.P99), leastDrawn) }
		if times[i], err = panel(rows, event, warm.Step, p99); err != nil {
			return err
		}
		times[i].X.Label.Text = "seconds from the event"
		times[i].Y.Scale, times[i].Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		times[i].Y.Min, times[i].Y.Max = leastDrawn, mostDrawn
	}
	ratios[0].Y.Label.Text, times[0].Y.Label.Text = "hits in a second, %", "p99 in 250 ms, ms"
	ratios[0].Legend.Left = true
	canvas := vgsvg.New(panelWidth*vg.Length(len(events)), 2*panelHeight)
	tiles := draw.Tiles{Rows: 2, Cols: len(events), PadX: vg.Points(12), PadY: vg.Points(8), PadTop: vg.Points(4), PadBottom: vg.Points(4), PadLeft: vg.Points(4), PadRight: vg.Points(8)}
	both := [][]*plot.Plot{ratios, times}
	for i, row := range plot.Align(both, tiles, draw.New(canvas)) {
		for j, c := range row {
			both[i][j].Draw(c)
		}
	}
	return save(path, canvas)
}

const leastDrawn, mostDrawn = 0.1, 10_000 // ms

func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// panel draws one figure of each window of an event, a line for each ground. A window stands at its middle.
func panel(rows []warmRow, event string, width time.Duration, figure func(warm.Window) float64) (*plot.Plot, error) {
	p := plot.New()
	p.Add(plotter.NewGrid())
	add := func(points plotter.XYs) (*plotter.Line, error) {
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("plot %s: %w", event, err)
		}
		p.Add(line)
		return line, nil
	}
	for _, r := range rows {
		if r.event != event {
			continue
		}
		var points plotter.XYs
		for _, w := range r.recording.Sliding(r.times.Quiet, r.times.End, width) {
			if w.Gets == 0 { // the machine stood still
				continue
			}
			points = append(points, plotter.XY{X: (w.From + w.To - 2*r.times.Event).Seconds() / 2, Y: figure(w)})
		}
		if len(points) == 0 {
			continue
		}
		line, err := add(points)
		if err != nil {
			return nil, err
		}
		line.Width, line.Color = vg.Points(1.5), hue(0)
		switch r.on {
		case onMemcached:
			line.Color = hue(1)
		case onCopies:
			line.Color = hue(2)
		}
		if width == warm.Second && (event == rows[0].event || r.on == onCopies) { // once each
			p.Legend.Add(r.on, line)
		}
	}
	rule, err := add(plotter.XYs{{X: 0, Y: p.Y.Min}, {X: 0, Y: p.Y.Max}})
	if err != nil {
		return nil, err
	}
	rule.Dashes = []vg.Length{vg.Points(3), vg.Points(3)}
	return p, nil
}
