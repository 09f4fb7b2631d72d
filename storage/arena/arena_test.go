package arena

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/cespare/xxhash/v2"
)

func TestUnhash(t *testing.T) {
	f := func(h uint64) {
		t.Helper()
		g := Segment{bucket: h % buckets}
		token := g.token(int(h >> bucketBits))
		if got := xxhash.Sum64(token[:]); got != h {
			t.Errorf("token of %#x hashes to %#x", h, got)
		}
	}
	for bucket := range uint64(buckets) {
		f(bucket)
	}
	for range 10_000 {
		f(rand.Uint64() >> 1) // a record's number is an int
	}
}

func TestNewRefusesOddSize(t *testing.T) {
	for _, bytes := range []int{0, -1, 1, ChunkBytes + 1} {
		if _, err := New(bytes); err == nil {
			t.Errorf("New(%d): no error", bytes)
		}
	}
}

// TestRelease: the pages of a released segment are the system's, its map is new, and it works as before.
func TestRelease(t *testing.T) {
	a := newArena(t, 2*ChunkBytes)
	for range 3 {
		g := a.NewSegment()
		for lap := range 3 {
			n := 0
			for g.Put(bytes.Repeat([]byte{byte(lap + 1)}, 100)) != 0 {
				n++
			}
			if got := g.Append(nil, n); len(got) != 100 || got[0] != byte(lap+1) {
				t.Fatalf("lap %d: record %d is %d bytes", lap, n, len(got))
			}
			g.Reset()
			if !g.Release() {
				t.Skip("memory cannot be given back here")
			}
			for _, chunk := range a.at.of(&g) {
				if !bytes.Equal(chunk[:chunkBytes], zeros[:]) {
					t.Fatal("the pages still hold something")
				}
			}
			for i := range n {
				if got := g.Append(nil, i+1); len(got) != 0 {
					t.Fatalf("record %d is still read", i+1)
				}
			}
			if g.Mapped() != 1 || g.Records() != 0 {
				t.Errorf("%d records mapped, %d there", g.Mapped(), g.Records())
			}
			if !g.Release() {
				t.Error("cannot be released twice")
			}
		}
	}
}

// TestNothingIsReleasedFromUnknownPlaces: a fastcache whose chunks do not hold what we expect there is left alone.
func TestNothingIsReleasedFromUnknownPlaces(t *testing.T) {
	a := newArena(t, ChunkBytes)
	g := a.NewSegment()
	for i := range 2 {
		g.Put(testRecord(1, i+1, testRecordBytes[i]))
	}
	if !g.at.right(&g, []int{headBytes, 2 * headBytes}) {
		t.Error("records not found where they are")
	}
	if g.at.right(&g, []int{headBytes, 2*headBytes + 1}) {
		t.Error("records found where they are not")
	}
	g.at = chunksAt{}
	if g.Reset(); g.Release() {
		t.Error("released from an unknown place")
	}
}

// TestLaps holds the promise of the package against random records over many laps: what was put since the last Reset can be read, and nothing
// else is taken for it.
func TestLaps(t *testing.T) {
	f := func(chunks int, size func() int, resetEarly bool) {
		t.Helper()
		a := newArena(t, chunks*ChunkBytes)
		_ = a.NewSegment() // the one the self-test has used
		g := a.NewSegment()
		for lap := range 20 {
			var put [][]byte
			for {
				if resetEarly && rand.IntN(40) == 0 {
					break
				}
				record := make([]byte, size())
				for i := range record {
					record[i] = byte(rand.Uint32())
				}
				n := g.Put(record)
				if n == 0 {
					break
				}
				if put = append(put, record); n != len(put) || n != g.Records() {
					t.Fatalf("lap %d: record %d got number %d", lap, len(put), n)
				}
			}
			for i, record := range put {
				if got := g.Append([]byte("x"), i+1); string(got[:1]) != "x" || !bytes.Equal(got[1:], record) {
					t.Fatalf("lap %d: record %d of %d is lost or changed", lap, i+1, len(put))
				}
			}
			g.Reset()
		}
	}
	for _, early := range []bool{false, true} {
		f(1, func() int { return 50 + rand.IntN(20) }, early)
		f(1, func() int { return rand.IntN(MaxRecordBytes + 1) }, early)
		f(4, func() int { return rand.IntN(3000) }, early)
		f(4, func() int { return MaxRecordBytes }, early)
		f(2, func() int { return 0 }, early)
	}
}

func TestTooLong(t *testing.T) {
	g := newArena(t, ChunkBytes).NewSegment()
	if n := g.Put(make([]byte, MaxRecordBytes+1)); n != 0 {
		t.Errorf("a record over the limit got number %d", n)
	}
}

// TestMapIsNotRebuilt guards the reason for the mark and the forgetting: with laps of about equal length, fastcache keeps exactly our records.
func TestMapIsNotRebuilt(t *testing.T) {
	g := newArena(t, ChunkBytes).NewSegment()
	for lap := range 10 {
		for i := 0; g.Put(make([]byte, 60+(i+lap)%7)) != 0; i++ {
		}
		records := g.Records()
		g.Reset()
		var stats fastcache.Stats
		g.cache.UpdateStats(&stats)
		if got := int(stats.EntriesCount); lap > 0 && got != records+1 {
			t.Errorf("lap %d of %d records: fastcache knows %d", lap, records, got)
		}
	}
}

