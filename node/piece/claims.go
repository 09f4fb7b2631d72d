package piece

import (
	"sync"
	"sync/atomic"
)

// Claims are the hashes of keys that have been resolved while pieces are on their way: asked for at their former holder, or written here. Nothing that
// a piece brings later may replace them, not even when they have been deleted or evicted since. The zero Claims are ready for use.
type Claims struct {
	closed atomic.Bool
	count  atomic.Int64
	shards [claimShards]claimShard
}

const (
	claimShards = 64
	// maxClaims bounds the memory of Claims, to some 24 MB. Over it, what has not arrived is given up.
	maxClaims = 1 << 20
)

type claimShard struct {
	mu   sync.Mutex
	keys map[uint64]struct{}
}

func (c *Claims) shard(hash uint64) *claimShard { return &c.shards[hash>>32%claimShards] }

// Resolved reports whether nothing of the key is to arrive any more.
func (c *Claims) Resolved(hash uint64) bool {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, claimed := s.keys[hash]
	return claimed || c.closed.Load()
}

// Claim resolves a key; false if it is already, so that what has come for it is not wanted. Who is to install something holds the key in the store.
func (c *Claims) Claim(hash uint64) bool {
	s := c.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, claimed := s.keys[hash]; claimed || c.closed.Load() {
		return false
	}
	if s.keys == nil {
		s.keys = map[uint64]struct{}{}
	}
	s.keys[hash] = struct{}{}
	c.count.Add(1)
	return true
}

// Full reports whether there are as many as may be.
func (c *Claims) Full() bool { return c.count.Load() >= maxClaims }

// Close resolves all keys.
func (c *Claims) Close() {
	c.closed.Store(true)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.keys = nil
		s.mu.Unlock()
	}
}

// Closed reports whether Close was called.
func (c *Claims) Closed() bool { return c.closed.Load() }
