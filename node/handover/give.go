package handover

import (
	"maps"
	"slices"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// A move is what was given to a member in one answer, until he has all of it.
type move struct {
	number uint64
	to     Member
	parts  int
	progress
	pulled bool // he has all that he wants of it, or is gone: what is left is to be dropped
}

// A Door answers other members on copy lanes.
type Door struct{ h *Handover }

// Door gives the handler for copy lanes.
func (h *Handover) Door() Door { return Door{h} }

// Handle implements protocol.Handler.
func (d Door) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Takeover:
		d.h.give(req, resp)
	case protocol.Fetch:
		d.h.lend(req, resp)
	case protocol.Pull:
		d.h.piece(req, resp)
	case protocol.Pulled:
		d.h.forget(req, resp)
	case protocol.Offer:
		d.h.offered(req, resp)
	default:
		resp.Status = protocol.UnknownCommand
	}
	return nil
}

// give gives away what is held here and another's by the table, to him who asks.
func (h *Handover) give(req *protocol.Request, resp *protocol.Response) {
	var a ask
	if !a.parse(req.Value, len(h.parts)) {
		resp.Fail("no partitions asked for")
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if a.count <= h.heard[a.from] {
		resp.Fail("asked again since") // it was long under way, and its answer is not waited for
		return
	}
	h.heard[a.from] = a.count
	answer := h.nothingLocked()
	place := -1
	if h.table != nil && h.aliveLocked(a.from) {
		place = h.table.Index(a.from.ID)
	}
	early := a.view != h.view
	m := &move{number: h.moved + 1, to: a.from}
	for part := range a.parts.all() {
		p := &h.parts[part]
		state, number := p.load()
		his := place >= 0 && h.table.Owner(uint32(part)) == place && place != h.self
		former := h.moves[number] // of a given one: to whom
		hisAlready := state == given && former != nil && former.to == a.from
		if hisAlready && !a.again.has(part) {
			former.pulled = true // he has heard of it and asks anew: what is here is older than what he had
		}
		switch {
		case state == foreign:
		case state == wanted:
			answer.wants.set(part)
		case state == held && his, hisAlready && !former.pulled:
			// Given already, and he asks again: our answer has not reached him.
			if hisAlready {
				if former.parts--; former.parts == 0 {
					delete(h.moves, former.number)
				}
			}
			p.store(given, m.number)
			answer.given.set(part)
			m.parts++
		default:
			early = early || state == held && !his
			answer.contests.set(part)
			if state == held || state == arriving {
				answer.keeps.set(part)
			}
		}
	}
	if m.parts > 0 {
		h.moved++
		h.moves[m.number] = m
		answer.move = m.number
		h.gate.wait()
		h.recent++
		h.cfg.After(heardAfter, func() { h.mu.Lock(); defer h.mu.Unlock(); h.recent-- })
		h.stats.Given.Add(int64(m.parts))
		h.cfg.Log.Info("partitions given away", "to", a.from.ID, "partitions", m.parts)
	}
	h.dropLocked()
	answer.clock = h.cfg.Store.Latest()
	if early {
		h.cfg.Go(h.cfg.Hasten)
	}
	resp.Status = protocol.OK
	resp.Scratch = answer.append(resp.Scratch[:0])
	resp.Value = resp.Scratch
	if m.parts > 0 {
		h.wakeLocked()
	}
}

// nothingLocked is the answer that gives nothing.
func (h *Handover) nothingLocked() handout {
	return handout{
		boot: h.cfg.Self.Boot, view: h.view, flushAt: h.cfg.Store.FlushAt(),
		given: newBitmap(len(h.parts)), contests: newBitmap(len(h.parts)), keeps: newBitmap(len(h.parts)), wants: newBitmap(len(h.parts)),
	}
}

// movedTo reports whether a partition is part of that move.
func (h *Handover) movedTo(part uint32, number uint64) bool {
	state, now := h.parts[part].load()
	return state == given && now == number
}

// lend answers with one item of what was given away.
func (h *Handover) lend(req *protocol.Request, resp *protocol.Response) {
	if !h.movedTo(h.partOf(storage.Hash(req.Key)), req.Delta) {
		resp.Status = protocol.PeerMoved
		return
	}
	held := h.cfg.Store.Hold(req.Key)
	defer held.Release()
	it, found := held.Item()
	if !found {
		resp.Status = protocol.NotFound
		return
	}
	tellItem(resp, it)
}

const (
	// pieceBytes is what a piece holds, or a single longer item. Fetches wait behind it: it takes some 0.2 ms.
	pieceBytes = 64 << 10
	// pieceTables bounds the tables of the store's index that are looked through for one piece, where few of the items are to be moved.
	pieceTables = 64
)

// piece answers with the next items of what was given away.
func (h *Handover) piece(req *protocol.Request, resp *protocol.Response) {
	cursor, ok := cutCursor(req.Value)
	h.mu.Lock()
	m := h.moves[req.Delta]
	over := m == nil || m.pulled
	h.mu.Unlock()
	if !ok || over {
		resp.Status = protocol.PeerMoved
		return
	}
	wants := func(hash uint64) bool { return h.movedTo(h.partOf(hash), req.Delta) }
	out, more, full := beginPiece(resp.Scratch[:0]), true, false
	items := int64(0)
	for looked := 0; more && !full && looked < pieceTables; looked++ {
		cursor, more = h.cfg.Store.Walk(cursor, wants, func(key []byte, it storage.Item) bool {
			if full = items > 0 && len(out)+len(key)+len(it.Value) > h.pieceBytes; full {
				return false
			}
			out = appendItem(out, key, it)
			items++
			return true
		})
	}
	endPiece(out, cursor, more)
	h.stats.ItemsOut.Add(items)
	h.stats.BytesOut.Add(int64(len(out)))
	m.items.Add(items)
	m.bytes.Add(int64(len(out)))
	resp.Status, resp.Scratch, resp.Value = protocol.OK, out, out
}

// forget drops what the new holder has.
func (h *Handover) forget(req *protocol.Request, resp *protocol.Response) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.moves[req.Delta]; m != nil {
		m.pulled = true
		h.dropLocked()
	}
	resp.Status = protocol.OK
}

