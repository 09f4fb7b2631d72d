package handover

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
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
	// maxSkew is how far another member's clock may be ahead before it is told. Versions are right all the same; expiry and delays are by each one's own clock.
	maxSkew = time.Second
	// retryAfter is the pause after a message that was not answered.
	retryAfter = 50 * time.Millisecond
	// ghostPatience is for how long a member that was here until now is asked again though it does not answer: after a cut a lane is silent until TCP sends again, or it is opened anew. Who is gone
	// for good was silent for two seconds before, and clients wait for that little longer.
	ghostPatience = 300 * time.Millisecond
	// unsettledTime is for how long after a partition has come here deletions leave tombstones, if there are copies: who has kept one for its former holder may be on the other side of a cut that nobody has
	// noticed yet, and be told by nobody that it is of no use. Gossip needs five seconds at most for one, and as long again when few are left to look.
	unsettledTime = 10 * time.Second
	// maxPiecePause is the longest that who gives may have us wait between two pieces.
	maxPiecePause = time.Second
)

// Adopt says whose partitions are whose from now on, who we are in the table (-1: not in it) and who else is alive. What is ours and was not is taken over.
func (h *Handover) Adopt(table *ring.Table, self int, others []Member) {
	h.mu.Lock()
	h.table, h.self = table, self
	before := h.members
	h.members = make(map[string]uint64, len(others))
	for _, m := range others {
		h.members[m.ID] = m.Boot
		delete(h.ghosts, m.ID)
	}
	h.hauntLocked(before)
	h.viewLocked()
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

// hauntLocked makes ghosts of those who were here until now: they may only be taken for dead. A cut that has ended leaves lanes on which nothing comes for a while: so that somebody who went
// without a word does not answer proves nothing for a time.
func (h *Handover) hauntLocked(before map[string]uint64) {
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, here := h.members[id]; here {
			continue
		}
		h.ghosts[id] = h.cfg.Missed(Member{ID: id, Boot: before[id]})
		h.cfg.After(ghostPatience, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.ghosts[id] {
				h.ghosts[id] = false
			}
		})
	}
}

// Left says that we have said goodbye: the others do not see us any more.
func (h *Handover) Left() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	h.viewLocked()
}

func (h *Handover) viewLocked() {
	all := map[string]uint64{}
	maps.Copy(all, h.members)
	if !h.left {
		all[h.cfg.Self.ID] = h.cfg.Self.Boot
	}
	if view := viewOf(all); view != h.view {
		h.view = view
		h.spoilLocked()
		clear(h.empty) // what another view's members had not is no evidence
	}
}

