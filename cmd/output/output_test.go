package output

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestExitCode(t *testing.T) {
	f := func(err error, want int) {
		t.Helper()
		if got := ExitCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	f(nil, 0)
	f(Exit(Usage, nil), 0)
	f(io.EOF, No)
	f(Exit(Unreachable, io.EOF), Unreachable)
	f(fmt.Errorf("--addr: %w", Exit(Unreachable, io.EOF)), Unreachable)
	f(errors.Join(io.EOF, Exit(Timeout, io.EOF)), Timeout)
	f(Exit(Usage, fmt.Errorf("later: %w", Exit(Timeout, io.EOF))), Timeout)
	if err := Exit(Timeout, io.EOF); !errors.Is(err, io.EOF) {
		t.Error("what went wrong is not to be found in it")
	}
}

// Where nobody looks there are neither colours nor bars, but lines, one a second at most.
func TestWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	if text := Colours(&out).Bad("down"); text != "down" || (Palette{on: true}).Bad("down") == text || (Palette{on: true}).Bad("") != "" {
		t.Errorf("coloured: %q", text)
	}
	p := NewProgress(&out, "n1", false)
	p.Tell(0.257, "3 left", nil)
	p.Tell(0.9, "2 left", nil)
	p.GiveUp()
	if err := p.Done("n1 has left", nil); err != nil || out.String() != "n1: 25 %, 3 left\nn1 has left\n" {
		t.Errorf("%q, %v", &out, err)
	}
	out.Reset()
	p = NewProgress(&out, "n1", true)
	p.Tell(2, "", map[string]int{"left": 3})
	if err := p.Done("", []int{1}); err != nil || out.String() != "{\"left\":3}\n[1]\n" {
		t.Errorf("%q, %v", &out, err)
	}
}

func TestBar(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{w: &out, name: "n1", terminal: true}
	p.Tell(0.5, "3 left", nil)
	if err := p.Done("gone", nil); err != nil || out.String() != "\rn1 [####################....................]  50 %, 3 left\x1b[K\r\x1b[Kgone\n" {
		t.Errorf("%q, %v", &out, err)
	}
}
