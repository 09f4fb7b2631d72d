package storage

// A Held is a key held: until Release nobody else reads or changes its item, so what is decided from Item still stands at Put.
//
//	held := store.Hold(key)
//	defer held.Release()
//	if old, found := held.Item(); found {
//		held.Put(...)
//	}
//
// It holds the stripe, thus other keys too: hold one key at a time, briefly, and send nothing meanwhile.
type Held struct {
	st      *stripe
	key     []byte
	hash    uint64
	now     int64
	segment *segment // of the item's first record; nil if there is no item
	number  uint32
	grave   uint32 // the reference of the tombstone, if there is one instead
	lapsed  bool   // the item had expired
}

// Hold waits for the key and holds it. key is read until Release.
func (s *Store) Hold(key []byte) Held {
	hash := Hash(key)
	st := s.stripe[s.stripeOf(hash)]
	st.mu.Lock()
	h := Held{st: st, key: key, hash: hash, now: st.settle()}
	before := st.count.GetExpired
	ref := st.there(hash, h.now)
	h.lapsed = st.count.GetExpired != before
	switch {
	case ref == 0:
	case st.meta(ref).has(tombstone):
		h.grave = ref
	default:
		h.segment, h.number = st.locate(ref)
	}
	return h
}

// Release lets the key go.
func (h *Held) Release() {
	st := h.st
	h.st = nil
	st.compose.release()
	st.reread.release()
	st.moving.release()
	st.mu.Unlock()
}

// Has reports whether there is an item under the key, for the price of no copy.
func (h *Held) Has() bool { return h.segment != nil }

// Item gives the item under the key. Its value is read into memory of the stripe, so it costs a copy, and is good until the next call on h.
// (As the Value of a Put it is good for that.) It does not count as use.
func (h *Held) Item() (it Item, found bool) {
	if h.segment == nil {
		return Item{}, false
	}
	key, ok := h.st.load(h.segment, h.number, &it, &h.st.reread)
	if !ok || string(key) != string(h.key) {
		h.st.remove(h.segment, h.number, evicted)
		h.segment = nil
		return Item{}, false
	}
	return it, true
}

// Look tells whether there is an item, and the length of its value, without reading it; lapsed: there was one, and it has expired.
func (h *Held) Look() (valueBytes int, found, lapsed bool) {
	if h.segment == nil {
		return 0, false, h.lapsed
	}
	length := h.st.itemLength(h.segment, h.number)
	return max(0, h.segment.meta(h.number).valueBytes(length, len(h.key))), true, false
}

// Use notes a use of the item, as Get does.
func (h *Held) Use() {
	if h.segment != nil {
		h.segment.meta(h.number).use(h.now)
	}
}

// Put stores it under the key, with a new CAS unique, which it gives back. On an error nothing is stored, and the old item is gone.
func (h *Held) Put(it Item) (cas uint64, err error) {
	it.CAS = h.nextVersion()
	it.Version = it.CAS
	return it.CAS, h.put(&it, 0)
}

// Install stores it with the version and the CAS unique it has, and what is known of its use, unless the item here is as new, or it was flushed or buried since. One that
// is Buried buries what is here.
// On an error nothing is stored, and the old item is gone.
func (h *Held) Install(it Item) (installed bool, err error) {
	if it.Version == 0 {
		it.Version = it.CAS
	}
	if it.Buried {
		return h.Bury(it.Version, it.Expiry), nil
	}
	if !h.newer(it.Version) {
		return false, nil
	}
	if err = h.install(it); err != nil {
		return false, err
	}
	return true, nil
}

// Mirror stores it as Install does, whatever is here: its holder has it so now. What was flushed here since goes. On an error the old item is gone.
func (h *Held) Mirror(it Item) error {
	if it.Version == 0 {
		it.Version = it.CAS
	}
	if it.Buried {
		if !h.entombUntil(it.Version, it.Expiry) {
			h.remove(deleted)
		}
		return nil
	}
	if h.st.flushed != 0 && it.Version>>tagOfNodeBits <= h.st.flushed {
		h.remove(deleted)
		return nil
	}
	return h.install(it)
}

func (h *Held) install(it Item) error {
	it.CAS = max(1, it.CAS)
	h.st.witness(it.Version)
	if err := h.put(&it, 0); err != nil {
		return err
	}
	m := h.segment.meta(h.number)
	if it.LastAccess > 0 && it.LastAccess <= h.now {
		m.access = uint32(it.LastAccess)
	}
	if it.Fetched {
		m.bits |= fetched | 1 // it has been of use elsewhere: not the first to be evicted
	}
	return nil
}

