package storage

import (
	"runtime"
	"slices"
	"sync"
)

// A Cursor is how far a Walk has come: table by table, in the order of partitions, each in one stripe after the other. The zero Cursor is at the beginning; it is plain
// numbers and may be kept and passed on, and stays good as long as the store lives.
type Cursor struct {
	Stripe, Table int
	After         uint64 // the items of the table are visited by rising hash, and those up to this one have been
}

// Tables is how many tables a Cursor goes through, each in all stripes: for those who walk through some at once.
func (s *Store) Tables() int { return s.tables }

// Partitions is how many there are, see Config.
func (s *Store) Partitions() int { return s.partitions }

// All wants all partitions.
func All(part int) bool { return true }

// Now is the Unix second by which items expire.
func (s *Store) Now() int64 { return s.clock.Now() }

// Walk visits the items of the partitions that are wanted, a few hundred or thousand at a time, and gives the cursor for the next call; more is false at
// the end, when the cursor is at the beginning again. Where the index has nothing of these partitions it is not looked at.
//
// Whoever walks from the beginning to the end meets every item that is there the whole time, once, whatever is written or moved meanwhile: an
// item stays in one table of the index, and a table is listed at once. Items that come or go meanwhile may be met or not; one that is deleted
// and stored again, or overwritten, is met once, in one version or the other.
//
// want is called with a stripe held: it must be quick and do nothing but decide. visit is called with nothing held; key and it.Value are good
// until it returns. If visit returns false the walk stops, and the cursor is such that this item will be visited again.
// A walk does not count as use.
func (s *Store) Walk(c Cursor, want func(part int) bool, visit func(key []byte, it Item) bool) (next Cursor, more bool) {
	return s.walk(c, want, 0, tombstone, visit)
}

// WalkUsed is Walk over the items that have been used since they were stored, or WalkAll over the others. What is used meanwhile may be met by neither.
func (s *Store) WalkUsed(c Cursor, used bool, want func(part int) bool, visit func(key []byte, it Item) bool) (next Cursor, more bool) {
	if used {
		return s.walk(c, want, fetched, tombstone, visit)
	}
	return s.walk(c, want, 0, fetched, visit)
}

// WalkAll is Walk, and visits tombstones too, as items that are Buried: Version is that of the deletion, Expiry the second until which older versions
// are to be kept out, and there is no value.
func (s *Store) WalkAll(c Cursor, want func(part int) bool, visit func(key []byte, it Item) bool) (next Cursor, more bool) {
	return s.walk(c, want, 0, 0, visit)
}

// walk passes over what has not one of the bits in need, if there are any, or has one of those in skip.
func (s *Store) walk(c Cursor, want func(int) bool, need, skip metaBits, visit func([]byte, Item) bool) (next Cursor, more bool) {
	if c.Stripe < 0 || c.Stripe >= len(s.stripe) || c.Table < 0 || c.Table >= s.tables {
		return Cursor{}, false
	}
	if c, more = s.seek(c, want); !more {
		return c, false
	}
	st := s.stripe[c.Stripe]
	w := walkers.Get().(*walker)
	defer w.release()
	hashes := w.list(st, c.Table, func(m meta) bool { return (c.After == 0 || m.key() > c.After) && want(s.partOf(m.key())) })
	slices.Sort(hashes)
	for _, hash := range hashes {
		it, key, ok := st.fetch(hash, need, skip, &w.memory)
		if ok && !visit(key, it) {
			return c, true
		}
		c.After = hash
	}
	return s.next(c, want)
}

// Used visits the hashes of items that were used since that Unix second, of one table of the index, and gives the cursor for the next call, and how many items
// were looked at; more is false at the end. Their records are not read. Items that are gone may be visited as well.
func (s *Store) Used(c Cursor, since int64, visit func(hash uint64)) (next Cursor, items int, more bool) {
	w := walkers.Get().(*walker)
	defer w.release()
	for _, hash := range w.list(s.stripe[c.Stripe], c.Table, func(m meta) bool { return m.has(fetched) && int64(m.access) >= since }) {
		visit(hash)
	}
	next, more = s.next(c, All)
	return next, len(w.refs), more
}

// Use notes a use of the item of a hash, if there is one, as Held.Use does for that of a key.
func (s *Store) Use(hash uint64) {
	st := s.stripe[s.stripeOf(hash)]
	part := st.mu.part(hash)
	part.Lock()
	defer part.Unlock()
	now := s.clock.Now()
	if ref, state := st.lookUp(hash, now); state == copied {
		st.meta(ref).use(now)
	}
}

// next puts the cursor behind the table of its stripe, where what is wanted goes on; more is false at the end.
func (s *Store) next(c Cursor, want func(part int) bool) (next Cursor, more bool) {
	if c.Stripe, c.After = c.Stripe+1, 0; c.Stripe == len(s.stripe) {
		c.Stripe, c.Table = 0, c.Table+1
	}
	return s.seek(c, want)
}

// seek leaves out tables that have nothing of what is wanted. Of the table that a cursor is amid it has been asked.
func (s *Store) seek(c Cursor, want func(part int) bool) (found Cursor, more bool) {
	for c.Stripe == 0 && c.After == 0 && c.Table < s.tables && !s.has(c.Table, want) {
		c.Table++
	}
	if c.Table == s.tables {
		return Cursor{}, false
	}
	return c, true
}

