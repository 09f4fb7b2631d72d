// Package handover moves the items of partitions whose owner changes, so that a cache does not cool when members come and go.
//
//	table adopted -> wanted --Takeover--> all members --given--> arriving --Pull, Pull, Pull--> held
//	                        --Takeover--> all members --nobody has it, twice--> held, empty
//	asked for it  -> held --> given (answers Fetch and Pull alone) --Pulled--> dropped, foreign
//
// A partition has one holder at a time: its former holder ends what it is doing, gives the partition away, and only then does the new one answer for
// it. What has not arrived yet is fetched, key by key, when it is asked for. So nothing is lost on the way, and nothing old is ever seen.
//
// Nothing here waits: messages are answered by callbacks (Config.Await), time passes by Config.After. So a test may play all of it, in any order.
// Locks: Handover.mu before a stripe of the store. Nothing is sent, and no piece installed, with mu held.
package handover

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// Config says what is handed over, and how others are reached. All functions must be set; zero numbers take their defaults.
type Config struct {
	Self  Member
	Store *storage.Store
	Next  protocol.Handler // runs what may be run

	// Send sends a request to a member on a copy lane.
	Send func(id string, req *protocol.Request) *protocol.Pending
	// Await calls then with the answer, once it is there, and releases the pending.
	Await func(pending *protocol.Pending, then func(resp *protocol.Response))
	// After calls f in a while; Go calls it at once, elsewhere.
	After func(pause time.Duration, f func())
	Go    func(f func())
	// Missed reports whether a member that is here no longer went without a word, and may be alive all the same. nil: so did all.
	Missed func(m Member) bool
	// Hasten is called when another member seems to know a later table than this one.
	Hasten func()
	// Mourning tells for how long yet what is deleted here leaves tombstones, since somebody may be on the other side of a split; Mourn has it do so for that long at least. Who takes partitions over
	// is told: he may be new, and not know who is missed. nil: nobody is ever missed.
	Mourning func() time.Duration
	Mourn    func(span time.Duration)

	// Copies is what keeps copies for others here, and has others keep some of what is held here.
	Copies Copies

	// Duty is what may be done about moves. Default: an eighth of a processor. Rate is how many bytes of items are pulled in a second, from all members together.
	// Asked each time; default 32 MiB. From a member that drains more are pulled than either allows, if it would be gone before all is here.
	Duty *piece.Duty
	Rate func() int64
	// Leaving tells how long this node will be here still, if it drains; 0: it stays. nil: it never drains.
	Leaving func() time.Duration
	// Patience bounds how long a request waits for a partition that nobody has given us yet. Asked each time; default 500 ms.
	Patience func() time.Duration

	Log *slog.Logger
}

// Copies are what node/replicator does of these names. All but Take and Receive are called with locks held, and must not call back; Part's then is called without any.
type Copies struct {
	// Take: partitions are to be held here since nobody holds them. What is here of them is dropped, but for copies that may be used, which are kept. Yield drops
	// nothing. Spoil: what was kept is of no use any more. Copied: there is a copy that may be used, and it is whole. Clean: Take has nothing to do.
	Take   func(parts piece.Set) (kept piece.Set)
	Yield  func(parts piece.Set) (kept piece.Set)
	Spoil  func(parts piece.Set)
	Copied func(part uint32) (usable, whole bool)
	Clean  func(part uint32) bool

	// Part: partitions are given to a member; then is called with what follows from that. Settle: all that is to come to him of them has. Receive: they were given to
	// this node, those that are salvaged by one who had copies. Feed: who gave them keeps copies of parts, from which this node goes on with those that are taken. Keeps: there is
	// a copy. Release: partitions are in doubt, or merged, or dropped.
	Part    func(parts piece.Set, to Member, then func(piece.Parting))
	Settle  func(parts piece.Set)
	Receive func(parts, whole, salvaged piece.Set, from Member) piece.Base
	Feed    func(to Member, number uint64, parts, taken piece.Set)
	Keeps   func(part uint32) bool
	Release func(parts piece.Set)

	// Stalled: writes to a partition are refused for now, since a replica does not acknowledge them.
	Stalled func(part uint32) bool
}

