package storage

import (
	"fmt"
	"testing"
)

func TestEvictionsAreToldWhileTheyAreWanted(t *testing.T) {
	var wanted bool
	told := map[string]Eviction{}
	s := openStore(t, Config{
		MaxBytes:     4 << 20,
		MaxItemBytes: 256 << 10,
		Evictions:    func() bool { return wanted },
		Evicted: func(e Eviction) {
			key := string(e.Key)
			e.Key = nil
			told[key] = e
		},
	})
	fill := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			// every third is split over records, every second has flags
			put(t, s, fmt.Sprintf("key-%d", i), Item{Value: make([]byte, 1000+i%3*100_000), Flags: uint32(i % 2), Expiry: int64(testStart + 1000 + i)})
		}
	}
	fill(0, 200)
	before := s.Stats().Evictions
	if before == 0 || len(told) > 0 {
		t.Fatalf("%d evictions, %d told though nobody wanted to know", before, len(told))
	}
	wanted = true
	fill(200, 400)
	if s.Stats().Evictions-before != uint64(len(told)) {
		t.Errorf("%d of %d told", len(told), s.Stats().Evictions-before)
	}
	for key, e := range told {
		var i int
		if _, err := fmt.Sscanf(key, "key-%d", &i); err != nil {
			t.Fatal(err)
		}
		want := Eviction{ValueBytes: 1000 + i%3*100_000, Expiry: int64(testStart + 1000 + i), LastAccess: testStart}
		if fmt.Sprint(e) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", key, e, want)
		}
		if _, _, found := s.Get(nil, []byte(key)); found {
			t.Errorf("%s is still there", key)
		}
	}
}

// What memcached calls reclaimed is room taken over from what was gone already; what is asked for in vain is not.
func TestReclaimed(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	f := func(what string, reclaimed, asked uint64, do func()) {
		t.Helper()
		before := s.Stats()
		do()
		if now := s.Stats(); now.Reclaimed-before.Reclaimed != reclaimed || now.GetExpired-before.GetExpired != asked {
			t.Errorf("%s: %d reclaimed, %d expired and asked for", what, now.Reclaimed-before.Reclaimed, now.GetExpired-before.GetExpired)
		}
	}
	for _, key := range []string{"asked for", "stored over", "held"} {
		put(t, s, key, Item{Value: []byte("v"), Expiry: testStart + 1})
	}
	clock.Advance(2)
	look := func(key string, wantBytes int, wantFound, wantLapsed bool) {
		t.Helper()
		h := s.Hold([]byte(key))
		defer h.Release()
		if n, found, lapsed := h.Look(); n != wantBytes || found != wantFound || lapsed != wantLapsed {
			t.Errorf("a look at %s: %d bytes, %t, %t", key, n, found, lapsed)
		}
	}
	put(t, s, "large", Item{Value: make([]byte, 300_000), Flags: 1})
	look("large", 300_000, true, false)
	look("never there", 0, false, false)
	f("a get of an expired item", 0, 1, func() { s.Get(nil, []byte("asked for")) })
	f("a look at one", 0, 1, func() { look("held", 0, false, true) })
	f("a store over one", 1, 0, func() { put(t, s, "stored over", Item{}) })
	f("a store over what is there", 0, 0, func() { put(t, s, "stored over", Item{}) })
	f("a flush", 2, 0, func() { s.FlushAll(0, 0) })
	f("a store over what was flushed", 0, 0, func() { put(t, s, "stored over", Item{}) })
}
