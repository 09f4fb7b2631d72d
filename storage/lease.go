package storage

// Win notes that some client has been told to recache the item, so that no other is (Item.Won).
func (h *Held) Win() {
	if h.segment != nil {
		h.segment.meta(h.number).bits |= won
	}
}

// Leases reports whether the item is stale and nobody has been told yet to recache it: the next who asks is.
func (h *Held) Leases() bool {
	if h.segment == nil {
		return false
	}
	m := h.segment.meta(h.number)
	return m.has(stale) && !m.has(won)
}

// SetExpiry gives the item a new expiry (a Unix second, 0: never), without a use.
func (h *Held) SetExpiry(expiry int64) {
	switch {
	case h.segment == nil:
	case h.mourns(expiry):
		h.Delete()
	default:
		h.segment.meta(h.number).expiry = expiryOf(expiry)
	}
}

// PutWithCAS stores it with the CAS unique it has, which a client has chosen: any but 0 (which becomes 1), also below the old item's. Its version is
// a new one all the same, and what is put later has that as its CAS unique, above the one chosen or not. On an error nothing is stored, and the old
// item is gone.
func (h *Held) PutWithCAS(it Item) error {
	it.CAS = max(1, it.CAS)
	it.Version = h.nextVersion()
	return h.put(&it, 0)
}