// later calls f after a pause, if any, and not here.
func (cfg *Config) later(pause time.Duration, f func()) {
	if pause > 0 {
		cfg.After(pause, f)
	} else {
		cfg.Go(f)
	}
}

// A Member is one run of a node.
type Member = piece.Member

// A Handover knows which partitions this node holds, and is the handler that lets in the requests for them.
type Handover struct {
	cfg    Config
	parts  []partition
	coming *piece.Each[arrival] // by partition that is arriving: what it is part of
	gate   gate
	stats  Stats
	born   time.Time

	pieceBytes int // as the constant has it, and less in tests

	again func(*protocol.Request, *protocol.Response) *protocol.Pending // tryAgain, made once

	mu         sync.Mutex // guards the rest, and all changes of partitions
	table      *ring.Table
	self       int                  // our place in the table; -1: none
	members    map[string]uint64    // the others that are alive: their boots by id
	ghosts     map[string]bool      // those that were until now: they are asked as well, as long as they have not failed to answer. true: and then again
	view       uint64               // the print of the members, and of ourselves
	left       bool                 // we are none any more
	round      *round               // under way; nil: none
	unsure     map[Member]piece.Set // what members were asked for and have not answered: perhaps they have given it
	empty      []uint8              // by partition: how many rounds in a row found nobody who has it
	short      []time.Duration      // by partition: when it began here, or went on, with less than there was of it, since born; 0: never
	pause      time.Duration        // before the next round
	arrivals   []*arrival           // under way
	rests      []*arrival           // that wait for others of the same partitions
	moves      map[uint64]*move
	moved      uint64              // numbers the moves, from our boot on: those of a former run are not mistaken for ours
	holds      uint64              // numbers the times that a partition became held
	asks       uint64              // numbers what we ask
	doubts     uint64              // how often this process has stood still
	heard      map[Member]uint64   // the latest number that each has asked with
	keepers    *piece.Each[string] // by partition that is wanted: who answers for it still, if we know
	salvors    map[uint32]string   // partitions that nobody has, and who has a copy that is better than none
	recent     int                 // moves begun within heardAfter
	unreleased []release           // what their former holders have not been told, since they were not there
	dropping   bool
	waiting    []waiter
	ticking    bool
	offering   bool
	stopped    bool
}

// Stats are counted since the start.
type Stats struct {
	Taken, Given         atomic.Int64 // partitions
	ItemsIn, BytesIn     atomic.Int64 // installed from pieces
	ItemsOut, BytesOut   atomic.Int64 // sent in pieces
	Fetches, FetchedHits atomic.Int64 // items asked for one by one, and those that were there
	Waits, Overdue       atomic.Int64 // requests that waited for a partition, and those in vain
	GivenUp              atomic.Int64 // arrivals that ended before all was there
	Dropped              atomic.Int64 // items, of partitions given away
	Doubts               atomic.Int64 // times that this process stood still
	Unread               atomic.Int64 // answers of members to a takeover that could not be read
	ClocksAhead          atomic.Int64 // times that a member's clock was more than a second ahead of ours
}

// New makes a Handover of the store's partitions that holds none.
func New(cfg Config) *Handover {
	partitions := cfg.Store.Partitions()
	if cfg.Rate == nil {
		cfg.Rate = func() int64 { return 32 << 20 }
	}
	if cfg.Duty == nil {
		cfg.Duty = piece.NewDuty(1./8, nil)
	}
	if cfg.Patience == nil {
		cfg.Patience = func() time.Duration { return 500 * time.Millisecond }
	}
	if cfg.Missed == nil {
		cfg.Missed = func(Member) bool { return true }
	}
	if cfg.Mourning == nil {
		cfg.Mourning = func() time.Duration { return 0 }
	}
	if cfg.Mourn == nil {
		cfg.Mourn = func(time.Duration) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handover{
		cfg: cfg, parts: make([]partition, partitions), coming: piece.NewEach[arrival](partitions), empty: make([]uint8, partitions), self: -1,
		born: time.Now(), short: make([]time.Duration, partitions),
		moves: map[uint64]*move{}, unsure: map[Member]piece.Set{},
		moved: cfg.Self.Boot, heard: map[Member]uint64{}, keepers: piece.NewEach[string](partitions), salvors: map[uint32]string{}, ghosts: map[string]bool{},
	}
	h.pieceBytes = pieceBytes
	h.again = h.tryAgain
	return h
}

// Stats gives the live counters.
func (h *Handover) Stats() *Stats { return &h.stats }

// A Count says how many partitions are in which state.
type Count struct {
	Held, Wanted, Arriving int
	Given                  int // and not yet with their new holder
}

// Count counts the partitions.
func (h *Handover) Count() (count Count) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.parts {
		switch state, number := h.parts[i].load(); state {
		case held:
			count.Held++
		case wanted, doubted:
			count.Wanted++
		case arriving:
			count.Arriving++
		case given:
			if m := h.moves[number]; m != nil && !m.pulled {
				count.Given++
			}
		}
	}
	return count
}

