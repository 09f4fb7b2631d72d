package replicator

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// A feed is what a replica hears of us, under its number. Its fields are Replicator.mu's.
type feed struct {
	to     piece.Member
	number uint64
	parts  piece.Set
	past   piece.Set // given away, and not all with their new holder yet: until then its copies of them stay, as they were
	full   bool      // the replica has drawn all there was

	waiting []flight // copies that it did not acknowledge
	again   bool     // they are sent again soon
	spells  int      // how often it began to fail
	overdue bool     // it failed for longer than Patience

	// turn numbers the copies: those of a former turn come to nothing once the replica has heard of a later one.
	turn atomic.Uint64
	// failing: it did not acknowledge something, and nothing since.
	failing atomic.Bool
	// losing: the replica is being told that its copies are of no use. What it acknowledges meanwhile may have overtaken what it did not.
	losing atomic.Bool
	// stalled: its Patience is over, and writes that would wait for it are refused: else what is not acknowledged would pile up.
	stalled atomic.Bool
}

type feedKey struct {
	id     string
	number uint64
}

// hearsLocked reports whether a replica is to hear of writes to a partition.
func (r *Replicator) hearsLocked(f *feed, part uint32) bool {
	feeds := r.feeds.Load(int(part))
	return feeds != nil && slices.Contains(*feeds, f)
}

// endLocked has a replica hear no more of a partition. It must not be of use to it any more: because it has said so, or is gone, or because what was
// written is with another holder.
func (r *Replicator) endLocked(f *feed, part uint32) {
	if !r.hearsLocked(f, part) {
		return
	}
	left := slices.DeleteFunc(slices.Clone(*r.feeds.Load(int(part))), func(other *feed) bool { return other == f })
	if len(left) == 0 {
		r.feeds.Store(int(part), nil)
	} else {
		r.feeds.Store(int(part), &left)
	}
	f.parts.Remove(int(part))
	f.waiting = slices.DeleteFunc(f.waiting, func(fl flight) bool {
		if fl.w.part == part {
			r.stats.Alone.Add(1)
			fl.w.shard.settle(fl.w, fl.awaited, 1)
		}
		return fl.w.part == part
	})
	r.closeLocked(f)
}

// closeLocked forgets a feed of which nothing is left.
func (r *Replicator) closeLocked(f *feed) {
	if f.parts.Empty() && f.past.Empty() {
		delete(r.fed, feedKey{f.to.ID, f.number})
		r.active.Store(len(r.fed) > 0)
	}
}

func (r *Replicator) endAllLocked(f *feed) {
	for part := range f.parts.All() {
		r.endLocked(f, uint32(part))
	}
	clear(f.past)
	r.closeLocked(f)
}

// tell sends an Unfollow until it is answered or the member is gone, and says then which, and what of parts that member has taken over. No parts: all of that number. Number 0: all of ours.
func (r *Replicator) tell(to piece.Member, number uint64, parts piece.Set, done func(heard bool, taken piece.Set)) {
	r.mu.Lock()
	over := r.stopped || !r.aliveLocked(to)
	r.mu.Unlock()
	if over {
		done(false, nil)
		return
	}
	req := protocol.Request{Op: protocol.Unfollow, CAS: number, Delta: r.cfg.Self.Boot, Key: []byte(r.cfg.Self.ID), Value: parts}
	r.cfg.Await(r.cfg.Send(to.ID, &req), func(resp *protocol.Response) {
		taken := piece.Set(slices.Clone(resp.Value))
		if resp.Status != protocol.OK || len(taken) > 0 && !taken.Fits(r.feeds.Len()) {
			r.cfg.After(retryAfter, func() { r.tell(to, number, parts, done) })
			return
		}
		done(true, taken)
	})
}

// loseLocked tells a replica that its copies are of no use, and ends what it hears once it knows.
func (r *Replicator) loseLocked(f *feed, parts piece.Set) {
	r.telling++
	r.cfg.Go(func() {
		r.tell(f.to, f.number, parts, func(heard bool, taken piece.Set) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.telling--
			if !heard {
				if !r.stopped { // it is gone, and with it went the feed. If it is back it is told
					r.lapsed[f.to] = true
				}
				return
			}
			for part := range parts.All() {
				if len(taken) > 0 && taken.Has(part) && r.cfg.Place(uint32(part)) >= piece.Arriving {
					continue // both of us hold it, as after a split: what it has not acknowledged is not done until they have merged (Release)
				}
				r.endLocked(f, uint32(part))
			}
		})
	})
}

