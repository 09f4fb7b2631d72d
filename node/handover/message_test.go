package handover

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

func TestBitmap(t *testing.T) {
	f := func(partitions int, parts ...int) {
		t.Helper()
		b := newBitmap(partitions)
		for _, part := range parts {
			b.set(part)
		}
		if got := slices.Collect(b.all()); !slices.Equal(got, parts) {
			t.Errorf("of %d: %v, want %v", partitions, got, parts)
		}
		for part := range partitions {
			if b.has(part) != slices.Contains(parts, part) {
				t.Errorf("of %d: has %d: %v", partitions, part, b.has(part))
			}
		}
		if !b.fits(partitions) {
			t.Errorf("of %d: %v does not fit", partitions, parts)
		}
	}
	f(8)
	f(8, 0, 7)
	f(9, 8)
	f(67, 0, 1, 8, 63, 64, 66)

	over := newBitmap(9)
	over.set(9)
	if over.fits(9) {
		t.Error("a partition beyond the last one fits")
	}
}

// FuzzMessages: what is read is what was written, and bytes that are no message are refused and do no harm.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("some bytes"), uint16(67), uint64(1))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint16(8), uint64(2))
	f.Add(make([]byte, 64), uint16(64), uint64(3))
	f.Fuzz(func(t *testing.T, raw []byte, count uint16, seed uint64) {
		partitions := int(count)%1000 + 1
		readsBack(t, raw, partitions)

		r := rand.New(rand.NewPCG(seed, 1))
		parts, contests := newBitmap(partitions), newBitmap(partitions)
		for part := range partitions {
			if r.IntN(3) == 0 {
				parts.set(part)
			} else if r.IntN(3) == 0 {
				contests.set(part)
			}
		}
		a, gotAsk := ask{from: Member{ID: "a" + string(raw), Boot: r.Uint64()}, view: r.Uint64(), count: r.Uint64(), parts: parts, again: contests}, ask{}
		if !gotAsk.parse(a.append(nil), partitions) || !reflect.DeepEqual(a, gotAsk) {
			t.Errorf("asked %+v, read %+v", a, gotAsk)
		}
		h, gotHandout := handout{boot: r.Uint64(), view: r.Uint64(), move: r.Uint64(), clock: r.Uint64(), flushAt: int64(r.Uint64()), given: parts, contests: contests, keeps: parts, wants: contests}, handout{}
		if !gotHandout.parse(h.append(nil), partitions) || !reflect.DeepEqual(h, gotHandout) {
			t.Errorf("handed out %+v, read %+v", h, gotHandout)
		}
		piecesAreRead(t, raw, r)
	})
}

// readsBack reads any bytes as every message. What can be read is written as the same bytes again.
func readsBack(t *testing.T, raw []byte, partitions int) {
	var a ask
	if a.parse(raw, partitions) && !bytes.Equal(a.append(nil), raw) {
		t.Errorf("ask %x reads as %+v", raw, a)
	}
	var h handout
	if h.parse(raw, partitions) && !bytes.Equal(h.append(nil), raw) {
		t.Errorf("handout %x reads as %+v", raw, h)
	}
	if c, ok := cutCursor(raw); ok && !bytes.Equal(appendCursor(nil, c), raw) {
		t.Errorf("cursor %x reads as %+v", raw, c)
	}
	if _, _, items, ok := cutPiece(raw); ok {
		size := pieceHead
		for key, it := range items {
			if len(key) == 0 || len(key) > protocol.MaxKeyBytes {
				t.Errorf("a key of %d bytes", len(key))
			}
			size += itemHead + len(key) + len(it.Value)
		}
		if size != len(raw) {
			t.Errorf("a piece of %d bytes is read to %d", len(raw), size)
		}
	}
}

func piecesAreRead(t *testing.T, raw []byte, r *rand.Rand) {
	type pair struct {
		key string
		it  storage.Item
	}
	var want, got []pair
	piece := beginPiece(nil)
	for range r.IntN(5) {
		key := append([]byte{'k'}, raw[:min(len(raw), r.IntN(protocol.MaxKeyBytes))]...)
		it := storage.Item{
			Value: raw, Flags: r.Uint32(), Expiry: int64(r.Uint32()), CAS: r.Uint64(), LastAccess: int64(r.Uint32()),
			Fetched: r.IntN(2) == 0, Stale: r.IntN(2) == 0, Won: r.IntN(2) == 0,
		}
		piece = appendItem(piece, key, it)
		want = append(want, pair{string(key), it})
	}
	cursor, more := storage.Cursor{Stripe: r.IntN(64), Table: r.IntN(64), After: r.Uint64()}, r.IntN(2) == 0
	endPiece(piece, cursor, more)
	next, gotMore, items, ok := cutPiece(piece)
	if !ok || next != cursor || gotMore != more {
		t.Fatalf("cursor %+v %v, read %+v %v (%v)", cursor, more, next, gotMore, ok)
	}
	for key, it := range items {
		got = append(got, pair{string(key), it})
	}
	same := func(a, b pair) bool {
		ok := bytes.Equal(a.it.Value, b.it.Value)
		a.it.Value, b.it.Value = nil, nil
		return ok && reflect.DeepEqual(a, b)
	}
	if !slices.EqualFunc(want, got, same) {
		t.Errorf("items %+v, read %+v", want, got)
	}
	if len(want) > 0 {
		if _, _, _, ok := cutPiece(piece[:len(piece)-1-r.IntN(itemHead)]); ok && len(raw) > itemHead {
			t.Error("a piece that was cut is read")
		}
	}
	var resp protocol.Response
	for _, p := range want {
		tellItem(&resp, p.it)
		if it := itemOf(&resp); !same(pair{it: it}, pair{it: p.it}) {
			t.Errorf("item %+v, told %+v", p.it, it)
		}
	}
}
