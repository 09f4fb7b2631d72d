package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testStart = 1_800_000_000 // the Unix second at which tests begin

func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = NewManualClock(testStart)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func put(t testing.TB, s *Store, key string, it Item) uint64 {
	t.Helper()
	h := s.Hold([]byte(key))
	defer h.Release()
	cas, err := h.Put(it)
	if err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
	return cas
}

func TestGet(t *testing.T) {
	s := openStore(t, Config{})
	cas := put(t, s, "k", Item{Value: []byte("hello"), Flags: 7})
	it, out, ok := s.Get([]byte("before "), []byte("k"))
	if !ok || string(out) != "before hello" || string(it.Value) != "hello" || it.Flags != 7 || it.CAS != cas || it.Expiry != 0 || it.Fetched {
		t.Errorf("got %+v, %q, %t", it, out, ok)
	}
	if it, _, _ = s.Get(nil, []byte("k")); !it.Fetched || it.LastAccess != testStart {
		t.Errorf("used, but got %+v", it)
	}
	if _, out, ok = s.Get([]byte("before "), []byte("other")); ok || string(out) != "before " {
		t.Errorf("of a key that is not there: %q, %t", out, ok)
	}
}

// Of a value that is too long for who asks all is told but itself.
func TestGetUpTo(t *testing.T) {
	const most = 64 << 10
	s := openStore(t, Config{MaxItemBytes: 8 << 20})
	f := func(n int) {
		t.Helper()
		value := randomBytes(n)
		cas := put(t, s, "k", Item{Value: value, Flags: 7})
		it, valueBytes, out, ok := s.GetUpTo([]byte("x"), []byte("k"), most)
		if n > most {
			value = nil
		}
		if !ok || valueBytes != n || !bytes.Equal(it.Value, value) || string(out) != "x"+string(value) || it.Flags != 7 || it.CAS != cas || cap(out) > 2*most {
			t.Errorf("%d bytes: %d, %t, value of %d, out %d of %d, flags %d, CAS %d", n, valueBytes, ok, len(it.Value), len(out), cap(out), it.Flags, it.CAS)
		}
		if it, _, _ := s.Get(nil, []byte("k")); !it.Fetched {
			t.Errorf("%d bytes: that was a use, and is not noted", n)
		}
	}
	for _, n := range []int{0, 1, splitBytes, most - 1, most, most + 1, 1 << 20, 5 << 20} {
		f(n)
	}
	if _, n, out, ok := s.GetUpTo([]byte("x"), []byte("other"), most); ok || n != 0 || string(out) != "x" {
		t.Errorf("of a key that is not there: %d, %q, %t", n, out, ok)
	}
}

func TestPeek(t *testing.T) {
	s := openStore(t, Config{})
	for _, n := range []int{5, 300 << 10} {
		value := randomBytes(n)
		put(t, s, "k", Item{Value: value})
		for range 2 {
			if it, _, ok := s.Peek(nil, []byte("k")); !ok || !bytes.Equal(it.Value, value) || it.Fetched {
				t.Errorf("%d bytes: %t, value of %d, fetched %t", n, ok, len(it.Value), it.Fetched)
			}
		}
	}
}

func TestSizes(t *testing.T) {
	s := openStore(t, Config{MaxItemBytes: 8 << 20})
	f := func(n int, flags uint32) {
		t.Helper()
		key := fmt.Sprintf("size-%d", n)
		value := randomBytes(n)
		put(t, s, key, Item{Value: value, Flags: flags})
		it, out, ok := s.Get([]byte("x"), []byte(key))
		if !ok || !bytes.Equal(it.Value, value) || len(out) != n+1 || it.Flags != flags {
			t.Fatalf("%d bytes: not what was put", n)
		}
		h := s.Hold([]byte(key))
		defer h.Release()
		if it, ok = h.Item(); !ok || !bytes.Equal(it.Value, value) || it.Flags != flags {
			t.Fatalf("%d bytes: held: not what was put", n)
		}
	}
	for _, n := range []int{0, 1, 100, 511, 2047, 2048, 8192, 8193, 65000, 65400, 65500, 65511, 65523, 65536, 131072, 1 << 20, 5<<20 + 3} {
		f(n, 0)
		f(n, 1<<31)
	}
	for range 200 {
		f(rand.IntN(200_000), rand.Uint32())
	}
}

