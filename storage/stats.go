package storage

// Stats are numbers of a Store. They are exact: Stored is the sum of Items and all of Removed.
type Stats struct {
	Items      int    // now
	Bytes      int64  // of them, as memcached counts: header, key and value
	TotalItems uint64 // stored since the start

	Evictions        uint64
	EvictedUnfetched uint64 // of these, never used since they were stored
	EvictedActive    uint64 // of these, used since they were written or spared; evicted for their size, or in a rush
	EvictedNonzero   uint64 // of these, with an expiry
	EvictedTime      int64  // seconds for which the latest of these had not been used
	Age              int64  // seconds for which the item has not been used that is longest in its log
	Expired          uint64
	ExpiredUnfetched uint64
	Reclaimed        uint64 // of the expired, met when room was made or stored over; and all that were flushed, whose room is won back at once
	GetExpired       uint64 // of the expired, met by a request
	Crawled          uint64 // of the expired, met by Crawl
	Deleted          uint64
	Overwritten      uint64
	Flushed          uint64
	Dropped          uint64 // with their partition

	Moved    uint64 // copies made of items, to spare them or their neighbours
	Segments int    // of the arena in use
	Retired  int64  // bytes of the arena that the process has, and may not use any more: none, where memory can be given back (Linux)
	Memory   int64  // charged to the limit
	Limit    int64
}

// counts are what a stripe counts.
type counts struct {
	Stored           uint64
	Removed          [causes]uint64
	EvictedUnfetched uint64
	EvictedActive    uint64
	EvictedNonzero   uint64
	EvictedTime      int64
	evictedAt        int64 // the second of the latest
	ExpiredUnfetched uint64
	Reclaimed        uint64
	GetExpired       uint64
	Crawled          uint64
	Moved            uint64
}

// Stats adds the stripes up, one after the other.
func (s *Store) Stats() Stats {
	sum := Stats{Limit: s.limit.Load()}
	latest := int64(0)
	for _, st := range s.stripe {
		st.mu.Lock()
		now := st.settle()
		c := &st.count
		if c.evictedAt > latest {
			latest, sum.EvictedTime = c.evictedAt, c.EvictedTime
		}
		sum.Age = max(sum.Age, st.small.age(now), st.main.age(now))
		sum.Items += st.items
		sum.Bytes += st.bytes
		sum.TotalItems += c.Stored
		sum.Evictions += c.Removed[evicted]
		sum.EvictedUnfetched += c.EvictedUnfetched
		sum.EvictedActive += c.EvictedActive
		sum.EvictedNonzero += c.EvictedNonzero
		sum.Expired += c.Removed[expired]
		sum.ExpiredUnfetched += c.ExpiredUnfetched
		sum.Reclaimed += c.Reclaimed
		sum.GetExpired += c.GetExpired
		sum.Crawled += c.Crawled
		sum.Deleted += c.Removed[deleted]
		sum.Overwritten += c.Removed[overwritten]
		sum.Flushed += c.Removed[flushed]
		sum.Dropped += c.Removed[dropped]
		sum.Moved += c.Moved
		sum.Segments += st.inUse()
		sum.Retired += int64(st.unreleased * s.segmentBytes)
		sum.Memory += int64(st.charged)
		st.mu.Unlock()
	}
	return sum
}

// ResetStats sets what is counted back to 0; items, bytes and memory are as they are.
func (s *Store) ResetStats() {
	for _, st := range s.stripe {
		st.mu.Lock()
		st.count = counts{}
		st.mu.Unlock()
	}
}

// age is for how many seconds the item that is longest in the log has not been used; 0 if its oldest segment holds none.
func (l *log) age(now int64) int64 {
	if l.oldest == nil {
		return 0
	}
	for n := 1; n <= l.oldest.count; n++ {
		if m := l.oldest.meta(uint32(n)); !m.has(dead | continuation | tombstone) {
			return max(0, now-int64(m.access))
		}
	}
	return 0
}
