// Package progress tells a person how far long work is.
package progress

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/memring/memring/cmd/output"
)

// redrawEvery is how often the line that changes is drawn.
const redrawEvery = 200 * time.Millisecond

// A Progress tells it on a terminal in one line that changes, elsewhere (a log) only what is done. It is for one goroutine at a time.
type Progress struct {
	to       io.Writer
	terminal bool
	doing    string
	shown    time.Time
}

// New gives one that tells it to w.
func New(w io.Writer) *Progress { return &Progress{to: w, terminal: output.IsTerminal(w)} }

// Seen reports whether the line that changes is shown at all.
func (p *Progress) Seen() bool { return p.terminal }

// Begin names what is done next.
func (p *Progress) Begin(format string, args ...any) { p.doing = fmt.Sprintf(format, args...) }

// At shows how much of all is done, some times a second.
func (p *Progress) At(done, all uint64) {
	if now := time.Now(); p.terminal && now.Sub(p.shown) >= redrawEvery {
		p.shown = now
		fmt.Fprintf(p.to, "\r\x1b[K%s  %3.0f %%", p.doing, 100*float64(done)/float64(max(all, 1)))
	}
}

// Say prints a line that stays.
func (p *Progress) Say(format string, args ...any) {
	p.Clear()
	fmt.Fprintln(p.to, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

// Clear takes the line that changes away.
func (p *Progress) Clear() {
	if p.terminal {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
