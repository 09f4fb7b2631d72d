package storage

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

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

// TestWalksMakeNoGarbage: what goes through a store that is being served, some thousand steps, must not have the collector run each time.
func TestWalksMakeNoGarbage(t *testing.T) {
	if raceOn {
		t.Skip("the race detector allocates")
	}
	s := openStore(t, Config{MaxBytes: 8 << 20})
	fill(t, s, 10_000, 100)
	c := Cursor{}
	if n := testing.AllocsPerRun(1000, func() { c, _ = s.Walk(c, All, func([]byte, Item) bool { return true }) }); n >= 1 {
		t.Errorf("%v allocations a step of a walk", n)
	}
	none := func(int) bool { return false }
	if n := testing.AllocsPerRun(1000, func() { c, _, _ = s.DropSome(c, none) }); n >= 1 {
		t.Errorf("%v allocations a step of a drop", n)
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

	manyPartitions = 16381 // as a cluster has by default
)

// BenchmarkGet and BenchmarkSet have fastcache's own beside them: as much memory, the same keys and values.
func BenchmarkGet(b *testing.B) {
	s, c := openStore(b, Config{MaxBytes: benchBytes, Partitions: manyPartitions}), fastcache.New(benchBytes)
	defer c.Reset()
	value, key := make([]byte, 100), make([]byte, 8)
	fill(b, s, benchItems, len(value))
	for i := range benchItems {
		binary.LittleEndian.PutUint64(key, uint64(i))
		c.Set(key, value)
	}
	beside(b, benchItems, func(dst, key []byte) []byte {
		_, out, ok := s.Get(dst, key)
		if !ok {
			b.Error("a miss")
		}
		return out
	}, c.Get)
}

// BenchmarkSet stores under a million keys, some of which are there; the store and fastcache have been full before.
func BenchmarkSet(b *testing.B) {
	s, c := openStore(b, Config{MaxBytes: benchBytes, Partitions: manyPartitions}), fastcache.New(benchBytes)
	defer c.Reset()
	const keys = 1_000_000
	value, key := make([]byte, 100), make([]byte, 8)
	fill(b, s, keys, len(value))
	for i := range keys {
		binary.LittleEndian.PutUint64(key, uint64(i))
		c.Set(key, value)
	}
	beside(b, keys, func(dst, key []byte) []byte {
		h := s.Hold(key)
		_, _ = h.Put(Item{Value: value})
		h.Release()
		return dst
	}, func(dst, key []byte) []byte {
		c.Set(key, value)
		return dst
	})
}

// beside runs ours and theirs by turns, some milliseconds each, so that what the machine does meanwhile is done to both. What counts is the
// median of the ratios: of the time that has passed, and of the time that processors have worked.
func beside(b *testing.B, keys uint64, ours, theirs func(dst, key []byte) []byte) {
	const turn = 20_000
	var sum [2]span
	var passed, worked []float64
	b.ResetTimer()
	for turns := range (b.N + turn - 1) / turn {
		start := uint64(turns) * 7919 * turn
		a, t := takeTurn(turn, start, keys, ours), takeTurn(turn, start, keys, theirs)
		if turns == 0 && b.N > turn {
			continue // cold caches
		}
		sum[0].add(a)
		sum[1].add(t)
		passed = append(passed, float64(a.passed)/float64(t.passed))
		worked = append(worked, float64(a.worked)/float64(t.worked))
	}
	slices.Sort(passed)
	slices.Sort(worked)
	ops := float64(len(passed) * turn)
	b.ReportMetric(0, "ns/op") // it would be of both
	b.ReportMetric(float64(sum[0].worked)/ops, "cpu-ns/op")
	b.ReportMetric(float64(sum[1].worked)/ops, "cpu-ns/fastcache-op")
	b.ReportMetric(passed[len(passed)/2], "times-fastcache")
	b.ReportMetric(worked[len(worked)/2], "times-fastcache-cpu")
	b.ReportMetric(float64(sum[0].allocated/uint64(ops)), "allocations/op") // rounded down, as testing does: goroutines are started
}

// A span is what a turn took.
type span struct {
	passed, worked time.Duration // the second of all processors
	allocated      uint64        // objects
}

func (s *span) add(t span) {
	s.passed += t.passed
	s.worked += t.worked
	s.allocated += t.allocated
}

// takeTurn does n operations, divided among as many goroutines as there are processors, on keys strewn from start on.
func takeTurn(n int, start, keys uint64, do func(dst, key []byte) []byte) span {
	procs := runtime.GOMAXPROCS(0)
	var workers sync.WaitGroup
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, worked := time.Now(), processTime()
	for w := range procs {
		workers.Go(func() {
			var key [8]byte
			var buf [256]byte
			dst := buf[:0]
			for i := w; i < n; i += procs {
				binary.LittleEndian.PutUint64(key[:], (start+uint64(i)*7919)%keys)
				dst = do(dst[:0], key[:])
			}
		})
	}
	workers.Wait()
	s := span{passed: time.Since(began), worked: processTime() - worked}
	runtime.ReadMemStats(&after)
	s.allocated = after.Mallocs - before.Mallocs
	return s
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

// BenchmarkWalk walks through some partitions of a store that has them all.
func BenchmarkWalk(b *testing.B) {
	s := openStore(b, Config{MaxBytes: benchBytes, Partitions: manyPartitions})
	fill(b, s, benchItems, 100)
	f := func(name string, want func(part int) bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for c, more := (Cursor{}), true; more; {
					c, more = s.Walk(c, want, func([]byte, Item) bool { return true })
				}
			}
		})
	}
	f("one", func(part int) bool { return part == manyPartitions/2 })
	f("hundredth", func(part int) bool { return part%100 == 0 })
	f("all", All)
}