// partOf gives the partition of the keys of a hash.
func (h *Handover) partOf(hash uint64) uint32 { return ring.PartitionOf(hash, len(h.parts)) }

// Holds reports whether this node answers for a partition.
func (h *Handover) Holds(part uint32) bool {
	state, _ := h.parts[part].load()
	return state == held || state == arriving
}

// Held gives a number that a partition bears from the moment when all of it was here, until it is any other's, or in doubt, or merged; 0: it is not so.
func (h *Handover) Held(part uint32) (number uint64) {
	if state, number := h.parts[part].load(); state == held {
		return number
	}
	return 0
}

// holdLocked makes a partition held, all of which is here.
func (h *Handover) holdLocked(p *partition) {
	h.holds++
	p.store(held, h.holds)
}

// Place tells what this node is to a partition.
func (h *Handover) Place(part uint32) piece.Place {
	switch state, _ := h.parts[part].load(); state {
	case held:
		return piece.Holder
	case arriving:
		return piece.Arriving
	case doubted, given:
		return piece.Leaving
	case wanted:
		return piece.Wanted
	default:
		return piece.Elsewhere
	}
}

// Written returns when all writes have been run that were under way when it was called.
func (h *Handover) Written() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate.wait()
}

// Stop ends what goes on by itself; requests that wait are answered.
func (h *Handover) Stop() {
	h.mu.Lock()
	h.stopped = true
	waiting := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	for _, w := range waiting {
		w.pending.Response.Status = protocol.PeerLost
		w.pending.Complete()
	}
}

// Handle implements protocol.Handler: what this node holds goes on to the next handler, what is on its way here waits, and what is neither is answered
// with PeerMoved.
func (h *Handover) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	return h.handle(req, resp, true)
}

// A Lane answers what others have forwarded. There nothing waits for a partition: the others' clients behind it would wait as well. PeerMoved sends it back.
type Lane struct{ h *Handover }

// Lane gives the handler for forward lanes.
func (h *Handover) Lane() Lane { return Lane{h} }

// Handle implements protocol.Handler.
func (l Lane) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	return l.h.handle(req, resp, false)
}

func (h *Handover) handle(req *protocol.Request, resp *protocol.Response, waits bool) *protocol.Pending {
	switch {
	case req.Op == protocol.Flush:
		return h.flush(req, resp)
	case !req.Op.Keyed():
		return h.cfg.Next.Handle(req, resp)
	}
	hash := storage.Hash(req.Key)
	h.cfg.Store.Expect(hash)
	part := h.partOf(hash)
	for {
		state, number := h.parts[part].load()
		switch state {
		case held:
			if pending, done := h.run(part, req, resp); done {
				return pending
			}
		case arriving:
			if a := h.coming.Load(int(part)); a != nil {
				if pending, done := h.arrive(a, part, hash, req, resp); done {
					return pending
				}
			}
		default:
			return h.elsewhere(part, state, number, resp, waits)
		}
	}
}

