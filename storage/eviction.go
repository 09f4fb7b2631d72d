package storage

// An Eviction is what is told of an item that is evicted. Key is good until the one told returns.
type Eviction struct {
	Key        []byte
	ValueBytes int
	Expiry     int64 // the Unix second; 0: never
	LastAccess int64 // the Unix second
	Fetched    bool  // used since it was stored
}

// tellEvicted tells who watches of the item whose first record, n of g, is about to go; length is that of all its records. The key stands in the
// first, so no more is read.
func (st *stripe) tellEvicted(g *segment, n uint32, length int) {
	m := g.meta(n)
	var it Item
	key, ok := st.tail(g, n, &it)
	if !ok {
		return // it was lost before
	}
	st.store.cfg.Evicted(Eviction{
		Key:        key,
		ValueBytes: m.valueBytes(length, len(key)),
		Expiry:     int64(m.expiry),
		LastAccess: int64(m.access),
		Fetched:    m.has(fetched),
	})
}
