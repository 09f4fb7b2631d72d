package top

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/memring/memring/cmd/output"
)

// A column shows one figure of each row.
type column struct {
	title string
	left  bool // where it stands; numbers stand to the right
	cell  func(r row) string
}

// columns are in the order in which they are given up from the right where a terminal is too narrow.
var columns = []column{
	{"NODE", true, func(r row) string { return r.Node }},
	{"STATE", true, func(r row) string { return r.State }},
	{"REQUESTS/S", false, func(r row) string { return rate(r, r.Requests) }},
	{"HITS", false, func(r row) string {
		if r.HitRatio == nil {
			return "-"
		}
		return fmt.Sprintf("%.2f %%", 100**r.HitRatio)
	}},
	{"P99", false, func(r row) string {
		if r.P99 == nil {
			return "-"
		}
		return micros(*r.P99)
	}},
	{"MEMORY", false, func(r row) string {
		if r.Limit == 0 {
			return "-"
		}
		return fmt.Sprintf("%s of %s", bytes(r.Bytes), bytes(r.Limit))
	}},
	{"ITEMS", false, func(r row) string { return short(r.Items) }},
	{"EVICTED/S", false, func(r row) string { return rate(r, r.Evictions) }},
	{"CONNS", false, func(r row) string { return short(r.Conns) }},
	{"MOVING", false, func(r row) string {
		if r.Coming+r.Going == 0 {
			return "-"
		}
		return fmt.Sprintf("+%.0f -%.0f", r.Coming, r.Going)
	}},
}

func rate(r row, perSecond float64) string {
	if !r.Known {
		return "-"
	}
	return short(perSecond)
}

func short(n float64) string { return scaled(n, 1000, "", "k", "M", "G", "T") }

func bytes(n float64) string { return scaled(n, 1024, " B", " KB", " MB", " GB", " TB") }

func micros(us float64) string { return scaled(us, 1000, " us", " ms", " s") }

// scaled gives three digits of a number in the unit that fits.
func scaled(n, step float64, units ...string) string {
	for len(units) > 1 && n >= step {
		n, units = n/step, units[1:]
	}
	digits := 2
	if n >= 100 || n == float64(int64(n)) {
		digits = 0
	} else if n >= 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f%s", digits, n, units[0])
}

// table gives the lines of rows, no wider than width where one is given (0: any), and no more than height; what does not fit is counted.
func table(rows []row, all row, width, height int, p output.Palette) (lines []string) {
	hidden := 0
	if fit := max(height-4, 1); height > 0 && len(rows) > fit { // besides the head, all, how many are hidden, and an empty line
		hidden = len(rows) - fit
		rows = rows[:fit]
	}
	shown := append([]row{all}, rows...)
	cells := make([]strings.Builder, len(shown)+1)
	used := 0
	for i, c := range columns {
		texts, widest := []string{c.title}, utf8.RuneCountInString(c.title)
		for _, r := range shown {
			text := c.cell(r)
			texts, widest = append(texts, text), max(widest, utf8.RuneCountInString(text))
		}
		if i > 0 {
			widest += 2
		}
		if used += widest; width > 0 && used > width && i > 0 {
			break
		}
		for k, text := range texts {
			pad := strings.Repeat(" ", widest-utf8.RuneCountInString(text))
			if i > 0 && c.left {
				text, pad = "  "+text, pad[2:]
			}
			switch {
			case k == 0:
				text = p.Dim(text)
			case c.title == "STATE" && k > 1:
				text = colourOf(shown[k-1].State, p)(text)
			case k == 1:
				text = p.Bold(text)
			}
			if c.left {
				text += pad
			} else {
				text = pad + text
			}
			cells[k].WriteString(text)
		}
	}
	for k := range cells {
		lines = append(lines, strings.TrimRight(cells[k].String(), " "))
	}
	if hidden > 0 {
		lines = append(lines, p.Dim(fmt.Sprintf("and %d more", hidden)))
	}
	return lines
}

func colourOf(state string, p output.Palette) func(string) string {
	switch state {
	case "active":
		return p.Good
	case "joining", "draining", "leaving":
		return p.Warn
	}
	return p.Bad
}
