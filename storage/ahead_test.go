package storage

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestLookAheadChangesNothing: neither what is stored, nor what is counted or known of it, whatever has become of the keys.
func TestLookAheadChangesNothing(t *testing.T) {
	clock := NewManualClock(1000)
	s := openStore(t, Config{MaxBytes: 8 << 20, Clock: clock})
	s.Mourn(60)
	var keys [][]byte
	for i := range 60_000 { // more than there is room for
		key := fmt.Appendf(nil, "key%d", i)
		h := s.Hold(key)
		_, err := h.Put(Item{Value: make([]byte, i%300), Expiry: int64(i % 2 * 1010)})
		if err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			h.Delete()
		}
		h.Release()
		keys = append(keys, key)
	}
	for _, size := range []int{0, 3000, 70_000, 1 << 20} {
		key := fmt.Appendf(nil, "long%d", size)
		h := s.Hold(key)
		_, _ = h.Put(Item{Value: make([]byte, size)})
		h.Release()
		keys = append(keys, key, []byte("never"), nil)
	}
	clock.Advance(20)
	before := s.Stats()
	for batch := range slices.Chunk(keys, maxProspects) {
		s.LookAhead(batch)
	}
	s.LookAhead(nil)
	s.LookAhead(keys) // too many
	for _, key := range keys {
		s.Expect(Hash(key))
	}
	if after := s.Stats(); after != before {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	items := 0
	for i, key := range keys {
		it, _, ok := s.Get(nil, key)
		if ok && (it.Fetched || it.LastAccess != 1000) {
			t.Fatalf("%s: %+v", key, it)
		}
		if ok {
			items++
		}
		if i < 60_000 && ok && len(it.Value) != i%300 {
			t.Fatalf("%s: %d bytes", key, len(it.Value))
		}
	}
	if items < 10_000 {
		t.Errorf("only %d items left", items)
	}
}

// BenchmarkLookAhead has Gets with and without by turns, on as many items of 100 bytes as fit, and says how much of the processor's time is left.
func BenchmarkLookAhead(b *testing.B) {
	s := openStore(b, Config{MaxBytes: 64 << 20})
	keys := make([][]byte, benchItems)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%026d", i)
		h := s.Hold(keys[i])
		_, _ = h.Put(Item{Value: make([]byte, 100)})
		h.Release()
	}
	for _, batch := range []int{16, 100} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			dst := make([]byte, 0, 256)
			asked, memory := make([][]byte, batch), make([]byte, 0, 30*batch)
			turn := func(prepare func([][]byte)) (worked time.Duration) {
				for range 100 {
					memory = memory[:0]
					for i := range asked { // as they come in a read buffer
						memory = append(memory, keys[rand.IntN(len(keys))]...)
						asked[i] = memory[30*i:]
					}
					began := threadTime()
					for some := range slices.Chunk(asked, maxProspects) {
						prepare(some)
						for _, key := range some {
							_, _, _ = s.Get(dst, key)
						}
					}
					worked += threadTime() - began
				}
				return worked
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var ratios []float64
			var with, without time.Duration
			for b.Loop() {
				plain, prepared := turn(func([][]byte) {}), turn(s.LookAhead)
				ratios = append(ratios, float64(prepared)/float64(plain))
				with, without = with+prepared, without+plain
			}
			slices.Sort(ratios)
			gets := float64(len(ratios) * 100 * batch)
			b.ReportMetric(0, "ns/op") // it would be of both
			b.ReportMetric(float64(without)/gets, "cpu-ns/get")
			b.ReportMetric(float64(with)/gets, "cpu-ns/prepared-get")
			b.ReportMetric(ratios[len(ratios)/2], "of-that")
		})
	}
}
