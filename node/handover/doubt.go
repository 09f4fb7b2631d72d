package handover

import (
	"slices"

	"github.com/memring/memring/node/piece"
)

// Doubt says that this process has stood still for a while. The others may have taken it for dead and its partitions for their own, and stored what
// is newer than what is here. So before anything is answered from here they are asked: what one of them has is dropped here, and taken over from him
// if it is ours; what nobody has is held again. (CLUSTER.md 4.3, column C5.)
func (h *Handover) Doubt() {
	h.mu.Lock()
	if len(h.members) == 0 {
		h.mu.Unlock()
		return
	}
	doubts := 0
	for part := range h.parts {
		p := &h.parts[part]
		if state, _ := p.load(); state == held || state == arriving {
			p.store(doubted, 0)
			p.arrival.Store(nil)
			h.empty[part] = 0
			doubts++
		}
	}
	h.gate.wait() // what saw them held is done before they may be dropped
	h.spoilLocked()
	open := slices.Clone(h.arrivals)
	begin := h.beginLocked()
	h.mu.Unlock()
	for _, a := range open {
		h.end(a, true) // who gave it may have given it to somebody else since
	}
	h.stats.Doubts.Add(1)
	if doubts > 0 {
		h.cfg.Log.Warn("this process stood still for a while: asking the others before its items are served again", "partitions", doubts)
	}
	begin()
}

// clear drops what is here of those of parts that are in doubt: somebody else has them, so it may be out of date. Their requests wait meanwhile.
func (h *Handover) clear(parts piece.Set) {
	stale := piece.NewSet(len(h.parts))
	any := false
	for part := range parts.All() {
		if state, _ := h.parts[part].load(); state == doubted {
			stale.Add(part)
			any = true
		}
	}
	if !any {
		return
	}
	h.stats.Dropped.Add(int64(h.cfg.Store.Drop(func(hash uint64) bool { return stale.Has(int(h.partOf(hash))) })))
	h.cfg.Copies.Release(stale)
	h.mu.Lock()
	defer h.mu.Unlock()
	for part := range stale.All() {
		p := &h.parts[part]
		if state, _ := p.load(); state != doubted {
			continue
		}
		if p.store(foreign, 0); h.ownsLocked(uint32(part)) {
			p.store(wanted, 0)
			h.empty[part] = 0
		}
	}
	h.wakeLocked()
}