func TestTooLarge(t *testing.T) {
	s := openStore(t, Config{})
	most := defaultMaxItemBytes - itemBytes - 1
	put(t, s, "k", Item{Value: make([]byte, most)})
	f := func(it Item) {
		t.Helper()
		put(t, s, "k", Item{Value: []byte("old")})
		h := s.Hold([]byte("k"))
		if _, err := h.Put(it); err != ErrTooLarge {
			t.Errorf("Put of %d bytes: %v", len(it.Value), err)
		}
		h.Release()
		if _, _, ok := s.Get(nil, []byte("k")); ok {
			t.Error("the old value is still there")
		}
	}
	f(Item{Value: make([]byte, most+1)})
	f(Item{Value: make([]byte, most), Flags: 1})
}

func TestDeleteAndTouch(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	cas := put(t, s, "k", Item{Value: []byte("v"), Expiry: testStart + 10})

	h := s.Hold([]byte("k"))
	if !h.Touch(testStart + 20) {
		t.Error("touch: not found")
	}
	h.Release()
	clock.Advance(19)
	if it, _, ok := s.Get(nil, []byte("k")); !ok || it.Expiry != testStart+20 || it.CAS != cas {
		t.Errorf("after the touch: %+v, %t", it, ok)
	}
	clock.Advance(1)
	if _, _, ok := s.Get(nil, []byte("k")); ok {
		t.Error("there at its expiry")
	}
	put(t, s, "k", Item{Value: []byte("v")})
	h = s.Hold([]byte("k"))
	if !h.Delete() || h.Delete() || h.Touch(0) {
		t.Error("delete should find the item once")
	}
	if _, found := h.Item(); found {
		t.Error("deleted, but held")
	}
	h.Release()
	if st := s.Stats(); st.Items != 0 || st.Bytes != 0 || st.Deleted != 1 || st.Expired != 1 || st.ExpiredUnfetched != 0 || st.GetExpired != 1 {
		t.Errorf("%+v", st)
	}
}

func TestFlushAll(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	there := func(key string, want bool) {
		t.Helper()
		if _, _, ok := s.Get(nil, []byte(key)); ok != want {
			t.Errorf("%s: found %t", key, ok)
		}
	}
	old := put(t, s, "a", Item{Value: []byte("v")})
	s.FlushAll(0, 0)
	there("a", false)
	if cas := put(t, s, "a", Item{Value: []byte("v")}); cas <= old {
		t.Errorf("CAS unique %d after the flush, %d before", cas, old)
	}
	there("a", true)

	s.FlushAll(2, 0)
	clock.Advance(1)
	put(t, s, "b", Item{})
	there("a", true)
	clock.Advance(1)
	there("a", false)
	there("b", false)
	put(t, s, "a", Item{})
	clock.Advance(10)
	there("a", true)

	s.FlushAll(8, 0)
	s.FlushAll(18, 0)
	clock.Advance(10)
	there("a", true)
	if n := s.Stats().Items; n != 1 {
		t.Errorf("%d items", n)
	}
	clock.Advance(10)
	if n := s.Stats().Items; n != 0 {
		t.Errorf("%d items after the flush that replaced another", n)
	}
}

func TestCASUniquesRise(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock, NodeTag: 511})
	last := uint64(0)
	for i := range 10_000 {
		if i%100 == 0 {
			clock.Advance(1)
		}
		cas := put(t, s, "k", Item{})
		if cas <= last || cas > maxVersion || cas&maxNodeTag != 511 {
			t.Fatalf("CAS unique %#x after %#x", cas, last)
		}
		last = cas
	}
	if ms := last>>(tagOfNodeBits+countBits) + epochMilli; int64(ms) != clock.Milli() {
		t.Errorf("the last CAS unique is of %d, the clock shows %d", ms, clock.Milli())
	}
}

func TestInstall(t *testing.T) {
	s := openStore(t, Config{})
	f := func(key string, cas uint64, want bool) {
		t.Helper()
		h := s.Hold([]byte(key))
		defer h.Release()
		if got, err := h.Install(Item{Value: []byte("v"), CAS: cas}); got != want || err != nil {
			t.Errorf("install of %d: %t, %v", cas, got, err)
		}
		if it, found := h.Item(); want && (!found || it.CAS != cas) {
			t.Errorf("installed %d, found %d", cas, it.CAS)
		}
	}
	cas := put(t, s, "k", Item{})
	f("k", cas-1, false)
	f("k", cas, false)
	f("k", cas+1<<30, true)
	if next := put(t, s, "k", Item{}); next <= cas+1<<30 {
		t.Errorf("CAS unique %d after an installed %d", next, cas+1<<30)
	}
	f("other", 5, true)
	f("zero", 0, false)
	f("none", 1<<63, false)
	s.FlushAll(0, 0)
	f("other", 6, false)
}