// Release is told of partitions that this node does not hold alone any more: they are in doubt, or are merged with what another has. Nobody has use of their
// copies.
func (r *Replicator) Release(parts piece.Set) {
	r.stickAll(func(w *write) bool { return parts.Has(int(w.part)) }) // whoever has the partition may not have what was not acknowledged
	r.mu.Lock()
	defer r.mu.Unlock()
	r.releaseLocked(parts, piece.Member{})
}

// stickAll has those who wait for some writes told that it is not known whether they were done.
func (r *Replicator) stickAll(which func(w *write) bool) {
	r.eachOpen(func(w *write) {
		if which(w) {
			w.stickLocked()
		}
	})
}

// releaseLocked ends what is heard of partitions; who is to hold them (to) need not be told.
func (r *Replicator) releaseLocked(parts piece.Set, to piece.Member) {
	for _, f := range r.feedsLocked() {
		ended := piece.NewSet(r.feeds.Len())
		for part := range parts.All() {
			if f.parts.Has(part) {
				ended.Add(part)
				r.endLocked(f, uint32(part))
			}
		}
		if !ended.Empty() && f.to != to {
			r.loseLocked(f, ended)
		}
	}
}

const (
	// settleFor bounds the wait for copies on their way when partitions are given away; lookAgain is how often it is looked.
	settleFor = 100 * time.Millisecond
	lookAgain = time.Millisecond
)

// Part is told of partitions that are given to another member, and are not written any more. It calls then, at once or soon.
func (r *Replicator) Part(parts piece.Set, to piece.Member, then func(piece.Parting)) {
	r.mu.Lock()
	r.parted++
	number := r.parted
	part := sync.OnceFunc(func() {
		r.mu.Lock()
		delete(r.partings, number)
		r.mu.Unlock()
		r.part(parts, to, then)
	})
	r.partings[number] = part
	r.mu.Unlock()
	r.partSoon(parts, settleFor, part)
}

func (r *Replicator) partSoon(parts piece.Set, left time.Duration, part func()) {
	if left > 0 && !r.ended.Load() && !r.openParts(parts).Empty() {
		r.cfg.After(lookAgain, func() { r.partSoon(parts, left-lookAgain, part) })
		return
	}
	part()
}

func (r *Replicator) part(parts piece.Set, to piece.Member, then func(piece.Parting)) {
	open := r.openParts(parts)
	r.buryOpen(parts)
	p := piece.Parting{Whole: piece.NewSet(r.feeds.Len())}
	r.mu.Lock()
	for _, f := range r.feedsLocked() {
		if f.to != to || !f.full || f.losing.Load() {
			continue
		}
		for part := range parts.All() {
			if f.parts.Has(part) && !open.Has(part) {
				p.Whole.Add(part)
			}
		}
	}
	r.retireLocked(parts, p.Whole, open, to)
	r.releaseLocked(parts, to)
	p.Follows, p.Number = r.stayLocked(parts, to)
	r.mu.Unlock()
	then(p)
}

// retireLocked has the replicas of partitions that are given away keep their copies as they are, save those whose new holder has one that is whole: should this
// node be gone before all has arrived, he asks for them. What has not been acknowledged by all may be missing in them, so those of open are of no use.
func (r *Replicator) retireLocked(parts, whole, open piece.Set, to piece.Member) {
	for _, f := range r.feedsLocked() {
		if f.to == to || f.losing.Load() {
			continue
		}
		for part := range parts.All() {
			if f.parts.Has(part) && !whole.Has(part) && !open.Has(part) {
				f.past.Add(part)
				r.endLocked(f, uint32(part))
			}
		}
	}
}

// Settle is told of partitions that were given away, when all of them is with their new holder, or he is gone: nobody has use of the copies that were kept of them.
func (r *Replicator) Settle(parts piece.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.feedsLocked() {
		settled := piece.NewSet(r.feeds.Len())
		for part := range parts.All() {
			if f.past.Has(part) {
				f.past.Remove(part)
				settled.Add(part)
			}
		}
		if !settled.Empty() {
			r.closeLocked(f)
			r.loseLocked(f, settled)
		}
	}
}

