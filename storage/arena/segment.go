package arena

import (
	"encoding/binary"

	"github.com/VictoriaMetrics/fastcache"
)

// A Segment is a log of records with a fixed room. All methods but Append need the caller's lock.
type Segment struct {
	cache  *fastcache.Cache
	bucket uint64
	lies   [peekChunks]*[chunkBytes]byte // where the chunks are, as soon as they have been written to and if it can be known
	chunks int
	at     chunksAt

	// The mirror of the bucket's write position.
	chunk int // the chunk being written
	used  int // bytes of it

	records int // of this lap
	mapped  int // records that the bucket's map knows, 1 to mapped; never fewer than records
	room    int // the most it has known since it was built: its memory is for so many
}

// newSegment begins the first lap of an untouched bucket.
func newSegment(c *fastcache.Cache, bucket, chunks int, at chunksAt) Segment {
	g := Segment{cache: c, bucket: uint64(bucket), chunks: chunks, at: at}
	g.mark()
	return g
}

// Reset begins a new lap. The old records stay readable until new ones take their place.
//
// fastcache turns to the first chunk only with a record that does not fit behind the others, and with that turn it drops from its map what the
// last lap has left out, building the map anew if there is anything to drop. So the room that is left is filled here, and numbers that the
// last lap did not reach are forgotten one by one, unless they are so many that a new, smaller map is worth its price.
func (g *Segment) Reset() {
	for ; g.chunk < g.chunks; g.chunk, g.used = g.chunk+1, 0 {
		g.fill()
	}
	if g.records >= g.room-g.room/4 {
		for n := g.records + 1; n <= g.mapped; n++ {
			token := g.token(n)
			g.cache.Del(token[:])
		}
	} else {
		g.room = g.records // fewer than are mapped, for laps with so few end here: there is something to drop
	}
	g.mapped = g.records
	g.chunk, g.used, g.records = 0, 0, 0
	g.mark()
}

// mark writes record 0, which is empty: the one that turns to the first chunk. As it always has the same length, it overwrites only itself,
// and fastcache finds nothing outdated in its map at the turn.
func (g *Segment) mark() {
	token := g.token(0)
	g.cache.Set(token[:], nil)
	g.used = headBytes
	g.locate()
}

// fill uses up the chunk, so that no later record finds room in it. What is too small for any record needs no filling.
func (g *Segment) fill() {
	rest := chunkBytes - 1 - g.used - headBytes
	if rest < 0 {
		return
	}
	token := g.token(0)
	g.cache.Set(token[:], zeros[:rest])
}

var zeros [chunkBytes]byte // never written to

// Rest is the length of the longest record that still fits in the current chunk; negative if none does.
func (g *Segment) Rest() int { return chunkBytes - 1 - g.used - headBytes }

// Last reports whether the current chunk is the segment's last: then Rest is all that is left.
func (g *Segment) Last() bool { return g.chunk == g.chunks-1 }

// Records is the number of records of this lap: the next gets this number plus 1.
func (g *Segment) Records() int { return g.records }

// Mapped is the number of records that fastcache's map has room for: what MapBytes is to be asked for. Reset may lower it.
func (g *Segment) Mapped() int { return g.room + 1 }

// Reserve sees to it that the next record, if it has length bytes or more, lies in the current chunk: then Rest is for it. false if there is no room.
func (g *Segment) Reserve(length int) bool {
	if length <= g.Rest() {
		return true
	}
	if g.Last() || length > MaxRecordBytes {
		return false
	}
	g.chunk++
	g.used = 0
	return true
}

// Put appends a record of at most MaxRecordBytes and gives its number, counted from 1; 0 if the segment has no room for it.
func (g *Segment) Put(record []byte) int {
	if !g.Reserve(len(record)) {
		return 0
	}
	g.records++
	g.mapped = max(g.mapped, g.records)
	g.room = max(g.room, g.mapped)
	g.used += headBytes + len(record)
	token := g.token(g.records)
	g.cache.Set(token[:], record)
	g.locate()
	return g.records
}

// Next is the position in the segment of the record that a Put would add: of its first byte, that is, behind its head.
func (g *Segment) Next() int { return g.chunk*chunkBytes + g.used + headBytes }

// Next is the position of a record of this length behind one that ends at position end.
func Next(end, length int) int {
	if used := end % chunkBytes; used+headBytes+length >= chunkBytes {
		end += chunkBytes - used
	}
	return end + headBytes
}

// Append adds the record of this number to dst. If it is gone, dst comes back as it was.
func (g *Segment) Append(dst []byte, number int) []byte {
	token := g.token(number)
	return g.cache.Get(dst, token[:])
}

// token gives the key that fastcache will keep in this segment's bucket.
func (g *Segment) token(number int) (t [8]byte) {
	binary.LittleEndian.PutUint64(t[:], unhash(uint64(number)<<bucketBits|g.bucket))
	return t
}
