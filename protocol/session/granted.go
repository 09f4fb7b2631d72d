package session

import (
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
	"github.com/memring/memring/protocol/login"
)

// parseGranted reads a request of a user who is in. What the user may not ask becomes a Reject, which takes its seat; its data block has been read, or is
// swallowed, like that of any other Reject.
//
// Who has come in by what is not there any more (login.User.Grant) is told so at the next request, and has to come again.
func (g *Gate) parseGranted(buf []byte, req *protocol.Request) (used int) {
	grant := g.user.Grant()
	if grant != nil && grant.Unlimited() && !g.refusing {
		if used = g.wires.Parse(buf, req); !req.Op.ForClients() {
			g.deny(req)
		}
		return used
	}
	begins := g.wires.text == nil || g.wires.text.Between()
	used = g.wires.Parse(buf, req)
	if used <= 0 || req.Op == protocol.None {
		return used
	}
	switch {
	case grant == nil:
		g.refusing = false
		g.deny(req)
		req.Options |= protocol.Hangup
		return used
	case begins && ofLine(req) && !req.Options.Has(protocol.Last) && len(grant.Prefixes) > 0:
		g.refusing = !coversLine(grant, req.Op, buf)
	}
	if g.refusing = g.refusing || !grant.Allows(req); !g.refusing {
		return used
	}
	if ofLine(req) && !req.Options.Has(protocol.Last) {
		req.Op = protocol.None
		return used
	}
	g.refusing = false
	g.deny(req)
	return used
}

// ofLine reports whether req asks for one key of a line of keys. Such a line is one command, and refused whole: a client reads on until END or an error, so
// that can only stand at its end. Where the line is too long to be looked at whole, the keys before the first forbidden one have been answered.
func ofLine(req *protocol.Request) bool {
	return req.Wire == onText && (req.Op == protocol.Get || req.Op == protocol.Gat)
}

// coversLine reports whether a grant is for all keys of the line at the head of buf: "get KEY ...", or "gat EXPTIME KEY ...". Of one that is too long to be
// checked whole it knows nothing: its keys are looked at as they come.
func coversLine(grant *login.Grant, op protocol.Op, buf []byte) bool {
	text, _ := line.Cut(buf, line.MaxCheckedBytes)
	_, rest := line.Word(text)
	if op == protocol.Gat {
		_, rest = line.Word(rest)
	}
	for key, rest := line.Word(rest); len(key) > 0; key, rest = line.Word(rest) {
		if !grant.Covers(key) {
			return false
		}
	}
	return true
}

// deny makes req a Reject. What it was quiet about it stays quiet about.
func (g *Gate) deny(req *protocol.Request) {
	if req.Op == protocol.Reject {
		return // it has an error already, and that tells nothing
	}
	req.Op, req.Reason = protocol.Reject, protocol.Denied
	g.users.Stats().Denied.Add(1)
}

// pass gives req to the chain. An answer that goes on and on ends with the right to it.
func (g *Gate) pass(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	pending := g.next.Handle(req, resp)
	if resp.Stream != nil && g.user != nil {
		resp.Stream = &grantedStream{Stream: resp.Stream, user: g.user, needs: req.Needs()}
	}
	return pending
}

// A grantedStream is for a user who may lose the right to it on the way: to watch may last for days.
type grantedStream struct {
	protocol.Stream
	user  *login.User
	needs protocol.Rights
}

// Next implements protocol.Stream.
func (s *grantedStream) Next(dst []byte) (piece []byte, more bool) {
	if grant := s.user.Grant(); grant == nil || s.needs&^grant.Rights != 0 {
		return dst, false
	}
	return s.Stream.Next(dst)
}
