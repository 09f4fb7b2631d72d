package storage

import "testing"

// What is known of an item's use comes with it, so that it is worth as much to its new holder as to the former one.
func TestInstallKeepsTheUse(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	f := func(it Item, wantAccess int64, wantFetched bool) {
		t.Helper()
		it.CAS = s.Latest() + 1<<tagOfNodeBits
		held := s.Hold([]byte("key"))
		if held.Has() {
			t.Error("there before")
		}
		if installed, err := held.Install(it); !installed || err != nil {
			t.Errorf("installed: %t, %v", installed, err)
		}
		if !held.Has() {
			t.Error("not there after")
		}
		got, _ := held.Item()
		if got.LastAccess != wantAccess || got.Fetched != wantFetched {
			t.Errorf("last access %d, fetched %t", got.LastAccess, got.Fetched)
		}
		held.Delete()
		held.Release()
	}
	f(Item{Value: []byte("v")}, testStart, false)
	f(Item{Value: []byte("v"), LastAccess: testStart - 100, Fetched: true}, testStart-100, true)
	f(Item{Value: []byte("v"), LastAccess: testStart + 100}, testStart, false) // another member's clock is ahead
}

func TestWhatIsStoredIsNewerThanWhatWasWitnessed(t *testing.T) {
	clock := NewManualClock(testStart)
	here, ahead := openStore(t, Config{Clock: clock, NodeTag: 1}), openStore(t, Config{Clock: NewManualClock(testStart + 1), NodeTag: 2})
	put(t, ahead, "key", Item{})
	theirs := ahead.Latest()
	here.Witness(theirs)
	held := here.Hold([]byte("key"))
	defer held.Release()
	if cas, err := held.Put(Item{}); cas <= theirs || err != nil {
		t.Errorf("CAS unique %d after %d (%v)", cas, theirs, err)
	}
}

func TestWhatWasFlushedIsNotInstalledAgain(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	f := func(when string, cas uint64, want bool) {
		t.Helper()
		held := s.Hold([]byte("key"))
		defer held.Release()
		if installed, err := held.Install(Item{CAS: cas}); installed != want || err != nil {
			t.Errorf("%s: installed %t, %v", when, installed, err)
		}
		held.Delete()
	}
	older := s.Latest() + 1<<tagOfNodeBits
	f("before the flush", older, true)
	clock.Advance(1)
	s.FlushAll(0, 0)
	f("flushed", older, false)
	f("given after the flush", s.Latest()+1<<tagOfNodeBits, true)

	older = s.Latest() + 2<<tagOfNodeBits
	s.FlushAll(10, 0)
	f("a flush is to come", older, true)
	clock.Advance(11)
	f("it has come", older, false)
	f("given after it", s.Latest()+1<<tagOfNodeBits, true)
}
