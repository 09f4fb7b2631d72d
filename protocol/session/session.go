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

import "github.com/memring/memring/protocol"

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

	// maxGaps bounds the answers that one conversation waits for at a time.
	maxGaps = 1024

	// maxKeptBytes bounds each of the buffers that a session keeps from one batch to the next.
	maxKeptBytes = 64 << 10
)

// A Session is one conversation. One goroutine at a time uses it.
type Session struct {
	handler protocol.Handler
	codec   Codec
	origin  uint32

	missing int
	ended   bool

	req    protocol.Request
	resp   protocol.Response
	tape   []byte // the answers known so far, encoded
	gaps   []gap  // the answers to come
	filled []byte // the tape with its gaps filled
}

// A gap is a place in the tape for an answer that comes later.
type gap struct {
	at      int // before this byte of the tape
	req     protocol.Request
	pending *protocol.Pending
}

// New begins a conversation whose requests h answers. origin tells it from the others of this process (Request.Origin).
func New(h protocol.Handler, c Codec, origin uint32) *Session {
	return &Session{handler: h, codec: c, origin: origin}
}

// Answer handles whole requests from the head of in; used says how many bytes of it are done with. The answers are good until the next call.
//
// With used > 0 there may be more whole requests in the rest: the caller sends what it has and calls again. With used == 0 it reads on;
// in must then grow, to Missing bytes at least if that is known.
func (s *Session) Answer(in []byte) (answers []byte, used int) {
	s.missing = 0
	if s.tape = s.tape[:0]; cap(s.tape) > maxKeptBytes {
		s.tape = nil
	}
	for used < len(in) && !s.ended && len(s.tape) < maxTapeBytes && len(s.gaps) < maxGaps {
		s.req = protocol.Request{Origin: s.origin}
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

// Missing says how many bytes in must hold before the next request is whole; 0 when that is not known yet.
func (s *Session) Missing() int { return s.missing }

// Ended reports whether the conversation is over: once the answers are sent the connection is to be closed.
func (s *Session) Ended() bool { return s.ended }

// handle answers s.req: onto the tape, or leaving a gap.
func (s *Session) handle() {
	req, resp := &s.req, &s.resp
	s.ended = req.Options.Has(protocol.Hangup)
	switch req.Op {
	case protocol.None:
		return
	case protocol.Quit:
		s.ended = true
		resp.Status = protocol.OK
	case protocol.Reject:
		resp.Status = req.Reason
	default:
		if pending := s.handler.Handle(req, resp); pending != nil {
			s.gaps = append(s.gaps, gap{at: len(s.tape), req: *req, pending: pending})
			return
		}
	}
	s.tape = s.codec.Append(s.tape, req, resp)
	resp.Reset()
	if cap(resp.Scratch) > maxKeptBytes {
		resp.Scratch = nil
	}
}

// fill waits for the answers still to come and gives the tape with its gaps filled.
//
// A lane answers in order, so its last answer implies the earlier ones: waiting from the last gap to the first wakes this goroutine about
// once per lane, not once per answer.
func (s *Session) fill() []byte {
	for i := range s.gaps {
		s.gaps[i].pending.Flush()
	}
	for i := len(s.gaps) - 1; i >= 0; i-- {
		s.gaps[i].pending.Wait()
	}
	if s.filled = s.filled[:0]; cap(s.filled) > maxKeptBytes {
		s.filled = nil
	}
	from := 0
	for i := range s.gaps {
		g := &s.gaps[i]
		s.filled = append(s.filled, s.tape[from:g.at]...)
		s.filled = s.codec.Append(s.filled, &g.req, &g.pending.Response)
		from = g.at
		g.pending.Release()
		*g = gap{}
	}
	s.filled = append(s.filled, s.tape[from:]...)
	s.gaps = s.gaps[:0]
	return s.filled
}
