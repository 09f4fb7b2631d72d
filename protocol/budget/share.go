package budget

import "sync/atomic"

// A Share is what one client has of a Budget. It may have any one thing, however large, or several that make no more than its bound together: so
// nobody is refused for what he asks alone, and who asks for much at once leaves others theirs.
//
// The zero Share is of no Budget, and gives whatever is asked of it. Many goroutines may use it at once.
type Share struct {
	budget *Budget
	most   int64
	held   atomic.Int64
	set    atomic.Int64 // aside of it for what comes next, see Reserve
}

// Open makes s a share of b, of so many bytes at most. It comes before any other use.
func (s *Share) Open(b *Budget, most int64) { s.budget, s.most = b, most }

// Held is how much it has of the Budget.
func (s *Share) Held() int64 { return s.held.Load() }

// Wanted reports whether others wait for what this Share and its like have.
func (s *Share) Wanted() bool { return s.budget != nil && s.held.Load() > 0 && s.budget.Wanted() }

// TryTake reports whether n bytes were to be had, of those that were reserved or of the Budget.
func (s *Share) TryTake(n int64) bool {
	if s.budget == nil {
		return true
	}
	if set := s.set.Load(); set > 0 && set >= n && s.set.CompareAndSwap(set, set-n) {
		return true
	}
	for {
		held := s.held.Load()
		if held > 0 && held+n > s.most {
			return false
		}
		if s.held.CompareAndSwap(held, held+n) {
			break
		}
	}
	if !s.budget.TryTake(n) {
		s.held.Add(-n)
		return false
	}
	return true
}

// Give returns n bytes that TryTake has taken.
func (s *Share) Give(n int64) {
	if s.budget != nil && n > 0 {
		s.held.Add(-n)
		s.budget.Give(n)
	}
}

// Reserve waits for n bytes, beyond the Share's bound if need be, and sets them aside for the next TryTake; false if there are none for long. One goroutine
// reserves at a time, and ends it with Unreserve.
func (s *Share) Reserve(n int64) bool {
	if s.budget == nil {
		return true
	}
	if !s.budget.Take(n, nil) {
		return false
	}
	s.held.Add(n)
	s.set.Store(n)
	return true
}

// Unreserve gives back what was not taken of the reserve.
func (s *Share) Unreserve() { s.Give(s.set.Swap(0)) }
