// Package seating has those take turns who compute long.
package seating

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// Kind is what a seat is wanted for.
type Kind uint8

// When some of each wait for a seat, each kind has every other one: there may be a thousand clients, and lanes are few.
const (
	Clients Kind = iota // to serve a client
	Answers             // to read what other members answer
	kinds
)

// Seats are for what computes some hundred times as long as a small request: for half of the processors, so that small requests are served meanwhile. Go's scheduler
// looks for what has come on a socket when a processor has nothing else to do; when all are busy, it does so every ten milliseconds.
//
// Who has a seat leaves it before any wait. Many goroutines may use it at once.
type Seats struct {
	mu      sync.Mutex // guards the rest
	free    int
	waiting [kinds][]chan struct{} // in the order in which they came
	last    Kind                   // that a seat was handed to
}

// New makes seats for half of the processors, one at least.
func New() *Seats { return &Seats{free: max(1, runtime.GOMAXPROCS(0)/2)} }

// Take waits for a seat and reports whether there was one before ended was closed and, if it is not 0, within patience.
func (s *Seats) Take(kind Kind, ended <-chan struct{}, patience time.Duration) (seated bool) {
	wake := s.takeOrWait(kind)
	if wake == nil {
		return true
	}
	var late <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-wake:
		return true
	case <-ended:
	case <-late:
	}
	return !s.giveUp(kind, wake)
}

// takeOrWait takes a seat and gives nil, or by what to be woken.
func (s *Seats) takeOrWait(kind Kind) (wake chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return nil
	}
	wake = make(chan struct{})
	s.waiting[kind] = append(s.waiting[kind], wake)
	return wake
}

// giveUp reports whether who waited did so still, and does not any more; else a seat was handed to him meanwhile.
func (s *Seats) giveUp(kind Kind, wake chan struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting[kind], wake)
	if i >= 0 {
		s.waiting[kind] = slices.Delete(s.waiting[kind], i, i+1)
	}
	return i >= 0
}

// Leave hands a seat on.
func (s *Seats) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range kinds {
		kind := (s.last + 1 + n) % kinds
		if waiting := s.waiting[kind]; len(waiting) > 0 {
			s.last = kind
			close(waiting[0])
			s.waiting[kind] = slices.Delete(waiting, 0, 1)
			return
		}
	}
	s.free++
}
