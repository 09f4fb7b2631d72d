package storage

import (
	"fmt"
	"testing"
)

// What is told of a key is true, whatever became of it; and to ask changes nothing.
func TestTrace(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	f := func(key string, want Fate, ago int64) {
		t.Helper()
		before := s.Stats()
		got := s.Trace([]byte(key))
		at := int64(0)
		if ago >= 0 {
			at = clock.Now() - ago
		}
		if got.Found || got.Fate != want || got.At != at {
			t.Errorf("%s: %+v, want fate %d, %d s ago", key, got, want, ago)
		}
		if after := s.Stats(); after != before {
			t.Errorf("%s: asking has changed %+v to %+v", key, before, after)
		}
	}
	remove := func(key string) {
		h := s.Hold([]byte(key))
		defer h.Release()
		h.Delete()
	}
	cas := put(t, s, "here", Item{Value: []byte("value"), Flags: 7, Expiry: testStart + 1000})
	put(t, s, "expires", Item{Expiry: testStart + 5})
	put(t, s, "met", Item{Expiry: testStart + 5})
	put(t, s, "deleted", Item{})
	put(t, s, "large", Item{})
	put(t, s, "again", Item{})
	remove("again")
	put(t, s, "again", Item{})
	clock.Advance(10)
	remove("deleted")
	clock.Advance(10)
	if _, _, found := s.Get(nil, []byte("met")); found {
		t.Error("met is there")
	}
	h := s.Hold([]byte("large"))
	if _, err := h.Put(Item{Value: make([]byte, 2*s.MaxItemBytes())}); err != ErrTooLarge {
		t.Error(err)
	}
	h.Release()
	f("never", Never, -1)
	f("expires", Expired, 15)
	f("met", Expired, 15)
	f("deleted", Deleted, 10)
	f("large", Refused, 0)
	for range 2 { // it is no use
		got := s.Trace([]byte("here"))
		if !got.Found || got.Item.CAS != cas || got.Item.Flags != 7 || got.ValueBytes != 5 || got.Stored != testStart || got.Item.Expiry != testStart+1000 || got.Item.Fetched {
			t.Errorf("here: %+v", got)
		}
	}
	if !s.Trace([]byte("again")).Found {
		t.Error("again is not there")
	}
	clock.Advance(1)
	s.FlushAll(0, 0)
	clock.Advance(3)
	f("here", Unknown, -1)
	f("never", Unknown, -1)
	f("again", Unknown, -1)   // an end from before the flush tells nothing
	f("deleted", Unknown, -1) // nor this one: it may have been stored again
	if got := s.Trace([]byte("here")); got.Flushed != clock.Now()-3 {
		t.Errorf("flushed at %d, want %d", got.Flushed, clock.Now()-3)
	}
	put(t, s, "later", Item{})
	remove("later")
	f("later", Deleted, 0)
	clock.Advance(1)
	s.Drop(All) // nothing: there is nothing to forget
	f("later", Deleted, 1)
	put(t, s, "moved", Item{})
	s.Drop(All)
	f("moved", Unknown, -1)
	f("later", Unknown, -1)
	s.Mourn(100)
	put(t, s, "mourned", Item{})
	remove("mourned")
	f("mourned", Deleted, 0)
	for i := range s.stripe { // once that is forgotten, its tombstone tells
		clear(s.stripe[i].fates.ring)
	}
	f("mourned", Buried, 0)
	check(t, s)
}

// In a full store the latest that were evicted are known, with their time; of others the ghost tells at most that they may have been.
func TestTraceOfTheEvicted(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock, MaxBytes: 8 << 20})
	const keys = 40_000
	for i := range keys {
		put(t, s, fmt.Sprint("key-", i), Item{Value: make([]byte, 500)})
		if i%100 == 0 {
			clock.Advance(1)
		}
	}
	count := map[Fate]int{}
	for i := range keys {
		got := s.Trace([]byte(fmt.Sprint("key-", i)))
		switch {
		case got.Found:
		case got.Fate == Evicted && (got.At < testStart || got.At > clock.Now() || got.At < got.Since-1):
			t.Fatalf("key-%d: %+v", i, got)
		default:
			count[got.Fate]++
		}
	}
	ring := len(s.stripe) * len(s.stripe[0].fates.ring)
	if count[Evicted] != ring || count[PerhapsEvicted] == 0 || count[Evicted]+count[PerhapsEvicted]+count[Unknown]+s.Stats().Items != keys {
		t.Errorf("%v, %d items; the ring holds %d", count, s.Stats().Items, ring)
	}
	if got := s.Trace([]byte("nobody")); got.Fate != Unknown && got.Fate != PerhapsEvicted || got.Since < testStart {
		t.Errorf("a key of nobody: %+v", got)
	}
}
