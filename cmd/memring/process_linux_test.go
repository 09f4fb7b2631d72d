package main

import (
	"os"
	"slices"
	"testing"
)

func TestUnchangedMaps(t *testing.T) {
	text, err := os.ReadFile("testdata/smaps.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := [][2]uintptr{{0x400000, 0x67a000}, {0x67a000, 0x98b000}}
	if got := unchangedMaps(string(text), "/usr/bin/memring"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
	if got := unchangedMaps(string(text), "/usr/bin/other"); got != nil {
		t.Errorf("%x of another program", got)
	}
}

// TestForgetStart: this very test goes on with code and constants read anew.
func TestForgetStart(t *testing.T) {
	resident := func() int {
		text, err := os.ReadFile("/proc/self/smaps")
		if err != nil {
			t.Skip(err)
		}
		return len(text)
	}
	before := resident()
	forgetStart()
	if after := resident(); after <= before {
		t.Errorf("smaps had %d bytes and has %d: nothing was cut into pieces", before, after)
	}
	TestUnchangedMaps(t)
}
