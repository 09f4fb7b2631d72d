package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// A model is what the store should hold: a plain map. Items may be missing from the store, but only as many as it says it has evicted.
type model struct {
	t      testing.TB
	s      *Store
	clock  *Clock
	draw   func(n int) int // 0 to n-1
	items  map[string]Item
	lost   uint64 // items found missing
	stored uint64
	maxLen int
	buf    []byte
	last   map[string]uint64 // the greatest version seen of each key
	since  map[string]int64  // the event at which the item came; it has been there without a break
	events *atomic.Int64

	prefix string // of its keys
	shared bool   // others play on the same store: what concerns all keys is not for this one to do
}

func newModel(t testing.TB, cfg Config, maxLen int, draw func(int) int) *model {
	m := &model{
		t: t, clock: NewManualClock(testStart), draw: draw, items: map[string]Item{}, maxLen: maxLen,
		last: map[string]uint64{}, since: map[string]int64{}, events: new(atomic.Int64),
	}
	cfg.Clock = m.clock
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.s = s
	return m
}

// keep notes what is under the key now.
func (m *model) keep(key string, it Item) {
	m.items[key] = it
	if _, there := m.since[key]; !there {
		m.since[key] = m.events.Add(1)
	}
}

// forget notes that there is nothing under the key.
func (m *model) forget(key string) {
	delete(m.items, key)
	delete(m.since, key)
}

// value gives bytes that tell whose they are and where they belong: numbers that rise, from one that half of the key's hash is in.
func (m *model) value(key string) []byte {
	n := m.draw(200)
	switch m.draw(20) {
	case 0:
		n = m.draw(m.maxLen)
	case 1, 2:
		n = m.draw(min(m.maxLen, 5000))
	}
	v := make([]byte, n)
	seed := Hash([]byte(key))&^(1<<32-1) | uint64(m.draw(1<<30))
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(v[i:], seed+uint64(i))
	}
	return v
}

// checkValue reports a value that was never put whole under the key.
func checkValue(t testing.TB, key, v []byte) {
	for bytes.HasSuffix(v, []byte("more")) {
		v = v[:len(v)-len("more")]
	}
	if len(v) < 8 {
		return
	}
	seed := binary.LittleEndian.Uint64(v)
	if seed>>32 != Hash(key)>>32 {
		t.Errorf("%s: a value of %d bytes that is not its own", key, len(v))
		return
	}
	for i := 0; i+8 <= len(v); i += 8 {
		if binary.LittleEndian.Uint64(v[i:]) != seed+uint64(i) {
			t.Errorf("%s: a value of %d bytes that is not whole, at %d", key, len(v), i)
			return
		}
	}
}

// expected gives the model's item of the key, if it has not expired.
func (m *model) expected(key string) (Item, bool) {
	it, ok := m.items[key]
	if ok && it.Expiry != 0 && it.Expiry <= m.clock.Now() {
		m.forget(key)
		return Item{}, false
	}
	return it, ok
}

// compare holds what the store gave against the model.
func (m *model) compare(what, key string, got Item, found bool) {
	want, there := m.expected(key)
	if !found {
		if there {
			m.lost++
			m.forget(key)
		}
		return
	}
	if !there {
		m.t.Fatalf("%s %s: found what should not be there: %d bytes, CAS unique %d", what, key, len(got.Value), got.CAS)
	}
	if !bytes.Equal(got.Value, want.Value) || got.Flags != want.Flags || got.CAS != want.CAS || got.Version != want.Version || got.Expiry != want.Expiry {
		m.t.Fatalf("%s %s: got %d bytes, flags %d, CAS unique %d, expiry %d; want %d, %d, %d, %d", what, key,
			len(got.Value), got.Flags, got.CAS, got.Expiry, len(want.Value), want.Flags, want.CAS, want.Expiry)
	}
}

func (m *model) step(keys int) {
	key := fmt.Sprintf("%skey-%d", m.prefix, m.draw(keys))
	switch op := m.draw(100); {
	case op < 40:
		it, out, ok := m.s.Get(m.buf[:0], []byte(key))
		m.buf = out
		m.compare("get", key, it, ok)
	case op < 90:
		m.change(key, op)
	case m.shared:
	case op < 96:
		m.clock.Advance(int64(m.draw(3)))
	case op < 97 && m.draw(500) == 0:
		m.s.FlushAll(0, 0)
		m.flushed()
	case op < 99 && m.draw(20) == 0:
		m.s.Crawl(m.draw(2000))
	case op < 100 && m.draw(100) == 0:
		eighth := m.draw(8)
		m.s.Drop(inEighth(eighth))
		m.dropped(eighth)
	}
}

