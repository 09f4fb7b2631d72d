package replicator

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// A copying is what this node hears of a holder under one number, and the copies that come of it.
type copying struct {
	from   piece.Member
	number uint64
	parts  piece.Set // Replicator.mu
	cursor storage.Cursor
	whole  atomic.Bool  // all is here that was there at the beginning
	lost   atomic.Int64 // what this store had evicted by then, of anything
	heard  atomic.Bool  // the holder has agreed
	over   atomic.Bool  // nothing is left of it

	turn atomic.Uint64 // the latest of the holder's that was heard of: what he has sent before comes to nothing

	confirmed atomic.Pointer[confirmation] // what may be read of it; nil: nothing

	piece.Claims // what he has sent since: pieces are older
}

const (
	// The pause before partitions are asked for again that nobody had to give doubles from the first to the last.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	// retryAfter is the pause after a message that was not answered.
	retryAfter = 50 * time.Millisecond
)

// reviewCopiesLocked lets go what is kept here and not wanted any more.
func (r *Replicator) reviewCopiesLocked() {
	for _, c := range r.sessionsLocked() {
		if r.aliveLocked(c.from) {
			continue // it tells us what it does not want us to keep
		}
		for part := range c.parts.All() {
			if !r.replicaLocked(part) && !r.leaderLocked(part) {
				r.cfg.After(keepFor, func() { r.expire(c) }) // whoever is to hold it may ask for our copy
				break
			}
		}
	}
}

// keepFor is how long a copy stays whose holder is gone, and that is to be held by another.
const keepFor = 5 * time.Second

func (r *Replicator) expire(c *copying) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for part := range c.parts.All() {
		if !r.aliveLocked(c.from) && !r.replicaLocked(part) && !r.leaderLocked(part) {
			r.forgetLocked(c, part)
		}
	}
}

func (r *Replicator) sessionsLocked() []*copying {
	return slices.SortedFunc(maps.Values(r.sessions), func(a, b *copying) int { return cmp.Compare(a.number, b.number) })
}

func (r *Replicator) replicaLocked(part int) bool {
	holders := r.table.Holders(uint32(part))
	return r.self >= 0 && len(holders) > 1 && slices.Contains(holders[1:], uint16(r.self))
}

func (r *Replicator) leaderLocked(part int) bool {
	return r.self >= 0 && r.table.Owner(uint32(part)) == r.self
}

// forgetLocked makes a copy be of no use. What is here of it is dropped before anything else is made of the partition.
func (r *Replicator) forgetLocked(c *copying, part int) {
	if r.copies.Load(part) != c {
		return
	}
	r.copies.Store(part, nil)
	r.dirt.Soil(part)
	r.leaveLocked(c, part)
}

// leaveLocked notes that a partition is not among the copies of a session any more.
func (r *Replicator) leaveLocked(c *copying, part int) {
	if c.parts.Remove(part); c.parts.Empty() {
		delete(r.sessions, c.number)
		c.over.Store(true)
	}
	r.seekLaterLocked()
}

func (r *Replicator) forgetAllLocked(c *copying) {
	for part := range c.parts.All() {
		r.forgetLocked(c, part)
	}
}

// Doubt says that this process has stood still for a while: its copies may be out of date, for their holders may have gone on without it.
func (r *Replicator) Doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.sessionsLocked() {
		r.forgetAllLocked(c)
	}
}

// seekLaterLocked sees to it that what is to be copied here is asked for.
func (r *Replicator) seekLaterLocked() {
	if r.seeking || r.stopped {
		return
	}
	r.seeking = true
	r.cfg.After(r.sought, r.seek)
	r.sought = min(max(2*r.sought, firstPause), lastPause)
}

// seek asks the holders for what is to be copied here and is not.
func (r *Replicator) seek() {
	r.dirt.Begin()
	r.mu.Lock()
	r.seeking = false
	r.mu.Unlock()
	r.askSought()
}

// askSought asks for what is to be copied here, may be begun, and is not.
func (r *Replicator) askSought() {
	r.mu.Lock()
	ask := r.soughtLocked()
	r.mu.Unlock()
	ask()
}

