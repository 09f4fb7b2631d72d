package session

import (
	"bytes"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/lent"
)

// settle waits for the answers still to come. What is asked of other members is written before it tells that it waits: that is work of the processor as well, which long
// requests take turns with (BeforeWait).
//
// A lane answers in order, so its last answer implies the earlier ones: waiting from the last gap to the first wakes this goroutine about
// once per lane, not once per answer.
func (s *Session) settle() {
	coming := s.gaps[s.known:]
	for i := range coming {
		coming[i].pending.Flush()
	}
	if len(coming) > 0 {
		s.Waits()
	}
	for i := len(coming) - 1; i >= 0; i-- {
		coming[i].pending.Wait()
	}
	for s.advance(coming) > 0 {
	}
	s.known, s.holds, s.view, s.req.View, s.wrote, s.req.AfterWrite = len(s.gaps), nothing, 0, 0, false, false
}

// advance goes a step on with every request that may, and says how many are not settled then.
//
// So those that are on a detour wait together, within one patience, and not one after the other. What concerns the same key, and is not all reading, is done in
// the order of the requests: none of it goes on while one before it is open.
func (s *Session) advance(coming []gap) (open int) {
	for i := range coming {
		g := &coming[i]
		switch {
		case g.settled:
			continue
		case open > 0 && waits(coming[:i], &g.req):
			open++
			continue
		}
		g.pending.Wait()
		if p := g.pending; p.Response.Status == protocol.PeerMoved && p.Then == nil && p.Moved == nil {
			s.tired = s.inLine
		}
		if g.pending, g.settled = g.pending.Advance(&g.req); !g.settled {
			g.pending.Flush()
			open++
		}
	}
	return open
}

// waits reports whether req must not overtake one of those before it.
func waits(before []gap, req *protocol.Request) bool {
	for i := range before {
		if g := &before[i]; !g.settled && (req.Op.Writes() || g.req.Op.Writes()) && bytes.Equal(g.req.Key, req.Key) {
			return true
		}
	}
	return false
}

// fill gives the next piece of the tape with its gaps filled: short answers, or one long one. Its requests are done with once that is the last.
func (s *Session) fill() (piece []byte, used int) {
	s.filled = lent.Back(s.filled)
	s.share.Give(s.inPiece)
	s.inPiece = 0
	for s.next < len(s.gaps) {
		g := &s.gaps[s.next]
		if !s.copyTape(g.at) {
			return s.filled, 0
		}
		if s.lacks(&g.pending.Response) {
			if len(s.filled) > 0 {
				return s.filled, 0
			}
			s.short = true
			s.askAgain(g)
		}
		room := len(g.pending.Response.Value) + headBytesOfAnswer
		if len(s.filled) >= maxTapeBytes || len(s.filled) > 0 && len(s.filled)+room > lent.KeptBytes {
			return s.filled, 0
		}
		s.learn(len(g.pending.Response.Value))
		s.values += s.recent
		if room >= protocol.BulkBytes {
			s.long()
		}
		s.filled = s.codec.Append(lent.Room(s.filled, room), &g.req, &g.pending.Response)
		s.inPiece += g.pending.Keep()
		g.pending.Release()
		*g = gap{}
		s.next++
	}
	if !s.copyTape(len(s.tape)) {
		return s.filled, 0
	}
	used = s.used
	s.adapt()
	return s.filled, used
}

// copyTape adds the tape up to there to the piece; false if that is to be sent first.
func (s *Session) copyTape(to int) bool {
	n := to - s.from
	if len(s.filled) > 0 && n > 0 && len(s.filled)+n > lent.KeptBytes {
		return false
	}
	s.filled = append(lent.Room(s.filled, n), s.tape[s.from:to]...)
	s.from = to
	return true
}

// adapt chooses how many answers the next batch may wait for by the size of these.
func (s *Session) adapt() {
	switch full := len(s.gaps) == s.width; {
	case s.short:
		s.width = max(s.width/16, 1)
	case s.values > aheadBytes:
		s.width = max(s.width/4, 1)
	case full && s.values < aheadBytes/4:
		s.width = min(2*s.width, maxGaps)
	case !full && s.width > firstGaps && len(s.gaps) < s.width/8:
		s.width, s.gaps = firstGaps, nil // wide batches are rare: their memory is let go
	}
	s.gaps, s.known = s.gaps[:0], 0
	s.used, s.next, s.from, s.values, s.short = 0, 0, 0, 0, false
}
