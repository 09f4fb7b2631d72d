package handover

import (
	"maps"
	"slices"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// A move is what was given to a member in one answer, until he has all of it.
type move struct {
	number uint64
	to     Member
	parts  int
	progress
	whole  piece.Set // what he has a whole copy of, so that it is not sent
	copies piece.Set // what were copies here, and is salvaged
	pulled bool      // he has all that he wants of it, or is gone: what is left is to be dropped
}

// A Door answers other members on copy lanes.
type Door struct{ h *Handover }

// Door gives the handler for copy lanes.
func (h *Handover) Door() Door { return Door{h} }

// Handle implements protocol.Handler.
func (d Door) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Takeover:
		return d.h.give(req, resp)
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
func (h *Handover) give(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	var a ask
	if !a.parse(req.Value, len(h.parts)) {
		resp.Fail("no partitions asked for")
		return nil
	}
	h.cfg.Store.FlushBefore(a.flushed)
	h.mu.Lock()
	probe := a.count == 0 // nothing is to be given
	if !probe && a.count <= h.heard[a.from] {
		h.mu.Unlock()
		resp.Fail("asked again since") // it was long under way, and its answer is not waited for
		return nil
	}
	if !probe {
		h.heard[a.from] = a.count
	}
	answer := h.nothingLocked()
	place := -1
	if h.table != nil && h.aliveLocked(a.from) {
		place = h.table.Index(a.from.ID)
	}
	early := a.view != h.view
	m := &move{number: h.moved + 1, to: a.from}
	m.copies = h.salvageLocked(&a, place)
	h.copiedLocked(&answer, &a)
	for part := range a.parts.All() {
		p := &h.parts[part]
		state, number := p.load()
		his := place >= 0 && h.table.Owner(uint32(part)) == place && place != h.self
		former := h.moves[number] // of a given one: to whom
		hisAlready := state == given && former != nil && former.to == a.from && !probe
		if hisAlready && !a.again.Has(part) {
			h.pulledLocked(former) // he has heard of it and asks anew: what is here is older than what he had
		}
		switch {
		case m.copies.Has(part):
			p.store(given, m.number)
			answer.given.Add(part)
			m.parts++
		case state == foreign:
		case state == wanted:
			answer.wants.Add(part)
		case state == held && his && !probe && !h.askedLocked(a.from, part), hisAlready && !former.pulled:
			// Given already, and he asks again: our answer has not reached him.
			if hisAlready {
				if former.copies.Has(part) {
					m.copies.Add(part)
				}
				if former.parts--; former.parts == 0 {
					delete(h.moves, former.number)
				}
			}
			p.store(given, m.number)
			answer.given.Add(part)
			m.parts++
		default:
			early = early || state == held && !his
			answer.contests.Add(part)
			switch state {
			case held, arriving:
				answer.keeps.Add(part)
			case doubted:
				answer.wants.Add(part)
			}
		}
	}
	if answer.salvaged = m.copies; m.parts > 0 {
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
	if early {
		h.cfg.Go(h.cfg.Hasten)
	}
	if m.parts == 0 {
		h.mu.Unlock()
		h.tell(&answer, resp)
		return nil
	}
	h.wakeLocked()
	h.mu.Unlock()
	pending := protocol.NewPending(nil)
	h.cfg.Copies.Part(answer.given, a.from, func(p piece.Parting) {
		h.mu.Lock()
		m.whole, answer.whole = p.Whole, p.Whole
		h.mu.Unlock()
		answer.follows, answer.number = p.Follows, p.Number
		h.tell(&answer, &pending.Response)
		pending.Complete()
	})
	return pending
}

// askedLocked reports whether a member was asked for a partition, and has not answered. After a split he may hold it too, and be giving it to us: of two gifts that cross each would wait for the other.
func (h *Handover) askedLocked(m Member, part int) bool {
	asked := h.unsure[m]
	return asked != nil && asked.Has(part)
}

// tell answers a Takeover.
func (h *Handover) tell(answer *handout, resp *protocol.Response) {
	if h.cfg.Leaving != nil && answer.move != 0 {
		answer.leaving = h.cfg.Leaving().Milliseconds()
	}
	if answer.leaving > 0 { // keys fall evenly on partitions; to count what is in these would take too long, while their requests wait
		count := h.Count()
		some, all := answer.given.Len()-answer.whole.Len(), count.Held+count.Arriving+count.Given
		answer.bytes = int64(float64(h.cfg.Store.Stats().Bytes) * float64(some) / float64(max(all, some, 1)))
	}
	answer.clock = h.cfg.Store.Latest()
	resp.Status = protocol.OK
	resp.TTL = int64(h.cfg.Mourning().Round(time.Second) / time.Second)
	resp.Scratch = answer.append(resp.Scratch[:0])
	resp.Value = resp.Scratch
}

// copiedLocked tells of what is asked for which copies are here that may be used.
func (h *Handover) copiedLocked(answer *handout, a *ask) {
	for _, set := range []piece.Set{a.parts, a.orphans} {
		for part := range set.All() {
			if state, _ := h.parts[part].load(); state != foreign {
				continue
			}
			if usable, whole := h.cfg.Copies.Copied(uint32(part)); usable {
				if answer.copied.Add(part); !whole {
					answer.halves.Add(part)
				}
			}
		}
	}
}

// salvageLocked gives up the copies that are asked for: he has found that nobody holds these partitions, or holds them himself and nobody has the rest.
func (h *Handover) salvageLocked(a *ask, place int) piece.Set {
	asked := piece.NewSet(len(h.parts))
	for part := range a.salvage.All() {
		his := place >= 0 && h.table.Owner(uint32(part)) == place || a.orphans.Has(part) && h.aliveLocked(a.from)
		if state, _ := h.parts[part].load(); state == foreign && a.view == h.view && his && a.parts.Has(part) {
			asked.Add(part)
		}
	}
	return h.cfg.Copies.Yield(asked)
}

// nothingLocked is the answer that gives nothing.
func (h *Handover) nothingLocked() handout {
	in, mark := h.cfg.Store.FlushPlan()
	return handout{
		boot: h.cfg.Self.Boot, view: h.view, flushed: h.cfg.Store.Flushed(), flushIn: in, flushMark: mark,
		given: piece.NewSet(len(h.parts)), contests: piece.NewSet(len(h.parts)), keeps: piece.NewSet(len(h.parts)), wants: piece.NewSet(len(h.parts)),
		copied: piece.NewSet(len(h.parts)), halves: piece.NewSet(len(h.parts)), salvaged: piece.NewSet(len(h.parts)),
		whole: piece.NewSet(len(h.parts)), follows: piece.NewSet(len(h.parts)),
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
		it, found = held.Grave() // that it was deleted, and when
	}
	if !found {
		resp.Status = protocol.NotFound
		return
	}
	piece.Tell(resp, it)
}

const (
	// pieceBytes is what a piece holds, or a single longer item. Fetches wait behind it: it takes some 0.1 ms. It fits the buffers that sessions and answers
	// keep, so it makes no garbage.
	pieceBytes = 16 << 10
	// maxPieceBytes is the most that may be asked for by who is in a hurry.
	maxPieceBytes = 256 << 10
)

// piece answers with the next items of what was given away.
func (h *Handover) piece(req *protocol.Request, resp *protocol.Response) {
	cursor, lacks, ok := cutPull(req.Value, len(h.parts))
	h.mu.Lock()
	m := h.moves[req.Delta]
	over := m == nil || m.pulled || m.whole == nil
	h.mu.Unlock()
	if !ok || over {
		resp.Status = protocol.PeerMoved
		return
	}
	wants := func(part int) bool {
		return h.movedTo(uint32(part), req.Delta) && (!m.whole.Has(part) || lacks != nil && lacks.Has(part))
	}
	walk := func(c storage.Cursor, want func(int) bool, visit func([]byte, storage.Item) bool) (storage.Cursor, bool) {
		return h.cfg.Store.WalkUsed(c, req.Initial == usedFirst, want, visit)
	}
	bytes := min(max(int(req.Flags), h.pieceBytes), maxPieceBytes)
	out, items, _ := piece.Fill(resp.Scratch[:0], walk, cursor, wants, bytes, h.cfg.Duty)
	h.stats.ItemsOut.Add(items)
	h.stats.BytesOut.Add(int64(len(out)))
	m.items.Add(items)
	m.bytes.Add(int64(len(out)))
	resp.Status, resp.Scratch, resp.Value = protocol.OK, out, out
	resp.Size = uint32(len(out)) // so that one with a long item is sent in parts
}

// forget drops what the new holder has.
func (h *Handover) forget(req *protocol.Request, resp *protocol.Response) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.moves[req.Delta]; m != nil {
		h.pulledLocked(m)
		h.dropLocked()
	}
	resp.Status = protocol.OK
}

// pulledLocked notes that nothing more of a move is wanted: neither what is left of it here nor the copies that others have kept of it.
func (h *Handover) pulledLocked(m *move) {
	if m.pulled {
		return
	}
	m.pulled = true
	parts := piece.NewSet(len(h.parts))
	for part := range h.parts {
		if h.movedTo(uint32(part), m.number) {
			parts.Add(part)
		}
	}
	h.cfg.Copies.Settle(parts)
}

// dropLocked has what was given and pulled dropped, unless that is going on. It takes a look at each of the items, so it is done by and by, for all that is due.
func (h *Handover) dropLocked() {
	if h.dropping {
		return
	}
	var due []uint64
	for _, number := range slices.Sorted(maps.Keys(h.moves)) {
		if h.moves[number].pulled {
			due = append(due, number)
		}
	}
	if len(due) == 0 {
		return
	}
	h.dropping = true
	slices.Sort(due)
	h.cfg.Go(func() { h.drop(due, storage.Cursor{}) })
}

// drop drops a little of what is due, from the cursor on.
func (h *Handover) drop(due []uint64, c storage.Cursor) {
	gone := func(part int) bool {
		state, number := h.parts[part].load()
		_, found := slices.BinarySearch(due, number)
		return state == given && found
	}
	unkept := func(part int) bool { return gone(part) && !h.cfg.Copies.Keeps(uint32(part)) }
	began := h.cfg.Duty.Begin()
	for more := true; more; {
		var items int
		c, items, more = h.cfg.Store.DropSome(c, unkept)
		h.stats.Dropped.Add(int64(items))
		if more && h.cfg.Duty.Over(began) {
			h.cfg.later(h.cfg.Duty.Spend(began), func() { h.drop(due, c) })
			return
		}
	}
	h.mu.Lock()
	for part := range h.parts {
		if gone(part) {
			h.parts[part].store(foreign, 0)
		}
	}
	for _, number := range due {
		delete(h.moves, number)
	}
	h.dropping = false
	h.rests = slices.DeleteFunc(h.rests, h.beginRestLocked)
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
	offers := map[string]piece.Set{}
	for part := range h.parts {
		state, _ := h.parts[part].load()
		if h.stopped || h.table == nil || state != held || h.ownsLocked(uint32(part)) {
			continue
		}
		if owner := h.table.Owner(uint32(part)); owner >= 0 {
			id := h.table.Members()[owner].ID
			if offers[id] == nil {
				offers[id] = piece.NewSet(len(h.parts))
			}
			offers[id].Add(part)
		}
	}
	if len(offers) > 0 {
		h.offerLaterLocked()
	}
	view := h.view
	h.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(offers)) {
		offer := ask{from: h.cfg.Self, view: view, flushed: h.cfg.Store.Flushed(), parts: offers[id]}
		req := protocol.Request{Op: protocol.Offer, Value: offer.append(nil)}
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
	h.cfg.Store.FlushBefore(o.flushed)
	h.mu.Lock()
	defer h.mu.Unlock()
	wants := piece.NewSet(len(h.parts))
	any := false
	for part := range o.parts.All() {
		if state, _ := h.parts[part].load(); state == held && h.ownsLocked(uint32(part)) {
			wants.Add(part)
			any = true
		}
	}
	if !any || !h.aliveLocked(o.from) {
		return
	}
	if h.unsure[o.from] == nil {
		h.unsure[o.from] = piece.NewSet(len(h.parts))
	}
	h.unsure[o.from].Union(wants)
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
	return left == 0 && h.round == nil && !h.unsureLocked() && h.recent == 0
}
