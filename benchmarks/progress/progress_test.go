package progress

import (
	"bytes"
	"testing"
	"testing/synctest"
)

// TestTerminal: the line changes, and what is said stays above it.
func TestTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := &Progress{to: &out, terminal: true}
		p.Begin("fill %d", 1)
		p.At(1, 4)
		p.At(2, 4) // another was drawn just now
		p.Say("done\n")
		if want := "\r\x1b[Kfill 1   25 %\r\x1b[Kdone\n"; !p.Seen() || out.String() != want {
			t.Errorf("%q, want %q", &out, want)
		}
	})
}

// TestLog: where nobody looks only what stays is written.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	p := New(&out)
	p.Begin("fill")
	p.At(1, 0)
	p.Clear()
	p.Say("done")
	if p.Seen() || out.String() != "done\n" {
		t.Errorf("%q", &out)
	}
}
