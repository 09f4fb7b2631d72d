package top

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/memring/memring/cmd/output"
)

// What terminals are told (ECMA-48, and xterm's control sequences). A frame is written whole, over the one before, between two marks that have the terminal show
// it at once; those that do not know the marks pass over them. So nothing flickers.
const (
	enter = "\x1b[?1049h\x1b[?25l" // another screen, without a cursor
	leave = "\x1b[?25h\x1b[?1049l"
	begin = "\x1b[?2026h\x1b[H"
	next  = "\x1b[K\r\n" // nothing more on this line
	end   = "\x1b[J\x1b[?2026l"
)

const (
	usualColumns, usualLines = 80, 24
	ctrlC                    = 3
)

// show draws a screen until q or Ctrl-C. A look that fails is shown, and tried again.
func (t *top) show(ctx context.Context, in io.Reader) error {
	screen := t.out.(*os.File)
	keys := make(chan byte)
	if keyboard, ok := in.(*os.File); ok && term.IsTerminal(int(keyboard.Fd())) {
		state, err := term.MakeRaw(int(keyboard.Fd()))
		if err != nil {
			return err
		}
		defer func() { _ = term.Restore(int(keyboard.Fd()), state) }()
		go listen(ctx, keyboard, keys) // ends with the process, at a read that nobody waits for
	}
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	if _, err := io.WriteString(screen, enter); err != nil {
		return err
	}
	defer func() { _, _ = io.WriteString(screen, leave) }()

	looks := make(chan look)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go t.looks(ctx, looks)
	now, former, trouble := t.before, sample{}, error(nil)
	for n := 0; ; {
		if err := t.draw(screen, now, former, trouble); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case key := <-keys:
			if key == 'q' || key == 'Q' || key == ctrlC {
				return nil
			}
		case <-resized:
		case seen := <-looks:
			if trouble = seen.err; trouble == nil {
				former, now = now, seen.sample
			}
			if n++; n == t.count {
				return nil
			}
		}
	}
}

// listen passes on what is typed.
func listen(ctx context.Context, keyboard io.Reader, keys chan<- byte) {
	for typed := make([]byte, 16); ; {
		n, err := keyboard.Read(typed)
		for _, key := range typed[:n] {
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A look is a sample, or why there is none.
type look struct {
	sample sample
	err    error
}

// looks looks every interval, so that keys are heard while a node does not answer.
func (t *top) looks(ctx context.Context, to chan<- look) {
	defer t.looker.close()
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var l look
		l.sample, l.err = t.looker.look()
		select {
		case to <- l:
		case <-ctx.Done():
			return
		}
	}
}

// draw draws one frame.
func (t *top) draw(screen *os.File, now, former sample, trouble error) error {
	width, height, err := term.GetSize(int(screen.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = usualColumns, usualLines
	}
	p := output.Colours(screen)
	head := fmt.Sprintf("memring top  %s  asked %s every %v  q ends", now.at.Format(time.TimeOnly), t.looker.node.Address, t.interval)
	if trouble != nil {
		head = "no answer, what is below is of " + now.at.Format(time.TimeOnly) + ": " + trouble.Error()
	}
	head = cut(head, width)
	if trouble != nil {
		head = p.Bad(head)
	}
	rows, all := now.rows(former)
	lines := append([]string{head, ""}, table(rows, all, width, height-2, p)...)
	if len(lines) > height {
		lines = lines[:height]
	}
	// No end after the last line: on the last of the screen it would scroll.
	_, err = io.WriteString(screen, begin+strings.Join(lines, next)+"\x1b[K"+end)
	return err
}

// cut gives no more of a text than fits.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width])
	}
	return text
}