// dropLocked has what was given and pulled dropped, unless that is going on. It takes a look at every item, so it is done elsewhere, for all that is due.
func (h *Handover) dropLocked() {
	if h.dropping {
		return
	}
	var due []uint64
	for number, m := range h.moves {
		if m.pulled {
			due = append(due, number)
		}
	}
	if len(due) == 0 {
		return
	}
	h.dropping = true
	slices.Sort(due)
	h.cfg.Go(func() { h.drop(due) })
}

func (h *Handover) drop(due []uint64) {
	gone := func(part uint32) bool {
		state, number := h.parts[part].load()
		_, found := slices.BinarySearch(due, number)
		return state == given && found
	}
	h.stats.Dropped.Add(int64(h.cfg.Store.Drop(func(hash uint64) bool { return gone(h.partOf(hash)) })))
	h.mu.Lock()
	for part := range h.parts {
		if gone(uint32(part)) {
			h.parts[part].store(foreign, 0)
		}
	}
	for _, number := range due {
		delete(h.moves, number)
	}
	h.dropping = false
	h.wantLocked()
	h.wakeLocked()
	begin := h.beginLocked()
	h.dropLocked()
	h.mu.Unlock()
	begin()
}

// offerLaterLocked sees to it that what is held here and another's by the table does not stay.
func (h *Handover) offerLaterLocked() {
	if h.offering || h.stopped {
		return
	}
	h.offering = true
	h.cfg.After(offerAfter, h.offer)
}

// offer tells members of what is held here and theirs by the table, so that they ask for it. Usually there is nothing, for they have asked; but of two
// clusters that meet, or two sides of a split, both hold all.
func (h *Handover) offer() {
	h.mu.Lock()
	h.offering = false
	offers := map[string]bitmap{}
	for part := range h.parts {
		state, _ := h.parts[part].load()
		if h.stopped || h.table == nil || state != held || h.ownsLocked(uint32(part)) {
			continue
		}
		if owner := h.table.Owner(uint32(part)); owner >= 0 {
			id := h.table.Members()[owner].ID
			if offers[id] == nil {
				offers[id] = newBitmap(len(h.parts))
			}
			offers[id].set(part)
		}
	}
	if len(offers) > 0 {
		h.offerLaterLocked()
	}
	view := h.view
	h.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(offers)) {
		req := protocol.Request{Op: protocol.Offer, Value: (&ask{from: h.cfg.Self, view: view, parts: offers[id]}).append(nil)}
		h.cfg.Await(h.cfg.Send(id, &req), func(*protocol.Response) {})
	}
}

// offered asks for what another member holds though it is ours. What we hold as well is merged: of two versions the newer wins.
func (h *Handover) offered(req *protocol.Request, resp *protocol.Response) {
	var o ask
	if !o.parse(req.Value, len(h.parts)) {
		resp.Fail("no partitions offered")
		return
	}
	resp.Status = protocol.OK
	h.mu.Lock()
	defer h.mu.Unlock()
	wants := newBitmap(len(h.parts))
	any := false
	for part := range o.parts.all() {
		if state, _ := h.parts[part].load(); state == held && h.ownsLocked(uint32(part)) {
			wants.set(part)
			any = true
		}
	}
	if !any || !h.aliveLocked(o.from) {
		return
	}
	if h.unsure[o.from.ID] == nil {
		h.unsure[o.from.ID] = newBitmap(len(h.parts))
	}
	h.unsure[o.from.ID].add(wants)
	begin := h.beginLocked() // with that, or the next round asks him
	h.cfg.Go(begin)
}

// heardAfter is how long after giving something away a member stays: perhaps nobody else has heard yet of him who has it now, and would begin empty.
const heardAfter = 500 * time.Millisecond

// Empty reports whether there is nothing left to hand over: all partitions are with their new holders, and the others know these.
func (h *Handover) Empty() bool {
	left := h.Count().Left()
	h.mu.Lock()
	defer h.mu.Unlock()
	return left == 0 && h.round == nil && len(h.unsure) == 0 && h.recent == 0
}
