// Package session is a conversation without a connection: bytes in, requests handled, answers out in their order.
//
// The engine reads a batch, and the session answers all whole requests in it before the engine reads again. So a request's slices may point
// into the read buffer until it is answered, memory is bounded, and a client that does not read its answers is not read from.
//
//	in    | get a | get b | get c | ...          codec.Parse, handler.Handle
//	tape  | VALUE a ...   | VALUE c ...          an answer given at once is encoded at once
//	gaps                  ^ b                    one that comes later leaves a gap
//	out   | VALUE a ... | VALUE b ... | VALUE c  gaps are filled, in order, and sent piece by piece
//
// What a conversation holds of answers until its client takes them has a bound, for each and for all: see Answers.
package session

import (
	"cmp"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/budget"
	"github.com/memring/memring/protocol/lent"
)

// A Codec is one wire on one connection. It may remember where in a line it is; it never blocks and never allocates.
type Codec interface {
	// Parse reads the next request from the head of buf into req, which is zero, and says how many bytes it used.
	// Op None means that bytes were swallowed and there is no request in them.
	// 0: there is no whole request yet. Negative: nor will there be one before buf holds -used bytes.
	Parse(buf []byte, req *protocol.Request) (used int)

	// Append adds the answer to req to dst. It is not called in the order of the requests.
	Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte
}

const (
	// maxTapeBytes ends a batch early, and a piece of its answers: they are sent before more requests are handled, so that a short request for
	// many large values cannot fill the memory. One more answer of protocol.AnswerBytes' short ones fits into what a session keeps.
	maxTapeBytes = 48 << 10

	// A conversation waits for firstGaps answers at a time to begin with, and for up to maxGaps as long as they are less than aheadBytes together.
	firstGaps  = 32
	maxGaps    = 128
	aheadBytes = 256 << 10

	// headBytesOfAnswer is room for what stands around a value: its line with key and numbers, or what the store keeps with it.
	headBytesOfAnswer = 512
)

// A Session is one conversation. One goroutine at a time uses it.
type Session struct {
	handler protocol.Handler
	codec   Codec
	origin  uint32

	left   int              // requests until the next that is a sample; 0 or less: none ever is
	draw   func() int       // how many after a sample is the next
	sample protocol.Handler // who handles it

	tally   protocol.Tally       // gets that are not handed on yet
	tallied *protocol.Tally      // that, if it is of use
	count   func(protocol.Tally) // who is told

	missing  int
	requests int
	ended    bool
	quit     bool
	stream   protocol.Stream // the answer that is under way; nil: none
	atEnd    func()          // nil: nothing is to be done

	beforeWait func() // nil: likewise
	beforeLong func() // nil: likewise

	foreseer Foreseer            // the codec, if it is one
	ahead    func(keys [][]byte) // who is told of the keys to come

	req    protocol.Request
	resp   protocol.Response
	tape   []byte // the answers known so far, encoded
	gaps   []gap  // the answers to come
	known  int    // how many of them have come already
	wrote  bool   // one of the others writes
	holds  holds  // what the others demand of the requests that follow
	view   uint64 // the view that they were sent by; 0: none
	width  int    // how many of them are waited for at a time
	recent int    // the length of the last value: the next is probably as long
	room   int    // for so long a value there is memory before it is read: the longest of the last ones, about
	bulk   bool   // this batch is long, or its answers may be
	full   bool   // an answer of this batch is withheld: no more are asked for before these are sent
	filled []byte // the next piece of the tape with its gaps filled

	// Of a tape that is sent piece by piece:
	used   int  // the bytes of in that its requests take
	next   int  // how many gaps are filled
	from   int  // how much of the tape is in the pieces given
	values int  // the bytes of the values in its gaps
	short  bool // there was no room for one of them at first

	answers *Answers     // nil: without bounds
	share   budget.Share // what its answers take of them
	onTape  int64        // of that, for what is on the tape
	inPiece int64        // for what is in the piece that was given last

	inLine bool // the request before this one left its line of keys open
	tired  bool // a request of this line was sent after a partition on the move until its patience was over
}

// A gap is a place in the tape for an answer that comes later.
type gap struct {
	at      int // before this byte of the tape
	req     protocol.Request
	pending *protocol.Pending
	settled bool // pending is completed and has the answer
}

// holds says what must not overtake the requests that are waited for (protocol.Pending.Holds).
type holds uint8

const (
	nothing holds = iota
	writes
	everything
)

// New begins a conversation whose requests h answers. origin tells it from the others of this process (Request.Origin).
func New(h protocol.Handler, c Codec, origin uint32) *Session {
	return &Session{handler: h, codec: c, origin: origin, width: firstGaps}
}

