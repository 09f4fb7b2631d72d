package dump_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/dump"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

const partitions = 8

// holder is a store, and when its partitions became held.
type holder struct {
	*storage.Store
	held  [partitions]uint64
	short piece.Set
	span  time.Duration // that was asked for last
}

func (h *holder) source() *dump.Source {
	return &dump.Source{
		Store: h.Store, Holds: func(part uint32) bool { return h.held[part] != 0 }, Held: func(part uint32) uint64 { return h.held[part] },
		Short: func(span time.Duration) piece.Set {
			h.span = span
			return h.short
		},
	}
}

func newHolder(t *testing.T, items int) *holder {
	store, err := storage.Open(storage.Config{MaxBytes: 64 << 20, Clock: storage.NewManualClock(1_700_000_000), Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	h := &holder{Store: store}
	for part := range h.held {
		h.held[part] = 1
	}
	for n := range items {
		held := store.Hold(fmt.Append(nil, n))
		if _, err := held.Put(storage.Item{Value: value(n), Flags: uint32(n)}); err != nil {
			t.Fatal(err)
		}
		held.Release()
	}
	return h
}

// value is some bytes, and once in a while many.
func value(n int) []byte {
	if n%1000 == 999 {
		return bytes.Repeat(fmt.Append(nil, n), 100_000)
	}
	return fmt.Append(nil, "value ", n)
}

// exported reads a stream to its end; after each piece of the answer f is called.
func exported(t *testing.T, s protocol.Stream, f func()) (items map[string]storage.Item, complete piece.Set) {
	t.Helper()
	var out []byte
	for more := true; more; {
		before := len(out)
		if out, more = s.Next(out); len(out)-before > 1<<17 {
			t.Errorf("%d bytes at a time", len(out)-before)
		}
		f()
	}
	first, rest, _ := strings.Cut(string(out), "\r\n")
	if !strings.HasPrefix(first, "EXPORT 8 ") {
		t.Fatalf("begins %.100q", first)
	}
	items = map[string]storage.Item{}
	for {
		n := binary.LittleEndian.Uint32([]byte(rest))
		if rest = rest[4:]; n == 0 {
			break
		}
		found, _, ok := piece.Items([]byte(rest[:n]))
		if !ok {
			t.Fatalf("no items: %.100q", rest)
		}
		for key, it := range found {
			if _, twice := items[string(key)]; twice {
				t.Errorf("%s is given twice", key)
			}
			items[string(key)] = it
		}
		rest = rest[n:]
	}
	if complete = piece.Set(rest); !complete.Fits(partitions) {
		t.Fatalf("the end is %q", rest)
	}
	return items, complete
}

// TestExportTellsWhatIsGone: who asks for it hears what was here and went away, and what is short since as long as he says and the export took.
func TestExportTellsWhatIsGone(t *testing.T) {
	h := newHolder(t, 20_000) // more than one piece
	h.held[1], h.short = 0, piece.Set{0x12}
	s, ok := h.source().Export([]byte{0x0f}, time.Minute)
	if !ok {
		t.Fatal("refused")
	}
	out, more := s.Next(nil)
	if first, _, _ := strings.Cut(string(out), "\r\n"); !strings.HasPrefix(first, "EXPORT 8 3 ") || !strings.HasSuffix(first, " 3") {
		t.Errorf("begins %q", first)
	}
	h.held[2] += 2
	for more {
		out, more = s.Next(out)
	}
	if end := "\x00\x00\x00\x00\x09\x04\x12"; !strings.HasSuffix(string(out), end) {
		t.Errorf("ends %x, want %x: the partitions that are complete, gone, and short", out[max(len(out)-len(end), 0):], end)
	}
	if h.span <= time.Minute {
		t.Errorf("what is short is asked for within %v: the export took longer", h.span)
	}
}

func TestExport(t *testing.T) {
	const count = 5000
	h := newHolder(t, count)
	f := func(parts []byte, lost int, wantItems func(part uint64) bool, wantComplete byte) {
		t.Helper()
		s, ok := h.source().Export(parts, 0)
		if !ok {
			t.Fatalf("%x: refused", parts)
		}
		calls := 0
		items, complete := exported(t, s, func() {
			if calls++; calls == 2 && lost >= 0 {
				h.held[lost] += 2 // it was another's for a while
			}
		})
		for n := range count {
			key := fmt.Append(nil, n)
			it, there := items[string(key)]
			part := storage.Hash(key) % partitions
			if there != wantItems(part) && int(part) != lost || there && (!bytes.Equal(it.Value, value(n)) || it.Flags != uint32(n)) {
				t.Fatalf("%x: item %d, of partition %d, given %v", parts, n, part, there)
			}
		}
		if complete[0] != wantComplete {
			t.Errorf("%x: complete %08b, want %08b", parts, complete[0], wantComplete)
		}
	}
	f(nil, -1, func(uint64) bool { return true }, 0xff)
	f([]byte{0x06}, -1, func(part uint64) bool { return part == 1 || part == 2 }, 0x06)
	f([]byte{0}, -1, func(uint64) bool { return false }, 0)
	f(nil, 3, func(uint64) bool { return true }, 0xff&^8)
	h.held[5] = 0
	f(nil, -1, func(part uint64) bool { return part != 5 }, 0xff&^32)
	for _, parts := range [][]byte{{1, 2}, make([]byte, 100)} {
		if _, ok := h.source().Export(parts, 0); ok {
			t.Errorf("%x: taken for partitions", parts)
		}
	}
}
