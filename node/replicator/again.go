package replicator

import (
	"slices"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// A copy that is not acknowledged may have been lost, or may be stored, or will be at some later time. So the item is sent again, as it is by then, and a new turn
// begins: of those before the replica takes nothing any more, or what had been on its way could replace what is newer.
//
//	holder   Copy, turn 0 -> ?                Copy, turn 1 -> stored -> the client is answered
//	replica                                   from here on turn 0 is refused, and so is sent again as well
//
// What is in vain a few times, or for as long as a client has Patience, has the replica's copies begun anew.

// A flight is the copy of a write on its way to one replica.
type flight struct {
	w       *write
	turn    uint64 // in which it was sent
	awaited int    // 1: its client waits
	tries   int    // how often it was sent in vain
}

const (
	// maxTries is how often a copy is sent. The pauses between doubles from the first on: a replica that is not there at once has some 0.15 s.
	maxTries   = 6
	firstAgain = 5 * time.Millisecond
)

// An outcome is what became of a copy that was sent.
type outcome struct {
	status protocol.Status
	taken  bool // with PeerMoved: the replica has taken the partition over with these very copies
}

// acknowledged goes on with a copy when its replica has answered.
func (r *Replicator) acknowledged(f *feed, fl flight, o outcome) {
	if w := fl.w; o.status == protocol.OK && fl.turn == f.turn.Load() && !f.losing.Load() {
		if f.failing.Load() {
			f.failing.Store(false)
		}
		w.shard.settle(w, fl.awaited, 1)
		return
	}
	r.unacknowledged(f, fl, o)
}

// unacknowledged finds out what the answer to a copy means that is not simply stored.
//
// While this node does not know whether it holds the partition still, it says nothing to the replica: if it has stood still, the replica may hold it now.
//
// A replica that holds the partition now has all that was acknowledged here, if it took that over with the copies that it was sent until now: so this node is fenced. If it has it from elsewhere, from
// the other side of a split, each of both may have what the other has not, and what is not acknowledged is not done until they have merged (Release).
func (r *Replicator) unacknowledged(f *feed, fl flight, o outcome) {
	w := fl.w
	if r.unburied(w) {
		r.cfg.Go(func() {
			r.bury(w)
			r.unacknowledged(f, fl, o)
		})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	elsewhere := o.status == protocol.PeerMoved && r.hearsLocked(f, w.part) // what we gave away ourselves is another matter
	switch {
	case o.status == protocol.PeerMoved && !elsewhere:
	case elsewhere && o.taken:
		r.cfg.Go(r.cfg.Fenced)
	case elsewhere:
	case o.status == protocol.NotFound && r.cfg.Place(w.part) >= piece.Arriving: // it keeps no copy of that
		r.endLocked(f, w.part)
	case !r.hearsLocked(f, w.part):
	case r.cfg.Place(w.part) < piece.Arriving && !r.stopped:
		w.shard.stick(w)
		r.cfg.After(retryAfter, func() { r.acknowledged(f, fl, o) })
		return
	default:
		r.failedLocked(f, &fl)
	}
	switch {
	case !r.hearsLocked(f, w.part):
		r.stats.Alone.Add(1)
		w.shard.settle(w, fl.awaited, 1)
	case elsewhere || r.stopped:
		f.waiting = append(f.waiting, fl)
		w.shard.stick(w)
	default:
		f.waiting = append(f.waiting, fl)
		if f.overdue {
			r.stickLocked(f, fl)
		}
	}
}

// failedLocked sees to it that a copy which was sent in vain is sent again, or is given up.
func (r *Replicator) failedLocked(f *feed, fl *flight) {
	if f.losing.Load() {
		return
	}
	if !f.failing.Swap(true) {
		f.spells++
		spell := f.spells
		r.cfg.After(r.cfg.Patience(), func() { r.overdue(f, spell) })
	}
	if fl.tries++; fl.tries >= maxTries {
		r.giveUpLocked(f)
		return
	}
	if fl.turn == f.turn.Load() {
		f.turn.Add(1)
	}
	if !f.again {
		f.again = true
		r.cfg.After(firstAgain<<(fl.tries-1), func() { r.sendAgain(f) })
	}
}

// giveUpLocked has a replica begin its copies anew.
func (r *Replicator) giveUpLocked(f *feed) {
	if !f.losing.Swap(true) {
		r.cfg.Log.Warn("a replica does not acknowledge: its copies are begun anew", "replica", f.to.ID, "partitions", f.parts.Len())
		r.loseLocked(f, slices.Clone(f.parts))
	}
}

// overdue has those told who have waited for as long as they may, if a replica has acknowledged nothing since.
func (r *Replicator) overdue(f *feed, spell int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.spells != spell || !f.failing.Load() {
		return
	}
	r.giveUpLocked(f)
	f.overdue = true
	for _, fl := range f.waiting {
		r.stickLocked(f, fl)
	}
}

// stickLocked tells a client that waits that it is not known whether its write was done, and has no other wait for this replica.
func (r *Replicator) stickLocked(f *feed, fl flight) {
	if fl.awaited > 0 && fl.w.shard.stick(fl.w) {
		f.stalled.Store(true)
		r.stats.Overdue.Add(1)
	}
}

// sendAgain sends all again that a replica did not acknowledge.
func (r *Replicator) sendAgain(f *feed) {
	r.mu.Lock()
	f.again = false
	var flights []flight
	if !r.stopped && !f.losing.Load() {
		flights, f.waiting = f.waiting, nil
	}
	r.mu.Unlock()
	for _, fl := range flights {
		r.sendOne(f, fl)
	}
}

// sendOne sends a copy again.
func (r *Replicator) sendOne(f *feed, fl flight) {
	w := fl.w
	w.shard.sending.Lock()
	defer w.shard.sending.Unlock()
	message, _, byShip := r.message(w)
	if !r.sends(f, w.part) {
		r.acknowledged(f, fl, outcome{status: protocol.PeerTimeout})
		return
	}
	r.stats.Again.Add(1)
	if byShip {
		r.lineup(w, berth{f, fl})
	} else if flush := r.send(f, fl, nil, &message); flush != nil {
		flush()
	}
}

// send sends an item to a replica, which acknowledges more flights with it; flush, which may be nil, is to be called before somebody waits for it.
func (r *Replicator) send(f *feed, fl flight, more []flight, message *protocol.Request) (flush func()) {
	gone := flight{w: fl.w, turn: f.turn.Load(), awaited: fl.awaited, tries: fl.tries}
	message.CAS, message.Delta, message.Origin = f.number, gone.turn, uint32(gone.w.hash>>16)
	sent := r.cfg.Send(f.to.ID, message)
	flush = sent.Flusher()
	sent.Hear(func(p *protocol.Pending) {
		o := outcome{status: p.Response.Status, taken: p.Response.CAS == f.number}
		p.Release()
		r.acknowledged(f, gone, o)
		for _, other := range more {
			other.turn = gone.turn
			r.acknowledged(f, other, o)
		}
	})
	return flush
}