func TestBury(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock, MaxBytes: 2 << 20})
	key := []byte("k")
	cas := put(t, s, "k", Item{Value: []byte("v")})
	install := func(cas uint64, want bool) {
		t.Helper()
		h := s.Hold(key)
		defer h.Release()
		if got, _ := h.Install(Item{CAS: cas}); got != want {
			t.Errorf("install of %d: %t", cas, got)
		}
	}
	bury := func(cas uint64, want bool) {
		t.Helper()
		h := s.Hold(key)
		defer h.Release()
		if got := h.Bury(cas, testStart+60); got != want {
			t.Errorf("bury as of %d: %t", cas, got)
		}
		if _, found := h.Item(); found == want {
			t.Errorf("after bury: found %t", found)
		}
		if h.Delete() == want || h.Touch(0) {
			t.Errorf("after bury: something to delete or touch")
		}
	}
	bury(cas-1<<9, false)
	cas = put(t, s, "k", Item{})
	bury(cas+1<<20, true)
	if _, _, ok := s.Get(nil, key); ok || s.Stats().Items != 0 {
		t.Error("buried, but there")
	}
	install(cas+1<<20, false)
	install(cas, false)
	for i := range 30_000 { // the tombstone is spared
		put(t, s, fmt.Sprint(i), Item{Value: make([]byte, 100)})
	}
	install(cas+1<<20-1, false)
	check(t, s)
	if s.stripe[0].tombstones != 1 {
		t.Error("the tombstone is gone")
	}
	clock.Advance(60)
	install(cas+1<<20-1, true)
	bury(cas+1<<21, true)
	install(cas+1<<21+1, true)
	bury(cas+1<<22, true)
	put(t, s, "k", Item{})
	if s.stripe[0].tombstones != 0 {
		t.Error("a tombstone is under an item")
	}
	check(t, s)
}

// TestTooManyTombstones: what the lost ones have kept out is kept out all the same.
func TestTooManyTombstones(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 1 << 20})
	const cas = 1 << 50
	for i := range 30_000 {
		h := s.Hold(fmt.Append(nil, i))
		h.Bury(cas, testStart+1000)
		h.Release()
	}
	for i := range 30_000 {
		h := s.Hold(fmt.Append(nil, i))
		if installed, _ := h.Install(Item{CAS: cas - 1}); installed {
			t.Fatalf("item %d has come back", i)
		}
		h.Release()
	}
	check(t, s)
}

// A flush that is due has been, whether a stripe was used since or not: another one, still to come, does not take its place.
func TestDueFlushIsNotUndoneByALaterOne(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{MaxBytes: 256 << 20, Clock: clock})
	for i := range 1000 {
		put(t, s, fmt.Sprint("key", i), Item{})
	}
	s.FlushAll(10, 0)
	clock.Advance(20)
	s.FlushAll(3600, 0)
	if items := s.Stats().Items; items != 0 {
		t.Errorf("%d items left", items)
	}
}

func TestFlushBefore(t *testing.T) {
	s := openStore(t, Config{})
	for i := range 100 {
		put(t, s, fmt.Sprint("old", i), Item{Value: make([]byte, i*1000)})
	}
	s.clock.Advance(1)
	mark := put(t, s, "mark", Item{})
	s.clock.Advance(1)
	for i := range 100 {
		put(t, s, fmt.Sprint("new", i), Item{})
	}
	s.FlushBefore(mark | maxNodeTag)
	if st := s.Stats(); st.Items < 100 || st.Items > 101 || st.Flushed < 100 {
		t.Errorf("%+v", st)
	}
	for i := range 100 {
		if _, _, ok := s.Get(nil, fmt.Append(nil, "old", i)); ok {
			t.Errorf("old %d is there", i)
		}
		if _, _, ok := s.Get(nil, fmt.Append(nil, "new", i)); !ok {
			t.Errorf("new %d is not there", i)
		}
	}
	if s.FlushBefore(maxVersion) || s.Stats().Items < 100 {
		t.Error("a mark that nobody can have set is believed")
	}
	s.FlushBefore(s.Latest())
	if n := s.Stats().Items; n != 0 {
		t.Errorf("%d items", n)
	}
	check(t, s)
}

