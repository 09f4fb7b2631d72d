package replicator

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

const shardCount = 256

// A shard orders the writes of some keys, and knows which of them are not safe yet: no replica has acknowledged them, so they may be lost with this node.
type shard struct {
	sending sync.Mutex         // held from a write until its copies are on their way: these go in the order of the writes
	memory  []byte             // for the item to be copied; sending's
	ships   map[uint64][]berth // by the hash of the key, what goes by ship; sending's

	count atomic.Int32 // of open: for those who only want to know whether there are any
	mu    sync.Mutex
	open  map[uint64][]*write // by the hash of the key
}

func (r *Replicator) shard(hash uint64) *shard { return &r.shards[hash>>32%shardCount] }

// A write has been run here, and its answer is kept back until the replicas have it. Its fields are the shard's mu's.
type write struct {
	shard   *shard
	part    uint32
	hash    uint64
	key     []byte
	pending *protocol.Pending // nil: its client has been answered
	answer  protocol.Response
	left    int           // copies that its client waits for
	flying  int           // all that are not acknowledged
	gone    atomic.Uint64 // of a deletion without a tombstone, its version; else 0. Not mu's
	readers []*reader
	stuck   bool // its client has been told that it is not known whether it was done
}

// A reader has been run here as well, and may have seen writes that are not safe yet. Its answer is kept back until they are.
type reader struct {
	r       *Replicator
	part    uint32
	pending *protocol.Pending // nil: it has been answered
	answer  protocol.Response
	left    int // writes
}

// Handle implements protocol.Handler.
func (r *Replicator) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if !r.active.Load() || !req.Op.Keyed() {
		return r.cfg.Next.Handle(req, resp)
	}
	hash := storage.Hash(req.Key)
	part := r.partOf(hash)
	feeds := r.feeds.Load(int(part))
	switch {
	case feeds == nil:
		return r.cfg.Next.Handle(req, resp)
	case req.Op.Writes() || req.Options.Has(protocol.Lease) && r.mayLease(req):
		return r.write(*feeds, part, hash, req, resp)
	}
	if pending := r.cfg.Next.Handle(req, resp); pending != nil {
		return pending
	}
	return r.readSafely(r.shard(hash), part, hash, resp)
}

// mayLease reports whether a get may make somebody the one who is to recache the item: that is a write. Other gets of the meta wire are not.
func (r *Replicator) mayLease(req *protocol.Request) bool {
	held := r.cfg.Store.Hold(req.Key)
	defer held.Release()
	return held.Leases()
}

