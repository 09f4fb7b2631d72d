package handover

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

const (
	// The pause between two rounds that brought nothing doubles from the first to the last: others need some milliseconds to adopt a table, and some
	// seconds to find out that a member is dead.
	firstPause = 2 * time.Millisecond
	lastPause  = 50 * time.Millisecond

	// A partition is nobody's when this many rounds in a row found nobody who has it: in one alone it might be given from a member that was asked late to
	// one that was asked early.
	emptyRounds = 2

	// offerAfter is how long a partition that is another's by the table stays here before it is offered to him: usually he has asked by then.
	offerAfter = time.Second
	// retryAfter is the pause after a message that was not answered.
	retryAfter = 50 * time.Millisecond
)

// Adopt says whose partitions are whose from now on, who we are in the table (-1: not in it) and who else is alive. What is ours and was not is taken over.
func (h *Handover) Adopt(table *ring.Table, self int, others []Member) {
	h.mu.Lock()
	h.table, h.self = table, self
	h.members = make(map[string]uint64, len(others))
	for _, m := range others {
		h.members[m.ID] = m.Boot
	}
	if view := viewOf(h.cfg.Self, h.members); view != h.view {
		h.view = view
		h.spoilLocked()
		clear(h.empty) // what another view's members had not is no evidence
	}
	maps.DeleteFunc(h.heard, func(m Member, _ uint64) bool { return !h.aliveLocked(m) })
	h.forgetGoneLocked()
	h.releaseReturnedLocked()
	h.wantLocked()
	h.wakeLocked()
	begin := h.beginLocked()
	h.offerLaterLocked()
	h.mu.Unlock()
	begin()
}

// viewOf is the print of a set of members: those who see the same have the same.
func viewOf(self Member, others map[string]uint64) uint64 {
	lines := []string{fmt.Sprintf("%s %x\n", self.ID, self.Boot)}
	for id, boot := range others {
		lines = append(lines, fmt.Sprintf("%s %x\n", id, boot))
	}
	slices.Sort(lines)
	print := fnv.New64a()
	for _, line := range lines {
		_, _ = io.WriteString(print, line)
	}
	return print.Sum64()
}

func (h *Handover) aliveLocked(m Member) bool {
	boot, known := h.members[m.ID]
	return known && boot == m.Boot
}

// goneLocked reports whether a member that has answered us is there no longer. A run of it that we have not heard of yet is not gone: it is to come.
func (h *Handover) goneLocked(m Member) bool {
	boot, known := h.members[m.ID]
	return !known || boot > m.Boot
}

// forgetGoneLocked ends what went on with members that are there no longer: what they have not sent is lost, and what they have not pulled is out of date, for
// they may have changed it.
func (h *Handover) forgetGoneLocked() {
	for _, a := range h.arrivals {
		if h.goneLocked(a.from) {
			h.cfg.Go(func() { h.end(a, true) })
		}
	}
	for _, m := range h.moves {
		if !h.aliveLocked(m.to) {
			m.pulled = true
		}
	}
	for id := range h.unsure {
		if _, alive := h.members[id]; !alive {
			delete(h.unsure, id)
		}
	}
	h.dropLocked()
}

// spoilLocked makes the round under way no evidence of what nobody has.
func (h *Handover) spoilLocked() {
	if h.round != nil {
		h.round.silent = true
	}
}

// releaseReturnedLocked tells those who are back what they could not be told.
func (h *Handover) releaseReturnedLocked() {
	h.unreleased = slices.DeleteFunc(h.unreleased, func(a *arrival) bool {
		boot, known := h.members[a.from.ID]
		if known && boot == a.from.Boot {
			h.cfg.Go(func() { h.release(a) })
		}
		return known // or it is another run, which knows of nothing
	})
}

// wantLocked looks which partitions are to be asked for, and which no more.
func (h *Handover) wantLocked() {
	for part := range h.parts {
		p := &h.parts[part]
		state, _ := p.load()
		ours := h.ownsLocked(uint32(part))
		switch {
		case state == foreign && ours && len(h.members) == 0:
			p.store(held, 0)
		case state == foreign && ours:
			p.store(wanted, 0)
			h.empty[part], h.keepers[part] = 0, ""
		case state == wanted && !ours:
			p.store(foreign, 0)
		}
	}
}

// A round asks all other members for what is wanted.
type round struct {
	asked    bitmap
	contests bitmap // partitions that somebody has, or has given to another, and did not give
	wants    bitmap // partitions that somebody else waits for: who has them in doubt may keep them, who waits for them may not begin without them
	keeps    bitmap // of these, those that somebody has
	open     int    // answers to come
	silent   bool   // somebody did not answer, or sees other members than we do: there may be one whom we do not know, and who has what is wanted
	progress bool   // somebody gave something
}

