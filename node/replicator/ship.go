package replicator

import (
	"math"
	"slices"
	"sync"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
)

// A long item goes to a member in parts, and whoever sends it waits for them. So it is not sent where it was written: hand-over, and who writes other keys of the
// shard, would wait as well. It is sent from here, one at a time, as it is by then; what is written of its key meanwhile goes behind it.
//
//	write -> lineup: this key, to these replicas -> the answer is kept back as ever
//	         ship: the item of now -> parts -> stored -> all who have written it by then are answered
type ships struct {
	mu      sync.Mutex // guards the rest
	keys    []*write   // of each key that is to be sent one, in order
	running bool
}

// A berth is what waits for an item to be sent: flights, each with the feed it is for.
type berth struct {
	f  *feed
	fl flight
}

// lineup has the item of a write sent by ship. The shard's sending is held.
func (r *Replicator) lineup(w *write, berths ...berth) {
	s := w.shard
	before, under := s.ships[w.hash]
	if s.ships == nil {
		s.ships = map[uint64][]berth{}
	}
	s.ships[w.hash] = append(before, berths...)
	if under {
		return
	}
	r.ships.mu.Lock()
	defer r.ships.mu.Unlock()
	r.ships.keys = append(r.ships.keys, w)
	if !r.ships.running {
		r.ships.running = true
		r.cfg.Go(r.shipAll)
	}
}

// shipAll sends what is lined up, until nothing is.
func (r *Replicator) shipAll() {
	for {
		r.ships.mu.Lock()
		if len(r.ships.keys) == 0 {
			r.ships.running = false
			r.ships.mu.Unlock()
			return
		}
		w := r.ships.keys[0]
		r.ships.keys = slices.Delete(r.ships.keys, 0, 1)
		r.ships.mu.Unlock()
		r.ship(w)
	}
}

// ship sends the item of one key to all who are to hear of it.
func (r *Replicator) ship(w *write) {
	s := w.shard
	s.sending.Lock()
	berths := s.ships[w.hash]
	s.ships[w.hash] = nil // there still: what comes meanwhile waits
	message, gone, _ := s.message(r.cfg.Store, w.key, math.MaxInt)
	for _, b := range berths {
		b.fl.w.gone.Store(gone)
	}
	s.memory = nil // the message's, if it is short by now
	s.sending.Unlock()
	for len(berths) > 0 {
		f, flights := berths[0].f, []flight(nil)
		berths = slices.DeleteFunc(berths, func(b berth) bool {
			if b.f == f {
				flights = append(flights, b.fl)
			}
			return b.f == f
		})
		if !r.sends(f, w.part) {
			for _, fl := range flights {
				r.acknowledged(f, fl, outcome{status: protocol.PeerTimeout})
			}
		} else if flush := r.send(f, flights[0], flights[1:], &message); flush != nil {
			flush()
		}
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	more := s.ships[w.hash]
	if delete(s.ships, w.hash); len(more) > 0 {
		r.lineup(w, more...)
	}
}

// sends reports whether a replica is to be sent what is here of a partition. It is asked with the message made: what is given away is dropped later than it is
// heard of no more.
func (r *Replicator) sends(f *feed, part uint32) bool {
	feeds := r.feeds.Load(int(part))
	return feeds != nil && slices.Contains(*feeds, f) && !f.losing.Load() && r.cfg.Place(part) >= piece.Arriving
}

// message gives what is to be sent of a write's key, or says that it goes, or is going, by ship. The shard's sending is held.
func (r *Replicator) message(w *write) (message protocol.Request, gone uint64, byShip bool) {
	if _, under := w.shard.ships[w.hash]; under {
		return message, 0, true
	}
	return w.shard.message(r.cfg.Store, w.key, r.cfg.LongBytes)
}
