package storage

import (
	"fmt"
	"testing"
)

// putChosen puts an item with a CAS unique that a client has chosen, and gives it as it is kept.
func putChosen(t *testing.T, s *Store, key string, cas uint64) Item {
	t.Helper()
	h := s.Hold([]byte(key))
	defer h.Release()
	if err := h.PutWithCAS(Item{Value: []byte("chosen"), CAS: cas}); err != nil {
		t.Error(err)
	}
	it, _ := h.Item()
	it.Value = nil
	return it
}

// plainVersion is that of an item whose CAS unique nobody has chosen.
func plainVersion(it Item) uint64 {
	if it.Version == 0 {
		return it.CAS
	}
	return 0
}

// A client's CAS unique says nothing of which item is newer: such an item moves to another member and back like any other.
func TestChosenCASIsNotTheVersion(t *testing.T) {
	clock := NewManualClock(testStart)
	here, there := openStore(t, Config{Clock: clock, NodeTag: 1}), openStore(t, Config{Clock: clock, NodeTag: 2})
	key := []byte("k")
	install := func(s *Store, it Item, want bool) {
		t.Helper()
		h := s.Hold(key)
		defer h.Release()
		if installed, err := h.Install(it); installed != want || err != nil {
			t.Errorf("installed: %t, %v", installed, err)
		}
		if got, found := h.Item(); want && (!found || got.CAS != it.CAS || got.Version != max(it.Version, plainVersion(it))) {
			t.Errorf("%+v, want %+v", got, it)
		}
	}
	f := func(cas uint64) {
		t.Helper()
		there.FlushAll(0, 0)
		clock.Advance(1)
		plain := put(t, here, "k", Item{})
		it := putChosen(t, here, "k", cas)
		if it.CAS != cas || it.Version <= plain {
			t.Errorf("%+v, put after %d", it, plain)
		}
		install(there, Item{CAS: plain}, true)
		install(there, it, true)
		install(there, it, false)
		install(there, Item{CAS: plain}, false)
		next := put(t, there, "k", Item{})
		if next <= it.Version {
			t.Errorf("%d put after %+v", next, it)
		}
		install(here, Item{CAS: next}, true)
		install(here, it, false)
	}
	f(1)
	f(here.Latest())
	f(here.Latest() + 1<<50)
	f(1 << 63)
	f(1<<64 - 1)

	// What a client chooses does not move the clock.
	if at := int64(put(t, here, "k", Item{})>>(tagOfNodeBits+countBits)) + epochMilli; at != clock.Milli() {
		t.Errorf("the clock is at %d, and stands at %d", at, clock.Milli())
	}
	for c, more := (Cursor{}), true; more; {
		c, more = here.Walk(c, All, func(key []byte, it Item) bool {
			if it.Version != it.CAS {
				t.Errorf("walk: %s %+v", key, it)
			}
			return true
		})
	}
}

// The eight bytes more are ours: a client who reads statistics does not see them. Long values are split, moved and counted with them.
func TestChosenCASCountsNothing(t *testing.T) {
	f := func(valueBytes int) {
		t.Helper()
		s := openStore(t, Config{})
		put(t, s, "k", Item{Value: make([]byte, valueBytes)})
		want := s.Stats().Bytes
		h := s.Hold([]byte("k"))
		if err := h.PutWithCAS(Item{Value: make([]byte, valueBytes), CAS: 7}); err != nil {
			t.Error(err)
		}
		length, _, _ := h.Look()
		h.Release()
		it, _, _ := s.Get(nil, []byte("k"))
		if got := s.Stats().Bytes; got != want || length != valueBytes || len(it.Value) != valueBytes || it.CAS != 7 || it.Version <= 7 {
			t.Errorf("%d bytes, want %d; a value of %d, want %d; CAS unique %d", got, want, length, valueBytes, it.CAS)
		}
		check(t, s)
	}
	f(0)
	f(100)
	f(5000)
	f(200_000)
}