// viewOf is the print of a set of members: those who see the same have the same.
func viewOf(members map[string]uint64) uint64 {
	lines := make([]string, 0, len(members))
	for id, boot := range members {
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
		if h.goneLocked(a.from) && h.table.Copies() < 2 { // else the next round asks who has copies
			h.cfg.Go(func() { h.giveUp(a) })
		}
	}
	for _, number := range slices.Sorted(maps.Keys(h.moves)) {
		if m := h.moves[number]; !h.aliveLocked(m.to) {
			h.pulledLocked(m)
		}
	}
	for m := range h.unsure { // who is only taken for dead is asked when he is back
		if boot, known := h.members[m.ID]; known && boot != m.Boot {
			delete(h.unsure, m)
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
	h.unreleased = slices.DeleteFunc(h.unreleased, func(r release) bool {
		boot, known := h.members[r.from.ID]
		if known && boot == r.from.Boot {
			h.cfg.Go(func() { h.release(r) })
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
		case state == foreign && ours && len(h.members) == 0 && h.cfg.Copies.Clean(uint32(part)):
			h.shortLocked(uint32(part))
			h.holdLocked(p)
		case state == foreign && ours:
			p.store(wanted, 0)
			h.empty[part] = 0
			h.keepers.Store(part, nil)
		case state == wanted && !ours:
			p.store(foreign, 0)
		}
	}
}

// A round asks all other members for what is wanted.
type round struct {
	asked    piece.Set
	orphans  piece.Set            // partitions that arrive here from a member that is gone
	contests piece.Set            // partitions that somebody has, or has given to another, and did not give
	wants    piece.Set            // partitions that somebody else waits for: who has them in doubt may keep them, who waits for them may not begin without them
	keeps    piece.Set            // of these, those that somebody has
	copied   map[string]piece.Set // by member: those that he has copies of, whose holder is gone
	halves   map[string]piece.Set // of these, those that are not whole
	open     int                  // answers to come
	silent   bool                 // somebody did not answer, or sees other members than we do: there may be one whom we do not know, and who has what is wanted
	progress bool                 // somebody gave something
}

// unsureLocked reports whether somebody who is alive has not answered what he was asked for.
func (h *Handover) unsureLocked() bool {
	for m := range h.unsure {
		if h.aliveLocked(m) {
			return true
		}
	}
	return false
}

// beginLocked begins a round if one is due; what it gives is to be called without mu.
//
// A member that did not answer may have given away what it was asked for. So it is asked for that again, even when we do not want it any more: else
// nobody would have it.
func (h *Handover) beginLocked() (begin func()) {
	asked, orphans, any := piece.NewSet(len(h.parts)), piece.NewSet(len(h.parts)), h.unsureLocked()
	for part := range h.parts {
		switch state, _ := h.parts[part].load(); {
		case state == wanted || state == doubted && !h.suspendedLocked(part):
			asked.Add(part)
			any = true
		case state == arriving && h.orphanedLocked(part):
			orphans.Add(part)
			any = true
		}
	}
	if h.round != nil || h.stopped || !any {
		return func() {}
	}
	r := &round{
		asked: asked, orphans: orphans, contests: piece.NewSet(len(h.parts)), keeps: piece.NewSet(len(h.parts)), wants: piece.NewSet(len(h.parts)),
		copied: map[string]piece.Set{}, halves: map[string]piece.Set{}, open: len(h.members) + len(h.ghosts),
	}
	h.round = r
	if r.open == 0 {
		return func() { h.finish(r) }
	}
	members, messages := slices.Sorted(maps.Keys(h.members)), make([]protocol.Request, 0, len(h.members))
	for _, id := range members {
		m := Member{ID: id, Boot: h.members[id]}
		if h.unsure[m] == nil {
			h.unsure[m] = piece.NewSet(len(h.parts))
		}
		again, salvage := bytes.Clone(h.unsure[m]), piece.NewSet(len(h.parts))
		for part, salvor := range h.salvors {
			if salvor == id && (asked.Has(int(part)) || orphans.Has(int(part))) {
				salvage.Add(int(part))
			}
		}
		h.unsure[m].Union(asked)
		h.unsure[m].Union(salvage)
		h.asks++
		messages = append(messages, protocol.Request{
			Op: protocol.Takeover, Value: (&ask{
				from: h.cfg.Self, view: h.view, count: h.asks, flushed: h.cfg.Store.Flushed(), parts: h.unsure[m], again: again, salvage: salvage, orphans: orphans,
			}).append(nil),
		})
	}
	ghosts := slices.Sorted(maps.Keys(h.ghosts))
	probe := protocol.Request{Op: protocol.Takeover, Value: (&ask{from: h.cfg.Self, view: h.view, flushed: h.cfg.Store.Flushed(), parts: asked}).append(nil)}
	return func() {
		for i, id := range members {
			h.cfg.Await(h.cfg.Send(id, &messages[i]), func(resp *protocol.Response) { h.answered(r, id, resp) })
		}
		for _, id := range ghosts {
			h.probe(r, id, &probe)
		}
	}
}

// probe asks a ghost, which is to give nothing.
func (h *Handover) probe(r *round, id string, probe *protocol.Request) {
	req := *probe
	h.cfg.Await(h.cfg.Send(id, &req), func(resp *protocol.Response) { h.haunted(r, id, probe, resp) })
}

// haunted hears what a member has to say that was there until now. Usually nothing; but if it is only taken for dead, it goes on holding what it holds.
func (h *Handover) haunted(r *round, id string, probe *protocol.Request, resp *protocol.Response) {
	var answer handout
	ok := h.read(&answer, id, resp)
	h.mu.Lock()
	switch {
	case ok:
		r.contests.Union(answer.contests)
		r.wants.Union(answer.wants)
	case h.ghosts[id] && !h.stopped:
		h.mu.Unlock()
		h.cfg.After(retryAfter, func() { h.probe(r, id, probe) })
		return
	default:
		delete(h.ghosts, id)
	}
	r.open--
	last := r.open == 0
	h.mu.Unlock()
	if last {
		h.finish(r)
	}
}

// read reads what a member answers to a Takeover, and reports whether that could be done.
func (h *Handover) read(answer *handout, id string, resp *protocol.Response) bool {
	switch {
	case resp.Status != protocol.OK:
		return false
	case answer.parse(resp.Value, len(h.parts)):
		return true
	}
	if n := h.stats.Unread.Add(1); n&(n-1) == 0 { // each power of two: it is asked again soon
		h.cfg.Log.Warn("what a member answers to a takeover cannot be read, so nothing moves from there: its build and this one cannot be in one cluster",
			"member", id, "bytes", len(resp.Value), "expected", handoutHead+handoutSets*len(piece.NewSet(len(h.parts))), "frames", frame.Version, "times", n)
	}
	return false
}

// answered takes what a member gives us.
func (h *Handover) answered(r *round, id string, resp *protocol.Response) {
	var answer handout
	ok := h.read(&answer, id, resp)
	var base piece.Base
	if ok {
		if resp.TTL > 0 {
			h.cfg.Mourn(time.Duration(resp.TTL) * time.Second)
		}
		h.follow(id, &answer)
		h.clear(answer.given)
		base = h.cfg.Copies.Receive(answer.given, answer.whole, answer.salvaged, Member{ID: id, Boot: answer.boot})
	}
	h.mu.Lock()
	if ok {
		delete(h.unsure, Member{ID: id, Boot: answer.boot})
		r.silent = r.silent || answer.view != h.view
		r.contests.Union(answer.contests)
		r.keeps.Union(answer.keeps)
		r.wants.Union(answer.wants)
		r.copied[id], r.halves[id] = answer.copied, answer.halves
		for part := range answer.keeps.All() {
			h.keepers.Store(part, &id)
		}
		h.wakeLocked() // those that wait may go to who keeps it
		r.progress = h.takeLocked(Member{ID: id, Boot: answer.boot}, &answer, base) || r.progress
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

// follow obeys a member's flushes and puts the clock to his, before anything of his is taken.
func (h *Handover) follow(id string, answer *handout) {
	s := h.cfg.Store
	s.FlushBefore(answer.flushed)
	if in, _ := s.FlushPlan(); answer.flushIn > 0 && in == 0 {
		s.FlushAll(answer.flushIn, answer.flushMark)
	}
	behind := s.Witness(answer.clock)
	if behind <= maxSkew {
		return
	}
	if n := h.stats.ClocksAhead.Add(1); n&(n-1) == 0 { // each power of two: rounds follow each other fast
		h.cfg.Log.Warn("a member's clock is ahead of ours", "member", id, "ahead", behind, "times", n)
	}
}

// orphanedLocked reports whether who gave a partition that is arriving is gone.
func (h *Handover) orphanedLocked(part int) bool {
	a := h.coming.Load(part)
	return a != nil && h.goneLocked(a.from)
}

// takeLocked makes what was given arrive; base is what is here of it already.
func (h *Handover) takeLocked(from Member, answer *handout, base piece.Base) bool {
	a := &arrival{from: from, move: answer.move, before: base.Claims}
	if answer.leaving > 0 {
		a.rate = answer.bytes * 1000 / answer.leaving * 2 // half the time is enough
	}
	a.fetched = func(req *protocol.Request, resp *protocol.Response) *protocol.Pending { return h.fetched(a, req, resp) }
	merged, taken, here := piece.NewSet(len(h.parts)), piece.NewSet(len(h.parts)), piece.NewSet(len(h.parts))
	left, lacks := piece.NewSet(len(h.parts)), piece.NewSet(len(h.parts))
	came := make([]int, 0, answer.given.Len())
	for part := range answer.given.All() {
		switch state, _ := h.parts[part].load(); {
		case state == wanted, state == foreign:
			if !answer.salvaged.Has(part) || !base.Some.Has(part) && !base.Whole.Has(part) { // else there may be more here than he has
				taken.Add(part)
			}
			base.Some.Remove(part)
			if base.Whole.Has(part) {
				base.Whole.Remove(part)
				here.Add(part)
				continue
			}
		case state == arriving && answer.salvaged.Has(part) && h.orphanedLocked(part):
			a.succeed(h.coming.Load(part))
		case state == held && !answer.salvaged.Has(part):
			a.merges = true
			merged.Add(part)
		case (state == arriving || state == given) && !answer.salvaged.Has(part): // two have held it, apart from each other
			left.Add(part)
			continue
		default:
			continue
		}
		if answer.whole.Has(part) {
			lacks.Add(part)
		}
		came = append(came, part)
	}
	if a.parts = len(came); lacks.Len() > 0 {
		a.lacks = lacks
	}
	if left.Len() > 0 {
		a.rest = &arrival{from: from, move: answer.move, merges: true, left: left, lacks: answer.whole}
		a.rest.fetched = func(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
			return h.fetched(a.rest, req, resp)
		}
	}
	h.cfg.Copies.Feed(from, answer.number, answer.follows, taken) // before the first write
	for part := range here.All() {
		h.holdLocked(&h.parts[part])
	}
	for _, part := range came { // from the first on requests read a: it must be complete
		h.coming.Store(part, a)
		h.parts[part].store(arriving, 0)
	}
	base.Whole.Union(base.Some)
	h.cfg.Copies.Spoil(base.Whole)
	if answer.move == 0 {
		return false
	}
	h.unsettledLocked()
	h.cfg.Copies.Release(merged)
	all := here.Len()
	h.stats.Taken.Add(int64(a.parts + all))
	h.wakeLocked()
	if all > 0 {
		h.cfg.Log.Info("partitions are here: there was a copy", "from", from.ID, "partitions", all)
		h.offerLaterLocked()
	}
	if a.parts == 0 {
		h.overLocked(a)
		return true
	}
	h.arrivals = append(h.arrivals, a)
	h.endEmptyLocked()
	h.cfg.Log.Info("partitions are arriving", "from", from.ID, "partitions", a.parts)
	h.cfg.Go(func() { h.pull(a) })
	return true
}

// unsettledLocked has what is deleted remembered while something arrives, and for a while after.
func (h *Handover) unsettledLocked() {
	if h.table != nil && h.table.Copies() > 1 {
		h.cfg.Mourn(unsettledTime)
	}
}

// finish ends a round: what nobody has is ours, and for the rest another begins.
func (h *Handover) finish(r *round) {
	h.clear(r.keeps)
	h.mu.Lock()
	due, any := piece.NewSet(len(h.parts)), false
	r.asked.Union(r.orphans)
	for part := range r.asked.All() {
		state, _ := h.parts[part].load()
		orphaned := state == arriving && r.orphans.Has(part) && h.orphanedLocked(part)
		if state != wanted && state != doubted && !orphaned {
			continue
		}
		alike := state == doubted && r.wants.Has(part) && !r.keeps.Has(part) // another one, of the other side, is in doubt as well: both go on, and merge
		if r.silent || r.contests.Has(part) && !alike || state == wanted && r.wants.Has(part) {
			h.empty[part] = 0
			continue
		}
		r.progress = true
		if h.empty[part] = min(h.empty[part]+1, emptyRounds); h.empty[part] < emptyRounds || state != doubted && h.salvageableLocked(r, uint32(part)) {
			continue
		}
		due.Add(part)
		any = true
	}
	lost := h.lostLocked(due)
	if any {
		h.beginHoldingLocked(due)
	}
	h.round = nil // not before: nothing else may be given to us meanwhile
	h.pause = min(max(2*h.pause, firstPause), lastPause)
	if r.progress {
		h.pause = 0
	}
	pause := h.pause
	h.mu.Unlock()
	for _, a := range lost {
		h.giveUp(a)
	}
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

// lostLocked gives the arrivals of which nothing is to come any more: who gave them is gone, and of all that is left of them nobody has a copy.
func (h *Handover) lostLocked(due piece.Set) (lost []*arrival) {
	left := map[*arrival]bool{}
	for part := range h.parts {
		a := h.coming.Load(part)
		left[a] = left[a] || !due.Has(part)
	}
	for _, a := range h.arrivals {
		if more, some := left[a]; some && !more && h.goneLocked(a.from) {
			lost = append(lost, a)
		}
	}
	return lost
}

// salvageableLocked finds out who has a copy of a partition that is better than what is here, of those that nobody has, or nobody but this node: a whole one is
// better than one that is not. He who comes first in the table has all that was acknowledged; what was written since somebody here followed is here.
func (h *Handover) salvageableLocked(r *round, part uint32) bool {
	delete(h.salvors, part)
	if h.table == nil {
		return false
	}
	usable, whole := h.cfg.Copies.Copied(part)
	if whole {
		return false
	}
	var ids []string
	for _, place := range h.table.Holders(part) {
		ids = append(ids, h.table.Members()[place].ID)
	}
	ids = append(ids, slices.Sorted(maps.Keys(r.copied))...)
	for _, half := range []bool{false, true} {
		for _, id := range ids {
			if r.copied[id] != nil && r.copied[id].Has(int(part)) && r.halves[id].Has(int(part)) == half && !(half && usable) {
				h.salvors[part] = id
				if half {
					h.shortLocked(part)
				}
				return true
			}
		}
	}
	return false
}

// beginHoldingLocked holds partitions that nobody has: with the copies that are here, if they may be used, or empty. It lets go of mu meanwhile.
func (h *Handover) beginHoldingLocked(due piece.Set) {
	fresh, whole, sure := piece.NewSet(len(h.parts)), piece.NewSet(len(h.parts)), 0
	for part := range due.All() {
		if state, _ := h.parts[part].load(); state == wanted {
			fresh.Add(part)
		}
		if _, all := h.cfg.Copies.Copied(uint32(part)); all {
			whole.Add(part)
		}
	}
	h.mu.Unlock()
	kept := h.cfg.Copies.Take(fresh)
	h.mu.Lock()
	begun, copied := 0, 0
	for part := range due.All() {
		p := &h.parts[part]
		state, _ := p.load()
		switch {
		case h.empty[part] < emptyRounds || state != wanted && state != doubted: // another view has been adopted meanwhile
			continue
		case state == doubted:
			sure++
		case !fresh.Has(part):
			continue
		case kept.Has(part):
			copied++
			kept.Remove(part)
			if !whole.Has(part) {
				h.shortLocked(uint32(part))
			}
		default:
			begun++
			h.shortLocked(uint32(part))
		}
		h.holdLocked(p)
	}
	h.cfg.Copies.Spoil(kept)
	if begun+copied > 0 {
		h.cfg.Log.Info("nobody else has these partitions: they begin", "with_copies", copied, "empty", begun)
	}
	if sure > 0 {
		h.cfg.Log.Info("nobody else has taken what was in doubt", "partitions", sure)
	}
	if begun+copied+sure > 0 {
		h.wakeLocked()
	}
}

// pull asks for the next piece of an arrival.
func (h *Handover) pull(a *arrival) {
	if a.over.Load() {
		return
	}
	req := protocol.Request{Op: protocol.Pull, Delta: a.move, Initial: a.stage, Flags: uint32(a.pieceBytes()), Value: append(piece.AppendCursor(nil, a.cursor), a.lacks...)}
	h.cfg.Await(h.cfg.Send(a.from.ID, &req), func(resp *protocol.Response) { h.took(a, resp) })
}

// took installs a piece, and asks for the next in good time, or is done.
func (h *Handover) took(a *arrival, resp *protocol.Response) {
	switch {
	case a.over.Load():
		return
	case resp.Status == protocol.PeerMoved: // it has nothing for us any more
		h.giveUp(a)
		return
	case resp.Status != protocol.OK && !resp.Status.FromPeer():
		h.cfg.Log.Error("a piece of a hand-over is refused", "from", a.from.ID, "why", string(resp.Value))
		h.giveUp(a)
		return
	case resp.Status != protocol.OK:
		a.silent.Store(true)
		h.cfg.After(retryAfter, func() { h.pull(a) }) // until it answers, or is known to be gone
		return
	}
	a.silent.Store(false)
	p, ok := piece.Cut(resp.Value)
	if !ok {
		h.cfg.Log.Error("a piece of a hand-over cannot be read", "from", a.from.ID)
		h.giveUp(a)
		return
	}
	began, some := h.cfg.Duty.Begin(), false
	for key, it := range p.Items {
		h.arrived(a, key, it)
		some = true
	}
	h.stats.BytesIn.Add(int64(len(resp.Value)))
	a.bytes.Add(int64(len(resp.Value)))
	pause := max(h.cfg.Duty.Spend(began), min(p.Pause, maxPiecePause))
	switch a.cursor = p.Next; {
	case !p.More && a.stage == usedFirst:
		a.stage = unusedThen
	case !p.More:
		h.end(a, false)
		return
	}
	h.mu.Lock()
	h.unsettledLocked()
	sharing := max(len(h.arrivals), 1)
	h.mu.Unlock()
	if some {
		pause = max(pause, piece.Pace(len(resp.Value), h.cfg.Rate()/int64(sharing)))
	}
	h.cfg.later(a.within(pause, len(resp.Value)), func() { h.pull(a) })
}

// arrived installs one item of a piece, unless something has happened to its key here.
func (h *Handover) arrived(a *arrival, key []byte, it storage.Item) {
	hash := storage.Hash(key)
	if h.coming.Load(int(h.partOf(hash))) != a {
		return
	}
	held := h.cfg.Store.Hold(key)
	defer held.Release()
	if !h.awaits(a, hash) {
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
	a.over.Store(true)
	h.unsettledLocked()
	doubts := false
	for part := range h.parts {
		p := &h.parts[part]
		if h.coming.Load(part) != a {
			continue
		}
		state, _ := p.load()
		h.coming.Store(part, nil) // first: nobody writes what a piece may still replace
		if state == arriving {
			h.holdLocked(p)
		}
		doubts = doubts || state == doubted
	}
	h.overLocked(a)
	left := len(h.arrivals)
	h.offerLaterLocked() // what has come meanwhile may be another's by now
	begin := func() {}
	if doubts {
		begin = h.beginLocked()
	}
	h.mu.Unlock()
	begin()
	if early {
		h.stats.GivenUp.Add(1)
	}
	h.cfg.Log.Info("partitions have arrived", "from", a.from.ID, "partitions", a.parts, "early", early, "arrivals_left", left)
}

// overLocked goes on after an arrival: with its rest, or its former holder is told. And those rests begin that have waited for it.
func (h *Handover) overLocked(a *arrival) {
	if a.rest == nil {
		h.cfg.Go(func() { h.release(release{a.from, a.move}) })
	} else {
		h.rests = append(h.rests, a.rest)
	}
	h.rests = slices.DeleteFunc(h.rests, h.beginRestLocked)
}

// beginRestLocked begins a rest, if none of its partitions is still arriving from another member, or on its way to one.
func (h *Handover) beginRestLocked(a *arrival) bool {
	if h.goneLocked(a.from) {
		h.cfg.Go(func() { h.release(release{a.from, a.move}) })
		return true
	}
	for part := range a.left.All() {
		if state, _ := h.parts[part].load(); state == arriving || state == given || h.suspendedLocked(part) {
			return false
		}
	}
	for part := range a.left.All() {
		p := &h.parts[part]
		if state, _ := p.load(); state != doubted {
			a.parts++
			h.coming.Store(part, a)
			p.store(arriving, 0)
		}
	}
	h.cfg.Copies.Release(a.left)
	h.wakeLocked()
	h.arrivals = append(h.arrivals, a)
	h.cfg.Log.Info("partitions are arriving that another member held as well", "from", a.from.ID, "partitions", a.parts)
	h.cfg.Go(func() { h.pull(a) })
	return true
}

// endEmptyLocked ends arrivals of which another goes on with all.
func (h *Handover) endEmptyLocked() {
	left := map[*arrival]bool{}
	for part := range h.parts {
		left[h.coming.Load(part)] = true
	}
	for _, a := range h.arrivals {
		if !left[a] {
			h.cfg.Go(func() { h.end(a, false) })
		}
	}
}

// A release is what a former holder is told when nothing more is needed of what he has given.
type release struct {
	from Member
	move uint64
}

// release tells the former holder, until he has heard it or is gone.
func (h *Handover) release(r release) {
	h.mu.Lock()
	gone := h.goneLocked(r.from)
	if gone { // perhaps it is only not heard of, and comes back with what it thinks we have not got
		h.unreleased = append(h.unreleased, r)
	}
	over := h.stopped || gone
	h.mu.Unlock()
	if over {
		return
	}
	req := protocol.Request{Op: protocol.Pulled, Delta: r.move}
	h.cfg.Await(h.cfg.Send(r.from.ID, &req), func(resp *protocol.Response) {
		if resp.Status != protocol.OK {
			h.cfg.After(retryAfter, func() { h.release(r) })
		}
	})
}

// flush runs flush_all, and gives up what has not arrived: it is older. Number is the print of the members that this one sees: who asks all of them
// learns by it whether these are all.
func (h *Handover) flush(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	pending := h.cfg.Next.Handle(req, resp)
	if pending != nil || resp.Status != protocol.OK {
		return pending
	}
	h.mu.Lock()
	resp.Number = h.view
	open := slices.Clone(h.arrivals)
	h.mu.Unlock()
	if req.Exptime == 0 {
		for _, a := range open {
			h.end(a, true)
		}
	}
	return nil
}
