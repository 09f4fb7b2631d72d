package storage

// Win notes that some client has been told to recache the item, so that no other is (Item.Won).
func (h *Held) Win() {
	if h.segment != nil {
		h.segment.meta(h.number).bits |= won
	}
}

// SetExpiry gives the item a new expiry (a Unix second, 0: never), without a use.
func (h *Held) SetExpiry(expiry int64) {
	if h.segment != nil {
		h.segment.meta(h.number).expiry = expiryOf(expiry)
	}
}

// PutWithCAS stores it with the CAS unique it has, which a client has chosen: any but 0 (which becomes 1), also below the old item's. What is
// put later is above it, unless it lies over an hour ahead of the clock. On an error nothing is stored, and the old item is gone.
func (h *Held) PutWithCAS(it Item) error {
	it.CAS = max(1, it.CAS)
	h.st.witness(it.CAS)
	return h.put(&it, 0)
}
