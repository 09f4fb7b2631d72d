package storage

import "github.com/memring/memring/storage/arena"

// How room is won back. The oldest segments are drained record by record: what is still wanted is copied to the head of a log, what is not is
// evicted, and the segment is free for a new lap.
//
//	            seen not long ago (ghost)
//	new item --------------------------------> | main ... newest |
//	    |                                        ^   |         ^
//	    v                        used: promoted  |   | oldest  | used: once more
//	| small ... newest | oldest -----------------+   v         |
//	    ^                  | overwritten, used       +---------+---> evicted
//	    +------------------+------> evicted, remembered in the ghost
//
// A segment that is dead for a good part is drained before all others, wherever it is: that costs little and wins much.
// The work is spread over the Puts, each doing a little more than it makes necessary, so that spareSegments are free; only a large value, or a
// run of bad luck, makes a Put wait for a whole segment.
const (
	spareSegments = 3

	// deadPercent of a segment make it worth draining before its time: copying the other 65 % is below twice the room won.
	deadPercent = 35
	// deadPercentNoEvict is the same where nothing may be evicted, so that room comes from the dead alone.
	deadPercentNoEvict = 5

	// smallPercent of the segments are the small log's: enough to see whether an item is asked for again, not more.
	smallPercent = 12

	// stepRecords are examined at least by a Put that has to; spreadFactor times its own bytes at the usual number of spare segments.
	stepRecords  = 4
	spreadFactor = 3

	// recordCost is what examining a record counts, in bytes of copying.
	recordCost = 64

	// moveFactor times its own bytes, and moveBytes over that, may be copied for a Put that waits; what is beyond is evicted.
	moveFactor = 3
	moveBytes  = 16 << 10

	// largerFactor times the good size makes an item need one more use to be spared.
	largerFactor = 4

	// spreadPart of the size that a byte belongs to in the mean is the good size, if that is above the mean size. For sizes as the web has them a
	// byte belongs to an item of 4 to 7 times the mean; evenly spread over 50 B to 180 KB, to one of 18 times.
	spreadPart = 6

	// maxMovedBytes: larger items are not copied to be spared, they would make a Put wait too long.
	maxMovedBytes = 4 << 20
)

// A reclaimer is the drain that is under way.
type reclaimer struct {
	victim  *segment
	next    uint32 // its record to be examined
	compact bool   // everything live is kept, in its log
}

// keepSpare drains a little, if too few segments are free, for a Put of this length. One that replaces an item makes as much dead as it adds: while
// only one segment is lacking nothing is evicted for it, for what was written last may soon be dead enough.
func (st *stripe) keepSpare(length int, replaces bool) {
	st.keepHeadroom()
	lacking := spareSegments - st.ready(spareSegments)
	if lacking <= 0 {
		return
	}
	work := (length + arena.OverheadBytes + recordCost) * spreadFactor * lacking
	quota := quota{examine: max(work, stepRecords*recordCost), move: 1 << 30, compact: replaces && lacking == 1}
	for quota.examine > 0 && len(st.free) < spareSegments {
		if !st.drain(&quota, false) {
			return
		}
	}
}

// makeRoom sees to it that the log can take an item of this length. false if it cannot be.
func (st *stripe) makeRoom(l *log, length int) bool {
	quota := quota{move: moveFactor*length + moveBytes}
	for tries := 2 * (len(st.segments) + 1); ; tries-- {
		// One segment more than needed, for what is spared.
		need := st.segmentsFor(l, length)
		if need == 0 || st.ready(need+1) > need {
			return true
		}
		quota.examine = 1 << 30
		if tries == 0 || !st.drain(&quota, true) {
			return len(st.free) >= need && !st.store.cfg.NoEvict
		}
	}
}

// segmentsFor is how many more segments the log needs at most for an item of this length.
func (st *stripe) segmentsFor(l *log, length int) int {
	if g := l.open(); g != nil && length <= arena.MaxRecordBytes && l.room(length) == length {
		if st.prepareMeta(g) {
			return 0
		}
	}
	if length <= splitBytes {
		return 1
	}
	// A chunk may lose leastSplitBytes at its end, and each record has its overhead.
	perChunk := arena.MaxRecordBytes - leastSplitBytes
	return 1 + length/(perChunk*(st.store.segmentBytes/arena.ChunkBytes))
}

