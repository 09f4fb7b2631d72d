package storage

import (
	"fmt"

	"github.com/memring/memring/storage/arena"
)

// Config says how much a Store may keep, and in which ways. The zero Config is a good one, and is memcached's.
type Config struct {
	// MaxBytes (-m) bounds all memory that grows with what is stored: arena, metas, index, ghost, and fastcache's own maps.
	// Default 64 MB, least 1 MB. Small ones lose more to fixed costs: of 1 MB about half holds items.
	MaxBytes int64

	// OwnBytes of MaxBytes are not for items, but for what the process takes besides: at most an eighth of MaxBytes. Default 0.
	OwnBytes int64

	// MaxItemBytes (-I) is the largest item, counted as memcached does: 48 + 8 + key + 1 + 4 (if it has flags) + value + 2 bytes.
	// Default 1 MiB, 1 KiB to 1 GiB, and at most half of MaxBytes unless it is the default. Large ones cost concurrency: a stripe must hold
	// several such items, so there are fewer stripes.
	MaxItemBytes int

	// NoEvict (-M) answers a store that has no room with an error, and keeps what is there.
	NoEvict bool

	// Partitions is how many partitions the hashes of keys are cut into: that of a hash is hash modulo Partitions. What walks through some of them looks at
	// little else. Default 1, at most 262,144.
	Partitions int

	// Clock gives the time. Default: one of its own, stopped by Close.
	Clock *Clock

	// Evictions says whether anybody wants to know what is evicted; Evicted is told of each item only while that is so, for it costs a look at the
	// record. Both are called with a stripe held: they must be quick, and ask nothing of the Store. Default nil: nobody does.
	Evictions func() bool
	Evicted   func(e Eviction)

	// NodeTag tells the CAS uniques of this node from those that others give at the same moment: 0 to 511, different for each.
	NodeTag uint16
}

const (
	defaultMaxBytes     = 64 << 20
	leastMaxBytes       = 1 << 20
	defaultMaxItemBytes = 1 << 20
	leastMaxItemBytes   = 1 << 10
	mostMaxItemBytes    = 1 << 30
	mostPartitions      = 1 << 18
)

// Validate says which flag to change, and how.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.MaxBytes < leastMaxBytes:
		return fmt.Errorf("-m %d bytes: give at least %d", c.MaxBytes, leastMaxBytes)
	case c.MaxItemBytes < leastMaxItemBytes || c.MaxItemBytes > mostMaxItemBytes:
		return fmt.Errorf("-I %d: give %d to %d bytes", c.MaxItemBytes, leastMaxItemBytes, mostMaxItemBytes)
	case c.MaxItemBytes > defaultMaxItemBytes && int64(c.MaxItemBytes) > c.MaxBytes/2:
		return fmt.Errorf("-I %d is over half of -m: give at most %d, or a larger -m", c.MaxItemBytes, c.MaxBytes/2)
	case c.Partitions < 1 || c.Partitions > mostPartitions:
		return fmt.Errorf("%d partitions: give 1 to %d", c.Partitions, mostPartitions)
	case c.NodeTag > maxNodeTag:
		return fmt.Errorf("node tag %d: give 0 to %d", c.NodeTag, maxNodeTag)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MaxItemBytes == 0 {
		c.MaxItemBytes = defaultMaxItemBytes
	}
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	return c
}

// A layout is how the memory is divided.
//
// A reference to a record is 32 bits: | tag 6 | segment | number of the record |. The last two share 26 bits.
type layout struct {
	stripes      int // a power of two
	segmentBytes int
	tables       int  // of each stripe's index
	recordBits   uint // of a reference
	bySpread     divisor

	partitions, spread int // spreadOf
	byParts            divisor
}

const (
	// A stripe should have the memory for some hundred segments: for fewer, the spare ones weigh too much, and what is drained is not the
	// oldest but a large part of all.
	leastStripeBytes = 32 << 20
	maxStripes       = 64

	// maxSegmentBytes bounds the work at the end of a lap, which is done at once: some 25 us for 50-byte values.
	maxSegmentBytes = 256 << 10
	goodSegments    = 512

	// tableBytes is the memory per table of the index: a table grows at once, some 500 references of the smallest items. What each refers to is
	// asked for its hash, a cache miss.
	tableBytes = 64 << 10

	tagBits       = 6
	maxRecordBits = 14
	leastRecord   = tailBytes + 1 + arena.OverheadBytes // a key of one byte, no value
)

// divide gives the layout for a valid Config.
func (c Config) divide() layout {
	l := layout{stripes: 1, segmentBytes: arena.ChunkBytes, tables: 4}
	for l.stripes < maxStripes {
		half := c.MaxBytes / int64(2*l.stripes)
		if half < leastStripeBytes || half < 4*int64(c.MaxItemBytes) {
			break
		}
		l.stripes *= 2
	}
	share := c.MaxBytes / int64(l.stripes)
	for l.segmentBytes < maxSegmentBytes && share/int64(l.segmentBytes) > goodSegments || share/int64(l.segmentBytes) > l.maxSegments()/2 {
		l.segmentBytes *= 2
	}
	l.tables = max(l.tables, int(share/tableBytes))
	l.partitions, l.spread = c.Partitions, spreadOf(c.Partitions, l.tables)
	l.byParts, l.bySpread = divisorOf(l.partitions), divisorOf(l.spread)
	for l.recordBits = 1; l.segmentBytes/leastRecord >= 1<<l.recordBits && l.recordBits < maxRecordBits; {
		l.recordBits++
	}
	return l
}

// share is what a stripe may use of a limit. fastcache prepares 512 buckets at a time, whether all are used or not.
func (s *Store) share(maxBytes int64) int {
	maxBytes -= min(s.cfg.OwnBytes, maxBytes/8)
	caches := (maxBytes/int64(s.segmentBytes) + 511) / 512
	return int((maxBytes - caches*arena.CacheBytes) / int64(s.stripes))
}

// maxSegments is how many segments of a stripe a reference can tell apart, at the least.
func (layout) maxSegments() int64 { return 1 << (32 - tagBits - maxRecordBits) }