// beginLocked begins a round if one is due; what it gives is to be called without mu.
//
// A member that did not answer may have given away what it was asked for. So it is asked for that again, even when we do not want it any more: else
// nobody would have it.
func (h *Handover) beginLocked() (begin func()) {
	asked, any := newBitmap(len(h.parts)), len(h.unsure) > 0
	for part := range h.parts {
		if state, _ := h.parts[part].load(); state == wanted || state == doubted {
			asked.set(part)
			any = true
		}
	}
	if h.round != nil || h.stopped || !any {
		return func() {}
	}
	r := &round{asked: asked, contests: newBitmap(len(h.parts)), keeps: newBitmap(len(h.parts)), wants: newBitmap(len(h.parts)), open: len(h.members)}
	h.round = r
	if len(h.members) == 0 {
		return func() { h.finish(r) }
	}
	members, messages := slices.Sorted(maps.Keys(h.members)), make([]protocol.Request, 0, len(h.members))
	for _, id := range members {
		if h.unsure[id] == nil {
			h.unsure[id] = newBitmap(len(h.parts))
		}
		again := bytes.Clone(h.unsure[id])
		h.unsure[id].add(asked)
		h.asks++
		messages = append(messages, protocol.Request{
			Op: protocol.Takeover, Value: (&ask{from: h.cfg.Self, view: h.view, count: h.asks, parts: h.unsure[id], again: again}).append(nil),
		})
	}
	return func() {
		for i, id := range members {
			h.cfg.Await(h.cfg.Send(id, &messages[i]), func(resp *protocol.Response) { h.answered(r, id, resp) })
		}
	}
}

// answered takes what a member gives us.
func (h *Handover) answered(r *round, id string, resp *protocol.Response) {
	var answer handout
	ok := resp.Status == protocol.OK && answer.parse(resp.Value, len(h.parts))
	if ok {
		h.cfg.Store.Witness(answer.clock)
		if answer.flushAt > 0 && h.cfg.Store.FlushAt() == 0 {
			h.cfg.Store.FlushAll(answer.flushAt)
		}
		h.clear(answer.given)
	}
	h.mu.Lock()
	if ok {
		delete(h.unsure, id)
		r.silent = r.silent || answer.view != h.view
		r.contests.add(answer.contests)
		r.keeps.add(answer.keeps)
		r.wants.add(answer.wants)
		for part := range answer.keeps.all() {
			h.keepers[part] = id
		}
		h.wakeLocked() // those that wait may go to who keeps it
		r.progress = h.takeLocked(Member{ID: id, Boot: answer.boot}, &answer) || r.progress
	} else {
		r.silent = true
	}
	r.open--
	last := r.open == 0
	h.mu.Unlock()
	if last {
		h.finish(r)
	}
}

// takeLocked makes what was given arrive.
func (h *Handover) takeLocked(from Member, answer *handout) bool {
	a := &arrival{from: from, move: answer.move}
	a.fetched = func(req *protocol.Request, resp *protocol.Response) *protocol.Pending { return h.fetched(a, req, resp) }
	for part := range answer.given.all() {
		p := &h.parts[part]
		switch state, _ := p.load(); state {
		case wanted, foreign:
		case held:
			a.merges = true
		default:
			continue // what it has of this is left behind: it is given once
		}
		p.arrival.Store(a)
		p.store(arriving, 0)
		a.parts++
	}
	if answer.move == 0 {
		return false
	}
	h.stats.Taken.Add(int64(a.parts))
	h.arrivals = append(h.arrivals, a)
	h.wakeLocked()
	h.cfg.Log.Info("partitions are arriving", "from", from.ID, "partitions", a.parts)
	h.cfg.Go(func() { h.pull(a) })
	return true
}

// finish ends a round: what nobody has is ours, and for the rest another begins.
func (h *Handover) finish(r *round) {
	h.clear(r.keeps)
	h.mu.Lock()
	h.round = nil
	fresh, sure := 0, 0
	for part := range r.asked.all() {
		p := &h.parts[part]
		state, _ := p.load()
		if state != wanted && state != doubted {
			continue
		}
		if r.silent || r.contests.has(part) || state == wanted && r.wants.has(part) {
			h.empty[part] = 0
			continue
		}
		r.progress = true
		if h.empty[part]++; h.empty[part] >= emptyRounds {
			if p.store(held, 0); state == wanted {
				fresh++
			} else {
				sure++
			}
		}
	}
	if fresh > 0 {
		h.cfg.Log.Info("partitions begin empty: nobody has them", "partitions", fresh)
	}
	if sure > 0 {
		h.cfg.Log.Info("nobody else has taken what was in doubt", "partitions", sure)
	}
	if fresh+sure > 0 {
		h.wakeLocked()
	}
	h.pause = min(max(2*h.pause, firstPause), lastPause)
	if r.progress {
		h.pause = 0
	}
	pause := h.pause
	h.mu.Unlock()
	next := func() { // it finds what has become wanted meanwhile, too; usually nothing
		h.mu.Lock()
		begin := h.beginLocked()
		h.mu.Unlock()
		begin()
	}
	if pause == 0 {
		h.cfg.Go(next)
	} else {
		h.cfg.After(pause, next)
	}
}

