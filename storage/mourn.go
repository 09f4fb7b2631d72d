package storage

// While members are out of reach they may go on with older versions of what is deleted here, and bring them along when they are back. So a Store that is told to Mourn
// leaves tombstones, and these go over with a partition as its items do.

const (
	// maxGraves and maxGraveBytes bound the tombstones that are left, of all stripes together. What is over is kept out by a mark, with all that is as old (see Bury).
	maxGraves     = 1 << 20
	maxGraveBytes = 64 << 20
	// graveBytes is what a tombstone takes beside its record: its meta, and its share of the index.
	graveBytes = metaBytes + 12
	// lapsedBytes is how long an item may be that becomes its own tombstone when it expires, value and all.
	lapsedBytes = 256
)

// Mourn has all that is deleted from now on, or expires, leave a tombstone for so many seconds; 0: no more. Those that are there stay for their time.
func (s *Store) Mourn(seconds int64) { s.mourning.Store(seconds) }

// Tombstones counts those that are there.
func (s *Store) Tombstones() (count int) {
	for _, st := range s.stripe {
		st.mu.Lock()
		count += st.tombstones
		st.mu.Unlock()
	}
	return count
}

// crowded reports whether there is no room for one more tombstone of that length.
func (st *stripe) crowded(length int) bool {
	n := len(st.store.stripe)
	return st.tombstones >= maxGraves/n || st.graves+length+graveBytes > maxGraveBytes/n
}

// mourn removes the item under the key for good, whether it is here or only elsewhere; found tells which. false if nothing is mourned.
func (h *Held) mourn() (found, done bool) {
	seconds := h.st.store.mourning.Load()
	if seconds == 0 {
		return false, false
	}
	version := h.nextVersion()
	found = h.remove(deleted)
	h.entomb(version, h.now+seconds)
	return found, true
}

// Stamp gives a version to what is deleted here now, greater than all that is known of the key, for who may have to Entomb it later.
func (h *Held) Stamp() uint64 { return h.nextVersion() }

// Entomb leaves a tombstone of a deletion of that version for so many seconds, or if there is no room for it a mark; false if what is here is newer.
func (h *Held) Entomb(version uint64, seconds int64) bool {
	return h.entombUntil(version, h.now+seconds)
}

// entombUntil is Entomb until a Unix second.
func (h *Held) entombUntil(version uint64, until int64) bool {
	if !h.newer(version) {
		return false
	}
	h.remove(deleted)
	h.entomb(version, until)
	return true
}

// mourns reports whether to give an item this expiry is a deletion by another name, which is to be mourned as one.
func (h *Held) mourns(expiry int64) bool {
	return expiry != 0 && expiry <= h.now && h.st.store.mourning.Load() != 0
}

// entomb leaves a tombstone where there is no item any more, or if there is no room for it, a mark.
func (h *Held) entomb(version uint64, until int64) {
	if h.st.crowded(len(h.key)+tailBytes) || !h.Bury(version, until) {
		h.st.flushed = max(h.st.flushed, version>>tagOfNodeBits)
	}
}

// lapse makes an expired item its own tombstone, if such things are mourned: its version is not above that of what it replaced elsewhere. false if it is only to be removed.
func (st *stripe) lapse(g *segment, n uint32, now int64) bool {
	seconds, m := st.store.mourning.Load(), g.meta(n)
	if seconds == 0 || m.has(tombstone) {
		return false
	}
	length := st.itemLength(g, n)
	if length > lapsedBytes || m.has(continued) || st.crowded(length) {
		var it Item
		st.tail(g, n, &it)
		st.flushed = max(st.flushed, it.Version>>tagOfNodeBits)
		return false
	}
	st.forget(m, length, expired)
	m.bits = m.bits&^(fetched|stale|won) | tombstone
	m.expiry = expiryOf(now + seconds)
	st.tombstones++
	st.graves += length + graveBytes
	return true
}
