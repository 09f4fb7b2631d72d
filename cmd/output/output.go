// Package output is how commands answer: by exit codes, JSON, colours, and bars for long work.
package output

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"golang.org/x/term"
)

// The exit codes of the process, of all commands alike; 0: what was asked for is done, there, or well.
const (
	No          = 1 // it is not: a miss, not stored, refused, not ready, problems; or what failed on this machine
	Usage       = 2 // the command line cannot be understood
	Unreachable = 3 // the node could not be reached, did not answer, or let nobody in
	Timeout     = 4 // it is not done within --timeout, and goes on
)

// An exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

// Unwrap gives the error without its code.
func (e exitError) Unwrap() error { return e.error }

// Exit gives err the exit code of the process; nil stays nil. The code that is given first counts.
func Exit(code int, err error) error {
	if err == nil {
		return nil
	}
	return exitError{err, code}
}

// ExitCode is that of the process which ends with err: No unless Exit has given it another.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	code := No
	for exit := (exitError{}); errors.As(err, &exit); err = exit.error {
		code = exit.code
	}
	return code
}

// JSON prints anything as JSON, indented.
func JSON(w io.Writer, what any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(what)
}

// JSONLine prints anything as JSON on one line, where there are many.
func JSONLine(w io.Writer, what any) error { return json.NewEncoder(w).Encode(what) }

// IsTerminal reports whether what is written is seen by somebody as it comes.
func IsTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// A Palette colours words, or leaves them as they are.
type Palette struct{ on bool }

// Colours gives the palette for w: coloured on a terminal only, and not where $NO_COLOR is set (no-color.org) or the terminal has none.
func Colours(w io.Writer) Palette {
	return Palette{on: IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Good, Warn, Bad, Bold and Dim give text in green, yellow, red, bright, and grey.
func (p Palette) Good(text string) string { return p.in("32", text) }

// Warn is for what is under way, or not as it should be.
func (p Palette) Warn(text string) string { return p.in("33", text) }

// Bad is for what is wrong.
func (p Palette) Bad(text string) string { return p.in("31", text) }

// Bold is for headings.
func (p Palette) Bold(text string) string { return p.in("1", text) }

// Dim is for what matters less.
func (p Palette) Dim(text string) string { return p.in("2", text) }

func (p Palette) in(colour, text string) string {
	if !p.on || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
