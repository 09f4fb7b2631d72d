// Package sweep drops what is left of partitions that nobody here has use of, by and by: it may be much, and requests want the processors.
//
//	soiled --Begin--> a slice, a pause, a slice ... --> clean
//	       --Clean--> at once: the partition is about to be held
//
// Nothing counts as dropped of a partition that was soiled or cleaned while a sweep was on its way: the next begins with it.
// Locks: Sweep.dropping before its mu, and either before a stripe of the store.
package sweep

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// Config says what is swept. All must be set.
type Config struct {
	Store *storage.Store
	// Droppable reports whether nobody needs what is here of a partition for now. It must not wait.
	Droppable func(part uint32) bool
	Dropped   *atomic.Int64 // counts the items

	Duty  *piece.Duty
	After func(pause time.Duration, f func()) // calls f in a while
	// Swept is called when a sweep is over that Begin has not ended itself.
	Swept func()
}

// A Sweep knows of which partitions something may be here that is to be dropped.
type Sweep struct {
	cfg Config

	dropping sync.Mutex // held while something is dropped: a partition that was given to Clean meanwhile is not held yet. Guards stale
	stale    piece.Set  // what is dropped now

	mu    sync.Mutex // guards the rest
	dirty piece.Set
	due   piece.Set // of these, those that are clean when the sweep under way ends
	going bool
}

// New makes a Sweep of the store's partitions, all clean.
func New(cfg Config) *Sweep {
	partitions := cfg.Store.Partitions()
	return &Sweep{cfg: cfg, dirty: piece.NewSet(partitions), due: piece.NewSet(partitions)}
}

// Soil notes that something may be here of a partition that nobody has use of.
func (s *Sweep) Soil(part int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty.Add(part)
	s.due.Remove(part)
}

func (s *Sweep) cleanedLocked(part int) {
	s.dirty.Remove(part)
	s.due.Remove(part)
}

// Dirty reports whether something may be here of a partition that is to be dropped.
func (s *Sweep) Dirty(part int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty.Has(part)
}

// Len counts the partitions that are dirty.
func (s *Sweep) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty.Len()
}

// Begin begins to drop what is dirty, unless that is going on. If it is little it is done when Begin returns.
func (s *Sweep) Begin() {
	s.mu.Lock()
	begins := !s.going && !s.dirty.Empty()
	if begins {
		s.going = true
		copy(s.due, s.dirty)
	}
	s.mu.Unlock()
	if begins {
		s.goOn(storage.Cursor{})
	}
}

// goOn drops a slice of what is due, from the cursor on, and has the rest dropped later; done when there is none.
func (s *Sweep) goOn(c storage.Cursor) (done bool) {
	began := s.cfg.Duty.Begin()
	c, more := s.slice(c, began)
	if pause := s.cfg.Duty.Spend(began); more {
		s.cfg.After(pause, func() {
			if s.goOn(c) {
				s.cfg.Swept()
			}
		})
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range s.due.All() {
		s.cleanedLocked(part)
	}
	s.going = false
	return true
}

// slice drops until the slice that began then is to end.
func (s *Sweep) slice(c storage.Cursor, began time.Duration) (next storage.Cursor, more bool) {
	s.dropping.Lock()
	defer s.dropping.Unlock()
	s.mu.Lock()
	for part := range s.due.All() {
		if !s.cfg.Droppable(uint32(part)) {
			s.due.Remove(part)
		}
	}
	s.stale = append(s.stale[:0], s.due...)
	s.mu.Unlock()
	next, more = c, !s.stale.Empty()
	for over := false; more && !over; over = s.cfg.Duty.Over(began) {
		next, more = s.dropSome(next, s.stale)
	}
	return next, more
}

func (s *Sweep) dropSome(c storage.Cursor, stale piece.Set) (next storage.Cursor, more bool) {
	next, items, more := s.cfg.Store.DropSome(c, stale.Has)
	s.cfg.Dropped.Add(int64(items))
	return next, more
}

// Clean drops at once what is dirty of some partitions: they are about to be held.
func (s *Sweep) Clean(parts piece.Set) {
	s.dropping.Lock()
	defer s.dropping.Unlock()
	stale := slices.Clone(parts)
	s.mu.Lock()
	for part := range stale.All() {
		if !s.dirty.Has(part) || !s.cfg.Droppable(uint32(part)) {
			stale.Remove(part)
		}
	}
	s.mu.Unlock()
	if stale.Empty() {
		return
	}
	for c, more := (storage.Cursor{}), true; more; {
		c, more = s.dropSome(c, stale)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for part := range stale.All() {
		s.cleanedLocked(part)
	}
}
