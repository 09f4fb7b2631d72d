package replicator

import (
	"slices"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// Reads from copies. A copy may answer for as long as its holder has confirmed lately that he sends it every write:
//
//	replica  --Confirm--> holder: of these partitions he does -> they may be read until goodFor after the question was sent
//
// A holder goes on without a replica when that has said that it knows, or is known to be gone: gossip takes longer for that than goodFor after the last that was
// heard of it, and whose ports are closed (node/suspicion) reads nothing either. So what was acknowledged because the replica has it, or is none any more, is what is read there. Two things bound how old it is otherwise: a
// replica whose acknowledgement nobody waits for is out of date until it is found out (Patience, and the message) and not confirmed any more; and one that
// hears nothing of a partition any more, because that was given to another, until it is told.
const (
	confirmEvery = 300 * time.Millisecond
	goodFor      = time.Second // node's stallTime is longer, for the same reason
)

// A confirmation says of which partitions a copy may be read, and until when, on the clock of Config.Now.
type confirmation struct {
	parts piece.Set
	until time.Duration
}

// Read answers a read from the copy that is kept here, and reports whether there is a good one of the item.
func (r *Replicator) Read(req *protocol.Request, resp *protocol.Response) bool {
	part := r.partOf(storage.Hash(req.Key))
	c := r.copies.Load(int(part))
	if c == nil || c.confirmed.Load() == nil || !r.shows(req.Key) {
		return false
	}
	if r.cfg.Next.Handle(req, resp) != nil {
		panic("replicator: a key's request is answered at once by the node itself")
	}
	// Only now: who is held up before this has read what was good then, or is told so.
	good := c.confirmed.Load()
	if resp.Status == protocol.OK && r.copies.Load(int(part)) == c && good != nil && good.parts.Has(int(part)) && r.cfg.Now() < good.until {
		r.stats.Reads.Add(1)
		return true
	}
	resp.Reset()
	return false
}

// shows reports whether an item is here that reading does not change: who reads one that is stale may be the one to recache it, and only its holder knows.
func (r *Replicator) shows(key []byte) bool {
	held := r.cfg.Store.Hold(key)
	defer held.Release()
	it, found := held.Item()
	return found && !it.Stale
}

// A reader's lane: what a copy will do for is answered from one, if there is a good one here, and all else by next.
type lending struct {
	r    *Replicator
	next protocol.Handler
}

// Before gives a handler before next that answers other members from copies, when they say that these will do.
func (r *Replicator) Before(next protocol.Handler) protocol.Handler { return lending{r, next} }

// Handle implements protocol.Handler.
func (l lending) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if req.Op == protocol.Get && req.Options.Has(protocol.FromCopy) && l.r.Read(req, resp) {
		return nil
	}
	return l.next.Handle(req, resp)
}

// confirmLaterLocked has the holders of what is kept here asked from time to time.
func (r *Replicator) confirmLaterLocked() {
	if r.cfg.Readable && !r.confirming && !r.stopped {
		r.confirming = true
		r.cfg.After(confirmEvery, r.askAll)
	}
}

// askAll asks all holders to confirm.
func (r *Replicator) askAll() {
	r.mu.Lock()
	r.confirming = false
	r.confirmLaterLocked()
	asked := slices.DeleteFunc(r.sessionsLocked(), func(c *copying) bool { return r.self < 0 || !c.whole.Load() || !r.aliveLocked(c.from) })
	r.mu.Unlock()
	for _, c := range asked {
		began := r.cfg.Now()
		req := protocol.Request{Op: protocol.Confirm, CAS: c.number, Key: []byte(r.cfg.Self.ID)}
		r.cfg.Await(r.cfg.Send(c.from.ID, &req), func(resp *protocol.Response) { r.confirmed(c, began, resp) })
	}
}

// confirmed takes what a holder has confirmed of what was asked at that time.
func (r *Replicator) confirmed(c *copying, began time.Duration, resp *protocol.Response) {
	parts := piece.Set(resp.Value)
	if resp.Status != protocol.OK || !parts.Fits(r.copies.Len()) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.self >= 0 && r.aliveLocked(c.from) {
		c.confirmed.Store(&confirmation{parts: slices.Clone(parts), until: began + goodFor})
	}
}

// doubtReadsLocked has nothing read from copies whose holder is gone, or here if this node is to keep none: it leaves, and is not waited for.
func (r *Replicator) doubtReadsLocked() {
	for _, c := range r.sessions {
		if r.self < 0 || !r.aliveLocked(c.from) {
			c.confirmed.Store(nil)
		}
	}
}

// confirm answers of which partitions a replica is sent every write.
func (r *Replicator) confirm(req *protocol.Request, resp *protocol.Response) {
	r.mu.Lock()
	f := r.fed[feedKey{string(req.Key), req.CAS}]
	if f == nil || f.losing.Load() || f.failing.Load() {
		r.mu.Unlock()
		resp.Status = protocol.NotFound
		return
	}
	parts := slices.Clone(f.parts)
	r.mu.Unlock()
	for part := range parts.All() {
		if r.cfg.Place(uint32(part)) < piece.Arriving {
			parts.Remove(part) // given away, or in doubt
		}
	}
	resp.Status = protocol.OK
	resp.Scratch = append(resp.Scratch[:0], parts...)
	resp.Value = resp.Scratch
}
