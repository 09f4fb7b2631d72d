package storage

import (
	"sync/atomic"
	"unsafe"

	"github.com/memring/memring/storage/arena"
)

// A meta is what is known of a record without reading it. It is in two places, so that what a look at its neighbours needs is close together; it
// stays small, for there is one per item.
type meta struct {
	*extent
	*identity
}

type extent struct {
	length uint16 // of the record
	bits   metaBits
}

type identity struct {
	hash   [2]uint32 // of the key, low half first; of a continuation: the reference to the item's first record, and how many are before it
	expiry uint32    // Unix second, 0: never
	access uint32    // Unix second of the last use
}

type metaBits uint16

const (
	hits         metaBits = 3         // uses since it was written or last spared, at most 3
	dead         metaBits = 2 << iota // deleted, overwritten, expired, evicted or moved: its room is to be reclaimed
	continuation                      // not the item's first record
	continued                         // the item goes on in the next record of the log
	flagged                           // the record holds flags
	chosen                            // the record holds a version: a client has chosen the CAS unique
	rewritten                         // stored over an older value
	fetched                           // used since it was stored
	stale
	won
	tombstone // there is no item: it was deleted, and older versions are not to come back
)

// kept are the bits that belong to the item, wherever its records are.
const kept = flagged | chosen | fetched | stale | won | tombstone

func (m *identity) key() uint64       { return uint64(m.hash[0]) | uint64(m.hash[1])<<32 }
func (m *extent) has(b metaBits) bool { return m.bits&b != 0 }

// copy gives a meta like it, which may be changed.
func (m meta) copy() meta {
	e, i := *m.extent, *m.identity
	return meta{&e, &i}
}

// continues reports whether this is the item's record behind the number of records that are before it.
func (m meta) continues(head, before uint32) bool {
	return m.has(continuation) && m.hash == [2]uint32{head, before}
}

func (m *identity) expired(now int64) bool { return m.expiry != 0 && int64(m.expiry) <= now }

// valueBytes is the length of the value of an item whose records have this length together.
func (m *extent) valueBytes(length, keyBytes int) int {
	length -= keyBytes + tailBytes
	if m.has(flagged) {
		length -= flagsBytes
	}
	if m.has(chosen) {
		length -= versionBytes
	}
	return length
}

// accounted is what memcached would account for an item whose records have this length together.
func (m *extent) accounted(length int) int {
	length += recordToMC
	if m.has(chosen) {
		length -= versionBytes
	}
	return length
}

func (m *extent) set(b metaBits, on bool) {
	m.bits &^= b
	if on {
		m.bits |= b
	}
}

// tell fills in what the meta knows of the item.
func (m meta) tell(it *Item) {
	it.Expiry, it.LastAccess = int64(m.expiry), int64(m.access)
	it.Fetched, it.Stale, it.Won, it.Buried = m.has(fetched), m.has(stale), m.has(won), m.has(tombstone)
}

// use notes that the item was asked for. What is noted already is not written again: another processor may be reading beside it.
func (m meta) use(now int64) {
	if m.bits&hits < hits {
		m.bits++
	}
	if !m.has(fetched) {
		m.bits |= fetched
	}
	if m.access != uint32(now) {
		m.access = uint32(now)
	}
}

// expiryOf brings an expiry to the 32 bits kept of it: what lies before 1970 is long gone, what lies after 2106 is as good as never.
func expiryOf(second int64) uint32 {
	switch {
	case second < 0:
		return 1
	case second >= 1<<32:
		return 0
	}
	return uint32(second)
}

// metas of a segment come in sections, so that many do not need one large piece of memory, nor few a whole one.
const (
	sectionBits = 5
	sectionSize = 1 << sectionBits
	metaBytes   = 20

	// Of every startSize-th record it is kept where it lies, so that few lengths are to be added up for another.
	startBits = 3
	startSize = 1 << startBits
	rowBytes  = 16 + sectionSize/startSize*4
)

// moreRows is for how many rows a segment gets room that has so many: half as many more, at most ten. Records of 1 KB need two, those of 50 bytes two dozens.
func moreRows(have int) int { return have + min(have/2+2, 10) }

type section struct {
	extents    [sectionSize]extent
	identities [sectionSize]identity
}

// A row is a section in use, and which of its records share one in the arena: see pack.
type row struct {
	*section
	begins uint32                          // bit n: record n is the first, or only, one in its record of the arena
	before uint32                          // how many of these begin in earlier rows
	starts [sectionSize / startSize]uint32 // the positions of the first record and every startSize-th behind it
}

// A segment is a piece of a log. The stripe's lock guards it, but for the epoch and the reading of records.
type segment struct {
	// What a look at a record needs comes first, in as few cache lines as may be.
	id      uint32
	epoch   atomic.Uint32 // the lap: a reader who finds it changed after its copy has copied something else
	rows    []row         // record number n is in row n>>sectionBits
	records arena.Segment

	count    int // records of this lap
	begun    int // records of the arena they lie in
	written  int // their bytes
	mapBytes int // charged for fastcache's map

	log        *log // that it belongs to, nil if free
	prev, next *segment
}

// meta gives the meta of record number n.
func (g *segment) meta(n uint32) meta { return meta{g.extent(n), g.identity(n)} }

// extent is a part of meta, as identity is.
//
// To index an array behind a pointer, Go looks first whether there is one, at its beginning: a cache line that nobody needs.
func (g *segment) extent(n uint32) *extent {
	s := unsafe.Pointer(g.rows[n>>sectionBits].section)
	return (*extent)(unsafe.Add(s, unsafe.Offsetof(section{}.extents)+uintptr(n&(sectionSize-1))*unsafe.Sizeof(extent{})))
}

func (g *segment) identity(n uint32) *identity {
	s := unsafe.Pointer(g.rows[n>>sectionBits].section)
	return (*identity)(unsafe.Add(s, unsafe.Offsetof(section{}.identities)+uintptr(n&(sectionSize-1))*unsafe.Sizeof(identity{})))
}

// after gives the record behind number n in the log; nil if there is none.
func (g *segment) after(n uint32) (*segment, uint32) {
	if int(n) < g.count {
		return g, n + 1
	}
	return g.next, 1
}

// A log is a row of segments; records are added to the newest.
type log struct {
	oldest, newest *segment
	count          int
	closed         bool // the newest takes no more
	pack           pack // what is to be added to the newest, unless it is closed
}

// push makes g the newest segment.
func (l *log) push(g *segment) {
	g.log, g.prev, g.next = l, l.newest, nil
	if l.newest != nil {
		l.newest.next = g
	} else {
		l.oldest = g
	}
	l.newest, l.closed = g, false
	l.count++
}

// remove takes g out of the row.
func (l *log) remove(g *segment) {
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		l.oldest = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		l.newest, l.closed = g.prev, true
		l.pack.empty()
	}
	g.log, g.prev, g.next = nil, nil, nil
	l.count--
}

// open is the segment that takes records; nil if there is none.
func (l *log) open() *segment {
	if l.closed {
		return nil
	}
	return l.newest
}