func TestLease(t *testing.T) {
	s := openStore(t, Config{})
	cas := put(t, s, "k", Item{Stale: true})
	h := s.Hold([]byte("k"))
	h.Win()
	h.SetExpiry(testStart + 5)
	if it, _ := h.Item(); !it.Stale || !it.Won || it.CAS != cas || it.Expiry != testStart+5 || it.Fetched {
		t.Errorf("%+v", it)
	}
	for _, cas := range []uint64{5, 1<<63 - 1<<30, 1<<64 - 1} {
		if err := h.PutWithCAS(Item{CAS: cas}); err != nil {
			t.Error(err)
		}
		if it, _ := h.Item(); it.CAS != cas || it.Stale || it.Won {
			t.Errorf("%+v", it)
		}
	}
	h.Release()
	next := put(t, s, "k", Item{})
	if next <= cas || next > maxVersion || int64(next>>(tagOfNodeBits+countBits))+epochMilli > testStart*1000 {
		t.Errorf("then CAS unique %d", next)
	}
}

func TestCapacityAndEviction(t *testing.T) {
	f := func(maxBytes int64, size int) {
		t.Helper()
		s := openStore(t, Config{MaxBytes: maxBytes})
		n := 2 * int(maxBytes) / (size + 50)
		value := make([]byte, size)
		for i := range n {
			put(t, s, fmt.Sprintf("key-%d", i), Item{Value: value})
		}
		st := s.Stats()
		if st.Memory > maxBytes*101/100 && maxBytes > 2<<20 {
			t.Errorf("-m %d, %d bytes: %d charged", maxBytes, size, st.Memory)
		}
		if st.TotalItems != uint64(st.Items)+st.Evictions {
			t.Errorf("stored %d, items %d, evicted %d", st.TotalItems, st.Items, st.Evictions)
		}
		found := 0
		for i := range n {
			if _, _, ok := s.Get(nil, fmt.Appendf(nil, "key-%d", i)); ok {
				found++
			}
		}
		if found != st.Items {
			t.Errorf("%d found of %d", found, st.Items)
		}
		t.Logf("-m %d MB, %7d bytes: %7d items, %.2f of the limit is keys and values; %.2f charged", maxBytes>>20, size, found,
			float64(found)*float64(size+9)/float64(maxBytes), float64(st.Memory)/float64(maxBytes))
	}
	limits := []int64{1, 3, 16}
	if raceOn {
		limits = limits[:1]
	}
	for _, m := range limits {
		for _, size := range []int{0, 50, 200, 1000, 10_000, 100_000} {
			f(m<<20, size)
		}
	}
	f(16<<20, 1_000_000)
}

func TestNoEvict(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 4 << 20, NoEvict: true})
	stored := 0
	for i := 0; ; i++ {
		h := s.Hold(fmt.Appendf(nil, "key-%d", i))
		_, err := h.Put(Item{Value: make([]byte, 1000)})
		h.Release()
		if err == ErrNoMemory {
			break
		}
		stored++
	}
	if st := s.Stats(); st.Items != stored || stored < 2500 || st.Evictions != 0 {
		t.Errorf("stored %d: %+v", stored, st)
	}
	for i := range stored {
		if _, _, ok := s.Get(nil, fmt.Appendf(nil, "key-%d", i)); !ok {
			t.Fatalf("key-%d is gone", i)
		}
	}
	for i := range stored / 5 { // scattered over all segments
		h := s.Hold(fmt.Appendf(nil, "key-%d", i*5))
		h.Delete()
		h.Release()
	}
	for i := range stored / 7 {
		put(t, s, fmt.Sprintf("again-%d", i), Item{Value: make([]byte, 1000)})
	}
}

// TestLostRecords: if fastcache should lose what it was given, the store has misses, and nothing worse.
func TestLostRecords(t *testing.T) {
	for _, noEvict := range []bool{false, true} {
		s := openStore(t, Config{MaxBytes: 4 << 20, NoEvict: noEvict})
		fill(t, s, 2000, 100)
		fill(t, s, 100, 10_000)
		for _, st := range s.stripe {
			st.small.flush()
			st.main.flush()
			for _, g := range st.segments {
				g.records.Reset()
				for g.records.Rest() >= 0 && g.records.Put(make([]byte, g.records.Rest())) != 0 {
				}
			}
		}
		key := make([]byte, 8)
		for i := range 3000 {
			binary.LittleEndian.PutUint64(key, uint64(i))
			if _, _, ok := s.Get(nil, key); ok {
				t.Fatalf("item %d is there", i)
			}
			h := s.Hold(key)
			if _, ok := h.Item(); ok {
				t.Fatalf("item %d is there", i)
			}
			h.Release()
		}
	}
}

