package handover

import (
	"sync"
	"sync/atomic"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// An arrival is what a member has given us in one answer, until all of it is here.
type arrival struct {
	from   Member
	move   uint64 // its number there
	merges bool   // we held some of it all the time: of two versions the newer wins, so each key is looked up there as well
	parts  int
	cursor storage.Cursor // what is pulled next
	progress

	fetched func(*protocol.Request, *protocol.Response) *protocol.Pending // Handover.fetched of this arrival

	silent atomic.Bool // its former holder does not answer
	closed atomic.Bool
	count  atomic.Int64
	shards [claimShards]claimShard
}

const (
	claimShards = 64
	// maxClaims bounds the memory of an arrival's claims, to some 24 MB. Over it, what has not arrived is given up.
	maxClaims = 1 << 20
)

// A claimShard holds hashes of keys that have been resolved: asked for at their former holder, or written here. Nothing that arrives later may
// replace them, not even when they have been deleted or evicted since.
type claimShard struct {
	mu   sync.Mutex
	keys map[uint64]struct{}
}

func (a *arrival) shard(hash uint64) *claimShard { return &a.shards[hash>>32%claimShards] }

// resolved reports whether nothing of the key is to arrive any more.
func (a *arrival) resolved(hash uint64) bool {
	s := a.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, claimed := s.keys[hash]
	return claimed || a.closed.Load()
}

// claim resolves a key; false if it is already, so that what has come for it is not wanted. Who is to install something holds the key in the store.
func (a *arrival) claim(hash uint64) bool {
	s := a.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, claimed := s.keys[hash]; claimed || a.closed.Load() {
		return false
	}
	if s.keys == nil {
		s.keys = map[uint64]struct{}{}
	}
	s.keys[hash] = struct{}{}
	a.count.Add(1)
	return true
}

func (a *arrival) full() bool { return a.count.Load() >= maxClaims }

// close resolves all keys.
func (a *arrival) close() {
	a.closed.Store(true)
	for i := range a.shards {
		s := &a.shards[i]
		s.mu.Lock()
		s.keys = nil
		s.mu.Unlock()
	}
}
