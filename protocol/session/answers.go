package session

import (
	"cmp"
	"sync/atomic"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/budget"
	"github.com/memring/memring/protocol/lent"
)

// Answers bounds what the conversations of a node hold of answers until their clients take them.
//
//	short   what a session keeps anyway: some 300 KB at most
//	long    of the budget, before the value is put anywhere: see protocol.Pending.MakeRoom
//	        no room -> the value is dropped, and asked for again when it is its turn to be sent
//	        over protocol.BulkBytes, and not expected: withheld by its owner (protocol.Brief), and asked for again likewise
//
// So whoever asks for much at once gets it, one after the other, as fast as he reads. How large an answer is nobody knows before it is there: that is
// why it is dropped, not left unasked for.
type Answers struct {
	budget *budget.Budget
	onLoss protocol.Status

	Withheld atomic.Int64 // local answers that there was no room for at first
	Refused  atomic.Int64 // requests that there was no room for the answer of, in the end
}

const (
	// defaultBytes are as many as those that uploads have (node/server): some 80 answers of the largest item by default at a time.
	defaultBytes = 256 << 20

	// maxShare is what one client may have of the budget for answers that have come before their turn: 32 of 80 KB, or any one.
	maxShare = 8 << 20

	// maxAsks is how often an answer is asked for again for want of room, each after a wait of budget.Patience at most: its size may change meanwhile.
	maxAsks = 3
)

// NewAnswers makes a bound of so many bytes, 0 for the default, but at least of two answers of the longest value. A reader whose answer there is no room for is
// told that the item is not there, or, with errors, protocol.PeerOverloaded.
func NewAnswers(bytes int64, maxValueBytes int, errors bool) *Answers {
	a := &Answers{onLoss: protocol.NotFound}
	if errors {
		a.onLoss = protocol.PeerOverloaded
	}
	a.budget = budget.New(max(cmp.Or(bytes, defaultBytes), 2*protocol.AnswerBytes(maxValueBytes)))
	return a
}

// Budget is what they take of.
func (a *Answers) Budget() *budget.Budget { return a.budget }

// Left is how much there is to be had.
func (a *Answers) Left() int64 { return a.budget.Left() }

// Bound bounds what s holds, and gives it. It comes before any request.
func (a *Answers) Bound(s *Session) *Session {
	s.answers = a
	s.share.Open(a.budget, maxShare)
	return s
}

// Holds reports whether what is being sent takes memory of the Answers, and whether others wait for that.
func (s *Session) Holds() (some, wanted bool) { return s.share.Held() > 0, s.share.Wanted() }

// makeRoom takes room for the answer that is there, to be put on the tape; false if there is none.
func (s *Session) makeRoom() bool {
	n := protocol.AnswerBytes(len(s.resp.Value))
	if len(s.resp.Value) <= protocol.UncopiedBytes || !isRead(s.req.Op) {
		return true
	}
	if !s.share.TryTake(n) {
		return false
	}
	s.onTape += n
	return true
}

// scarce reports whether there may be no room for an answer as long as the last when it comes. It is not asked for then before there is: what is read, sent and dropped
// would cost all who are here as much as what they get.
func (s *Session) scarce() bool {
	need := protocol.AnswerBytes(s.recent)
	return need > 0 && (s.share.Held() > 0 && s.share.Held()+need > maxShare || s.answers.budget.Scarce(need))
}

// lacks reports whether an answer is to be asked for again. A session without bounds, of a lane, passes on that it was withheld.
func (s *Session) lacks(resp *protocol.Response) bool {
	return s.answers != nil && resp.Marks.Has(protocol.Withheld)
}

// isRead reports whether an op is answered with an item's value.
func isRead(op protocol.Op) bool { return op == protocol.Get || op == protocol.Gat }

// askAgain asks for the value of an answer that there was no room for. What the request has done is done: what it said beside the value stays.
func (s *Session) askAgain(g *gap) {
	first := g.pending.Response
	req := protocol.Request{Op: protocol.Get, Options: protocol.NoBump | protocol.Again, Origin: s.origin, Share: &s.share, Bulk: true, Key: g.req.Key}
	s.Waits()
	for asks, size := 0, first.Size; asks < maxAsks && s.share.Reserve(protocol.AnswerBytes(int(size))); asks++ {
		s.long()
		s.resp.Scratch = lent.Room(s.resp.Scratch, int(size)+headBytesOfAnswer)
		pending := s.handler.Handle(&req, &s.resp)
		if pending == nil {
			pending = s.answered()
		} else {
			s.resp.Scratch = lent.Back(s.resp.Scratch)
			pending.Flush()
			s.Waits()
		}
		pending = pending.Resolve(&req)
		s.share.Unreserve()
		if resp := &pending.Response; !resp.Marks.Has(protocol.Withheld) {
			if resp.Status == protocol.OK {
				resp.Marks, resp.TTL, resp.Idle = first.Marks&^protocol.Withheld, first.TTL, first.Idle
			}
			g.pending.Release()
			g.pending = pending
			return
		}
		size = pending.Response.Size
		pending.Release()
		s.Waits()
	}
	s.answers.Refused.Add(1)
	g.pending.Response.Reset()
	g.pending.Response.Status = cmp.Or(g.pending.OnLoss, s.answers.onLoss)
}
