package node

// Tuning are settings of memcached's slabs, and of what keeps them tidy. All but LRUCrawler have no effect on this store, which has neither
// slabs nor LRU lists: they are checked at start (cmd/memring), and "stats settings" repeats them, so that what looks for them finds what was
// asked for. As in memcached, some decide which lines "stats" has.
type Tuning struct {
	GrowthFactor float64 // -f
	ChunkBytes   int     // -n: the least space of an item

	HashPower     int    // -o hashpower; 0: not given
	HashAlgorithm string // -o hash_algorithm

	SlabChunkMaxBytes   int     // -o slab_chunk_max
	SlabReassign        bool    // -o slab_reassign: "stats" has the lines slab_*
	SlabAutomove        int     // -o slab_automove
	SlabAutomoveRatio   float64 // -o slab_automove_ratio
	SlabAutomoveSeconds int     // -o slab_automove_window

	LRUCrawler        bool    // -o lru_crawler: expired items are looked for in the background; "stats" has the lines lru_crawler_*
	LRUCrawlerSleep   int     // -o lru_crawler_sleep, in microseconds
	LRUCrawlerToCrawl uint32  // -o lru_crawler_tocrawl
	LRUMaintainer     bool    // -o lru_maintainer: "stats" has the lines moves_* and others
	LRUSegmented      bool    // follows LRUMaintainer
	HotPercent        int     // -o hot_lru_pct
	WarmPercent       int     // -o warm_lru_pct
	HotMaxFactor      float64 // -o hot_max_factor
	WarmMaxFactor     float64 // -o warm_max_factor
	TempLRU           bool    // -o temporary_ttl was given
	TemporaryTTL      int     // -o temporary_ttl, in seconds

	TailRepairSeconds  int    // -o tail_repair_time; 0: never
	WatcherBufferBytes int    // -o watcher_logbuf_size
	WorkerBufferBytes  int    // -o worker_logbuf_size
	TrackSizes         bool   // -o track_sizes
	MemoryFile         string // -e
	NAPIIDs            int    // -N
}

// DefaultTuning gives memcached's.
func DefaultTuning() Tuning {
	return Tuning{
		GrowthFactor:        1.25,
		ChunkBytes:          48,
		HashAlgorithm:       "murmur3",
		SlabChunkMaxBytes:   512 << 10,
		SlabReassign:        true,
		SlabAutomove:        1,
		SlabAutomoveRatio:   0.8,
		SlabAutomoveSeconds: 10,
		LRUCrawler:          true,
		LRUCrawlerSleep:     100,
		LRUMaintainer:       true,
		LRUSegmented:        true,
		HotPercent:          20,
		WarmPercent:         40,
		HotMaxFactor:        0.2,
		WarmMaxFactor:       2,
		TemporaryTTL:        61,
		WatcherBufferBytes:  256 << 10,
		WorkerBufferBytes:   64 << 10,
	}
}
