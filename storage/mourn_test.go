package storage

import (
	"fmt"
	"testing"
)

// TestMourn: what is deleted while others are out of reach, in whatever way, does not come back with them.
func TestMourn(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	s.Mourn(100)
	f := func(how string, remove func(h *Held), wait int64, wantGrave, back bool) {
		t.Helper()
		key := []byte(how)
		old := put(t, s, how, Item{Value: []byte("old")})
		put(t, s, how, Item{Value: []byte("newer")})
		h := s.Hold(key)
		remove(&h)
		h.Release()
		clock.Advance(wait)
		if _, _, found := s.Get(nil, key); found {
			t.Errorf("%s: it is there", how)
		}
		h = s.Hold(key)
		defer h.Release()
		if _, buried := h.Grave(); buried != wantGrave {
			t.Errorf("%s: a tombstone is there: %v", how, buried)
		}
		if installed, _ := h.Install(Item{CAS: old, Value: []byte("old")}); installed != back {
			t.Errorf("%s: an older version comes back: %v", how, installed)
		}
		if installed, _ := h.Install(Item{CAS: h.nextVersion() + 1<<30}); !installed {
			t.Errorf("%s: a newer version is refused", how)
		}
	}
	remove := func(h *Held) {
		if !h.Delete() {
			t.Error("nothing deleted")
		}
	}
	f("delete", remove, 0, true, false)
	f("touch", func(h *Held) { h.Touch(1) }, 0, true, false)
	f("gat", func(h *Held) { h.SetExpiry(1) }, 0, true, false)
	f("set that expires at once", func(h *Held) { _, _ = h.Put(Item{Expiry: 1}) }, 0, true, false)
	f("expiry, met", func(h *Held) { _, _ = h.Put(Item{Expiry: clock.Now() + 5}) }, 10, true, false)
	f("long value", func(h *Held) { _, _ = h.Put(Item{Value: make([]byte, 5000), Expiry: clock.Now() + 5}) }, 10, false, false) // a mark keeps it out, of a stripe
	f("for its time", remove, 100, false, true)
	s.Mourn(0)
	f("as ever", remove, 0, false, true)
	check(t, s)
}

// What has expired goes over as a tombstone, whether anybody asked for it or the crawler met it.
func TestWhatLapsesGoesOverAsATombstone(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock, MaxBytes: 16 << 20})
	s.Mourn(100)
	met := func() (count int) {
		for c, more := (Cursor{}), true; more; {
			c, more = s.WalkAll(c, All, func(key []byte, it Item) bool {
				if !it.Buried || it.Version == 0 || it.Expiry != testStart+110 {
					t.Errorf("%s: %+v", key, it)
				}
				count++
				return true
			})
		}
		return count
	}
	for i := range 1000 {
		put(t, s, fmt.Sprint("k", i), Item{Value: []byte("v"), Expiry: testStart + 5})
	}
	clock.Advance(10)
	if i, j := s.Stats().Items, met(); i != 1000 || j != 1000 || s.Stats().Items != 0 {
		t.Errorf("%d items, %d tombstones met, %d items left", i, j, s.Stats().Items)
	}
	s.Crawl(10_000)
	if s.Tombstones() != 1000 {
		t.Errorf("%d tombstones", s.Tombstones())
	}
	check(t, s)
	clock.Advance(200)
	s.Crawl(10_000)
	if s.Tombstones() != 0 {
		t.Errorf("%d tombstones outlive their time", s.Tombstones())
	}
	for _, st := range s.stripe {
		if st.graves != 0 {
			t.Errorf("%d bytes of no tombstones", st.graves)
		}
	}
}

// Tombstones are bounded, and what those have kept out for which there was no room is kept out all the same.
func TestMourningIsBounded(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 256 << 20})
	s.Mourn(3600)
	old := put(t, s, "k", Item{})
	for _, st := range s.stripe {
		st.graves = maxGraveBytes / len(s.stripe) // as if they were there
	}
	h := s.Hold([]byte("k"))
	h.Delete()
	installed, _ := h.Install(Item{CAS: old})
	newer, _ := h.Install(Item{CAS: h.nextVersion()})
	h.Release()
	if installed || !newer || s.Tombstones() != 0 {
		t.Errorf("come back: %v, newer: %v, %d tombstones", installed, newer, s.Tombstones())
	}
}

// A deletion is buried later by the version that it had: what was stored since stays, and what was there before does not come back.
func TestEntomb(t *testing.T) {
	s := openStore(t, Config{})
	old := put(t, s, "k", Item{Value: []byte("old")})
	h := s.Hold([]byte("k"))
	h.Delete()
	version := h.Stamp()
	h.Release()
	since := put(t, s, "since", Item{})
	h = s.Hold([]byte("k"))
	if !h.Entomb(version, 100) {
		t.Error("no tombstone")
	}
	if it, found := h.Grave(); !found || it.Version != version || version <= old {
		t.Errorf("a tombstone of version %x, want %x, above %x", it.Version, version, old)
	}
	if installed, _ := h.Install(Item{CAS: old}); installed {
		t.Error("an older version comes back")
	}
	h.Release()
	h = s.Hold([]byte("since"))
	if h.Entomb(since-1, 100) || !h.Has() {
		t.Error("what is newer is buried")
	}
	h.Release()
	check(t, s)
}

// A copy is as its holder has it: a tombstone of his takes the place of whatever is there.
func TestAMirroredTombstoneRemovesWhatIsThere(t *testing.T) {
	s := openStore(t, Config{})
	f := func(what string, version uint64, grave bool) {
		t.Helper()
		h := s.Hold([]byte(what))
		defer h.Release()
		if err := h.Mirror(Item{Buried: true, CAS: version, Version: version, Expiry: testStart + 100}); err != nil || h.Has() {
			t.Errorf("%s: it is there still, %v", what, err)
		}
		if _, buried := h.Grave(); buried != grave {
			t.Errorf("%s: a tombstone: %v", what, buried)
		}
	}
	older := put(t, s, "older", Item{})
	f("older", older+1, true)
	newer := put(t, s, "newer", Item{})
	f("newer", newer-1, false)
	check(t, s)
}

func TestMourningAllocatesNothing(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 64 << 20})
	s.Mourn(3600)
	key := []byte("k")
	put(t, s, "k", Item{})
	if got := testing.AllocsPerRun(100, func() {
		h := s.Hold(key)
		h.Delete()
		h.Release()
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkMourn(b *testing.B) {
	s := openStore(b, Config{MaxBytes: 64 << 20})
	s.Mourn(3600)
	key := []byte("some key")
	for b.Loop() {
		h := s.Hold(key)
		h.Delete()
		h.Release()
	}
}
