package lobby

import (
	"slices"
	"testing"
)

func TestWhoHasWaitedLongestMakesRoom(t *testing.T) {
	var turned []string
	l := New(2)
	enter := func(name string) (leave func()) {
		return l.Enter("one address", func() { turned = append(turned, name) })
	}
	f := func(want ...string) {
		t.Helper()
		if !slices.Equal(turned, want) {
			t.Errorf("turned away %q, want %q", turned, want)
		}
	}
	a, b := enter("a"), enter("b")
	f()
	a()
	a() // once is enough
	enter("c")
	f() // there was room
	enter("d")
	f("b")
	b() // too late, and of no harm to others
	enter("e")
	f("b", "c")
}

// Who comes from one address as often as can be takes the places of his own, and not of who comes from another.
func TestAFloodTurnsAwayItsOwn(t *testing.T) {
	var turned []string
	l := New(4)
	enter := func(from string) (leave func()) {
		return l.Enter(from, func() { turned = append(turned, from) })
	}
	member := enter("member")
	for range 1000 {
		enter("flood")
	}
	if slices.Contains(turned, "member") || len(turned) != 997 {
		t.Errorf("%d turned away, and the member: %v", len(turned), slices.Contains(turned, "member"))
	}
	enter("another flood")
	enter("another flood")
	enter("another flood")
	member()
	if slices.Contains(turned, "member") {
		t.Error("two floods turn away the member")
	}
}