// run runs a request on a partition that was held a moment ago; done is false if it is not any more.
func (h *Handover) run(part uint32, req *protocol.Request, resp *protocol.Response) (pending *protocol.Pending, done bool) {
	if req.Op.Writes() || req.Options.Has(protocol.Lease) {
		seat := h.gate.enter(req.Origin)
		defer h.gate.leave(seat)
		if state, _ := h.parts[part].load(); state != held {
			return nil, false
		}
		return h.cfg.Next.Handle(req, resp), true
	}
	pending = h.cfg.Next.Handle(req, resp)
	if resp.Status == protocol.NotFound {
		if state, _ := h.parts[part].load(); state != held { // it may have been dropped because another has it
			resp.Reset()
			return nil, false
		}
	}
	return pending, true
}

// arrive runs a request on a partition that is arriving, once the item it is for is here; done is false if the partition's state has changed meanwhile.
func (h *Handover) arrive(a *arrival, part uint32, hash uint64, req *protocol.Request, resp *protocol.Response) (pending *protocol.Pending, done bool) {
	switch {
	case req.Op.Writes() && h.cfg.Copies.Stalled(part):
		resp.Status = protocol.PeerTimeout // it would be refused, and the key must not be resolved by that
		return nil, true
	case a.resolved(hash):
	case overwrites(req):
		h.resolve(a, hash)
	case !a.merges && h.has(req.Key):
		if req.Op.Writes() {
			h.resolve(a, hash)
		}
	case a.silent.Load():
		resp.Status = protocol.PeerTimeout // a fetch would only take its time to fail; who pulls finds out when it is over
		return nil, true
	default:
		h.stats.Fetches.Add(1)
		pending = h.cfg.Send(a.from.ID, &protocol.Request{Op: protocol.Fetch, Key: req.Key, Delta: a.move, Origin: req.Origin})
		pending.Then, pending.Holds = a.fetched, true
		return pending, true
	}
	seat := h.gate.enter(req.Origin)
	defer h.gate.leave(seat)
	if state, _ := h.parts[part].load(); state != held && (state != arriving || h.coming.Load(int(part)) != a) {
		return nil, false
	}
	return h.cfg.Next.Handle(req, resp), true
}

// overwrites reports whether nothing of an old item matters to the request.
func overwrites(req *protocol.Request) bool {
	return req.Op == protocol.Discard || req.Op == protocol.Set && !req.Options.Has(protocol.Compare)
}

func (h *Handover) has(key []byte) bool {
	held := h.cfg.Store.Hold(key)
	defer held.Release()
	return held.Has()
}

// resolve notes that nothing older of a key is to arrive any more.
func (h *Handover) resolve(a *arrival, hash uint64) {
	if a.claims.Claim(hash); a.claims.Full() {
		h.cfg.Go(func() { h.giveUp(a) })
	}
}

// fetched goes on with a request when its item's former holder has answered (protocol.Pending.Then).
func (h *Handover) fetched(a *arrival, req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	hash := storage.Hash(req.Key)
	switch {
	case h.coming.Load(int(h.partOf(hash))) != a: // all of it is here, or it went on: what was fetched may be out of date
	case resp.Status == protocol.OK:
		h.stats.FetchedHits.Add(1)
		h.install(a, req.Key, piece.ItemOf(resp))
		if !h.has(req.Key) {
			h.resolve(a, hash) // expired by our clock, or evicted at once
		}
	case resp.Status == protocol.NotFound, resp.Status == protocol.PeerMoved:
		h.resolve(a, hash) // it has not got it, or has nothing for us any more
	default:
		a.silent.Store(true)
		return nil // perhaps it has the item, so to run the request on nothing would be wrong
	}
	resp.Reset()
	return h.handle(req, resp, false)
}

// install stores an item that its former holder had, unless the key has been resolved before.
func (h *Handover) install(a *arrival, key []byte, it storage.Item) {
	hash := storage.Hash(key)
	held := h.cfg.Store.Hold(key)
	defer held.Release()
	if !h.awaits(a, hash) {
		return
	}
	if _, err := held.Install(it); err != nil || a.merges || !held.Has() {
		a.claims.Claim(hash) // too large, no room, flushed: it is as if it had been evicted; where both had some, the newer is here now
	}
}

// awaits reports whether an item of an arrival is to be installed. Its key is held: whoever is through with the arrival before has done nothing to the item yet.
func (h *Handover) awaits(a *arrival, hash uint64) bool {
	return h.coming.Load(int(h.partOf(hash))) == a && !a.resolved(hash)
}

