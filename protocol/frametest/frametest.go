// Package frametest holds what members say to each other against what the version of the frames says, for the tests of those who say it.
//
// What each version says is in testdata/version-N.txt of the room that says it: see protocol/DESIGN.md, "Versions".
package frametest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/memring/memring/protocol/frame"
)

// Said is what a room says, one line for each thing.
type Said struct{ lines strings.Builder }

// Add has something said; bytes are written in hexadecimal digits.
func (s *Said) Add(what string, is any) {
	if b, ok := is.([]byte); ok {
		is = fmt.Sprintf("%x", b)
	}
	fmt.Fprintf(&s.lines, "%s: %v\n", what, is)
}

// Check fails the test unless all that was said is what frame.Version says, in that order.
func (s *Said) Check(t testing.TB) {
	t.Helper()
	file := fmt.Sprintf("testdata/version-%d.txt", frame.Version)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("what does version %d say? %v", frame.Version, err)
	}
	if got := s.lines.String(); got != string(want) {
		t.Errorf("what version %d says is changed: see protocol/DESIGN.md, \"Versions\". %s says\n%s\nand now it is\n%s", frame.Version, file, want, got)
	}
}
