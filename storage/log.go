package storage

import "github.com/memring/memring/storage/arena"

// An item of more than splitBytes may be split at the end of a chunk, if the rest of it has leastSplitBytes or more: so little of a chunk is
// left unused, and small items need one record each. A first record holds at least the tail.
const (
	splitBytes      = 2 << 10
	leastSplitBytes = 512
)

// write adds the item's records to the log and gives the reference of the first; 0 if room is lacking, which makeRoom has seen to.
func (st *stripe) write(l *log, m meta, key []byte, it *Item) uint32 {
	tail := recordBytes(key, it) - len(it.Value)
	rest := it.Value
	room := st.open(l, len(rest)+tail)
	if room == 0 {
		return 0
	}
	part := rest[:min(len(rest), room-tail)]
	rest = rest[len(part):]
	first := appendTail(append(st.compose.take(len(part)+tail), part...), key, it)
	if len(rest) == 0 {
		return st.add(l, m, first)
	}
	m.bits |= continued
	head := st.add(l, m, first)
	for before := uint32(1); len(rest) > 0; before++ {
		if room = st.open(l, len(rest)); room == 0 {
			st.abandon(head, before)
			return 0
		}
		part, rest = rest[:min(len(rest), room)], rest[min(len(rest), room):]
		next := meta{&extent{bits: continuation}, &identity{hash: [2]uint32{head, before}}}
		if len(rest) > 0 {
			next.bits |= continued
		}
		st.add(l, next, part)
	}
	return head
}

// abandon buries the records of an item that found no room for its last.
func (st *stripe) abandon(head, count uint32) {
	g, n := st.locate(head)
	for range count {
		st.buryRecord(g, g.extent(n))
		g, n = g.after(n)
	}
}

// open sees to it that the log's newest segment can take a record, and says how long it may be: length, or less if the item is to be split.
// 0 if there is no segment to be had.
func (st *stripe) open(l *log, length int) (room int) {
	for {
		if g := l.open(); g != nil {
			if room := l.room(length); room > 0 && st.prepareMeta(g) {
				return room
			}
			l.close()
		}
		g := st.takeSegment()
		if g == nil {
			return 0
		}
		l.push(g)
	}
}

// room is how much of a record of this length goes into the newest segment; 0 if it is full.
func (l *log) room(length int) int {
	g := l.newest
	if length <= splitBytes && l.pack.joins(g, length) {
		return length
	}
	rest := g.records.Rest()
	if l.pack.items > 0 {
		rest -= len(l.pack.bytes) + arena.OverheadBytes
	}
	switch {
	case length <= rest:
		return length
	case length > splitBytes && rest >= leastSplitBytes:
		return rest
	case g.records.Last():
		return 0
	}
	return min(length, arena.MaxRecordBytes)
}

// add puts a record into the log's newest segment, which open has prepared. Parts of an item do not share: they are read without the lock one by one.
func (st *stripe) add(l *log, m meta, record []byte) uint32 {
	g := l.newest
	g.count++
	n := uint32(g.count)
	alone := len(record) > splitBytes || m.has(continued|continuation)
	if alone || !l.pack.joins(g, len(record)) {
		l.flush()
		g.begin(n)
		g.records.Reserve(len(record))
	}
	if n&(startSize-1) == 0 || n == 1 {
		*g.start(n) = uint32(g.records.Next() + len(l.pack.bytes))
	}
	if alone {
		g.records.Put(record)
	} else {
		l.pack.add(record)
	}
	m.length = uint16(len(record))
	*g.extent(n), *g.identity(n) = *m.extent, *m.identity
	g.written += len(record)
	return st.reference(g, n)
}

// prepareMeta sees to it that the segment's next record can have a meta. false if the memory or the numbers are used up.
//
// Here the memory that grows with the number of records is bounded: metas are paid for a section at a time, fastcache's map as it grows.
func (st *stripe) prepareMeta(g *segment) bool {
	n := g.count + 1
	row := n>>sectionBits == len(g.rows)
	mapBytes := max(g.mapBytes, arena.MapBytes(g.begun+2)) // this one, if it begins one in the arena, and the mark
	if !row && mapBytes == g.mapBytes {
		return true
	}
	need := mapBytes - g.mapBytes
	if row {
		if n+sectionSize > 1<<st.store.recordBits {
			return false
		}
		if len(st.sections) == 0 {
			need += sectionSize * metaBytes
		}
		if len(g.rows) == cap(g.rows) {
			need += (moreRows(len(g.rows)) - len(g.rows)) * rowBytes
		}
	}
	if !st.affords(need) && len(g.rows) > 0 {
		return false
	}
	if row {
		st.addRow(g)
	}
	st.chargeMap(g, mapBytes)
	return true
}

// addRow gives the segment room for more metas.
func (st *stripe) addRow(g *segment) {
	var s *section
	if k := len(st.sections); k > 0 {
		s, st.sections = st.sections[k-1], st.sections[:k-1]
	} else {
		s = new(section)
		st.made++
		st.chargeHeap(sectionSize * metaBytes)
	}
	if k := len(g.rows); k == cap(g.rows) {
		g.rows = append(make([]row, 0, moreRows(k)), g.rows...)
		st.charged += heapCost(cap(g.rows)*rowBytes) - heapCost(k*rowBytes)
	}
	g.rows = append(g.rows, row{section: s, before: uint32(g.begun)})
}

// tail reads what is known of the item whose first record is n of g, but for its value; the key is good until the next use of st.moving. ok is as
// load has it.
func (st *stripe) tail(g *segment, n uint32, it *Item) (key []byte, ok bool) {
	m := g.meta(n)
	_, key, ok = cutTail(g.appendRecord(st.moving.take(max(int(m.length), packBytes)), n), m.bits, it)
	return key, ok
}

// load reads the item whose first record is n of g into memory; the key lies there too. ok is false if fastcache has not kept it: that is not
// to happen, and costs the item if it does.
func (st *stripe) load(g *segment, n uint32, it *Item, memory *scratch) (key []byte, ok bool) {
	m := g.meta(n)
	m.tell(it)
	length := int(m.length)
	if m.has(continued) {
		length = st.itemLength(g, n)
	}
	first := g.appendRecord(memory.take(max(length+maxKey, packBytes)), n)
	value, key, ok := cutTail(first, m.bits, it)
	if !ok || len(first) != int(m.length) {
		return nil, false
	}
	it.Value = value
	if !m.has(continued) {
		return key, true
	}
	var keep [maxKey]byte // what follows the value goes where the key is
	k := copy(keep[:], key)
	want := length - (len(first) - len(value))
	for m.has(continued) {
		g, n = g.after(n)
		m = g.meta(n)
		value = g.appendRecord(value, n)
	}
	it.Value = value
	value = append(value, keep[:k]...)
	return value[len(value)-k:], len(it.Value) == want
}
