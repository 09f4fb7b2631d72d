package handover

import (
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/ring"
)

// Who takes partitions over knows nobody who is missed, if he is new: he leaves tombstones for as long as his giver does, and with copies for a while in any case.
func TestWhoTakesOverMournsAsHisGiverDoes(t *testing.T) {
	f := func(what string, copies int, giver time.Duration, want []time.Duration) {
		t.Helper()
		s := &stage{members: map[string]*Handover{}}
		s.enter(t, "a")
		s.enter(t, "b")
		a, b := s.members["a"], s.members["b"]
		a.cfg.Mourning = func() time.Duration { return giver }
		var told []time.Duration
		b.cfg.Mourn = func(span time.Duration) {
			if !slices.Contains(told, span) {
				told = append(told, span)
			}
		}
		a.Adopt(tableOf(t, "a"), 0, nil)
		params := ring.DefaultParams()
		params.Copies = copies
		both, err := ring.Build([]ring.Member{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}}, params)
		if err != nil {
			t.Fatal(err)
		}
		a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
		b.Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
		if s.run(false); !slices.Equal(told, want) {
			t.Errorf("%s: mourns for %v, want %v", what, told, want)
		}
	}
	f("one copy, nobody is missed", 1, 0, nil)
	f("one copy, somebody is missed", 1, 42*time.Second, []time.Duration{42 * time.Second})
	f("two copies, nobody is missed", 2, 0, []time.Duration{unsettledTime})
	f("two copies, somebody is missed", 2, 42*time.Second, []time.Duration{42 * time.Second, unsettledTime})
}
