package storage

import "sync"

// A scratch is memory that a stripe needs while it is held. It keeps some for small items; for large ones it borrows, for there are many stripes,
// and few are held at a time.
type scratch struct {
	own  []byte
	lent *[]byte
}

const (
	ownScratch  = 8 << 10
	lentScratch = 64 << 10 // the least that is lent: a record
	maxLent     = 4 << 20  // the most that is kept to be lent again
)

var lender = sync.Pool{New: func() any { return new([]byte) }}

// take gives empty memory for n bytes, good until the next take or release.
func (s *scratch) take(n int) []byte {
	if n <= ownScratch {
		if cap(s.own) < n {
			s.own = make([]byte, 0, min(max(1<<10, 2*n), ownScratch))
		}
		return s.own
	}
	if s.lent == nil {
		s.lent = lender.Get().(*[]byte)
	}
	if cap(*s.lent) < n {
		*s.lent = make([]byte, 0, max(n, lentScratch))
	}
	return *s.lent
}

// release gives back what was lent.
func (s *scratch) release() {
	if s.lent == nil {
		return
	}
	if cap(*s.lent) <= maxLent {
		lender.Put(s.lent)
	}
	s.lent = nil
}