// stayLocked makes copies of what was held here: nothing need be drawn of them, for the new holder has it from here. It is so for partitions too of which the table wants none
// here: until the new holder has replicas of his own he would be alone with what is written, and with what he has taken.
func (r *Replicator) stayLocked(parts piece.Set, to piece.Member) (follows piece.Set, number uint64) {
	follows = piece.NewSet(r.feeds.Len())
	for part := range parts.All() {
		c := r.copies.Load(part)
		if r.table == nil || r.table.Copies() < 2 || c != nil && c.from != to || r.dirt.Dirty(part) {
			if c != nil && c.from == to {
				r.forgetLocked(c, part)
			}
			continue
		}
		follows.Add(part)
		if c != nil { // given already, and he has not heard of it
			if c.parts.Remove(part); c.parts.Empty() {
				delete(r.sessions, c.number)
			}
		}
	}
	if follows.Empty() {
		return follows, 0
	}
	r.numbered++
	c := &copying{from: to, number: r.numbered, parts: slices.Clone(follows)}
	c.heard.Store(true)
	c.lost.Store(r.evictions())
	c.whole.Store(true)
	c.Close()
	r.sessions[c.number] = c
	for part := range follows.All() {
		r.copies.Store(part, c)
	}
	return follows, c.number
}

// Feed lets a former holder hear of the writes to what he gave and keeps copies of. What he gave and is not taken as it was, he is told, is of no use.
func (r *Replicator) Feed(to piece.Member, number uint64, parts, taken piece.Set) {
	if parts.Empty() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &feed{to: to, number: number, parts: piece.NewSet(r.feeds.Len()), past: piece.NewSet(r.feeds.Len()), full: true}
	rest := piece.NewSet(r.feeds.Len())
	for part := range parts.All() {
		if taken.Has(part) && r.table != nil && r.aliveLocked(to) {
			f.parts.Add(part)
		} else {
			rest.Add(part)
		}
	}
	if !f.parts.Empty() {
		r.heard[to] = max(r.heard[to], number)
		r.feedLocked(f)
		r.thinLocked()
	}
	if !rest.Empty() {
		r.loseLocked(f, rest)
	}
}

// openParts gives those of some partitions that have writes which not all who hear of them have acknowledged.
func (r *Replicator) openParts(parts piece.Set) piece.Set {
	open := piece.NewSet(r.feeds.Len())
	r.eachOpen(func(w *write) {
		if parts.Has(int(w.part)) {
			open.Add(int(w.part))
		}
	})
	return open
}

// feedsLocked gives the feeds in an order that is the same each time. Each replica has numbers of its own, so two feeds may have the same.
func (r *Replicator) feedsLocked() []*feed {
	return slices.SortedFunc(maps.Values(r.fed), func(a, b *feed) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.to.ID, b.to.ID))
	})
}

// reviewFeedsLocked ends what members hear that are gone, or are replicas no more.
func (r *Replicator) reviewFeedsLocked() {
	maps.DeleteFunc(r.heard, func(m piece.Member, _ uint64) bool { boot, known := r.members[m.ID]; return known && boot > m.Boot })
	for _, m := range slices.SortedFunc(maps.Keys(r.lapsed), func(a, b piece.Member) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Boot, b.Boot)) }) {
		switch boot, known := r.members[m.ID]; {
		case known && boot == m.Boot: // it was not dead, and thinks that it has copies
			delete(r.lapsed, m)
			r.loseLocked(&feed{to: m}, nil)
		case known:
			delete(r.lapsed, m) // another run, which knows of nothing
		}
	}
	for _, f := range r.feedsLocked() {
		if !r.aliveLocked(f.to) {
			r.lapsed[f.to] = true
			r.endAllLocked(f)
			continue
		}
	}
	r.thinLocked()
	for part := range r.feeds.Len() {
		if feeds := r.feeds.Load(part); feeds != nil && len(*feeds) > 1 {
			ordered := slices.Clone(*feeds)
			r.orderLocked(ordered, r.table.Holders(uint32(part)))
			r.feeds.Store(part, &ordered)
		}
	}
}

// thinLocked tells those who are no replicas by the table that their copies are of no use: not before those who are have all there is, for who is left of two when
// this node is gone must have one that is whole.
func (r *Replicator) thinLocked() {
	for _, f := range r.feedsLocked() {
		surplus := piece.NewSet(r.feeds.Len())
		for part := range f.parts.All() {
			if r.leaderLocked(part) && !r.wantedLocked(f, part) && r.missingLocked(part) == 0 {
				surplus.Add(part)
			}
		}
		if !surplus.Empty() {
			r.loseLocked(f, surplus)
		}
	}
}

