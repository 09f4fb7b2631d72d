// Package arena keeps records in segments, append-only logs that the caller fills, reads and begins anew; it is the only room that knows fastcache.
//
// A fastcache.Cache hashes a key to one of 512 buckets, and each bucket writes its records one after the other into 64 KB chunks, starting over
// when the last is full. The hash, xxhash64, of an 8-byte key is a bijection: a key, here called a token, can be computed for any wanted hash.
// So fastcache, unchanged and through Set and Get alone, writes where we choose, in the order we choose:
//
//	segment n = bucket n % 512 of cache n / 512
//	record k of a segment's lap  ->  token = inverse(k<<9 | bucket)  ->  hash % 512 = bucket
//
//	bucket:  | mark | 1 | 2 | 3 | ... | k |          room left           |
//	                                        ^ the next record goes here
//
// In every lap the records are numbered 1, 2, 3..., so the bucket's own map holds the same small set of keys for ever. What a Put overwrites is
// known beforehand, and a record is gone only after the caller has said so with Reset.
//
// A Segment has one writer at a time (the caller's lock); reading needs no lock. A reader may meet the record of a later lap under the number it
// knows: what a record says about itself must be checked by the caller.
package arena

import (
	"fmt"
	"sync"

	"github.com/VictoriaMetrics/fastcache"
)

const (
	buckets    = 512      // of a fastcache.Cache; the low 9 bits of the hash
	bucketBits = 9        //
	chunkBytes = 64 << 10 // of a fastcache bucket; a record lies within one

	// headBytes is what fastcache adds to a record: two lengths of 2 bytes, and our token.
	headBytes = 4 + 8

	// MaxRecordBytes is the longest record: with its head it may not reach the last byte of a chunk.
	MaxRecordBytes = chunkBytes - 1 - headBytes

	// ChunkBytes is the unit of a segment's size: no record crosses its end.
	ChunkBytes = chunkBytes

	// OverheadBytes is what every record takes of a segment's room, over its own length.
	OverheadBytes = headBytes
)

// An Arena hands out segments of one size.
type Arena struct {
	segmentBytes int
	at           chunksAt // where fastcache's chunks are found, to be given back

	mu     sync.Mutex         // guards what follows
	caches []*fastcache.Cache // the last may have buckets to give
	given  int                // buckets taken
	tried  Segment            // the one that the self-test has used, until it is handed out
}

// New gives an Arena whose segments have segmentBytes each, a multiple of ChunkBytes. It tries fastcache before it trusts it: an error means
// that this fastcache does not write as the one this room was made for.
func New(segmentBytes int) (*Arena, error) {
	if segmentBytes <= 0 || segmentBytes%chunkBytes != 0 {
		return nil, fmt.Errorf("arena: segments of %d bytes: not a multiple of %d", segmentBytes, chunkBytes)
	}
	a := &Arena{segmentBytes: segmentBytes, at: findChunks()}
	g := a.NewSegment()
	if err := selfTest(&g); err != nil {
		return nil, fmt.Errorf("arena: this fastcache is not the v1.13.0 that memring is made for: %w", err)
	}
	a.at = g.at
	g.Reset()
	a.tried = g
	return a, nil
}

// NewSegment hands out a segment, empty and ready. Its memory is taken from the system as it fills, and stays taken until Release.
// It is given by value, for its owner to keep beside what else is needed to read a record; it is not to be copied once it is in use.
func (a *Arena) NewSegment() Segment {
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.tried; g.cache != nil {
		a.tried = Segment{}
		return g
	}
	bucket := a.given % buckets
	if bucket == 0 {
		a.caches = append(a.caches, fastcache.New(a.segmentBytes*buckets))
	}
	a.given++
	return newSegment(a.caches[len(a.caches)-1], bucket, a.segmentBytes/chunkBytes, a.at)
}

// Close gives all memory back to fastcache, which keeps it for other arenas of this process. No segment may be used any more; a late reader
// finds nothing.
func (a *Arena) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.caches {
		c.Reset()
	}
	a.caches = nil
}

// CacheBytes is what fastcache takes on the heap for 512 segments, used or not.
const CacheBytes = 512 * 256

// MapBytes says what fastcache's own map takes on the heap once a segment has held the given number of records.
// Go's maps keep 8 pairs of 16 bytes in a group of 136, double up to 1024 places and fill at most 7/8 of them; beyond, they split.
func MapBytes(records int) int {
	const pairBytes, splitAt = 17, 896
	if records >= splitAt {
		return records * pairBytes * 10 / 7
	}
	places := 8
	for places*7/8 < records {
		places *= 2
	}
	return places * pairBytes
}
