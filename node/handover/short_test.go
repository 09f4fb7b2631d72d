package handover

import (
	"fmt"
	"testing"
	"time"

	"github.com/memring/memring/storage"
)

// What came whole is not short. What begins empty is, and what has only begun to come when its giver is gone; for as long as is asked for.
func TestShort(t *testing.T) {
	for _, killed := range []bool{false, true} {
		s := &stage{members: map[string]*Handover{}}
		former := s.enter(t, "a")
		s.enter(t, "b")
		a, b := s.members["a"], s.members["b"]
		a.Adopt(tableOf(t, "a"), 0, nil)
		for i := range 4000 {
			held := former.Hold(fmt.Appendf(nil, "key%d", i))
			if _, err := held.Put(storage.Item{Value: make([]byte, 200)}); err != nil {
				t.Fatal(err)
			}
			held.Release()
		}
		both := tableOf(t, "a", "b")
		all := both.Partitions()
		f := func(who string, span time.Duration, want int) {
			t.Helper()
			if got := s.members[who].Short(span).Len(); got != want {
				t.Errorf("killed %v: %d partitions are short at %s within %v, want %d of %d", killed, got, who, span, want, all)
			}
		}
		f("a", time.Hour, all) // it is new, and there may have been others
		a.Adopt(both, 0, []Member{{ID: "b", Boot: 7}})
		b.Adopt(both, 1, []Member{{ID: "a", Boot: 7}})
		s.run(false) // the first piece is pulled at once, the next in good time
		if killed {
			b.Adopt(tableOf(t, "b"), 0, nil)
			f("b", time.Hour, both.Owned(0))
		}
		s.run(true)
		f("a", time.Hour, all) // also what it has given away
		if !killed {
			f("b", time.Hour, 0)
			continue
		}
		f("b", time.Hour, all)
		b.born = b.born.Add(-2 * time.Hour)
		f("b", time.Hour, 0)
		f("b", 3*time.Hour, all)
	}
}