// A member whose clock is wrong by hours does not take ours with it; yet what replaces its items is newer than they are.
func TestClockFollowsAnHourAtMost(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	ahead := func(milli int64) uint64 { return momentOf(testStart*1000+milli) << tagOfNodeBits }
	const hour = 3_600_000
	for _, far := range []int64{hour / 2, hour} {
		if behind := s.Witness(ahead(far)); behind.Milliseconds() != hour/2 {
			t.Errorf("%v behind, want half an hour", behind)
		}
		if next := put(t, s, "k", Item{}); next <= ahead(far) {
			t.Errorf("%d put after %d", next, ahead(far))
		}
	}
	for _, far := range []int64{hour + 1, 2 * hour, 1 << 40} {
		s.Witness(ahead(far))
		key := fmt.Sprint(far)
		h := s.Hold([]byte(key))
		if installed, err := h.Install(Item{CAS: ahead(far)}); !installed || err != nil {
			t.Errorf("installed: %t, %v", installed, err)
		}
		h.Release()
		for range 2 {
			last := ahead(far)
			if next := put(t, s, key, Item{}); next <= last || next > ahead(far+1) {
				t.Errorf("%d put after %d", next, last)
			}
		}
		if it := putChosen(t, s, key, 5); it.Version <= ahead(far) {
			t.Errorf("version %d put after %d", it.Version, ahead(far))
		}
		if next := put(t, s, "k", Item{}); next > ahead(hour+1) {
			t.Errorf("the clock has followed to %d", next)
		}
	}
	h := s.Hold([]byte("deleted"))
	defer h.Release()
	if !h.Bury(ahead(2*hour), testStart+60) {
		t.Error("not buried")
	}
	if next, err := h.Put(Item{}); next <= ahead(2*hour) || err != nil {
		t.Errorf("%d put after the deletion %d (%v)", next, ahead(2*hour), err)
	}
}

// CLUSTER.md 4.2, 10: one mark for all members, however their clocks differ.
func TestFlushMark(t *testing.T) {
	f := func(skew, delay int64) {
		t.Helper()
		clock, fast := NewManualClock(testStart), NewManualClock(testStart+skew)
		s, other := openStore(t, Config{Clock: clock, NodeTag: 1}), openStore(t, Config{Clock: fast, NodeTag: 2})
		install := func(s *Store, version uint64, want bool) {
			t.Helper()
			h := s.Hold([]byte("k"))
			defer h.Release()
			if installed, err := h.Install(Item{CAS: version}); installed != want || err != nil {
				t.Errorf("%d s ahead, in %d s: installed %t, %v", skew, delay, installed, err)
			}
			h.Delete()
		}
		put(t, s, "k", Item{})
		put(t, other, "k", Item{})
		mark := max(s.FlushMark(delay), other.FlushMark(delay))
		s.FlushAll(delay, mark)
		other.FlushAll(delay, mark)
		clock.Advance(max(delay-1, 0))
		fast.Advance(max(delay-1, 0))
		old, oldOther := put(t, s, "k", Item{}), put(t, other, "k", Item{})
		if delay == 0 {
			old, oldOther = mark, mark
		} else if s.Flushed() != 0 {
			t.Errorf("flushed to %d before the time", s.Flushed())
		}
		clock.Advance(min(delay, 1))
		fast.Advance(min(delay, 1))
		install(s, old, false)
		install(s, oldOther, false)
		install(other, old, false)
		install(other, oldOther, false)
		install(other, put(t, s, "k", Item{}), true)
		install(s, put(t, other, "k", Item{}), true)
		if s.Flushed() != mark || other.Flushed() != mark || s.FlushBefore(mark) {
			t.Errorf("flushed to %d and %d, want %d", s.Flushed(), other.Flushed(), mark)
		}
	}
	f(0, 0)
	f(0, 10)
	f(5, 0)
	f(-5, 0)
	f(5, 10)
	f(-5, 10)

	// A mark from a clock that is years ahead flushes as well, and takes no clock with it.
	s := openStore(t, Config{})
	put(t, s, "k", Item{})
	s.FlushAll(0, 1<<62)
	if next := put(t, s, "k", Item{}); next > 2*s.stripe[0].moment()<<tagOfNodeBits {
		t.Errorf("%d put after it", next)
	}
}

// What is made of an item while the members agree on a mark goes with it; and flushes that follow each other let the clock run ahead no further.
func TestFlushMarkIsAboveWhatIsMadeMeanwhile(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	for i := range 3 {
		put(t, s, "k", Item{})
		mark := s.FlushMark(0)
		if version := put(t, s, "k", Item{}); version > mark {
			t.Fatalf("flush %d: stored as %d, the mark is %d", i, version, mark)
		}
		s.FlushAll(0, mark)
		h := s.Hold([]byte("k"))
		_, found := h.Item()
		if h.Release(); found {
			t.Fatalf("flush %d: it stays", i)
		}
		if version := put(t, s, "k", Item{}); version <= mark {
			t.Fatalf("flush %d: stored as %d afterwards, the mark is %d", i, version, mark)
		}
		clock.Advance(1)
	}
	for range 1000 {
		s.FlushAll(0, s.FlushMark(0))
		put(t, s, "k", Item{})
	}
	if got, limit := s.Latest(), (momentOf((testStart+3)*1000)+2*flushSlack)<<tagOfNodeBits; got > limit {
		t.Errorf("after a thousand flushes the clock is at %d, want up to %d", got, limit)
	}
}
