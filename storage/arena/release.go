package arena

import (
	"bytes"
	"reflect"
	"unsafe"

	"github.com/VictoriaMetrics/fastcache"
)

// fastcache takes memory from the system and keeps it. What a segment does not need any more is given back behind its back:
//
//	Cache.buckets[bucket].chunks[i] -> 64 KB of memory of its own -> "these pages may be taken"; they are zeros then, and taken anew when written
//
// To find the chunks is to know how fastcache's types are laid out, which nobody promises. So it is looked up by name and type, and the self-test
// compares what lies there with what it has written; if anything differs, nothing is ever given back, and nothing else changes.

// chunksAt is where a cache's list of a bucket's chunks lies: first + bucket*step. A step of 0: not known.
type chunksAt struct{ first, step uintptr }

// findChunks looks the place up.
func findChunks() (at chunksAt) {
	list, ok := reflect.TypeFor[fastcache.Cache]().FieldByName("buckets")
	if !ok || list.Type.Kind() != reflect.Array || list.Type.Len() != buckets || list.Type.Elem().Kind() != reflect.Struct {
		return chunksAt{}
	}
	chunks, ok := list.Type.Elem().FieldByName("chunks")
	if !ok || chunks.Type != reflect.TypeFor[[][]byte]() {
		return chunksAt{}
	}
	return chunksAt{first: list.Offset + chunks.Offset, step: list.Type.Elem().Size()}
}

// of gives the chunks of g that it has taken from the system.
func (at chunksAt) of(g *Segment) [][]byte {
	if at.step == 0 {
		return nil
	}
	return *(*[][]byte)(unsafe.Add(unsafe.Pointer(g.cache), at.first+uintptr(g.bucket)*at.step))
}

// right reports whether records of g lie where the mirror says that they begin: old[n-1] for record n of the first lap of the self-test.
func (at chunksAt) right(g *Segment, old []int) bool {
	chunks := at.of(g)
	if len(chunks) != g.chunks {
		return false
	}
	for i, position := range old {
		chunk, offset := chunks[position/chunkBytes], position%chunkBytes+headBytes
		if cap(chunk) != chunkBytes || !bytes.HasPrefix(chunk[:chunkBytes][offset:], testRecord(1, i+1, testRecordBytes[i%len(testRecordBytes)])) {
			return false
		}
	}
	return true
}

// Release gives the memory of a segment back to the system, and that of fastcache's map to the collector. false if it cannot be: then the process
// keeps it for later laps. The segment must have been Reset and not written to since; it can be used as before, taking memory as it fills.
// Readers that are late find nothing.
func (g *Segment) Release() bool {
	if g.mapped > 0 {
		g.records, g.mapped = 0, 0
		g.room = 1
		g.Reset() // an empty lap: fastcache finds its map outdated, and begins a new one
	}
	if g.at.step == 0 {
		return false
	}
	for _, chunk := range g.at.of(g) {
		if cap(chunk) == chunkBytes && !giveBack(chunk[:chunkBytes]) {
			return false
		}
	}
	return true
}