// TestMapped: the room of fastcache's map follows laps that become shorter at once, or a little at a time, and those that become longer.
func TestMapped(t *testing.T) {
	g := newArena(t, ChunkBytes).NewSegment()
	f := func(records, want int) {
		t.Helper()
		for range records {
			g.Put(make([]byte, 10))
		}
		g.Reset()
		var stats fastcache.Stats
		g.cache.UpdateStats(&stats)
		if got := g.Mapped(); got != want+1 || int(stats.EntriesCount) != records+1 {
			t.Errorf("after a lap of %d: room for %d, wanted %d; fastcache knows %d", records, got, want+1, stats.EntriesCount)
		}
	}
	f(1000, 1000)
	f(900, 1000)
	f(760, 1000)
	f(740, 740)
	f(800, 800)
	f(100, 100)
	f(0, 0)
	f(10, 10)
}

// TestPeek: a record is seen where it lies, and nothing else is, whatever the caller believes.
func TestPeek(t *testing.T) {
	a := newArena(t, (peekChunks+1)*ChunkBytes)
	g := a.NewSegment()
	for lap := range 3 {
		var positions []int
		for end := OverheadBytes; ; { // behind the mark
			record := testRecord(lap, len(positions)+1, rand.IntN(3000))
			if !g.Reserve(len(record)) {
				break
			}
			position := g.Next()
			if want := Next(end, len(record)); position != want {
				t.Fatalf("lap %d: record %d is to lie at %d, by the lengths before it at %d", lap, len(positions)+1, position, want)
			}
			g.Put(record)
			positions, end = append(positions, position), position+len(record)
		}
		for i := range positions {
			mustPeek(t, &g, i+1, positions[i])
		}
		last := len(positions) / 2
		length := len(g.Append(nil, last))
		if g.Reset(); lap == 1 && g.Release() && g.Peek(last, positions[last-1], 0, length) != nil {
			t.Error("seen in pages that were given back")
		}
	}
	g.at, g.lies = chunksAt{}, [peekChunks]*[chunkBytes]byte{}
	position := g.Next()
	if g.Put([]byte("record")); g.Peek(1, position, 0, 6) != nil {
		t.Error("seen in chunks whose place is not known")
	}
}

// mustPeek compares what is seen of record n at its position, and nowhere else, with what fastcache gives for it.
func mustPeek(t *testing.T, g *Segment, n, position int) {
	t.Helper()
	record := g.Append(nil, n)
	length := len(record)
	seen := g.Peek(n, position, 0, length)
	if within := position/ChunkBytes < peekChunks; within != (seen != nil) || within && !bytes.Equal(seen, record) {
		t.Fatalf("record %d at %d: %d of %d bytes", n, position, len(seen), length)
	}
	if part := g.Peek(n, position, length/3, length/3); seen != nil && !bytes.Equal(part, record[length/3:][:length/3]) {
		t.Fatalf("record %d: a part of %d bytes is not its own", n, len(part))
	}
	for i, wrong := range [][]byte{
		g.Peek(n+1, position, 0, length), g.Peek(n, position+1, 0, length), g.Peek(n, position, 1, length), g.Peek(n, position, 0, length+1),
		g.Peek(n, 0, 0, length), g.Peek(n, 1<<40, 0, length),
	} {
		if wrong != nil {
			t.Fatalf("record %d of %d bytes was seen where it is not (%d)", n, length, i)
		}
	}
}

func TestReadersDuringWrites(t *testing.T) {
	a := newArena(t, ChunkBytes)
	a.NewSegment() // holds what the self-test has written, until that is overwritten
	g := a.NewSegment()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var buf []byte
			for n := 1; ; n = n%100 + 1 {
				select {
				case <-stop:
					return
				default:
				}
				buf = g.Append(buf[:0], n)
				for _, b := range buf {
					if b != buf[0] {
						t.Error("a torn record")
						return
					}
				}
			}
		})
	}
	for range 100 {
		for i := 0; g.Put(bytes.Repeat([]byte{byte(i)}, 500+i%100)) != 0; i++ {
		}
		g.Reset()
	}
	close(stop)
	readers.Wait()
}

func TestNoAllocations(t *testing.T) {
	g := newArena(t, ChunkBytes).NewSegment()
	record := make([]byte, 100)
	put := func() {
		if g.Put(record) == 0 {
			g.Reset()
		}
	}
	for range 3 * ChunkBytes / 112 {
		put()
	}
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(2000, func() { put(); buf = g.Append(buf[:0], 1) }); n != 0 {
		t.Errorf("%v allocations for a Put and an Append", n)
	}
}

func newArena(t testing.TB, segmentBytes int) *Arena {
	t.Helper()
	a, err := New(segmentBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func BenchmarkPut(b *testing.B) {
	g := newArena(b, 4*ChunkBytes).NewSegment()
	record := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if g.Put(record) == 0 {
			g.Reset()
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	g := newArena(b, 4*ChunkBytes).NewSegment()
	record := make([]byte, 100)
	for g.Put(record) != 0 {
	}
	var buf []byte
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		buf = g.Append(buf[:0], n%g.records+1)
		n++
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		a, err := New(ChunkBytes)
		if err != nil {
			b.Fatal(err)
		}
		a.Close()
	}
}
