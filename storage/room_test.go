package storage

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// TestSegmentsAreNotClosedNearlyEmpty: a stripe that is at its limit, and needs memory for metas or index, used to close every segment after 31
// records, for ever. It should give segments up instead, as few as pay for it.
func TestSegmentsAreNotClosedNearlyEmpty(t *testing.T) {
	value, key := make([]byte, 16<<10), make([]byte, 8)
	f := func(name string, maxBytes int64, requests int, leastPercent int64, next func(i int, rnd *rand.Rand) (key uint64, size int)) {
		t.Helper()
		if raceOn {
			requests /= 2
		}
		s := openStore(t, Config{MaxBytes: maxBytes})
		rnd := rand.New(rand.NewPCG(1, 1))
		for i := range requests {
			k, size := next(i*100/requests, rnd)
			binary.LittleEndian.PutUint64(key, k)
			if _, _, ok := s.Get(nil, key); !ok || i%2 == 0 {
				h := s.Hold(key)
				if _, err := h.Put(Item{Value: value[:size]}); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				h.Release()
			}
			if i%1000 == 0 || i == requests-1 {
				if n := s.Stats().Memory; n > maxBytes {
					t.Fatalf("%s: %d bytes charged after %d requests: over the limit by %d", name, n, i, n-maxBytes)
				}
			}
		}
		check(t, s)
		st := s.Stats()
		t.Logf("%s, %d MB: %d items of %d %% of the limit, %d segments, %d KB retired, %d KB left", name, maxBytes>>20,
			st.Items, st.Bytes*100/maxBytes, st.Segments, st.Retired>>10, (maxBytes-st.Memory)>>10)
		if st.Bytes*100 < maxBytes*leastPercent {
			t.Errorf("%s: items have %d of %d bytes", name, st.Bytes, maxBytes)
		}
	}
	ofKey := func(k uint64) *rand.Rand { return rand.New(rand.NewPCG(k, 2)) }
	popular := func(rnd *rand.Rand, keys float64) uint64 {
		return uint64(keys * rnd.Float64() * rnd.Float64() * rnd.Float64())
	}
	for _, mb := range []int64{16, 64} {
		n := int(mb) * 50_000
		if mb == 64 && os.Getenv("MEMRING_LONG") == "" {
			break
		}
		var zipf *rand.Zipf
		f("half writes", mb<<20, n, 70, func(_ int, rnd *rand.Rand) (uint64, int) {
			if zipf == nil {
				zipf = rand.NewZipf(rnd, 1.01, 1, uint64(mb)*5000)
			}
			k := zipf.Uint64()
			return k, min(16<<10, int(407*math.Exp(1.2*ofKey(k).NormFloat64())))
		})
		f("mixed sizes", mb<<20, n, 70, func(_ int, rnd *rand.Rand) (uint64, int) {
			return popular(rnd, float64(mb)*4000), 1 << (5 + rnd.IntN(10))
		})
		f("sizes shrink", mb<<20, n, 70, func(percent int, rnd *rand.Rand) (uint64, int) {
			return rnd.Uint64(), max(50, 4000>>(percent/8))
		})
		f("sizes shrink and grow", mb<<20, n, 70, func(percent int, rnd *rand.Rand) (uint64, int) {
			return rnd.Uint64(), max(50, 4000>>(min(percent, 100-percent)/6))
		})
	}
}