func (m *model) flushed() {
	clear(m.items)
	clear(m.since)
}

// dropped notes that the items of an eighth of the partitions are gone.
func (m *model) dropped(eighth int) {
	gone := inEighth(eighth)
	for key := range m.items {
		if gone(m.part(key)) {
			m.forget(key)
		}
	}
}

// part is the partition of a key.
func (m *model) part(key string) int { return int(Hash([]byte(key)) % uint64(m.s.Partitions())) }

// inEighth wants every eighth partition.
func inEighth(eighth int) func(part int) bool {
	return func(part int) bool { return part%8 == eighth }
}

// change holds the key and does one of the things that change its item.
func (m *model) change(key string, op int) {
	h := m.s.Hold([]byte(key))
	defer h.Release()
	old, found := h.Item()
	m.compare("hold", key, old, found)
	switch {
	case op < 70:
		m.put(&h, key, Item{Value: m.value(key), Flags: uint32(m.draw(3)), Expiry: m.expiry()})
	case op < 75 && found: // append: the value lies in the stripe's memory
		old.Value = append(old.Value[:len(old.Value):len(old.Value)], "more"...)
		m.put(&h, key, old)
	case op < 78 && found: // touch up the same memory
		m.put(&h, key, old)
	case op < 80:
		m.installAndBury(&h, key)
	case op < 84:
		if h.Delete() != found {
			m.t.Fatalf("delete %s: not what Item said", key)
		}
		m.forget(key)
	default:
		expiry := m.expiry()
		if h.Touch(expiry) != found {
			m.t.Fatalf("touch %s: not what Item said", key)
		}
		if it, ok := m.items[key]; ok && found {
			it.Expiry = expiry
			m.keep(key, it)
		}
	}
}

// installAndBury plays what comes from other members: newer versions, older ones, and deletions.
func (m *model) installAndBury(h *Held, key string) {
	m.put(h, key, Item{Value: m.value(key)})
	it, there := m.items[key]
	if !there {
		return // refused for want of room
	}
	if installed, err := h.Install(it); installed || err != nil {
		m.t.Fatalf("install %s as it is: %t, %v", key, installed, err)
	}
	m.last[key] += 1 << 20
	if m.draw(2) == 0 {
		if !h.Bury(m.last[key], m.clock.Now()+int64(m.draw(20))) || h.Delete() {
			m.t.Fatalf("bury %s: not done", key)
		}
		m.forget(key)
		if installed, _ := h.Install(it); installed {
			m.t.Fatalf("install %s: has come back", key)
		}
		return
	}
	it.Version, it.Value = m.last[key], m.value(key)
	it.CAS = m.unique(it.Version)
	switch installed, err := h.Install(it); {
	case err == ErrNoMemory && m.s.cfg.NoEvict, err == ErrTooLarge && m.s.TooLarge(len(key), len(it.Value), it.Flags):
		m.forget(key)
	case !installed || err != nil:
		m.t.Fatalf("install %s: %t, %v", key, installed, err)
	default:
		m.stored++
		m.keep(key, it)
	}
}

func (m *model) expiry() int64 {
	if m.draw(3) > 0 {
		return 0
	}
	return m.clock.Now() + int64(m.draw(20))
}

func (m *model) put(h *Held, key string, it Item) {
	it.Value = bytes.Clone(it.Value)
	var version uint64
	var err error
	if it.CAS = m.unique(0); it.CAS != 0 {
		err = h.PutWithCAS(it)
	} else {
		it.CAS, err = h.Put(it)
	}
	if stored, found := h.Item(); found {
		version = stored.Version
	}
	switch {
	case err == ErrTooLarge && m.s.TooLarge(len(key), len(it.Value), it.Flags), err == ErrNoMemory && m.s.cfg.NoEvict:
		m.forget(key)
		return
	case err != nil:
		m.t.Fatalf("put %s of %d bytes: %v", key, len(it.Value), err)
	case version <= m.last[key]:
		m.t.Fatalf("put %s: version %d after %d", key, version, m.last[key])
	}
	m.stored++
	m.last[key], it.Version = version, version
	m.keep(key, it)
}