// A walker is the memory of whoever goes through a table. It is used again: a walk through a store that is being served should make no garbage, or each
// of its thousands of steps would have the collector run (the process has GOGC=10).
type walker struct {
	refs   []uint32
	hashes []uint64
	memory scratch
}

var walkers = sync.Pool{New: func() any { return new(walker) }}

// maxListed bounds the items that a walker keeps memory for: some 100 KB.
const maxListed = 8 << 10

func (w *walker) release() {
	w.memory.release()
	if cap(w.hashes) > maxListed || cap(w.refs) > maxListed {
		w.refs, w.hashes = nil, nil
	}
	walkers.Put(w)
}

// atOnce is how many items are looked at with a stripe held: some 10 us. Between, others are let in.
const atOnce = 64

// list gives the hashes of a table that are wanted, as of one moment. They are good until the next list.
//
// The references are copied at once, which is quick; to look up the hash of each is not, and is done by and by. A record keeps its hash until
// its segment is recycled, dead or not; should that happen meanwhile, all is done again, and at once.
func (w *walker) list(st *stripe, table int, want func(m meta) bool) []uint64 {
	st.mu.Lock()
	st.settle()
	t, laps := &st.tables[table], st.laps
	w.refs, w.hashes = slices.Grow(w.refs[:0], t.used), slices.Grow(w.hashes[:0], t.used)
	for i := range t.groups {
		for _, ref := range t.groups[i].refs {
			if ref != 0 {
				w.refs = append(w.refs, ref)
			}
		}
	}
	st.mu.Unlock()

	for part := range slices.Chunk(w.refs, atOnce) {
		st.mu.Lock()
		if st.laps != laps {
			w.hashes = st.listAtOnce(t, want, w.hashes[:0])
			st.mu.Unlock()
			return w.hashes
		}
		for _, ref := range part {
			if m := st.meta(ref); want(m) {
				w.hashes = append(w.hashes, m.key())
			}
		}
		st.mu.Unlock()
		runtime.Gosched()
	}
	return w.hashes
}

// listAtOnce needs the lock.
func (st *stripe) listAtOnce(t *table, want func(m meta) bool, hashes []uint64) []uint64 {
	for i := range t.groups {
		for _, ref := range t.groups[i].refs {
			if ref == 0 {
				continue
			}
			if m := st.meta(ref); want(m) {
				hashes = append(hashes, m.key())
			}
		}
	}
	return hashes
}

// fetch reads the item of a hash, whatever its key, if need and skip, as walk has them, let it pass.
func (st *stripe) fetch(hash uint64, need, skip metaBits, memory *scratch) (it Item, key []byte, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	ref := st.peek(hash, skip, st.settle())
	if ref == 0 || need != 0 && !st.meta(ref).has(need) {
		return Item{}, nil, false
	}
	g, n := st.locate(ref)
	key, ok = st.load(g, n, &it, memory)
	return it, key, ok
}

// peek is there for those who do not count as requests: an expired item is left to others, unless it is to be mourned. What has one of the bits in skip is not there.
func (st *stripe) peek(hash uint64, skip metaBits, now int64) uint32 {
	p := st.find(&st.tables[st.store.tableOf(hash)], hash)
	if p == nil {
		return 0
	}
	if g, n := st.locate(*p); g.meta(n).expired(now) && (skip&tombstone != 0 || !st.lapse(g, n, now)) || g.meta(n).has(skip) {
		return 0
	}
	return *p
}

// Drop removes the items of the partitions that are said to be gone: no longer ours. Others are let in between, and what they
// store meanwhile may be dropped or not.
func (s *Store) Drop(gone func(part int) bool) (items int) {
	for c, more := (Cursor{}), true; more; {
		var n int
		c, n, more = s.DropSome(c, gone)
		items += n
	}
	return items
}

// DropSome is Drop for those who have to pause in between: a few hundred or thousand items are looked at, and next is the cursor for the next call; more is
// false at the end.
func (s *Store) DropSome(c Cursor, gone func(part int) bool) (next Cursor, items int, more bool) {
	next, more = s.some(c, gone, func(st *stripe, g *segment, n uint32) {
		if !g.meta(n).has(tombstone) {
			items++
		}
		st.remove(g, n, dropped)
	})
	return next, items, more
}

// each calls do with every item and tombstone, its stripe held.
func (s *Store) each(do func(st *stripe, g *segment, n uint32)) {
	for c, more := (Cursor{}), true; more; {
		c, more = s.some(c, All, do)
	}
}

// some is each for the cursor's table.
func (s *Store) some(c Cursor, want func(part int) bool, do func(st *stripe, g *segment, n uint32)) (next Cursor, more bool) {
	if c, more = s.seek(c, want); !more {
		return c, false
	}
	st := s.stripe[c.Stripe]
	w := walkers.Get().(*walker)
	defer w.release()
	for part := range slices.Chunk(w.list(st, c.Table, func(m meta) bool { return want(s.partOf(m.key())) }), atOnce) {
		st.mu.Lock()
		st.settle()
		for _, hash := range part {
			if p := st.find(&st.tables[c.Table], hash); p != nil {
				g, n := st.locate(*p)
				do(st, g, n)
			}
		}
		st.mu.Unlock()
		runtime.Gosched()
	}
	return s.next(c, want)
}
