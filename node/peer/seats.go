package peer

import (
	"time"

	"github.com/memring/memring/protocol"
)

// A seat is a place in the order of a conn's answers. It is kept until the answer comes, even when nobody waits for it any more:
// so a late answer is never taken for the next one.
type seat struct {
	pending *protocol.Pending // nil: nobody waits
	due     time.Duration     // when it times out, on the clock of Peers
	bytes   int               // of the request
	collect bool              // it asks for a further part of pending's answer
}

// seats are those taken and not yet answered, in order. Seats are numbered from 0 and the numbers wrap around; a request's frame bears its
// seat's number as the sequence.
//
//	head ......... awaited ......... tail
//	  timed out       being waited for
type seats struct {
	ring                []seat // its length is a power of two
	head, awaited, tail uint32
	bytes               int // of all of them
}

func (s *seats) len() int { return int(s.tail - s.head) }

// at gives the seat of that number.
func (s *seats) at(number uint32) *seat { return &s.ring[number&uint32(len(s.ring)-1)] }

// take adds a seat at the tail.
func (s *seats) take(one seat) {
	if s.len() == len(s.ring) {
		larger := seats{ring: make([]seat, max(2*len(s.ring), 64))}
		for n := s.head; n != s.tail; n++ {
			*larger.at(n) = *s.at(n)
		}
		s.ring = larger.ring
	}
	*s.at(s.tail) = one
	s.tail++
	s.bytes += one.bytes
}

// give moves seats from the head into batch, and says how many there were and the first one's number.
func (s *seats) give(batch []seat) (first uint32, n int) {
	first = s.head
	for ; n < len(batch) && s.head != s.tail; n++ {
		if s.awaited == s.head {
			s.awaited++
		}
		batch[n] = *s.at(s.head)
		*s.at(s.head) = seat{}
		s.bytes -= batch[n].bytes
		s.head++
	}
	return first, n
}

// overdue gives the longest awaited Pending if its time is up, and waits for it no more.
func (s *seats) overdue(now time.Duration) *protocol.Pending {
	for s.awaited != s.tail && s.at(s.awaited).due <= now {
		pending := s.at(s.awaited).pending
		s.at(s.awaited).pending = nil
		s.awaited++
		if pending != nil {
			return pending
		}
	}
	return nil
}