// wantedLocked reports whether the table has it that a member keeps a copy of a partition.
func (r *Replicator) wantedLocked(f *feed, part int) bool {
	holders, place := r.table.Holders(uint32(part)), r.table.Index(f.to.ID)
	return place >= 0 && len(holders) > 1 && slices.Contains(holders[1:], uint16(place))
}

// missingLocked counts the copies of a partition that the table wants and nobody has whole.
func (r *Replicator) missingLocked(part int) (missing int) {
	missing = max(0, len(r.table.Holders(uint32(part)))-1)
	if feeds := r.feeds.Load(part); feeds != nil {
		for _, f := range *feeds {
			if f.full && !f.losing.Load() && r.wantedLocked(f, part) {
				missing--
			}
		}
	}
	return missing
}

// follow lets a replica hear of the writes from now on to what is held here.
func (r *Replicator) follow(req *protocol.Request, resp *protocol.Response) {
	var a ask
	if !a.parse(req.Value, r.feeds.Len()) {
		resp.Fail("no partitions to follow")
		return
	}
	accepted := piece.NewSet(r.feeds.Len())
	r.mu.Lock()
	place := -1
	if r.table != nil && r.aliveLocked(a.from) {
		place = r.table.Index(a.from.ID)
	}
	late := a.number != 0 && a.number <= r.heard[a.from] // he has asked again since
	if a.number != 0 && !late && place >= 0 {
		r.heard[a.from] = a.number
	}
	for part := range a.parts.All() {
		if place >= 0 && !late && r.cfg.Place(uint32(part)) == piece.Holder && slices.Contains(r.table.Holders(uint32(part)), uint16(place)) {
			accepted.Add(part)
		}
	}
	if probe := a.number == 0; !probe && !accepted.Empty() {
		r.feedLocked(&feed{to: a.from, number: a.number, parts: slices.Clone(accepted), past: piece.NewSet(r.feeds.Len())})
	}
	r.mu.Unlock()
	if a.number != 0 {
		r.cfg.Written() // what is written without a copy is there before the first piece is drawn
	}
	resp.Status = protocol.OK
	resp.Scratch = append(resp.Scratch[:0], accepted...)
	resp.Value = resp.Scratch
}

// orderLocked puts first who leads next: he is to acknowledge. Who is a replica no more comes last.
func (r *Replicator) orderLocked(feeds []*feed, holders []uint16) {
	place := func(f *feed) int {
		if at := slices.Index(holders, uint16(r.table.Index(f.to.ID))); at >= 0 {
			return at
		}
		return len(holders)
	}
	slices.SortStableFunc(feeds, func(a, b *feed) int { return place(a) - place(b) })
}

func (r *Replicator) feedLocked(f *feed) {
	for _, before := range r.feedsLocked() {
		if before.to == f.to {
			for part := range f.parts.All() {
				r.endLocked(before, uint32(part)) // it has given that up, or would not ask
			}
		}
	}
	r.fed[feedKey{f.to.ID, f.number}] = f
	r.active.Store(true)
	for part := range f.parts.All() {
		feeds := []*feed{f}
		if before := r.feeds.Load(part); before != nil {
			feeds = append(feeds, *before...)
		}
		holders := r.table.Holders(uint32(part))
		r.orderLocked(feeds, holders)
		r.feeds.Store(part, &feeds)
	}
}

// piece answers with the next items of what a replica follows.
func (r *Replicator) piece(req *protocol.Request, resp *protocol.Response) {
	cursor, ok := piece.CutCursor(req.Value)
	r.mu.Lock()
	f := r.fed[feedKey{string(req.Key), req.CAS}]
	var parts piece.Set
	if f != nil {
		parts = slices.Clone(f.parts)
		parts.Union(f.past)
	}
	r.mu.Unlock()
	if !ok || f == nil {
		resp.Status = protocol.NotFound
		return
	}
	out, _, more := piece.Fill(resp.Scratch[:0], r.cfg.Store.WalkAll, cursor, parts.Has, r.cfg.PieceBytes, r.cfg.Duty)
	if !more {
		r.mu.Lock()
		f.full = true
		r.thinLocked()
		r.mu.Unlock()
	}
	resp.Status, resp.Scratch, resp.Value = protocol.OK, out, out
	resp.Size = uint32(len(out)) // so that one with a long item is sent in parts
}