// Bury removes the item, if version, that of its deletion, is newer, and leaves a tombstone until the Unix second until: it keeps older
// versions from being installed. Tombstones take room as items do, but are not counted as such, and are spared until they expire. If there are
// too many, the oldest go, and with them goes the leave to install anything of the stripe that is as old. false if the item here is newer.
func (h *Held) Bury(version uint64, until int64) bool {
	if !h.newer(version) {
		return false
	}
	h.st.witness(version)
	if err := h.put(&Item{CAS: version, Version: version, Expiry: max(until, 1)}, tombstone); err != nil {
		h.st.flushed = max(h.st.flushed, version>>tagOfNodeBits)
		return true
	}
	h.grave = h.st.reference(h.segment, h.number)
	h.segment = nil
	return true
}

// newer reports whether a version is newer than all that is known of the key.
func (h *Held) newer(version uint64) bool {
	if version == 0 || version > maxVersion || h.st.flushed != 0 && version>>tagOfNodeBits <= h.st.flushed {
		return false
	}
	return version > h.version()
}

// version is that of the item or its tombstone; 0 if there is neither.
func (h *Held) version() uint64 {
	g, n := h.segment, h.number
	if h.grave != 0 {
		g, n = h.st.locate(h.grave)
	}
	if g == nil {
		return 0
	}
	var it Item
	if key, ok := h.st.tail(g, n, &it); !ok || h.grave == 0 && string(key) != string(h.key) {
		return 0 // lost, or another key's of the same hash
	}
	return it.Version
}

// put stores it; with a tombstone bit, as one.
func (h *Held) put(it *Item, as metaBits) error {
	st := h.st
	if h.grave != 0 {
		g, n := st.locate(h.grave)
		st.remove(g, n, overwritten)
		h.grave = 0
	}
	if len(h.key) > maxKey || st.store.TooLarge(len(h.key), len(it.Value), it.Flags) {
		h.remove(overwritten)
		return h.refuse(as, ErrTooLarge)
	}
	m := meta{&extent{bits: as}, &identity{hash: [2]uint32{uint32(h.hash), uint32(h.hash >> 32)}, expiry: expiryOf(it.Expiry), access: uint32(h.now)}}
	m.set(flagged, it.Flags != 0)
	m.set(chosen, it.Version != it.CAS)
	m.set(stale, it.Stale)
	m.set(won, it.Won)
	l := &st.small
	t := &st.tables[st.store.tableOf(h.hash)]
	if h.segment != nil {
		m.bits |= min(h.segment.meta(h.number).bits&hits+1, hits) | rewritten
		h.remove(overwritten)
	} else if t.recall(h.hash) {
		l = &st.main
	}
	if h.lapsed { // nobody asked for it: its room is taken, as memcached counts it
		h.lapsed = false
		st.count.GetExpired--
		st.count.Reclaimed++
	}
	length := recordBytes(h.key, it)
	st.keepSpare(length, m.has(rewritten))
	if !st.prepareLink(t) || !st.makeRoom(l, length) {
		return h.refuse(as, ErrNoMemory)
	}
	ref := st.write(l, m, h.key, it)
	if ref == 0 {
		return h.refuse(as, ErrNoMemory)
	}
	t.add(h.hash, tagOf(h.hash)<<(32-tagBits)|ref)
	h.segment, h.number = st.locate(ref)
	if as == tombstone {
		st.tombstones++
		st.graves += length + graveBytes
		return nil
	}
	st.items++
	st.bytes += int64(m.accounted(length))
	st.squares += squareOf(length)
	st.count.Stored++
	return nil
}

// refuse remembers that an item was not stored, for who asks why there is none.
func (h *Held) refuse(as metaBits, why error) error {
	if as != tombstone {
		h.st.fates.note(h.hash, Refused, h.now)
	}
	return why
}

// Delete removes the item, and leaves a tombstone if such are left (Store.Mourn). false if there was none.
func (h *Held) Delete() bool {
	if found, done := h.mourn(); done {
		return found
	}
	return h.remove(deleted)
}

// Grave gives the tombstone that is there in place of an item, as WalkAll does.
func (h *Held) Grave() (it Item, found bool) {
	if h.grave == 0 {
		return Item{}, false
	}
	g, n := h.st.locate(h.grave)
	if _, found = h.st.tail(g, n, &it); found {
		g.meta(n).tell(&it)
	}
	return it, found
}

func (h *Held) remove(why cause) bool {
	if h.segment == nil {
		return false
	}
	h.st.remove(h.segment, h.number, why)
	h.segment = nil
	return true
}

// Touch gives the item a new expiry (a Unix second, 0: never) and notes a use. Its CAS unique stays, as memcached's does. false if there is none.
func (h *Held) Touch(expiry int64) (found bool) {
	if h.segment == nil {
		return false
	}
	if h.mourns(expiry) {
		return h.Delete()
	}
	m := h.segment.meta(h.number)
	m.expiry = expiryOf(expiry)
	m.use(h.now)
	return true
}
