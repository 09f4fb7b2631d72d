package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/VictoriaMetrics/fastcache"
)

// TestNoAllocations guards the path of a request on a full store, where every Put drains a little.
func TestNoAllocations(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	f := func(size int, what string, do func(s *Store, i int)) {
		t.Helper()
		s := openStore(t, Config{MaxBytes: 8 << 20})
		fill(t, s, 20<<20/(size+100), size)
		i := 0
		if n := testing.AllocsPerRun(5000, func() { do(s, i); i++ }); n >= 0.01 {
			t.Errorf("%s of %d bytes: %v allocations", what, size, n)
		}
	}
	key := make([]byte, 8)
	value := make([]byte, 1<<20)
	buf := make([]byte, 0, 1<<20)
	for _, size := range []int{10, 100, 1000, 10_000, 100_000} {
		f(size, "get", func(s *Store, i int) {
			binary.LittleEndian.PutUint64(key, uint64(i))
			_, _, _ = s.Get(buf, key)
		})
		f(size, "put", func(s *Store, i int) {
			binary.LittleEndian.PutUint64(key, uint64(i))
			h := s.Hold(key)
			_, _ = h.Put(Item{Value: value[:size]})
			h.Release()
		})
		f(size, "change", func(s *Store, i int) {
			binary.LittleEndian.PutUint64(key, uint64(i%100))
			h := s.Hold(key)
			it, _ := h.Item()
			_, _ = h.Put(it)
			h.Touch(0)
			h.Release()
		})
	}
}

// fill puts n items under the numbers 0 to n-1 as keys.
func fill(t testing.TB, s *Store, n, size int) {
	t.Helper()
	value := make([]byte, size)
	key := make([]byte, 8)
	for i := range n {
		binary.LittleEndian.PutUint64(key, uint64(i))
		h := s.Hold(key)
		_, err := h.Put(Item{Value: value})
		h.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
}

const (
	benchBytes = 64 << 20
	benchItems = 200_000 // of 100 bytes: they fit
)

func BenchmarkGet(b *testing.B) {
	b.Run("store", func(b *testing.B) {
		s := openStore(b, Config{MaxBytes: benchBytes})
		fill(b, s, benchItems, 100)
		benchGet(b, func(dst, key []byte) []byte {
			_, out, ok := s.Get(dst, key)
			if !ok {
				b.Error("a miss")
			}
			return out
		})
	})
	b.Run("fastcache", func(b *testing.B) {
		c := fastcache.New(benchBytes)
		defer c.Reset()
		key := make([]byte, 8)
		for i := range benchItems {
			binary.LittleEndian.PutUint64(key, uint64(i))
			c.Set(key, make([]byte, 100))
		}
		benchGet(b, c.Get)
	})
}

func benchGet(b *testing.B, get func(dst, key []byte) []byte) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		key, buf := make([]byte, 8), make([]byte, 0, 256)
		for i := rand.Uint64N(1_000_000); pb.Next(); i += 7919 {
			binary.LittleEndian.PutUint64(key, i%benchItems)
			buf = get(buf[:0], key)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	value := make([]byte, 100)
	b.Run("store", func(b *testing.B) {
		s := openStore(b, Config{MaxBytes: benchBytes})
		fill(b, s, 600_000, 100)
		benchSet(b, func(key []byte) {
			h := s.Hold(key)
			_, _ = h.Put(Item{Value: value})
			h.Release()
		})
	})
	b.Run("fastcache", func(b *testing.B) {
		c := fastcache.New(benchBytes)
		defer c.Reset()
		key := make([]byte, 8)
		for i := range 600_000 {
			binary.LittleEndian.PutUint64(key, uint64(i))
			c.Set(key, value)
		}
		benchSet(b, func(key []byte) { c.Set(key, value) })
	})
}

// benchSet stores under a million keys, on a store that holds a third of them.
func benchSet(b *testing.B, set func(key []byte)) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		key := make([]byte, 8)
		for i := rand.Uint64N(1_000_000); pb.Next(); i += 7919 {
			binary.LittleEndian.PutUint64(key, i%1_000_000)
			set(key)
		}
	})
}

func BenchmarkTouch(b *testing.B) {
	s := openStore(b, Config{MaxBytes: benchBytes})
	fill(b, s, benchItems, 100)
	key := make([]byte, 8)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i += 7919 {
		binary.LittleEndian.PutUint64(key, i%benchItems)
		h := s.Hold(key)
		h.Touch(0)
		h.Release()
	}
}

func BenchmarkChange(b *testing.B) {
	for _, size := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := openStore(b, Config{MaxBytes: benchBytes})
			fill(b, s, 100, size)
			key := make([]byte, 8)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				binary.LittleEndian.PutUint64(key, i%100)
				h := s.Hold(key)
				it, _ := h.Item()
				_, _ = h.Put(it)
				h.Release()
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		s, err := Open(Config{MaxBytes: 16 << 20, Clock: NewManualClock(testStart)})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

func BenchmarkWalk(b *testing.B) {
	s := openStore(b, Config{MaxBytes: benchBytes})
	fill(b, s, benchItems, 100)
	b.ReportAllocs()
	for b.Loop() {
		for c, more := (Cursor{}), true; more; {
			c, more = s.Walk(c, func(hash uint64) bool { return hash%100 == 0 }, func([]byte, Item) bool { return true })
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchItems, "ns/item")
}
