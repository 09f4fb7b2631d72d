package storage

import (
	"fmt"
	"testing"
)

// TestWalkAllMeetsTombstones: what hands a partition over needs the deletions too, of keys that were here and of those that never were.
func TestWalkAllMeetsTombstones(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	const until = testStart + 60
	cas := put(t, s, "there", Item{Value: []byte("v")})
	buried := cas + 1<<20
	put(t, s, "deleted", Item{Value: []byte("v")})
	for _, key := range []string{"deleted", "never there"} {
		h := s.Hold([]byte(key))
		if !h.Bury(buried, until) {
			t.Errorf("%q not buried", key)
		}
		h.Release()
	}
	walk := func(from func(Cursor, func(uint64) bool, func([]byte, Item) bool) (Cursor, bool)) string {
		met := map[string]string{}
		for c, more := (Cursor{}), true; more; {
			c, more = from(c, func(uint64) bool { return true }, func(key []byte, it Item) bool {
				met[string(key)] = fmt.Sprintf("%q %d until %d, %t", it.Value, it.CAS, it.Expiry, it.Buried)
				return true
			})
		}
		return fmt.Sprint(met) // sorted by key
	}
	item, tombstone := fmt.Sprintf("there:%q %d until 0, false", "v", cas), fmt.Sprintf("%q %d until %d, true", "", buried, int64(until))
	if got, want := walk(s.Walk), "map["+item+"]"; got != want {
		t.Errorf("Walk met %s, wanted %s", got, want)
	}
	if got, want := walk(s.WalkAll), "map[deleted:"+tombstone+" never there:"+tombstone+" "+item+"]"; got != want {
		t.Errorf("WalkAll met %s, wanted %s", got, want)
	}
	clock.Advance(60)
	if got, want := walk(s.WalkAll), "map["+item+"]"; got != want {
		t.Errorf("after its time WalkAll met %s, wanted %s", got, want)
	}
}
