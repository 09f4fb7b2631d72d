// Package storage keeps items under keys with memcached's semantics and within a limit of memory, one key held at a time.
//
//	key -> hash -> stripe: one lock, and under it
//	                 index    hash -> reference            in tables that grow one by one
//	                 metas    hash, expiry, uses, length   one per record
//	                 logs     small, main                  rows of segments; records are only ever added to the newest
//	                 ghost    what was evicted unused      a few bits per key
//	               arena: the records themselves, read without the lock
//
// An item is written once and changes by being written anew; its old record is dead, and the room is won back when its segment is drained:
// what is still wanted is copied to the head of a log, the rest is gone. DESIGN.md of this folder says how that is decided.
//
// Locks: a goroutine holds one stripe's at a time, and the arena's under it.
package storage

import (
	"errors"
	"math"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/memring/memring/storage/arena"
)

// Why an item was not stored. The key has no value then, not even its old one: a client must not read what it believes replaced.
var (
	ErrTooLarge = errors.New("item over the size limit")
	ErrNoMemory = errors.New("no room, and nothing may be evicted")
)

// A Store keeps items. All methods may be called by many goroutines at once.
type Store struct {
	layout
	cfg      Config
	clock    *Clock
	ownClock bool
	arena    *arena.Arena
	stripe   []*stripe
	planned  atomic.Pointer[plan] // the last flush that was to come; nil: none since the last at once
	flushed  atomic.Uint64        // the greatest mark of those that came, but for the planned one
	limit    atomic.Int64         // MaxBytes as it is now
	mourning atomic.Int64         // the seconds for which what is deleted leaves a tombstone; 0: it leaves none
	crawl    crawler
}

// Open gives an empty Store. It takes memory as it fills.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg.withDefaults(), clock: cfg.Clock, crawl: crawler{number: 1}}
	s.layout = s.cfg.divide()
	s.limit.Store(s.cfg.MaxBytes)
	var err error
	if s.arena, err = arena.New(s.segmentBytes); err != nil {
		return nil, err
	}
	if s.clock == nil {
		s.clock, s.ownClock = NewClock(), true
	}
	s.stripe = make([]*stripe, s.stripes)
	for i := range s.stripe {
		s.stripe[i] = newStripe(s)
	}
	return s, nil
}

// Close frees the memory, as far as it can be: what the arena had of the system stays for other stores of this process.
// The store must not be in use any more.
func (s *Store) Close() {
	s.arena.Close()
	s.stripe = nil
	if s.ownClock {
		s.clock.Stop()
	}
}

// Hash is what a key is known by: the same on every node, for every purpose.
func Hash(key []byte) uint64 { return xxhash.Sum64(key) }

// TooLarge reports whether an item with these lengths is over the limit.
func (s *Store) TooLarge(keyBytes, valueBytes int, flags uint32) bool {
	n := itemBytes + keyBytes + valueBytes
	if flags != 0 {
		n += flagsBytes
	}
	return n > s.cfg.MaxItemBytes
}

// MaxItemBytes is the largest item, see Config.
func (s *Store) MaxItemBytes() int { return s.cfg.MaxItemBytes }

// Get appends the value under key to dst, and notes the use. it.Value is that part of out; it is the caller's and does not change any more.
// If there is no such item, out is dst.
//
// A small value is copied with the stripe held. A larger one is copied while others may write, so it is read again if it was overwritten meanwhile;
// a few times, then it is held.
func (s *Store) Get(dst, key []byte) (it Item, out []byte, ok bool) {
	_, out, ok = s.get(dst, key, &it, look{most: math.MaxInt, use: true})
	return it, out, ok
}

// GetUpTo is Get for who wants no value of more than most bytes, 64 KB at least: of an item with a longer one it tells all but that, and does not read it. valueBytes is how long
// the value is.
func (s *Store) GetUpTo(dst, key []byte, most int) (it Item, valueBytes int, out []byte, ok bool) {
	valueBytes, out, ok = s.get(dst, key, &it, look{most: most, use: true})
	return it, valueBytes, out, ok
}

// Peek is Get without a trace: it does not note the use.
func (s *Store) Peek(dst, key []byte) (it Item, out []byte, ok bool) {
	_, out, ok = s.get(dst, key, &it, look{most: math.MaxInt})
	return it, out, ok
}

// get reads an item as l says.
func (s *Store) get(dst, key []byte, it *Item, l look) (valueBytes int, out []byte, ok bool) {
	hash := Hash(key)
	st := s.stripe[s.stripeOf(hash)]
	for range 4 {
		switch n, out, state := st.read(dst, key, hash, it, l); state {
		case copied:
			return n, out, true
		case missing:
			*it = Item{}
			return 0, dst, false
		case overdue:
			st.tidy(hash)
		}
	}
	held := s.Hold(key)
	defer held.Release()
	if *it, ok = held.Item(); !ok {
		return 0, dst, false
	}
	if n := len(it.Value); n > l.most {
		it.Value = nil
		return n, dst, true
	}
	out = append(dst, it.Value...)
	it.Value = out[len(dst):]
	return len(it.Value), out, true
}