// Answer handles whole requests from the head of in; used says how many bytes of it are done with. The answers are good until the next call.
//
// With used > 0 or answers there may be more: the caller sends what it has and calls again, even if nothing is left of in. With neither it
// reads on; in must then grow, to Missing bytes at least if that is known. While Unsent, in must stay where it is.
func (s *Session) Answer(in []byte) (answers []byte, used int) {
	answers, used = s.answer(in)
	s.handOn()
	return answers, used
}

func (s *Session) answer(in []byte) (answers []byte, used int) {
	s.missing, s.requests = 0, 0
	if s.Unsent() {
		return s.fill()
	}
	s.Rest()
	s.bulk, s.full = max(s.recent, len(in)) >= protocol.BulkBytes, false
	if s.stream != nil && s.continueStream() {
		return s.tape, 0
	}
	for seen := 1; used < len(in) && !s.ended && s.stream == nil && len(s.tape) < maxTapeBytes && len(s.gaps) < s.width && !s.full; {
		if s.ahead != nil && used >= seen { // the first is handled: there are more
			seen = used + s.lookAhead(in[used:])
		}
		s.req = protocol.Request{} // as one literal it would be made elsewhere, and copied
		s.req.Origin, s.req.View, s.req.AfterWrite, s.req.Share, s.req.Tally, s.req.Bulk = s.origin, s.view, s.wrote, &s.share, s.tallied, s.bulk
		n := s.codec.Parse(in[used:], &s.req)
		if n <= 0 {
			s.missing = -n
			break
		}
		used += n
		s.handle()
	}
	if len(s.gaps) == 0 {
		return s.tape, used
	}
	s.used = used
	s.settle()
	return s.fill()
}

// Rest gives back the memory of the last answers, which are not good any more. It is for before a wait: Answer does the same.
func (s *Session) Rest() {
	s.tape, s.filled = lent.Back(s.tape), lent.Back(s.filled)
	s.share.Give(s.onTape + s.inPiece)
	s.onTape, s.inPiece = 0, 0
}

// Unsent reports that of the requests handled some answers are still to be given, and that they lie in in.
func (s *Session) Unsent() bool { return s.used > 0 }

// Missing says how many bytes in must hold before the next request is whole; 0 when that is not known yet.
func (s *Session) Missing() int { return s.missing }

// Requests says how many requests the last Answer handled.
func (s *Session) Requests() int { return s.requests }

// Ended reports whether the conversation is over: once the answers are sent the connection is to be closed.
func (s *Session) Ended() bool { return s.ended && !s.Unsent() }

// Quit reports that it is over because the client has said so.
func (s *Session) Quit() bool { return s.quit && !s.Unsent() }

// Origin is its number among the others of this process.
func (s *Session) Origin() uint32 { return s.origin }

// Streaming reports that an answer is under way, piece by piece. While it has no piece to give, the caller asks for one from time to time.
func (s *Session) Streaming() bool { return s.stream != nil }

// Close ends the conversation: nothing of it is wanted any more, and what it holds is given back.
func (s *Session) Close() {
	if s.ended = true; s.stream != nil {
		s.stream.Close()
		s.stream = nil
	}
	for ; s.next < len(s.gaps); s.next++ {
		s.gaps[s.next].pending.Release()
	}
	s.gaps, s.next, s.used = nil, 0, 0
	s.Rest()
	if s.atEnd != nil {
		s.atEnd()
	}
}

// Bulky reports that the conversation is one of long values just now.
func (s *Session) Bulky() bool { return s.recent >= protocol.BulkBytes }

// BeforeWait has f called before the session waits for answers that come later.
func (s *Session) BeforeWait(f func()) { s.beforeWait = f }

// BeforeLong has f called before the session asks for a long answer, or puts one into its place: that takes a processor for as long as a hundred short ones.
func (s *Session) BeforeLong(f func()) { s.beforeLong = f }

// long is before what takes long.
func (s *Session) long() {
	if s.beforeLong != nil {
		s.beforeLong()
	}
}

// Waits is for a handler that waits itself, to be called before.
func (s *Session) Waits() {
	if s.beforeWait != nil {
		s.beforeWait()
	}
}

// AtEnd has f called by Close.
func (s *Session) AtEnd(f func()) { s.atEnd = f }

// Sample has some requests handled by h instead: the one that draw counts to, from 1, and after each of them again.
func (s *Session) Sample(draw func() int, h protocol.Handler) {
	s.left, s.draw, s.sample = draw(), draw, h
}

