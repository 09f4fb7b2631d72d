package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// progress tells a person how far it is: on a terminal in one line that changes, elsewhere (a log) only what is done.
type progress struct {
	to       *os.File
	terminal bool
	doing    string
	shown    time.Time
}

func newProgress(to *os.File) *progress {
	info, err := to.Stat()
	return &progress{to: to, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// begin names what is done next.
func (p *progress) begin(format string, args ...any) { p.doing = fmt.Sprintf(format, args...) }

// at shows how much of all is done, some times a second.
func (p *progress) at(done, all uint64) {
	const every = 200 * time.Millisecond
	if now := time.Now(); p.terminal && now.Sub(p.shown) >= every {
		p.shown = now
		fmt.Fprintf(p.to, "\r\x1b[K%s  %3.0f %%", p.doing, 100*float64(done)/float64(max(all, 1)))
	}
}

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	p.clear()
	fmt.Fprintln(p.to, strings.TrimRight(fmt.Sprintf(format, args...), "\n"))
}

// clear takes the line that changes away.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