// A quota is how much a drain may do: bytes to examine, bytes to copy. evict: whatever NoEvict says. compact: nothing is evicted to win room.
type quota struct {
	examine, move  int
	evict, compact bool
}

// drain goes on with the drain under way, or begins one. false if there is nothing to be drained.
func (st *stripe) drain(q *quota, force bool) bool {
	r := &st.reclaimer
	switch {
	case q.compact && !r.compact && !st.chooseDead(deadPercent):
		return false
	case r.victim == nil && !st.choose(force, st.store.cfg.NoEvict && !q.evict):
		return false
	}
	g := r.victim
	for ; int(r.next) <= g.count; r.next++ {
		if q.examine <= 0 {
			return true
		}
		st.drainAhead(g, r.next)
		m := g.meta(r.next)
		q.examine -= int(m.length) + arena.OverheadBytes + recordCost
		if m.has(dead) {
			continue
		}
		if !st.decide(q, g, r.next) {
			return false
		}
	}
	st.recycle(g)
	*r = reclaimer{}
	return true
}

// choose begins the drain of the segment that is to go next.
func (st *stripe) choose(force, noEvict bool) bool {
	if noEvict {
		return st.chooseDead(deadPercentNoEvict)
	}
	if st.chooseDead(deadPercent) {
		return true
	}
	first, second := &st.main, &st.small
	if st.small.count*100 > (st.small.count+st.main.count)*smallPercent {
		first, second = second, first
	}
	g := first.closedOldest(false)
	if g == nil {
		g = second.closedOldest(false)
	}
	if g == nil && force {
		if g = first.closedOldest(true); g == nil {
			g = second.closedOldest(true)
		}
	}
	if g == nil {
		return false
	}
	st.reclaimer = reclaimer{victim: g, next: 1}
	return true
}

// chooseDead begins the compaction of the deadest segment, if so many percent of it are dead. One whose drain was under way is left to be drained later.
func (st *stripe) chooseDead(percent int) bool {
	g := st.deadest()
	if g == nil || int(st.dead[g.id])*100 < g.written*percent {
		return false
	}
	st.reclaimer = reclaimer{victim: g, next: 1, compact: true}
	return true
}

// deadest is the closed segment with the most dead bytes; nil if none has any. It is asked for often, so the counts lie side by side: hundreds of
// segments are hundreds of cache lines.
func (st *stripe) deadest() (worst *segment) {
	most := uint32(0)
	for id, n := range st.dead {
		if n <= most {
			continue
		}
		if g := st.segments[id]; g.log != nil && g != g.log.open() {
			worst, most = g, n
		}
	}
	return worst
}

// closedOldest is the log's oldest segment, unless records are still added to it; then, if need be, it is closed.
func (l *log) closedOldest(need bool) *segment {
	if l.oldest == nil || l.oldest != l.open() {
		return l.oldest
	}
	if !need || l.oldest.count == 0 {
		return nil
	}
	l.close()
	return l.oldest
}

// decide spares or evicts the item of the live record n of g. false if it should be kept and cannot be.
func (st *stripe) decide(q *quota, g *segment, n uint32) bool {
	if m := g.meta(n); m.has(continuation) {
		g, n = st.locate(m.hash[0]) // the item as a whole
	}
	m := g.meta(n)
	if m.expired(st.store.clock.Now()) {
		if !m.has(tombstone) {
			st.count.Reclaimed++
		}
		st.remove(g, n, expired)
		return true
	}
	length := int(m.length)
	if m.has(continued) {
		length = st.itemLength(g, n)
	}
	to, bits := st.verdict(m, length, g.log == &st.small)
	noEvict := st.store.cfg.NoEvict && !q.evict
	if to != nil && (noEvict || length <= q.move && length <= maxMovedBytes) {
		if st.move(to, g, n, length, bits) {
			q.move -= length
			q.examine -= length
			return true
		}
	}
	if noEvict {
		return false
	}
	if m.has(tombstone) {
		st.unbury(g, n)
		return true
	}
	hash, small := m.key(), g.log == &st.small
	if wanted := st.store.cfg.Evictions; wanted != nil && wanted() {
		st.tellEvicted(g, n, length)
	}
	st.remove(g, n, evicted)
	if small {
		st.remember(&st.tables[st.store.tableOf(hash)], hash)
	}
	return true
}