// unique is a CAS unique that a client has chosen, or, mostly, the one given.
func (m *model) unique(given uint64) uint64 {
	switch m.draw(30) {
	case 0:
		return uint64(m.draw(100)) + 1
	case 1:
		return 1<<63 + uint64(m.draw(1<<30))
	}
	return given
}

// finish compares all items, and every counter.
func (m *model) finish() {
	met := map[string]bool{}
	for eighth := range 8 {
		wanted := inEighth(eighth)
		for c, more := (Cursor{}), true; more; {
			c, more = m.s.Walk(c, wanted, func(key []byte, it Item) bool {
				if met[string(key)] || !wanted(m.part(string(key))) {
					m.t.Fatalf("walk: %s met twice, or by a walk through other partitions", key)
				}
				met[string(key)] = true
				m.compare("walk", string(key), it, true)
				return true
			})
		}
	}
	for key := range m.items {
		it, _, ok := m.s.Get(nil, []byte(key))
		m.compare("get", key, it, ok)
		if ok && !met[key] {
			m.t.Fatalf("walk: %s not met", key)
		}
	}
	m.s.Crawl(1 << 30)
	check(m.t, m.s)
	st := m.s.Stats()
	if m.lost > st.Evictions {
		m.t.Fatalf("%d items lost, %d evicted", m.lost, st.Evictions)
	}
	if st.TotalItems != m.stored {
		m.t.Fatalf("stored %d items, the store counts %d", m.stored, st.TotalItems)
	}
	if st.Items != len(m.items) {
		m.t.Fatalf("%d items expected, the store counts %d", len(m.items), st.Items)
	}
	size := int64(0)
	for key, it := range m.items {
		size += int64(itemBytes + len(key) + len(it.Value))
		if it.Flags != 0 {
			size += flagsBytes
		}
	}
	if size != st.Bytes {
		m.t.Fatalf("%d bytes expected, the store counts %d", size, st.Bytes)
	}
}

// check holds a store at rest against itself: what is counted is there, what is there is counted.
func check(t testing.TB, s *Store) {
	t.Helper()
	st := s.Stats()
	if sum := uint64(st.Items) + st.Evictions + st.Expired + st.Deleted + st.Overwritten + st.Flushed + st.Dropped; sum != st.TotalItems {
		t.Fatalf("stored %d, accounted for %d: %+v", st.TotalItems, sum, st)
	}
	for _, st := range s.stripe {
		checkStripe(t, st)
	}
}

func checkStripe(t testing.TB, st *stripe) {
	t.Helper()
	tombstones, sections := 0, len(st.sections)
	squares := uint64(0)
	heads, charged, size := 0, heapCost(len(st.tables)*tableHeadBytes+st.fates.bytes())+heapCost(st.made*sectionSize*metaBytes), int64(0)
	for _, g := range st.segments {
		live, written, begun := 0, 0, 0
		for n := 1; n <= g.count; n++ {
			m := g.meta(uint32(n))
			bytes := int(m.length)
			if g.begins(uint32(n)) {
				begun++
			}
			if p := g.placeOf(uint32(n)); int(p.record) != begun {
				t.Fatalf("record %d of segment %d is in record %d of the arena, not %d", n, g.id, p.record, begun)
			}
			written += bytes
			if m.has(dead) {
				continue
			}
			live += bytes
			checkLook(t, g, uint32(n))
			if m.has(continuation) {
				size += int64(m.length)
				continue
			}
			if m.has(tombstone) {
				tombstones++
				continue
			}
			heads++
			size += int64(m.accounted(int(m.length)))
			squares += squareOf(st.itemLength(g, uint32(n)))
			if p := st.find(&st.tables[st.store.tableOf(m.key())], m.key()); p == nil || *p&(1<<(32-tagBits)-1) != st.reference(g, uint32(n)) {
				t.Fatalf("a live record of segment %d is not in the index", g.id)
			}
		}
		if counted := g.written - int(st.dead[g.id]); live != counted || written != g.written {
			t.Fatalf("segment %d: %d live of %d bytes counted, %d of %d there", g.id, counted, g.written, live, written)
		}
		there := g.records.Records()
		if g.log != nil && g.log.newest == g && g.log.pack.items > 0 {
			there++
		}
		if g.begun != begun || begun != there {
			t.Fatalf("segment %d: %d records of the arena counted, %d begun, %d there", g.id, g.begun, begun, there)
		}
		charged += heapCost(g.mapBytes) + heapCost(cap(g.rows)*rowBytes)
		sections += len(g.rows)
	}
	charged += st.inUse() * st.store.segmentBytes
	refs := 0
	for i := range st.tables {
		t := &st.tables[i]
		refs += t.used
		charged += heapCost(len(t.groups)*groupBytes + len(t.ghost)*ghostSetBytes)
	}
	if sections != st.made {
		t.Fatalf("%d sections of metas counted, %d there", st.made, sections)
	}
	if tombstones != st.tombstones || heads != st.items || refs != st.items+tombstones || size != st.bytes || squares != st.squares {
		t.Fatalf("%d items of %d bytes counted, %d of %d bytes there, %d references", st.items, st.bytes, heads, size, refs)
	}
	if rounded := 40 * len(st.tables); charged > st.charged+rounded || charged < st.charged-rounded {
		t.Fatalf("%d bytes charged, %d taken", st.charged, charged)
	}
}

