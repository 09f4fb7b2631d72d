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
	if len(rest) > 0 {
		m.bits |= continued
	}
	head := st.add(l, m, first)
	for before := uint32(1); len(rest) > 0; before++ {
		if room = st.open(l, len(rest)); room == 0 {
			st.abandon(head, before)
			return 0
		}
		part, rest = rest[:min(len(rest), room)], rest[min(len(rest), room):]
		next := meta{hash: [2]uint32{head, before}, bits: continuation}
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
		g.bury(g.meta(n))
		g, n = g.after(n)
	}
}

// open sees to it that the log's newest segment can take a record, and says how long it may be: length, or less if the item is to be split.
// 0 if there is no segment to be had.
func (st *stripe) open(l *log, length int) (room int) {
	for {
		if g := l.open(); g != nil {
			if room := g.room(length); room > 0 && st.prepareMeta(g) {
				return room
			}
			l.closed = true
		}
		g := st.takeSegment()
		if g == nil {
			return 0
		}
		l.push(g)
	}
}

// room is how much of a record of this length goes into the segment; 0 if it is full.
func (g *segment) room(length int) int {
	rest := g.records.Rest()
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

// add puts a record into the log's newest segment, which open has prepared.
func (st *stripe) add(l *log, m meta, record []byte) uint32 {
	g := l.newest
	n := uint32(g.records.Put(record))
	m.length = uint16(len(record))
	g.count++
	*g.meta(n) = m
	g.written += len(record) + arena.OverheadBytes
	g.live += len(record) + arena.OverheadBytes
	return st.reference(g, n)
}

// prepareMeta sees to it that the segment's next record can have a meta. false if the memory or the numbers are used up.
//
// Here the memory that grows with the number of records is bounded: metas, and fastcache's map, are paid for a section at a time.
func (st *stripe) prepareMeta(g *segment) bool {
	n := g.count + 1
	if n>>sectionBits < len(g.sections) {
		return true
	}
	if n+sectionSize > 1<<st.store.recordBits {
		return false
	}
	mapBytes := max(g.mapBytes, arena.MapBytes(n+sectionSize))
	need := mapBytes - g.mapBytes
	if len(st.sections) == 0 {
		need += sectionSize * metaBytes
	}
	if !st.affords(need) && len(g.sections) > 0 {
		return false
	}
	if k := len(st.sections); k > 0 {
		g.sections = append(g.sections, st.sections[k-1])
		st.sections = st.sections[:k-1]
	} else {
		g.sections = append(g.sections, new(section))
		st.made++
		st.chargeHeap(sectionSize * metaBytes)
	}
	st.chargeMap(g, mapBytes)
	return true
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
	first := g.records.Append(memory.take(length+maxKey), int(n))
	value, key, ok := cutTail(first, m.has(flagged), it)
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
		value = g.records.Append(value, int(n))
	}
	it.Value = value
	value = append(value, keep[:k]...)
	return value[len(value)-k:], len(it.Value) == want
}
