package storage

import (
	"math/bits"

	"github.com/memring/memring/storage/arena"
	"github.com/memring/memring/storage/prefetch"
)

// Small records are added to the arena some at a time, as one: there each costs a head and a place in fastcache's map, together some 50 bytes.
//
//	put -> pack of the log -> full, or the next does not fit, or its segment is closed -> one record of the arena
//
// Until then they are read from the pack, with the stripe held. In a segment they are numbered as if each were on its own; where their bytes are
// follows from the lengths of those before them in the same record of the arena, and its number from how many of them begin one.
const (
	// packItems and packBytes bound what is read for one item's sake. More items would save little more.
	packItems = 3
	packBytes = 4 << 10
)

// A pack is what will be a log's next record in the arena.
type pack struct {
	bytes []byte
	items int
}

func (p *pack) add(record []byte) {
	p.bytes = append(p.bytes, record...)
	p.items++
}

func (p *pack) empty() { p.bytes, p.items = p.bytes[:0], 0 }

// joins reports whether a record of this length can be added to those that are there, which will lie in g.
func (p *pack) joins(g *segment, length int) bool {
	return p.items > 0 && p.items < packItems && len(p.bytes)+length <= min(packBytes, g.records.Rest())
}

// flush writes the pack to the log's newest segment; open has seen to it that there is room.
func (l *log) flush() {
	if l.pack.items > 0 {
		l.newest.records.Put(l.pack.bytes)
		l.pack.empty()
	}
}

// close lets the newest segment take no more.
func (l *log) close() {
	l.flush()
	l.closed = true
}

// begin counts record n of g, the next, as the first of one in the arena.
func (g *segment) begin(n uint32) {
	g.begun++
	g.rows[n>>sectionBits].begins |= 1 << (n & (sectionSize - 1))
}

// begins reports whether record n is the first of one in the arena.
func (g *segment) begins(n uint32) bool {
	return g.rows[n>>sectionBits].begins>>(n&(sectionSize-1))&1 != 0
}

// placeOf says where record n of g is.
func (g *segment) placeOf(n uint32) place {
	p := place{segment: g, number: n, epoch: g.epoch.Load(), record: g.recordOf(n), length: g.extent(n).length}
	for ; !g.begins(n); n-- {
		p.offset += g.extent(n - 1).length
	}
	return p
}

// start is where the position is kept from which record n is found.
func (g *segment) start(n uint32) *uint32 {
	return &g.rows[n>>sectionBits].starts[n&(sectionSize-1)>>startBits]
}

// look gives record n where it lies, in memory that is the log's or the arena's: it is good until anything is written. nil if it can only be copied.
func (g *segment) look(n uint32) []byte {
	number, first, offset, length := g.lies(n)
	if g.packs(number) {
		return g.log.pack.bytes[offset:][:length]
	}
	if prefetch.Works {
		g.fetch(first, offset, length) // a reader begins at the end, after Peek has read the head: both are waited for together
	}
	return g.records.Peek(number, first, offset, length)
}

// packs reports whether the arena's record of this number is still to be written.
func (g *segment) packs(number int) bool {
	return number == g.begun && g.log.newest == g && g.log.pack.items > 0
}

// lies tells where record n is: in the arena's record of this number, which begins at position first, from offset on.
//
// It follows from a start before it, and the lengths of those between: they are in the next few cache lines, which can be fetched all at once.
func (g *segment) lies(n uint32) (number, first, offset, length int) {
	i := max(n&^(startSize-1), 1)
	at := int(*g.start(i))
	first = at // of those it shares with
	for k := i; !g.begins(k); k-- {
		first -= int(g.extent(k - 1).length)
	}
	length = int(g.extent(i).length)
	for begins := g.rows[n>>sectionBits].begins >> (i & (sectionSize - 1)); i < n; i++ {
		at, length = at+length, int(g.extent(i+1).length)
		if begins >>= 1; begins&1 != 0 {
			first = arena.Next(at, length)
			at = first
		}
	}
	return int(g.recordOf(n)), first, at - first, length
}

// recordOf gives the number of the arena's record in which record n is.
func (g *segment) recordOf(n uint32) uint32 {
	r := &g.rows[n>>sectionBits]
	return r.before + uint32(bits.OnesCount32(r.begins<<(sectionSize-1-n&(sectionSize-1))))
}

// append adds the record to dst. It comes back as it was if the record is lost; after the end of its lap, anything may be added.
func (p *place) append(dst []byte) []byte {
	start := len(dst)
	end := start + int(p.length)
	out := p.segment.records.Append(dst, int(p.record))
	if len(out) < end+int(p.offset) {
		return dst
	}
	if p.offset > 0 {
		copy(out[start:end], out[start+int(p.offset):])
	}
	return out[:end]
}

// appendRecord adds record n of g to dst; the stripe is held. dst should have room for packBytes more.
func (g *segment) appendRecord(dst []byte, n uint32) []byte {
	if record := g.look(n); record != nil {
		return append(dst, record...)
	}
	p := g.placeOf(n)
	return p.append(dst)
}
