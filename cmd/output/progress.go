package output

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// tellEvery is how often it is told how far long work is, where there is no terminal.
	tellEvery = time.Second
	// redrawEvery is how often a bar is drawn.
	redrawEvery = 100 * time.Millisecond
	// barColumns is the width of a bar.
	barColumns = 40
)

// A Progress tells how far long work is: a bar on a terminal, else a line a second; as JSON an object a line.
type Progress struct {
	w        io.Writer
	name     string
	terminal bool
	asJSON   bool
	every    time.Duration
	told     time.Time
	drawn    bool // there is a bar on the terminal
}

// NewProgress tells of what has a name, to w.
func NewProgress(w io.Writer, name string, asJSON bool) *Progress {
	p := &Progress{w: w, name: name, asJSON: asJSON, terminal: IsTerminal(w) && !asJSON, every: tellEvery}
	if p.terminal {
		p.every = redrawEvery
	}
	return p
}

// Tell tells that share of the work, 0 to 1, is done; unless it was told just now. text is what else there is to say, in words, and object all of it for JSON.
func (p *Progress) Tell(share float64, text string, object any) {
	if time.Since(p.told) < p.every {
		return
	}
	p.told = time.Now()
	share = min(max(share, 0), 1)
	full := int(share * barColumns)
	switch {
	case p.asJSON:
		_ = JSONLine(p.w, object)
	case p.terminal:
		p.drawn = true
		fmt.Fprintf(p.w, "\r%s [%s%s] %3d %%, %s\x1b[K", p.name, strings.Repeat("#", full), strings.Repeat(".", barColumns-full), int(100*share), text)
	default:
		fmt.Fprintf(p.w, "%s: %d %%, %s\n", p.name, int(100*share), text)
	}
}

// Done takes the bar away and tells the end.
func (p *Progress) Done(text string, object any) error {
	if p.asJSON {
		return JSONLine(p.w, object)
	}
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	_, err := fmt.Fprintln(p.w, text)
	return err
}

// GiveUp leaves the bar as it is, with what comes next below it.
func (p *Progress) GiveUp() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}
