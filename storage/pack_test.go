package storage

import (
	"bytes"
	"fmt"
	"testing"
)

// TestPacks: items of all sizes around those that share a record are read from the pack, from the arena, and after they were moved.
func TestPacks(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 4 << 20})
	sizes := []int{0, 1, 50, 100, 1000, splitBytes - 100, splitBytes, splitBytes + 1, packBytes, 60_000, 100_000, 3}
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, sizes[i%len(sizes)]/2+1) }
	key := func(i int) []byte { return fmt.Appendf(nil, "%08d", i) }
	asked, found := 0, 0
	look := func(i int, there bool) {
		t.Helper()
		asked++
		it, out, ok := s.Get([]byte("before"), key(i))
		if !ok && !there {
			return
		}
		if !ok || !bytes.Equal(it.Value, value(i)) || string(out) != "before"+string(value(i)) {
			t.Fatalf("item %d: %t, %d bytes", i, ok, len(it.Value))
		}
		found++
		h := s.Hold(key(i))
		defer h.Release()
		if it, ok := h.Item(); !ok || !bytes.Equal(it.Value, value(i)) {
			t.Fatalf("item %d held: %t, %d bytes", i, ok, len(it.Value))
		}
	}
	for i := range 3000 {
		put(t, s, string(key(i)), Item{Value: value(i)})
		for back := 0; back < 5 && back <= i; back++ {
			look(i-back, back == 0) // a large one may have had to go for those after it
		}
	}
	if found < asked*99/100 {
		t.Errorf("of %d items just stored %d were there", asked, found)
	}
	check(t, s)
}

// TestPackSavesRecords: of small items packItems share a record; what is larger does not wait for others.
func TestPackSavesRecords(t *testing.T) {
	f := func(valueBytes, items, wantRecords int) {
		t.Helper()
		s := openStore(t, Config{MaxBytes: 16 << 20})
		for i := range items {
			put(t, s, fmt.Sprintf("%08d", i), Item{Value: make([]byte, valueBytes)})
		}
		records := 0
		for _, st := range s.stripe {
			for _, g := range st.segments {
				records += g.begun
			}
		}
		if records != wantRecords {
			t.Errorf("%d items of %d bytes are in %d records, want %d", items, valueBytes, records, wantRecords)
		}
		check(t, s)
	}
	f(50, 10*packItems, 10)
	f(50, 10*packItems+1, 11)
	f(packBytes/2-100, 10, 5)
	f(splitBytes+1, 10, 10)
}

// TestPackIsGone: what a flush drops while it is in a pack does not come back with the next.
func TestPackIsGone(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 4 << 20})
	for i := range 1000 {
		put(t, s, fmt.Sprint("a", i), Item{Value: []byte("old")})
		if i%7 == 0 {
			s.FlushAll(0, 0)
		}
		put(t, s, fmt.Sprint("b", i), Item{Value: []byte("new")})
		if it, _, ok := s.Get(nil, fmt.Append(nil, "b", i)); !ok || string(it.Value) != "new" {
			t.Fatalf("%d: %t, %q", i, ok, it.Value)
		}
		check(t, s)
	}
}