// verdict says into which log an item goes, and with which bits; nil: it is to be evicted.
func (st *stripe) verdict(m meta, length int, small bool) (*log, metaBits) {
	own := &st.main
	if small {
		own = &st.small
	}
	if st.reclaimer.compact || m.has(tombstone) && st.tombstones <= maxTombstones(st.items) {
		return own, m.bits & (kept | hits | rewritten)
	}
	uses := m.bits & hits
	need := st.usesNeeded(length, m.key())
	switch {
	case uses < need:
		return nil, 0
	case small && m.has(rewritten):
		return &st.small, m.bits&kept | uses - need
	}
	return &st.main, m.bits&kept | uses - need
}

// maxTombstones bounds those that are spared: half as many as there are items, and some in any case. What deletes more than that has little left
// to lose by the mark that takes their place.
func maxTombstones(items int) int { return items/2 + 1000 }

// unbury removes a tombstone before its time. What it has kept from coming back is kept out by the mark now, with all that is as old.
func (st *stripe) unbury(g *segment, n uint32) {
	var it Item
	st.tail(g, n, &it)
	st.flushed = max(st.flushed, it.Version>>tagOfNodeBits)
	st.remove(g, n, evicted)
}

// usesNeeded is how often an item must have been used to be spared, so that what is used for its size stays: once for one of good size, and once
// more for each largerFactor times that. One that is an n-th of it needs a use by a chance of one in n*n, else none: it goes round some
// more times, as cheap as it is, and not for ever. However many there are, items below an n-th of it take less than an n-th of the room.
func (st *stripe) usesNeeded(length int, hash uint64) metaBits {
	length += recordToMC
	good := st.goodBytes()
	chance := int((hash ^ uint64(st.laps)) * 0x9E3779B97F4A7C15 >> 33) // another one in every lap; the factor stirs the bits (Knuth)
	if length < good {
		if chance%good >= length*length/good {
			return 0
		}
		return 1
	}
	need := length / (largerFactor * good)
	if chance%(largerFactor*good) < length%(largerFactor*good) {
		need++
	}
	return metaBits(max(1, min(need, 3)))
}

// goodBytes is the size that items are measured by: their mean, or, if sizes differ so much that a few items take most of the room, a part of the
// size that a byte belongs to in the mean.
func (st *stripe) goodBytes() int {
	if st.items == 0 {
		return 1
	}
	ofAByte := float64(st.squares) * (1 << squaresShift) / float64(st.bytes)
	return max(1, int(st.bytes)/st.items, int(ofAByte)/spreadPart)
}

// move copies the item to the head of a log. false if there is no room for it there.
func (st *stripe) move(to *log, g *segment, n uint32, length int, bits metaBits) bool {
	if need := st.segmentsFor(to, length); need > st.ready(need) {
		return false
	}
	m := g.meta(n).copy()
	split := m.has(continued)
	m.bits = bits
	var ref uint32
	if split || length > splitBytes {
		var it Item
		key, ok := st.load(g, n, &it, &st.moving)
		if !ok {
			st.remove(g, n, evicted)
			return true
		}
		ref = st.write(to, m, key, &it) // its records end elsewhere at its new place
	} else if st.open(to, length) == length {
		record := g.appendRecord(st.moving.take(packBytes), n)
		if len(record) != length {
			st.remove(g, n, evicted) // it was lost before
			return true
		}
		ref = st.add(to, m, record)
	}
	if ref == 0 {
		return false
	}
	hash := m.key()
	*st.find(&st.tables[st.store.tableOf(hash)], hash) = tagOf(hash)<<(32-tagBits) | ref
	st.bury(g, n)
	st.count.Moved++
	return true
}

// recycle makes a segment free: its lap has ended.
func (st *stripe) recycle(g *segment) {
	g.log.remove(g)
	g.epoch.Add(1)
	for i := range g.rows {
		st.sections = append(st.sections, g.rows[i].section)
	}
	clear(g.rows)
	st.dropSections()
	g.rows, g.count, g.begun, g.written, st.dead[g.id] = g.rows[:0], 0, 0, 0, 0
	g.records.Reset()
	st.dropMap(g)
	st.free = append(st.free, g)
	st.laps++
}