// readSafely keeps an answer back while the key has writes that are not safe: else somebody would have read what nobody has later.
func (r *Replicator) readSafely(s *shard, part uint32, hash uint64, resp *protocol.Response) *protocol.Pending {
	if s.count.Load() == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	left := 0
	for _, w := range s.open[hash] {
		if w.stuck {
			resp.Reset()
			resp.Status = protocol.PeerTimeout
			return nil
		}
		if w.left > 0 {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	r.stats.Waits.Add(1)
	pending := protocol.NewPending(nil) // the writers' sessions flush
	rd := &reader{r: r, part: part, pending: pending, left: left, answer: *resp}
	pending.Then = rd.safe
	*resp = protocol.Response{} // its memory is the reader's now
	for _, w := range s.open[hash] {
		if w.left > 0 {
			w.readers = append(w.readers, rd)
		}
	}
	return pending
}

// end has a reader answered.
func (rd *reader) end(status protocol.Status) {
	if pending := rd.pending; pending != nil {
		rd.pending = nil
		pending.Response.Status = status
		pending.Complete()
	}
}

// safe gives the answer that was kept back (protocol.Pending.Then).
func (rd *reader) safe(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch {
	case resp.Status.FromPeer():
	case rd.answer.Status == protocol.NotFound && rd.r.cfg.Place(rd.part) == piece.Elsewhere:
		resp.Status = protocol.PeerMoved // perhaps it was dropped, because another has it
	default:
		*resp = rd.answer
	}
	return nil
}

// write runs a request, and copies what it has changed.
func (r *Replicator) write(feeds []*feed, part uint32, hash uint64, req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	s := r.shard(hash)
	awaited := r.cfg.Ack.of(len(feeds))
	if inVain(feeds[:awaited]) {
		resp.Status = protocol.PeerTimeout
		return nil
	}
	w := &write{shard: s, part: part, hash: hash, key: bytes.Clone(req.Key), left: awaited, flying: len(feeds)}
	s.sending.Lock()
	defer s.sending.Unlock()
	s.begin(w)
	if pending := r.cfg.Next.Handle(req, resp); pending != nil {
		panic("replicator: a key's request is answered at once by the node itself")
	}
	if unchanged(req, resp) {
		s.settle(w, w.left, w.flying)
		return r.readSafely(s, part, hash, resp)
	}
	var flush []func()
	var pending *protocol.Pending
	if awaited > 0 {
		pending = protocol.NewPending(func() {
			for _, f := range flush {
				f()
			}
		})
		s.await(w, resp, pending)
	}
	flush = r.copy(w, feeds, awaited)
	return pending
}

// inVain reports whether others wait already, in vain, for one of those that a write would wait for.
func inVain(awaited []*feed) bool {
	return slices.ContainsFunc(awaited, func(f *feed) bool { return f.stalled.Load() })
}

// Stalled reports whether writes to a partition are refused for now.
func (r *Replicator) Stalled(part uint32) bool {
	feeds := r.feeds.Load(int(part))
	return feeds != nil && inVain((*feeds)[:r.cfg.Ack.of(len(*feeds))])
}

// copy sends the item as it is now to the replicas. What it gives flushes the copies that are waited for. The shard's sending is held.
func (r *Replicator) copy(w *write, feeds []*feed, awaited int) (flush []func()) {
	message, gone, byShip := r.message(w)
	w.gone.Store(gone)
	for i, f := range feeds {
		fl := flight{w: w}
		if i < awaited {
			fl.awaited = 1
		}
		if byShip {
			r.lineup(w, berth{f, fl})
			continue
		}
		switch flusher := r.send(f, fl, nil, &message); {
		case flusher == nil:
		case i < awaited:
			flush = append(flush, flusher)
		default:
			defer flusher()
		}
	}
	r.stats.Copied.Add(int64(len(feeds)))
	return flush
}

// message is what a replica is told of a key: the item as it is now, its tombstone, or that it is gone, and with what version. One whose value is longer than most is not read.
func (s *shard) message(store *storage.Store, key []byte, most int) (message protocol.Request, gone uint64, tooLong bool) {
	held := store.Hold(key)
	defer held.Release()
	if length, _, _ := held.Look(); length > most {
		return message, 0, true
	}
	it, found := held.Item()
	if !found {
		it, found = held.Grave()
	}
	if !found {
		return protocol.Request{Op: protocol.Copy, Key: key}, held.Stamp(), false
	}
	if s.memory = piece.Append(s.memory[:0], key, it); cap(s.memory) > maxMemory {
		memory := s.memory
		s.memory = nil
		return protocol.Request{Op: protocol.Copy, Value: memory}, 0, false
	}
	return protocol.Request{Op: protocol.Copy, Value: s.memory}, 0, false
}

// maxMemory bounds what a shard keeps for the next item.
const maxMemory = 64 << 10

// unchanged reports whether an answer says that the item is as it was. What is not here may be with a replica: it has not evicted the same. So whoever wants it
// gone is heard there as well.
func unchanged(req *protocol.Request, resp *protocol.Response) bool {
	switch resp.Status {
	case protocol.NotFound:
		return req.Op != protocol.Delete && !(req.Exptime < 0 && (req.Op == protocol.Touch || req.Op == protocol.Gat))
	case protocol.NotStored, protocol.Exists, protocol.NonNumeric, protocol.UnknownCommand:
		return true
	case protocol.OK:
		return req.Op == protocol.Get && !resp.Marks.Has(protocol.Won)
	}
	return false
}

// begin notes that a write is not safe; before it is run, so that nobody sees it who does not know that.
func (s *shard) begin(w *write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[uint64][]*write{}
	}
	s.open[w.hash] = append(s.open[w.hash], w)
	s.count.Add(1)
}

// settle says that so many of a write's copies need not be waited for any more, and that so many have landed. With the last that its client waits for it is safe.
func (s *shard) settle(w *write, awaited, landed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.flying -= landed; w.flying == 0 {
		if open := slices.DeleteFunc(s.open[w.hash], func(other *write) bool { return other == w }); len(open) > 0 {
			s.open[w.hash] = open
		} else {
			delete(s.open, w.hash)
		}
		s.count.Add(-1)
	}
	if awaited == 0 || w.left == 0 {
		return
	}
	if w.left -= awaited; w.left > 0 {
		return
	}
	w.stuck = false
	if pending := w.pending; pending != nil {
		w.pending = nil
		pending.Response = w.answer
		pending.Complete()
	}
	for _, rd := range w.readers {
		if rd.left--; rd.left == 0 {
			rd.end(protocol.Unset)
		}
	}
	w.readers = nil
}

// stick has the client of a write answered which no replica acknowledges. It stays unsafe: who reads it is told the same.
func (s *shard) stick(w *write) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.stickLocked()
}

// await has pending answered with resp once w is acknowledged; at once if it is stuck already: the feeds may have ended since it began.
func (s *shard) await(w *write, resp *protocol.Response, pending *protocol.Pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.answer = *resp
	*resp = protocol.Response{}
	if w.stuck {
		pending.Response.Status = protocol.PeerTimeout
		pending.Complete()
		return
	}
	w.pending = pending
}

func (w *write) stickLocked() (first bool) {
	if w.left == 0 || w.stuck {
		return false
	}
	w.stuck = true
	if pending := w.pending; pending != nil {
		w.pending = nil
		pending.Response.Status = protocol.PeerTimeout
		pending.Complete()
	}
	for _, rd := range w.readers {
		rd.end(protocol.PeerTimeout)
	}
	w.readers = nil
	return true
}

// eachOpen calls f with every write that has copies under way, its shard locked; in an order that is the same each time.
func (r *Replicator) eachOpen(f func(w *write)) {
	for i := range r.shards {
		s := &r.shards[i]
		if s.count.Load() == 0 {
			continue
		}
		s.mu.Lock()
		for _, hash := range slices.Sorted(maps.Keys(s.open)) {
			for _, w := range s.open[hash] {
				f(w)
			}
		}
		s.mu.Unlock()
	}
}
