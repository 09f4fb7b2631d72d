package main

import (
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A mark is one measured ratio: on which line of the plot, and in which series.
type mark struct {
	line, series string
	value        float64
}

// plotRatios draws one line for each name, in the order of their first marks, with the marks of each series on it, and a rule at 1:
// the title says on which side of it memring is better.
func plotRatios(path, title, axis string, marks []mark) error {
	const lineHeight, around, width = 0.55 * vg.Centimeter, 3 * vg.Centimeter, 22 * vg.Centimeter
	var lines, series []string
	for _, m := range marks {
		if !slices.Contains(lines, m.line) {
			lines = append(lines, m.line)
		}
		if !slices.Contains(series, m.series) {
			series = append(series, m.series)
		}
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Legend.Top = title, axis, true
	p.Add(plotter.NewGrid())
	slices.Reverse(lines) // a plot counts upwards
	if len(lines) > 0 {   // none make it panic
		p.NominalY(lines...)
	}
	for i, name := range series {
		var points plotter.XYs
		for _, m := range marks {
			if m.series == name {
				points = append(points, plotter.XY{X: m.value, Y: float64(slices.Index(lines, m.line))})
			}
		}
		scatter, err := plotter.NewScatter(points)
		if err != nil {
			return fmt.Errorf("plot %s: %w", name, err)
		}
		scatter.GlyphStyle = draw.GlyphStyle{Color: hue(i), Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
		p.Add(scatter)
		p.Legend.Add(name, scatter)
	}
	p.X.Min, p.X.Max = min(p.X.Min, 0.95), max(p.X.Max, 1.05)
	p.Y.Min, p.Y.Max = -0.5, float64(len(lines))-0.5
	rule, err := plotter.NewLine(plotter.XYs{{X: 1, Y: p.Y.Min}, {X: 1, Y: p.Y.Max}})
	if err != nil {
		return err
	}
	rule.Width = vg.Points(1.5)
	p.Add(rule)

	canvas := vgsvg.New(width, around+lineHeight*vg.Length(len(lines)))
	p.Draw(draw.New(canvas))
	return save(path, canvas)
}

// save writes a file.
func save(path string, from io.WriterTo) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = from.WriteTo(f)
	return errors.Join(err, f.Close())
}

// hue tells the series apart, also for those who do not see colours well (Okabe, Ito: "Color universal design", 2008).
func hue(i int) color.Color {
	hues := []color.RGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {230, 159, 0, 255}, {86, 180, 233, 255}}
	return hues[i%len(hues)]
}

func plotHitRatio(path string, cases []*hitCase) error {
	var marks []mark
	for _, c := range cases {
		series := fmt.Sprintf("-m %d, footprint x %.0f", c.limit, float64(c.footprint)/float64(int(1)<<20*c.limit))
		marks = append(marks, mark{line: c.name, series: series, value: c.ratio()})
	}
	return plotRatios(path, "Misses beside memcached (left of 1: memring misses less)", "memring's miss ratio / memcached's", marks)
}