// pull asks for the next piece of an arrival.
func (h *Handover) pull(a *arrival) {
	if a.closed.Load() {
		return
	}
	req := protocol.Request{Op: protocol.Pull, Delta: a.move, Value: appendCursor(nil, a.cursor)}
	h.cfg.Await(h.cfg.Send(a.from.ID, &req), func(resp *protocol.Response) { h.took(a, resp) })
}

// took installs a piece, and asks for the next in good time, or is done.
func (h *Handover) took(a *arrival, resp *protocol.Response) {
	switch {
	case a.closed.Load():
		return
	case resp.Status == protocol.PeerMoved: // it has nothing for us any more
		h.end(a, true)
		return
	case resp.Status != protocol.OK && !resp.Status.FromPeer():
		h.cfg.Log.Error("a piece of a hand-over is refused", "from", a.from.ID, "why", string(resp.Value))
		h.end(a, true)
		return
	case resp.Status != protocol.OK:
		a.silent.Store(true)
		h.cfg.After(retryAfter, func() { h.pull(a) }) // until it answers, or is known to be gone
		return
	}
	a.silent.Store(false)
	next, more, items, ok := cutPiece(resp.Value)
	if !ok {
		h.cfg.Log.Error("a piece of a hand-over cannot be read", "from", a.from.ID)
		h.end(a, true)
		return
	}
	for key, it := range items {
		h.arrived(a, key, it)
	}
	h.stats.BytesIn.Add(int64(len(resp.Value)))
	a.bytes.Add(int64(len(resp.Value)))
	if a.cursor = next; !more {
		h.end(a, false)
		return
	}
	h.mu.Lock()
	sharing := max(len(h.arrivals), 1)
	h.mu.Unlock()
	pause := time.Duration(len(resp.Value)) * time.Duration(sharing) * time.Second / time.Duration(h.cfg.Rate)
	h.cfg.After(pause, func() { h.pull(a) })
}

// arrived installs one item of a piece, unless something has happened to its key here.
func (h *Handover) arrived(a *arrival, key []byte, it storage.Item) {
	hash := storage.Hash(key)
	if h.parts[h.partOf(hash)].arrival.Load() != a {
		return
	}
	held := h.cfg.Store.Hold(key)
	defer held.Release()
	if a.resolved(hash) {
		return
	}
	if installed, _ := held.Install(it); installed {
		h.stats.ItemsIn.Add(1)
		a.items.Add(1)
	}
}

// end makes what has arrived ours altogether, and tells its former holder, who drops what he has.
func (h *Handover) end(a *arrival, early bool) {
	h.mu.Lock()
	at := slices.Index(h.arrivals, a)
	if at < 0 {
		h.mu.Unlock()
		return
	}
	h.arrivals = slices.Delete(h.arrivals, at, at+1)
	a.close()
	for part := range h.parts {
		p := &h.parts[part]
		if state, _ := p.load(); state == arriving && p.arrival.Load() == a {
			p.store(held, 0)
			p.arrival.Store(nil)
		}
	}
	left := len(h.arrivals)
	h.offerLaterLocked() // what has come meanwhile may be another's by now
	h.mu.Unlock()
	if early {
		h.stats.GivenUp.Add(1)
	}
	h.cfg.Log.Info("partitions have arrived", "from", a.from.ID, "partitions", a.parts, "early", early, "arrivals_left", left)
	h.release(a)
}

// release tells the former holder that we need nothing more of him, until he has heard it or is gone.
func (h *Handover) release(a *arrival) {
	h.mu.Lock()
	gone := h.goneLocked(a.from)
	if gone { // perhaps it is only not heard of, and comes back with what it thinks we have not got
		h.unreleased = append(h.unreleased, a)
	}
	over := h.stopped || gone
	h.mu.Unlock()
	if over {
		return
	}
	req := protocol.Request{Op: protocol.Pulled, Delta: a.move}
	h.cfg.Await(h.cfg.Send(a.from.ID, &req), func(resp *protocol.Response) {
		if resp.Status != protocol.OK {
			h.cfg.After(retryAfter, func() { h.release(a) })
		}
	})
}

// flush runs flush_all, and gives up what has not arrived: it is older.
func (h *Handover) flush(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	pending := h.cfg.Next.Handle(req, resp)
	if pending == nil && resp.Status == protocol.OK && req.Exptime == 0 {
		h.mu.Lock()
		open := slices.Clone(h.arrivals)
		h.mu.Unlock()
		for _, a := range open {
			h.end(a, true)
		}
	}
	return pending
}