// checkLook holds a record where it lies against what fastcache gives for it; what is in a pack still is not there.
func checkLook(t testing.TB, g *segment, n uint32) {
	t.Helper()
	p := g.placeOf(n)
	want, got := p.append(nil), g.look(n)
	if int(p.record) == g.begun && g.log.pack.items > 0 && g.log.newest == g {
		want = got[:p.length]
	}
	if got == nil || !bytes.Equal(got, want) {
		t.Fatalf("record %d of segment %d: %d bytes where it should lie, fastcache has %d", n, g.id, len(got), len(want))
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(tb{t, r}, Config{
			MaxBytes: int64(rapid.IntRange(1, 3).Draw(r, "MB")) << 20,
			NoEvict:  rapid.Bool().Draw(r, "no evict"),
			// More and fewer than there are tables; also powers of two, for which a hash and its partition share bits.
			Partitions: rapid.SampledFrom([]int{1, 16, 61, 4096, 16381}).Draw(r, "partitions"),
		}, 200_000, nil)
		defer m.s.Close()
		source := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 0))
		m.draw = source.IntN
		keys := rapid.SampledFrom([]int{5, 100, 3000}).Draw(r, "keys")
		for range rapid.IntRange(1, 4000).Draw(r, "steps") {
			m.step(keys)
		}
		m.finish()
	})
}

// tb lets the model fail through rapid, which then looks for a shorter case.
type tb struct {
	testing.TB
	r *rapid.T
}

func (t tb) Fatalf(format string, args ...any) { t.r.Fatalf(format, args...) }
func (t tb) Helper()                           {}

// TestManyAtOnce lets goroutines change the same items while others read and walk: every value read was put whole, under its key, and CAS
// uniques never go back.
func TestManyAtOnce(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 4 << 20})
	steps := 20_000
	if os.Getenv("MEMRING_LONG") != "" {
		steps = 1_000_000
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 2))
			seen := map[string]uint64{}
			var buf []byte
			for range steps {
				key := fmt.Sprintf("key-%d", rnd.IntN(2000))
				switch op := rnd.IntN(10); {
				case op < 6:
					it, out, ok := s.Get(buf[:0], []byte(key))
					buf = out
					if !ok {
						continue
					}
					if err := whole(key, it.Value); err != nil {
						t.Error(err)
						return
					}
					if it.CAS < seen[key] {
						t.Errorf("%s: CAS unique %d after %d", key, it.CAS, seen[key])
						return
					}
					seen[key] = it.CAS
				case op < 9:
					n := rnd.IntN(300)
					if rnd.IntN(50) == 0 {
						n = rnd.IntN(900_000)
					}
					h := s.Hold([]byte(key))
					_, _ = h.Put(Item{Value: bytes.Repeat([]byte(key+","), n/8+1)})
					h.Release()
				default:
					h := s.Hold([]byte(key))
					h.Delete()
					h.Release()
				}
			}
		})
	}
	stop, walked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(walked)
		for c := (Cursor{}); ; {
			select {
			case <-stop:
				return
			default:
			}
			c, _ = s.Walk(c, All, func(key []byte, it Item) bool {
				if err := whole(string(key), it.Value); err != nil {
					t.Error(err)
				}
				return true
			})
		}
	}()
	workers.Wait()
	close(stop)
	<-walked
	check(t, s)
}

// whole reports whether the value is what a test has put under the key: the key again and again.
func whole(key string, value []byte) error {
	part := key + ","
	if len(value) == 0 || len(value)%len(part) != 0 || bytes.Count(value, []byte(part)) != len(value)/len(part) {
		return fmt.Errorf("%s: %d bytes that are not its own", key, len(value))
	}
	return nil
}