// CountTo has f told of the gets of each batch before its answers are given, and before anything is asked that is of no key: it may be how many there were.
func (s *Session) CountTo(f func(protocol.Tally)) { s.count, s.tallied = f, &s.tally }

// handOn tells of the gets that were counted.
func (s *Session) handOn() {
	if s.tally != (protocol.Tally{}) {
		s.count(s.tally)
		s.tally = protocol.Tally{}
	}
}

// handle answers s.req: onto the tape, or leaving a gap.
func (s *Session) handle() {
	req, resp := &s.req, &s.resp
	s.ended = req.Options.Has(protocol.Hangup)
	if req.Op == protocol.None {
		return
	}
	s.requests++
	s.tired = s.tired && s.inLine
	s.inLine = req.Op == protocol.Get && req.Wire == onText && !req.Options.Has(protocol.Last)
	switch req.Op {
	case protocol.Quit:
		s.ended, s.quit = true, true
		resp.Status = protocol.OK
	case protocol.Reject:
		resp.Status = req.Reason
	default:
		if s.answers != nil && isRead(req.Op) && (!s.bulk || s.scarce()) {
			req.Options |= protocol.Brief
		}
		if !req.Op.Keyed() {
			s.handOn()
		}
		handler := s.handler
		if s.left--; s.left == 0 {
			s.left, handler = s.draw(), s.sample
		}
		if isRead(req.Op) {
			resp.Scratch = lent.Room(resp.Scratch, s.room+headBytesOfAnswer)
		}
		if s.holds == everything || s.holds == writes && req.Op.Writes() {
			s.settle()
		}
		pending := handler.Handle(req, resp)
		if pending == nil && resp.Status == protocol.AskAgain {
			s.settle()
			pending = handler.Handle(req, resp)
		}
		if pending != nil {
			s.leaveGap(pending)
			return
		}
	}
	if req.Options.Has(protocol.AfterAll) && len(s.gaps) > 0 {
		s.leaveGap(s.answered())
		return
	}
	if resp.Stream != nil {
		s.beginStream()
	}
	if s.lacks(resp) || !s.makeRoom() {
		s.leaveGap(s.answered())
		return
	}
	s.learn(len(resp.Value))
	s.tape = s.codec.Append(lent.Room(s.tape, len(resp.Value)+headBytesOfAnswer), req, resp)
	resp.Reset()
	resp.Scratch = lent.Back(resp.Scratch)
}

// learn notes the length of an answer's value. Answers without one say nothing about how long the next will be.
func (s *Session) learn(bytes int) {
	if s.recent = bytes; bytes > 0 {
		s.room = max(bytes, s.room-s.room/8)
	}
}

// answered makes of the answer that is there one that comes later.
func (s *Session) answered() *protocol.Pending {
	pending := protocol.NewPending(nil)
	pending.Response, s.resp = s.resp, pending.Response
	pending.ToShare(&s.share)
	resp := &pending.Response
	if !pending.MakeRoom(len(resp.Value)) {
		s.answers.Withheld.Add(1)
		resp.Marks, resp.Value = resp.Marks|protocol.Withheld, nil
	}
	if resp.Marks.Has(protocol.Withheld) {
		s.full = true
		s.learn(int(resp.Size))
		resp.Scratch = lent.Back(resp.Scratch)
	}
	pending.Complete()
	return pending
}

// leaveGap leaves a place in the tape for the answer to s.req.
func (s *Session) leaveGap(pending *protocol.Pending) {
	if s.tired {
		pending.Moved = nil
	}
	s.gaps = append(s.gaps, gap{at: len(s.tape), req: s.req, pending: pending})
	s.view = cmp.Or(s.view, pending.View)
	s.wrote = s.wrote || s.req.Op.Writes()
	switch {
	case pending.Holds && s.req.Op.Writes():
		s.holds = everything
	case pending.Holds:
		s.holds = max(s.holds, writes)
	}
	s.resp.Scratch = lent.Back(s.resp.Scratch)
}

// beginStream takes over the stream of the answer. It must be the first of its batch, as memcached has it: what is said before a dump or a
// watch begins is then known to have been received.
func (s *Session) beginStream() {
	if len(s.tape)+len(s.gaps) > 0 {
		s.resp.Stream.Close()
		s.resp.Stream, s.resp.Status = nil, protocol.Pipelined
		return
	}
	s.stream = s.resp.Stream
}

// continueStream puts the next piece on the tape; false when that was the last.
func (s *Session) continueStream() (more bool) {
	if s.tape, more = s.stream.Next(s.tape); !more {
		s.stream.Close()
		s.stream = nil
	}
	return more
}
