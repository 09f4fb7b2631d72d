package ease

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/node/piece"
)

// Whoever wants to know is told once when items begin to move, and once when none have moved for a while.
func TestEase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e Ease
		var told []bool
		moving := true
		tell, moves := func(moving bool) { told = append(told, moving) }, func() bool { return moving }
		look := func(want ...bool) {
			t.Helper()
			if e.End(tell, moves); !slices.Equal(told, want) {
				t.Errorf("told %v, want %v", told, want)
			}
		}
		look()
		e.Begin(tell)
		e.Begin(tell)
		moving = false
		look(true) // perhaps they have not begun
		moving = true
		time.Sleep(2 * atLeast)
		look(true)
		moving = false
		look(true, false)
		look(true, false)
		e.Begin(tell)
		look(true, false, true)
	})
}

// Who makes a table rests for most of the time, for no longer than it may, and not at all when there is hurry.
func TestRest(t *testing.T) {
	f := func(hurried bool, least, most time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			duty := piece.NewDuty(1./16, nil)
			rest := Rest(duty, func() bool { return hurried })
			for range 100 {
				time.Sleep(100 * time.Microsecond) // of work
				rest()
			}
			if rested := time.Since(began) - 10*time.Millisecond; rested < least || rested > most {
				t.Errorf("hurried %v: rested for %v, want %v to %v", hurried, rested, least, most)
			}
		})
	}
	f(false, 100*time.Millisecond, restsFor)
	f(true, 0, 0)
}