// soughtLocked finds out whom to ask for which partitions; what it gives does so, and is to be called without mu.
func (r *Replicator) soughtLocked() (ask func()) {
	plain, probes := map[string]piece.Set{}, map[string]piece.Set{}
	open := false
	for part := range r.copies.Len() {
		if r.stopped || r.table == nil || !r.replicaLocked(part) {
			continue
		}
		id := r.table.Members()[r.table.Owner(uint32(part))].ID
		if _, alive := r.members[id]; !alive {
			continue
		}
		c := r.copies.Load(part)
		if c != nil && r.aliveLocked(c.from) {
			open = open || c.from.ID != id // he tells us when it is not his any more
			continue
		}
		open = true
		if r.cfg.Place(uint32(part)) != piece.Elsewhere {
			continue
		}
		asks := plain
		if c != nil {
			asks = probes // it may be needed until somebody holds the partition
		}
		if asks[id] == nil {
			asks[id] = piece.NewSet(r.copies.Len())
		}
		asks[id].Add(part)
	}
	if open || r.dirt.Len() > 0 { // hand-over may have needed what is to be dropped
		r.seekLaterLocked()
	}
	return func() {
		for _, id := range slices.Sorted(maps.Keys(plain)) {
			r.ask(id, plain[id])
		}
		for _, id := range slices.Sorted(maps.Keys(probes)) {
			r.probe(id, probes[id])
		}
	}
}

// ask follows a member in these partitions, of which no copy is here.
func (r *Replicator) ask(id string, parts piece.Set) {
	r.mu.Lock()
	boot, alive := r.members[id]
	for part := range parts.All() {
		if r.copies.Load(part) != nil || r.dirt.Dirty(part) || r.cfg.Place(uint32(part)) != piece.Elsewhere {
			parts.Remove(part)
		}
	}
	if !alive || r.stopped || parts.Empty() {
		r.mu.Unlock()
		return
	}
	r.numbered++
	c := &copying{from: piece.Member{ID: id, Boot: boot}, number: r.numbered, parts: slices.Clone(parts)}
	r.sessions[c.number] = c
	for part := range parts.All() {
		r.copies.Store(part, c)
	}
	r.mu.Unlock()
	req := protocol.Request{Op: protocol.Follow, Value: (&ask{from: r.cfg.Self, number: c.number, parts: parts}).append(nil)}
	r.cfg.Await(r.cfg.Send(id, &req), func(resp *protocol.Response) { r.answered(c, resp) })
}

// answered goes on with what a holder lets us follow.
func (r *Replicator) answered(c *copying, resp *protocol.Response) {
	accepted := piece.Set(resp.Value)
	ok := resp.Status == protocol.OK && accepted.Fits(r.copies.Len())
	r.mu.Lock()
	for part := range c.parts.All() {
		if !ok || !accepted.Has(part) {
			r.forgetLocked(c, part)
		}
	}
	over := c.parts.Empty()
	c.heard.Store(!over)
	r.mu.Unlock()
	if !over {
		r.draw(c)
	}
}