// TestWalkMeetsAll walks while others are stored, moved and deleted around the items that stay.
func TestWalkMeetsAll(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 4 << 20, Partitions: manyPartitions})
	even := func(part int) bool { return part%2 == 0 }
	const staying = 1000
	for i := range staying {
		put(t, s, fmt.Sprintf("stay-%d", i), Item{Value: make([]byte, 100)})
		put(t, s, fmt.Sprintf("go-%d", i), Item{Value: make([]byte, 300)})
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			h := s.Hold(fmt.Appendf(nil, "go-%d", rand.IntN(3000)))
			if i%7 == 0 {
				h.Delete()
			} else {
				_, _ = h.Put(Item{Value: make([]byte, i%400)})
			}
			h.Release()
		}
	}()
	for rounds := 0; rounds < 100 || s.Stats().Moved == 0; rounds++ { // the other goroutine may be slow
		met := map[string]int{}
		for c, more := (Cursor{}), true; more; {
			c, more = s.Walk(c, even, func(key []byte, _ Item) bool {
				met[string(key)]++
				return true
			})
		}
		for i := range staying {
			key := fmt.Sprintf("stay-%d", i)
			if want := even(int(Hash([]byte(key)) % manyPartitions)); met[key] > 1 || (met[key] == 1) != want {
				t.Fatalf("%s met %d times, wanted: %t", key, met[key], want)
			}
		}
	}
	close(stop)
	<-ended
	if st := s.Stats(); st.Evictions != 0 {
		t.Errorf("the test is to evict none: %+v", st)
	}
	if n := s.Drop(even); n == 0 {
		t.Error("nothing dropped")
	}
	for c, more := (Cursor{}), true; more; {
		c, more = s.Walk(c, even, func(key []byte, _ Item) bool {
			t.Errorf("%x is left", key)
			return true
		})
	}
	check(t, s)
}

func TestWalkStops(t *testing.T) {
	s := openStore(t, Config{})
	fill(t, s, 10_000, 10)
	met := 0
	c, more := s.Walk(Cursor{}, All, func([]byte, Item) bool { met++; return met < 3 })
	if met != 3 || !more || c.Stripe != 0 || c.Table != 0 || c.After == 0 {
		t.Errorf("stopped after %d at %v, %t", met, c, more)
	}
	met-- // the one that it stopped at is not done with
	for more {
		c, more = s.Walk(c, All, func([]byte, Item) bool { met++; return met%7 != 0 })
	}
	if stops := 10_000 / 6; met < 10_000+stops || met > 10_000+2*stops {
		t.Errorf("a walk that stops at every seventh visits %d, and each it stops at again", met)
	}
	for _, c := range []Cursor{{Stripe: -1}, {Table: -1}, {Stripe: 1 << 40}, {Table: 1 << 40}} {
		if next, more := s.Walk(c, All, func([]byte, Item) bool { return true }); more || next != (Cursor{}) {
			t.Errorf("walk from %v goes on to %v", c, next)
		}
	}
}

func TestCrawl(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{Clock: clock})
	for i := range 5000 {
		put(t, s, fmt.Sprint(i), Item{Expiry: testStart + int64(i%10)*100})
	}
	clock.Advance(300) // of ten expiries one is never, three have come
	removed := 0
	for rounds := s.CrawlRounds(); s.CrawlRounds() == rounds; {
		examined, r := s.Crawl(700)
		if removed += r; examined > 700 {
			t.Errorf("%d examined of 700", examined)
		}
	}
	if st := s.Stats(); removed != 2000 || st.Crawled != 2000 || st.Expired != 2000 || st.Items != 3000 {
		t.Errorf("%d removed: %+v", removed, st)
	}
}

func TestMetaIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(section{}); n != sectionSize*metaBytes {
		t.Errorf("a section has %d bytes", n)
	}
	if n := unsafe.Sizeof(row{}); n != rowBytes {
		t.Errorf("a row has %d bytes", n)
	}
	if n := unsafe.Sizeof(group{}); n != groupBytes {
		t.Errorf("a group has %d bytes", n)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}
