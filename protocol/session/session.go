// Package session is a conversation without a connection: bytes in, requests handled, answers out in their order.
//
// The engine reads a batch, and the session answers all whole requests in it before the engine reads again. So a request's slices may point
// into the read buffer until it is answered, memory is bounded, and a client that does not read its answers is not read from.
//
//	in    | get a | get b | get c | ...          codec.Parse, handler.Handle
//	tape  | VALUE a ...   | VALUE c ...          an answer given at once is encoded at once
//	gaps                  ^ b                    one that comes later leaves a gap
//	out   | VALUE a ... | VALUE b ... | VALUE c  gaps are filled, in order, before anything is sent
package session

import (
	"cmp"

	"github.com/memring/memring/protocol"
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
	// maxTapeBytes ends a batch early: its answers are sent before more requests are handled, so that a short request for many
	// large values cannot fill the memory.
	maxTapeBytes = 256 << 10

	// A conversation waits for firstGaps answers at a time to begin with, and for up to maxGaps as long as they are small: how large they
	// are is known only when they have come. So maxGaps of the largest items are what one conversation can make this node hold.
	firstGaps = 32
	maxGaps   = 128

	// maxKeptBytes bounds each of the buffers that a session keeps from one batch to the next.
	maxKeptBytes = 64 << 10

	// headBytesOfAnswer is room for what stands around a value: its line with key and numbers, or what the store keeps with it.
	headBytesOfAnswer = 512
)

// A Session is one conversation. One goroutine at a time uses it.
type Session struct {
	handler protocol.Handler
	codec   Codec
	origin  uint32

	missing  int
	requests int
	ended    bool
	quit     bool
	stream   protocol.Stream // the answer that is under way; nil: none

	req    protocol.Request
	resp   protocol.Response
	tape   []byte // the answers known so far, encoded
	gaps   []gap  // the answers to come
	known  int    // how many of them have come already
	holds  holds  // what the others demand of the requests that follow
	view   uint64 // the view that they were sent by; 0: none
	width  int    // how many of them are waited for at a time
	recent int    // the length of the last value: the next is probably as long
	filled []byte // the tape with its gaps filled
}

// A gap is a place in the tape for an answer that comes later.
type gap struct {
	at      int // before this byte of the tape
	req     protocol.Request
	pending *protocol.Pending
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
// reads on; in must then grow, to Missing bytes at least if that is known.
func (s *Session) Answer(in []byte) (answers []byte, used int) {
	s.missing, s.requests = 0, 0
	s.Rest()
	if s.stream != nil && s.continueStream() {
		return s.tape, 0
	}
	for used < len(in) && !s.ended && s.stream == nil && len(s.tape) < maxTapeBytes && len(s.gaps) < s.width {
		s.req = protocol.Request{Origin: s.origin, View: s.view}
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
	return s.fill(), used
}

// Rest gives back the memory of the last answers, which are not good any more. It is for before a wait: Answer does the same.
func (s *Session) Rest() {
	s.tape, s.filled = giveBack(s.tape), giveBack(s.filled)
}

// Missing says how many bytes in must hold before the next request is whole; 0 when that is not known yet.
func (s *Session) Missing() int { return s.missing }

// Requests says how many requests the last Answer handled.
func (s *Session) Requests() int { return s.requests }

// Ended reports whether the conversation is over: once the answers are sent the connection is to be closed.
func (s *Session) Ended() bool { return s.ended }

// Quit reports that it is over because the client has said so.
func (s *Session) Quit() bool { return s.quit }

// Origin is its number among the others of this process.
func (s *Session) Origin() uint32 { return s.origin }

// Streaming reports that an answer is under way, piece by piece. While it has no piece to give, the caller asks for one from time to time.
func (s *Session) Streaming() bool { return s.stream != nil }

// Close ends the conversation: nothing of it is wanted any more. Without a stream under way it has nothing to do.
func (s *Session) Close() {
	if s.ended = true; s.stream != nil {
		s.stream.Close()
		s.stream = nil
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
	switch req.Op {
	case protocol.Quit:
		s.ended, s.quit = true, true
		resp.Status = protocol.OK
	case protocol.Reject:
		resp.Status = req.Reason
	default:
		resp.Scratch = roomFor(resp.Scratch, s.recent+headBytesOfAnswer)
		if s.holds == everything || s.holds == writes && req.Op.Writes() {
			s.settle()
		}
		pending := s.handler.Handle(req, resp)
		if pending == nil && resp.Status == protocol.AskAgain {
			s.settle()
			pending = s.handler.Handle(req, resp)
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
	s.recent = len(resp.Value)
	s.tape = s.codec.Append(roomFor(s.tape, len(resp.Value)+headBytesOfAnswer), req, resp)
	resp.Reset()
	resp.Scratch = giveBack(resp.Scratch)
}

// answered makes of the answer that is there one that comes later.
func (s *Session) answered() *protocol.Pending {
	pending := protocol.NewPending(nil)
	pending.Response, s.resp = s.resp, pending.Response
	pending.Complete()
	return pending
}

// leaveGap leaves a place in the tape for the answer to s.req.
func (s *Session) leaveGap(pending *protocol.Pending) {
	s.gaps = append(s.gaps, gap{at: len(s.tape), req: s.req, pending: pending})
	s.view = cmp.Or(s.view, pending.View)
	switch {
	case pending.Holds && s.req.Op.Writes():
		s.holds = everything
	case pending.Holds:
		s.holds = max(s.holds, writes)
	}
	s.resp.Scratch = giveBack(s.resp.Scratch)
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

// settle waits for the answers still to come; what is to be done when they are here is done in the order of the requests.
//
// A lane answers in order, so its last answer implies the earlier ones: waiting from the last gap to the first wakes this goroutine about
// once per lane, not once per answer.
func (s *Session) settle() {
	coming := s.gaps[s.known:]
	for i := range coming {
		coming[i].pending.Flush()
	}
	for i := len(coming) - 1; i >= 0; i-- {
		coming[i].pending.Wait()
	}
	for i := range coming {
		coming[i].pending = coming[i].pending.Resolve(&coming[i].req)
	}
	s.known, s.holds, s.view, s.req.View = len(s.gaps), nothing, 0, 0
}

// fill gives the tape with its gaps filled.
func (s *Session) fill() []byte {
	s.settle()
	from := 0
	for i := range s.gaps {
		g := &s.gaps[i]
		s.filled = roomFor(s.filled, g.at-from+len(g.pending.Response.Value)+headBytesOfAnswer)
		s.filled = append(s.filled, s.tape[from:g.at]...)
		s.filled = s.codec.Append(s.filled, &g.req, &g.pending.Response)
		from = g.at
		g.pending.Release()
		*g = gap{}
	}
	s.filled = append(roomFor(s.filled, len(s.tape)-from), s.tape[from:]...)
	s.adapt()
	return s.filled
}

// adapt chooses how many answers the next batch may wait for by the size of these.
func (s *Session) adapt() {
	switch full := len(s.gaps) == s.width; {
	case len(s.filled) > maxTapeBytes:
		s.width = max(s.width/4, 1)
	case full && len(s.filled) < maxTapeBytes/4:
		s.width = min(2*s.width, maxGaps)
	case !full && s.width > firstGaps && len(s.gaps) < s.width/8:
		s.width, s.gaps = firstGaps, nil // wide batches are rare: their memory is let go
	}
	s.gaps, s.known = s.gaps[:0], 0
}
