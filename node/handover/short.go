package handover

import (
	"time"

	"github.com/memring/memring/node/piece"
)

// What partitions have lost is remembered here, for backups: they say what may be missing, and a partition that began empty looks like any other.

// shortLocked notes that a partition begins or goes on here with less than there was of it: who had the rest is gone, or is taken for that. A process that starts knows of nothing that
// there was, so it notes all that it begins empty.
func (h *Handover) shortLocked(part uint32) { h.short[part] = time.Since(h.born) }

// Short gives the partitions that have begun here within a span, or gone on, with less than there was of them, as far as is known here; also those that are another's by now.
func (h *Handover) Short(span time.Duration) piece.Set {
	short := piece.NewSet(len(h.parts))
	h.mu.Lock()
	defer h.mu.Unlock()
	since := time.Since(h.born) - span
	for part, at := range h.short {
		if at > 0 && at >= since {
			short.Add(part)
		}
	}
	return short
}

// giveUp ends an arrival of which more was to come.
func (h *Handover) giveUp(a *arrival) {
	h.mu.Lock()
	for part := range h.parts {
		if h.coming.Load(part) == a {
			h.shortLocked(uint32(part))
		}
	}
	h.mu.Unlock()
	h.end(a, true)
}
