package storage

import (
	"fmt"
	"math/rand/v2"
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
	walk := func(from func(Cursor, func(int) bool, func([]byte, Item) bool) (Cursor, bool)) string {
		met := map[string]string{}
		for c, more := (Cursor{}), true; more; {
			c, more = from(c, All, func(key []byte, it Item) bool {
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

// TestWalkOfOnePartition: whoever wants one partition is shown one table in each stripe, and meets all of it there, whatever is written meanwhile.
func TestWalkOfOnePartition(t *testing.T) {
	s := openStore(t, Config{Partitions: manyPartitions})
	const staying, wanted = 100_000, 4711
	want := map[string]bool{}
	for i := range staying {
		key := fmt.Sprintf("stay-%d", i)
		put(t, s, key, Item{})
		if Hash([]byte(key))%manyPartitions == wanted {
			want[key] = true
		}
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			h := s.Hold(fmt.Appendf(nil, "%s-%d", []string{"stay", "go"}[i%2], rand.IntN(staying)))
			_, _ = h.Put(Item{Value: make([]byte, i%400)})
			h.Release()
		}
	}()
	for range 20 {
		steps, met := 0, map[string]int{}
		for c, more := (Cursor{}), true; more; steps++ {
			c, more = s.Walk(c, func(part int) bool { return part == wanted }, func(key []byte, _ Item) bool {
				met[string(key)]++
				return true
			})
		}
		if steps != s.stripes || s.tables < 100 {
			t.Fatalf("%d tables were looked at, of %d in each of %d stripes", steps, s.tables, s.stripes)
		}
		for key := range want {
			if met[key] != 1 {
				t.Fatalf("%s was met %d times", key, met[key])
			}
		}
		for key := range met {
			if Hash([]byte(key))%manyPartitions != wanted {
				t.Fatalf("%s was met, of another partition", key)
			}
		}
	}
	close(stop)
	<-ended
	if st := s.Stats(); st.Evictions != 0 {
		t.Errorf("the test is to evict none: %+v", st)
	}
	c, items, more := s.DropSome(Cursor{}, func(part int) bool { return part == wanted })
	for steps := 1; more; steps++ {
		var n int
		c, n, more = s.DropSome(c, func(part int) bool { return part == wanted })
		if items += n; steps > s.stripes {
			t.Fatal("a drop looks at other tables")
		}
	}
	if items < len(want) {
		t.Errorf("%d items dropped of %d and more", items, len(want))
	}
	check(t, s)
}
