package handover

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// A progress counts what of a move has gone over.
type progress struct{ items, bytes atomic.Int64 }

// A Report says how far a move is, as this end of it sees it. Both ends call it by the former holder and his number.
type Report struct {
	From, To     string // member ids
	Number       uint64 // counted from its start
	Partitions   int
	Items, Bytes int64 // so far, in pieces: sent by the former holder, or installed by the new one. What was fetched key by key is not among them
}

// Moves reports what is under way: first what arrives here, then what was given away and is not with its new holder yet. Each in the order of the
// other member's id.
func (h *Handover) Moves() (reports []Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.arrivals {
		reports = append(reports, Report{
			From: a.from.ID, To: h.cfg.Self.ID, Number: a.move - a.from.Boot, Partitions: a.parts, Items: a.items.Load(), Bytes: a.bytes.Load(),
		})
	}
	arrivals := len(reports)
	parts := make(map[uint64]int, len(h.moves))
	for i := range h.parts {
		if state, number := h.parts[i].load(); state == given {
			parts[number]++
		}
	}
	for number, m := range h.moves {
		if parts[number] > 0 && !m.pulled { // none: he has asked for them again, under another number
			reports = append(reports, Report{
				From: h.cfg.Self.ID, To: m.to.ID, Number: number - h.cfg.Self.Boot, Partitions: parts[number], Items: m.items.Load(), Bytes: m.bytes.Load(),
			})
		}
	}
	order := func(a, b Report) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Number, b.Number))
	}
	slices.SortFunc(reports[:arrivals], order)
	slices.SortFunc(reports[arrivals:], order)
	return reports
}

// Left counts the partitions that are not with a new holder yet: what a member that drains waits for.
func (c Count) Left() int { return c.Held + c.Wanted + c.Arriving + c.Given }
