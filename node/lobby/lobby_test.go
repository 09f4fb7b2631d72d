package lobby

import (
	"slices"
	"testing"
)

func TestWhoHasWaitedLongestMakesRoom(t *testing.T) {
	var turned []string
	l := New(2)
	enter := func(name string) (leave func()) {
		return l.Enter(func() { turned = append(turned, name) })
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
