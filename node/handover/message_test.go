package handover

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/memring/memring/node/piece"
)

// FuzzMessages: what is read is what was written, and bytes that are no message are refused and do no harm.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("some bytes"), uint16(67), uint64(1))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint16(8), uint64(2))
	f.Add(make([]byte, 64), uint16(64), uint64(3))
	f.Fuzz(func(t *testing.T, raw []byte, count uint16, seed uint64) {
		partitions := int(count)%1000 + 1
		readsBack(t, raw, partitions)

		r := rand.New(rand.NewPCG(seed, 1))
		parts, contests := piece.NewSet(partitions), piece.NewSet(partitions)
		for part := range partitions {
			if r.IntN(3) == 0 {
				parts.Add(part)
			} else if r.IntN(3) == 0 {
				contests.Add(part)
			}
		}
		a, gotAsk := ask{from: Member{ID: "a" + string(raw), Boot: r.Uint64()}, view: r.Uint64(), count: r.Uint64(), flushed: r.Uint64(), parts: parts, again: contests, salvage: parts, orphans: contests}, ask{}
		if !gotAsk.parse(a.append(nil), partitions) || !reflect.DeepEqual(a, gotAsk) {
			t.Errorf("asked %+v, read %+v", a, gotAsk)
		}
		h, gotHandout := handout{
			boot: r.Uint64(), view: r.Uint64(), move: r.Uint64(), clock: r.Uint64(), flushed: r.Uint64(), flushIn: int64(r.Uint64()), flushMark: r.Uint64(),
			given: parts, contests: contests, keeps: parts, wants: contests, whole: contests, copied: parts, halves: contests, salvaged: parts, follows: parts, number: r.Uint64(), bytes: int64(r.Uint64()), leaving: int64(r.Uint64()),
		}, handout{}
		if !gotHandout.parse(h.append(nil), partitions) || !reflect.DeepEqual(h, gotHandout) {
			t.Errorf("handed out %+v, read %+v", h, gotHandout)
		}
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
}