// probe asks who is to hold these partitions whether he does. If so, what is here of them is of no use any more.
func (r *Replicator) probe(id string, parts piece.Set) {
	req := protocol.Request{Op: protocol.Follow, Value: (&ask{from: r.cfg.Self, parts: parts}).append(nil)}
	r.cfg.Await(r.cfg.Send(id, &req), func(resp *protocol.Response) {
		held := piece.Set(resp.Value)
		if resp.Status != protocol.OK || !held.Fits(r.copies.Len()) {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for part := range held.All() {
			if c := r.copies.Load(part); c != nil && !r.aliveLocked(c.from) {
				r.forgetLocked(c, part)
			}
		}
	})
}

// draw asks for the next piece of what was there when we began to follow.
func (r *Replicator) draw(c *copying) {
	if c.over.Load() {
		return
	}
	req := protocol.Request{Op: protocol.Draw, CAS: c.number, Key: []byte(r.cfg.Self.ID), Value: piece.AppendCursor(nil, c.cursor)}
	r.cfg.Await(r.cfg.Send(c.from.ID, &req), func(resp *protocol.Response) { r.drew(c, resp) })
}

// drew installs a piece, and asks for the next in good time.
func (r *Replicator) drew(c *copying, resp *protocol.Response) {
	p, ok := piece.Cut(resp.Value)
	switch {
	case c.over.Load():
		return
	case resp.Status.FromPeer(): // until it answers, or the copy is given up
		r.cfg.After(lastPause, func() { r.draw(c) })
		return
	case resp.Status != protocol.OK || !ok: // it knows of no such number any more
		r.mu.Lock()
		r.forgetAllLocked(c)
		r.mu.Unlock()
		return
	}
	began := r.cfg.Duty.Begin()
	for key, it := range p.Items {
		r.install(c, key, it)
	}
	pause := max(r.cfg.Duty.Spend(began), min(p.Pause, lastPause))
	r.stats.BytesIn.Add(int64(len(resp.Value)))
	if c.Full() { // too much was written meanwhile: another time
		r.cfg.Log.Warn("copies are given up: too many keys were written before they were whole", "from", c.from.ID)
		r.mu.Lock()
		r.sought = lastPause
		r.forgetAllLocked(c)
		r.mu.Unlock()
		return
	}
	if c.cursor = p.Next; !p.More {
		c.lost.Store(r.evictions())
		c.whole.Store(true)
		c.Close()
		return
	}
	r.mu.Lock()
	sharing := max(len(r.sessions), 1)
	r.mu.Unlock()
	r.cfg.After(max(pause, piece.Pace(len(resp.Value), r.cfg.Rate()/int64(sharing))), func() { r.draw(c) })
}

// install stores an item of a piece, unless its key has been written since.
func (r *Replicator) install(c *copying, key []byte, it storage.Item) {
	hash := storage.Hash(key)
	held := r.cfg.Store.Hold(key)
	defer held.Release()
	if r.copies.Load(int(r.partOf(hash))) != c || c.Resolved(hash) {
		return
	}
	if held.Mirror(it) == nil {
		r.stats.ItemsIn.Add(1)
	}
}

// store stores what a holder has written, or removes what is gone.
func (r *Replicator) store(req *protocol.Request, resp *protocol.Response) {
	key, it, there := piece.One(req.Value)
	if !there {
		key = req.Key
	}
	if len(key) == 0 || !there && len(req.Value) > 0 {
		resp.Fail("no item")
		return
	}
	hash := storage.Hash(key)
	part := r.partOf(hash)
	held := r.cfg.Store.Hold(key)
	defer held.Release()
	c := r.copies.Load(int(part)) // with the key held: whoever holds the partition next has his writes after this one
	if c == nil || c.number != req.CAS {
		switch place := r.cfg.Place(part); {
		case place >= piece.Arriving:
			resp.Status = protocol.PeerMoved
			if number := r.taken.Load(int(part)); number != nil {
				resp.CAS = *number
			}
		case place == piece.Elsewhere:
			resp.Status = protocol.NotFound
		default: // it is being taken over, or was: the sender is to find out before he goes on alone
			resp.Status = protocol.PeerOverloaded
		}
		return
	}
	if !c.takes(req.Delta) {
		resp.Status = protocol.PeerOverloaded
		return
	}
	c.Claim(hash)
	resp.Status = protocol.OK
	if !there {
		held.Delete()
		return
	}
	_ = held.Mirror(it) // no room: it is gone here, as if it had been evicted
	r.stats.Stored.Add(1)
}

// takes reports whether a copy of a turn is taken, and notes the latest.
func (c *copying) takes(turn uint64) bool {
	for {
		latest := c.turn.Load()
		if turn <= latest {
			return turn == latest
		}
		if c.turn.CompareAndSwap(latest, turn) {
			return true
		}
	}
}

// unfollowed makes copies be of no use, since their holder says so. It tells him which of his partitions are held here meanwhile: he may have been taken for dead.
func (r *Replicator) unfollowed(req *protocol.Request, resp *protocol.Response) {
	parts := piece.Set(req.Value)
	if len(parts) > 0 && !parts.Fits(r.copies.Len()) {
		resp.Fail("no partitions")
		return
	}
	resp.Status = protocol.OK
	r.mu.Lock()
	defer r.mu.Unlock()
	from := piece.Member{ID: string(req.Key), Boot: req.Delta}
	if !r.aliveLocked(from) {
		resp.Fail("not a member") // it may be taken for dead, and what it held be ours on the strength of these copies
		return
	}
	for _, c := range r.sessionsLocked() {
		if c.from != from || req.CAS != 0 && c.number != req.CAS {
			continue
		}
		for part := range c.parts.All() {
			if len(parts) == 0 || parts.Has(part) {
				r.forgetLocked(c, part)
			}
		}
	}
	r.sought = 0
	taken := slices.Clone(parts)
	for part := range taken.All() {
		if r.cfg.Place(uint32(part)) < piece.Arriving {
			taken.Remove(part)
		}
	}
	resp.Scratch = append(resp.Scratch[:0], taken...)
	resp.Value = resp.Scratch
}

// Clean reports whether nothing is here of a partition, so that it may be held at once.
func (r *Replicator) Clean(part uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.dirt.Dirty(int(part)) && r.copies.Load(int(part)) == nil
}

// Keeps reports whether a copy of a partition is kept here.
func (r *Replicator) Keeps(part uint32) bool { return r.copies.Load(int(part)) != nil }

// Copy reports whether a copy of a partition is kept here, and whether it is whole.
func (r *Replicator) Copy(part uint32) (kept, whole bool) {
	c := r.copies.Load(int(part))
	return c != nil, c != nil && c.whole.Load()
}

// Copied reports whether a copy is here that may be used: it was kept well, and its holder is gone; and whether all is in it that he had.
func (r *Replicator) Copied(part uint32) (usable, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.copies.Load(int(part))
	usable = c != nil && c.heard.Load() && !r.aliveLocked(c.from)
	return usable, usable && c.whole.Load()
}

// Yield gives up copies: no longer are they his who held the partitions. Those that may be used, because he is gone, are in kept, and are the caller's now.
func (r *Replicator) Yield(parts piece.Set) (kept piece.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.yieldLocked(parts, func(c *copying, part int) bool { return !r.aliveLocked(c.from) })
}

func (r *Replicator) yieldLocked(parts piece.Set, good func(c *copying, part int) bool) (kept piece.Set) {
	kept = piece.NewSet(r.copies.Len())
	for part := range parts.All() {
		if c := r.copies.Load(part); c != nil && c.heard.Load() && good(c, part) {
			number := c.number
			r.copies.Store(part, nil) // and it is not dirty, not for a moment: a sweep that begins then would drop it
			r.leaveLocked(c, part)
			kept.Add(part)
			r.taken.Store(part, &number)
		} else if c != nil {
			r.forgetLocked(c, part)
		}
	}
	r.stats.Taken.Add(int64(kept.Len()))
	return kept
}

// Take prepares partitions that are to be held here, as Yield does; and whatever else is here of them is dropped.
func (r *Replicator) Take(parts piece.Set) (kept piece.Set) {
	kept = r.Yield(parts)
	r.dirt.Clean(parts)
	return kept
}

// Receive prepares partitions that a member has given to us. Of whole, he says, we have a copy that is all he had: so we have, unless anything had to be evicted
// since. Those that are salvaged he has only a copy of himself, and ours may be as good, unless its holder's next run has been here since. What else is here of the partitions is dropped.
func (r *Replicator) Receive(parts, whole, salvaged piece.Set, from piece.Member) (base piece.Base) {
	evictions := r.evictions()
	base.Whole = piece.NewSet(r.copies.Len())
	var halves []*copying
	all := func(c *copying, part int) bool {
		if salvaged.Has(part) {
			return c.whole.Load()
		}
		return c.lost.Load() == evictions
	}
	r.mu.Lock()
	base.Some = r.yieldLocked(parts, func(c *copying, part int) bool {
		good := c.from == from && c.whole.Load() && whole.Has(part) || salvaged.Has(part) && !r.aliveLocked(c.from) && !r.supersededLocked(c.from)
		switch {
		case !good:
		case all(c, part):
			base.Whole.Add(part)
		case !c.whole.Load() && !slices.Contains(halves, c):
			halves = append(halves, c)
			base.Claims = append(base.Claims, &c.Claims)
		}
		return good
	})
	r.mu.Unlock()
	for part := range base.Whole.All() {
		base.Some.Remove(part)
	}
	r.dirt.Clean(parts)
	return base
}

// evictions counts what had to go from this store for want of room. Nobody asks for copies, so they go first, whatever use the items are of where they are held.
func (r *Replicator) evictions() int64 {
	stats := r.cfg.Store.Stats()
	return int64(stats.Evictions)
}

// Spoil says that copies which Take gave are not to be used after all: their holder may be back.
func (r *Replicator) Spoil(parts piece.Set) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for part := range parts.All() {
		if r.droppable(uint32(part)) {
			r.dirt.Soil(part)
		}
	}
}

// droppable reports whether hand-over does not need what is here of a partition.
func (r *Replicator) droppable(part uint32) bool {
	place := r.cfg.Place(part)
	return place == piece.Elsewhere || place == piece.Wanted
}