// elsewhere answers for a partition that is not here: with PeerMoved and who has it, or if it is to come here, later.
func (h *Handover) elsewhere(part uint32, state int, number uint64, resp *protocol.Response, waits bool) *protocol.Pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	holder := ""
	switch m := h.moves[number]; {
	case state == given && m != nil:
		holder = m.to.ID
	case state == wanted && h.keepers.Load(int(part)) != nil:
		holder = *h.keepers.Load(int(part))
	case waits && h.undecidedLocked(part, state):
		return h.waitLocked(part)
	case !h.undecidedLocked(part, state) && h.table != nil:
		if owner := h.table.Owner(part); owner >= 0 {
			holder = h.table.Members()[owner].ID
		}
	}
	resp.Status = protocol.PeerMoved
	resp.Scratch = append(resp.Scratch[:0], holder...)
	resp.Value = resp.Scratch
	return nil
}

// ownsLocked reports whether the table has it that a partition is this node's.
func (h *Handover) ownsLocked(part uint32) bool {
	return h.table != nil && h.self >= 0 && h.table.Owner(part) == h.self
}

// A waiter is a request for a partition that nobody has given us yet.
type waiter struct {
	pending *protocol.Pending
	part    uint32
	ticks   int // that it has left
}

const (
	// maxWaiting bounds the requests that wait: some 64 bytes each, and what their sessions hold.
	maxWaiting = 1 << 16
	// tick is how often those that have waited too long are answered.
	tick = 20 * time.Millisecond
)

// waitLocked gives an answer to come: when the partition is ours the request is tried again.
func (h *Handover) waitLocked(part uint32) *protocol.Pending {
	h.stats.Waits.Add(1)
	pending := protocol.NewPending(nil)
	pending.Then, pending.Holds = h.again, true
	state, _ := h.parts[part].load()
	switch {
	case h.stopped:
		pending.Response.Status = protocol.PeerLost
		pending.Complete()
	case !h.undecidedLocked(part, state):
		pending.Complete()
	case len(h.waiting) >= maxWaiting:
		pending.Response.Status = protocol.PeerOverloaded
		pending.Complete()
	default:
		h.waiting = append(h.waiting, waiter{pending: pending, part: part, ticks: int(h.cfg.Patience()/tick) + 1})
		if !h.ticking {
			h.ticking = true
			h.cfg.After(tick, h.expire)
		}
	}
	return pending
}

// undecidedLocked reports whether requests for a partition in that state are to wait.
func (h *Handover) undecidedLocked(part uint32, state int) bool {
	switch state {
	case held, arriving:
		return false
	case wanted:
		return h.keepers.Load(int(part)) == nil
	case doubted:
		return true
	case given: // whom it was given answers for it, even if it is to come back
		return false
	default:
		return h.ownsLocked(part)
	}
}

// tryAgain goes on with a request that has waited (protocol.Pending.Then).
func (h *Handover) tryAgain(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if resp.Status.FromPeer() {
		return nil
	}
	resp.Reset()
	return h.Handle(req, resp)
}

// wakeLocked lets those go on that wait for partitions which are settled now. Completing wakes their sessions; it waits for nothing.
func (h *Handover) wakeLocked() {
	h.waiting = slices.DeleteFunc(h.waiting, func(w waiter) bool {
		state, _ := h.parts[w.part].load()
		if h.undecidedLocked(w.part, state) {
			return false
		}
		w.pending.Complete()
		return true
	})
}

// expire answers those that have waited too long.
func (h *Handover) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.waiting[:0]
	for _, w := range h.waiting {
		if w.ticks--; w.ticks > 0 {
			kept = append(kept, w)
			continue
		}
		h.stats.Overdue.Add(1)
		w.pending.Response.Status = protocol.PeerTimeout
		w.pending.Complete()
	}
	clear(h.waiting[len(kept):])
	h.waiting = kept
	if h.ticking = len(kept) > 0 && !h.stopped; h.ticking {
		h.cfg.After(tick, h.expire)
	}
}
