package handover

import (
	"slices"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// Doubt says that this process has stood still for a while. The others may have taken it for dead and its partitions for their own, and stored what
// is newer than what is here. So before anything is answered from here they are asked: what one of them has is dropped here, and taken over from him
// if it is ours; what nobody has is held again. (CLUSTER.md 4.3, column C5.)
//
// Of what is arriving one member can tell: as long as who gave it keeps it for us he has not taken us for dead, and nobody else was given it. If so it goes on arriving.
func (h *Handover) Doubt() {
	h.mu.Lock()
	if len(h.members) == 0 {
		h.mu.Unlock()
		return
	}
	doubts := 0
	for part := range h.parts {
		p := &h.parts[part]
		switch state, _ := p.load(); {
		case state == held:
			h.coming.Store(part, nil)
		case state == arriving && h.orphanedLocked(part):
			h.coming.Store(part, nil)
			h.shortLocked(uint32(part))
		case state != arriving:
			continue
		}
		p.store(doubted, 0)
		h.empty[part] = 0
		doubts++
	}
	h.gate.wait() // what saw them held is done before they may be dropped
	h.spoilLocked()
	h.doubts++
	number, open := h.doubts, slices.Clone(h.arrivals)
	begin := h.beginLocked()
	h.mu.Unlock()
	for _, a := range open {
		h.confirm(a, number)
	}
	h.stats.Doubts.Add(1)
	if doubts > 0 {
		h.cfg.Log.Warn("this process stood still for a while: asking the others before its items are served again", "partitions", doubts)
	}
	begin()
}

// suspendedLocked reports whether a partition is in doubt that its giver may still keep for us: nobody else is asked until he has told.
func (h *Handover) suspendedLocked(part int) bool {
	state, _ := h.parts[part].load()
	return state == doubted && h.coming.Load(part) != nil
}

// confirm asks who gives an arrival, by asking for a piece of it, whether he still does, and goes on with it then. number is that of the doubt: after another one an answer proves
// nothing.
func (h *Handover) confirm(a *arrival, number uint64) {
	h.mu.Lock()
	gone := h.goneLocked(a.from)
	over := h.doubts != number || a.over.Load() || h.stopped
	h.mu.Unlock()
	if over {
		return
	}
	if gone {
		h.giveUp(a)
		return
	}
	req := protocol.Request{Op: protocol.Pull, Delta: a.move, Value: append(piece.AppendCursor(nil, storage.Cursor{}), a.lacks...)}
	h.cfg.Await(h.cfg.Send(a.from.ID, &req), func(resp *protocol.Response) {
		switch {
		case resp.Status.FromPeer() && resp.Status != protocol.PeerMoved:
			h.cfg.After(retryAfter, func() { h.confirm(a, number) })
		case resp.Status != protocol.OK:
			h.giveUp(a)
		default:
			h.resume(a, number)
		}
	})
}

// resume has an arrival go on that was in doubt.
func (h *Handover) resume(a *arrival, number uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.doubts != number || a.over.Load() {
		return
	}
	for part := range h.parts {
		if h.coming.Load(part) == a && h.suspendedLocked(part) {
			h.parts[part].store(arriving, 0)
		}
	}
	h.wakeLocked()
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
	h.stats.Dropped.Add(int64(h.cfg.Store.Drop(stale.Has)))
	h.cfg.Copies.Release(stale)
	h.mu.Lock()
	defer h.mu.Unlock()
	for part := range stale.All() {
		p := &h.parts[part]
		if state, _ := p.load(); state != doubted {
			continue
		}
		h.coming.Store(part, nil)
		if p.store(foreign, 0); h.ownsLocked(uint32(part)) {
			p.store(wanted, 0)
			h.empty[part] = 0
		}
	}
	h.wakeLocked()
}
