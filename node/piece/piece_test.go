package piece

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// FuzzPieces: what is read is what was written, and bytes that are no piece are refused and do no harm.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("some bytes"), uint64(1))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint64(2))
	f.Add(make([]byte, 64), uint64(3))
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		readsBack(t, raw)
		piecesAreRead(t, raw, rand.New(rand.NewPCG(seed, 1)))
	})
}

// readsBack reads any bytes as a cursor and as a piece.
func readsBack(t *testing.T, raw []byte) {
	if c, ok := CutCursor(raw); ok && !bytes.Equal(AppendCursor(nil, c), raw) {
		t.Errorf("cursor %x reads as %+v", raw, c)
	}
	if p, ok := Cut(raw); ok {
		size := pieceHead
		for key, it := range p.Items {
			if len(key) == 0 || len(key) > protocol.MaxKeyBytes {
				t.Errorf("a key of %d bytes", len(key))
			}
			size += itemHead + len(key) + len(it.Value)
			if it.Version != it.CAS {
				size += versionBytes
			}
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
	out := Begin(nil)
	for range r.IntN(5) {
		key := append([]byte{'k'}, raw[:min(len(raw), r.IntN(protocol.MaxKeyBytes))]...)
		it := storage.Item{
			Value: raw, Flags: r.Uint32(), Expiry: int64(r.Uint32()), CAS: r.Uint64(), LastAccess: int64(r.Uint32()),
			Fetched: r.IntN(2) == 0, Stale: r.IntN(2) == 0, Won: r.IntN(2) == 0,
		}
		it.Version = it.CAS
		if r.IntN(2) == 0 {
			it.Version = r.Uint64() | 1
		}
		if it.Buried = r.IntN(4) == 0; it.Buried {
			it.Value = nil
		}
		out = Append(out, key, it)
		want = append(want, pair{string(key), it})
	}
	cursor, more := storage.Cursor{Stripe: r.IntN(64), Table: r.IntN(64), After: r.Uint64()}, r.IntN(2) == 0
	pause := time.Duration(r.Uint32()) * time.Microsecond
	End(out, cursor, more, pause)
	p, ok := Cut(out)
	if !ok || p.Next != cursor || p.More != more || p.Pause != pause {
		t.Fatalf("cursor %+v %v %v, read %+v (%v)", cursor, more, pause, p, ok)
	}
	for key, it := range p.Items {
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
		if _, ok := Cut(out[:len(out)-1-r.IntN(itemHead)]); ok && len(raw) > itemHead {
			t.Error("a piece that was cut is read")
		}
	}
	var resp protocol.Response
	for _, p := range want {
		Tell(&resp, p.it)
		if it := ItemOf(&resp); !same(pair{it: it}, pair{it: p.it}) {
			t.Errorf("item %+v, told %+v", p.it, it)
		}
	}
}
