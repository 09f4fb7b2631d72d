package session

import (
	"encoding/binary"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
	"github.com/memring/memring/protocol/login"
)

// A Gate stands before a client's conversation until it is known who the client is. It is the codec of the session and its first handler.
//
//	in -> Parse ---- in already ----> the wires -> Handle -> the chain
//	         |------ a login -------> the wires -> Handle: who is it?
//	         +------ all else ------> refused, before more of it is waited for than its head
//
// What must stay true: before a login nothing but Version reaches the chain, whatever the wires make of the bytes; and nothing is kept of what
// somebody sends who is not in, but one login.
//
// Who is in may ask what is granted (login.Grant), which is looked at here and nowhere else: the chain, and other members, do as they are told.
//
// Without logins there is no Gate, so it costs nothing then.
type Gate struct {
	users *login.Users
	next  protocol.Handler
	wires *Wires

	exchange login.Exchange
	user     *login.User // who is in; nil: nobody yet
	failures int
	refusing bool // a line of keys, up to its last: see grant
}

const (
	// maxFailures ends a conversation: who guesses must connect again and again, which is bounded and seen.
	maxFailures = 8

	// minLoginLine is a length under which memcached hangs up on a line instead of logins, its LF not counted.
	minLoginLine = 6
)

// What the gate must know of a packet on the binary wire; the rest the wire's codec does.
const (
	packetHeadBytes = 24
	packetVerbAt    = 1
	packetOpaqueAt  = 12

	packetVersion    = 0x0b
	packetMechanisms = 0x20
	packetLogin      = 0x21
	packetLoginStep  = 0x22
)

// NewGate makes the codec and handler of a new connection: behind it are h and w. Where w has text one logs in as with memcached's -Y, by a
// first "set" whose data is "user password"; on its binary wire by SASL.
func NewGate(users *login.Users, h protocol.Handler, w *Wires) *Gate {
	return &Gate{users: users, next: h, wires: w, exchange: users.Begin()}
}

// RefusePlain has the password of a login by SASL never sent as it is (login.Exchange).
func (g *Gate) RefusePlain() { g.exchange.RefusePlain() }

// User is who is in; nil: nobody.
func (g *Gate) User() *login.User { return g.user }

// Parse implements Codec.
func (g *Gate) Parse(buf []byte, req *protocol.Request) (used int) {
	switch {
	case len(buf) == 0:
		return 0
	case g.user != nil:
		return g.parseGranted(buf, req)
	case g.failures >= maxFailures:
		return hangUp(buf, req)
	}
	if g.wires.on == undecided {
		if g.wires.on = onText; buf[0] == binaryMagic {
			g.wires.on = onBinary
		}
	}
	switch {
	case g.wires.codec(g.wires.on) == nil:
		return hangUp(buf, req)
	case g.wires.on == onBinary:
		return g.parsePacket(buf, req)
	default:
		req.Wire = onText
		return parseLogin(buf, req)
	}
}

// Append implements Codec.
func (g *Gate) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	return g.wires.Append(dst, req, resp)
}

// hangUp ends the conversation without a word.
func hangUp(buf []byte, req *protocol.Request) (used int) {
	req.Op, req.Options = protocol.None, protocol.Hangup
	return len(buf)
}

// parsePacket lets in the packets by which one logs in, whose length their codec bounds, and Version. As memcached it answers any other by
// its head, and hangs up.
func (g *Gate) parsePacket(buf []byte, req *protocol.Request) (used int) {
	if buf[0] == binaryMagic {
		if len(buf) < packetHeadBytes {
			return -packetHeadBytes
		}
		switch verb := buf[packetVerbAt]; verb {
		case packetVersion, packetMechanisms, packetLogin, packetLoginStep:
		default:
			req.Op, req.Reason, req.Options = protocol.Reject, protocol.NotAllowed, protocol.Hangup
			req.Wire, req.Verb, req.Opaque = onBinary, verb, binary.BigEndian.Uint32(buf[packetOpaqueAt:])
			return packetHeadBytes
		}
	}
	return g.wires.Parse(buf, req)
}

// parseLogin reads "set KEY FLAGS EXPTIME LENGTH" and the data block. Any other line is a Login with the Reason why it is none; what follows a
// line is read as a line, so that no data block is waited for but a short one.
func parseLogin(buf []byte, req *protocol.Request) (used int) {
	text, used := line.Cut(buf, line.MaxBytes)
	if used == 0 {
		if len(buf) <= line.MaxBytes {
			return 0
		}
		return hangUp(buf, req)
	}
	if used <= minLoginLine {
		return hangUp(buf, req)
	}
	req.Op = protocol.Login
	word, rest := line.Word(text)
	isSet := string(word) == "set" && text[0] != ' '
	for range 3 { // key, flags and exptime may be anything
		_, rest = line.Word(rest)
	}
	lengthWord, _ := line.Word(rest)
	length, ok := line.Uint(lengthWord, 1<<32-1)
	switch {
	case !isSet || !ok:
		req.Reason = protocol.UnknownCommand
		return used
	case length > protocol.MaxLoginBytes:
		req.Reason = protocol.TooLarge
		return used
	}
	whole := used + int(length) + line.BlockEnd
	if len(buf) < whole {
		return -whole
	}
	if req.Value, ok = line.Block(buf[used:], int(length)); !ok {
		req.Reason = protocol.BadChunk
	}
	return whole
}

// Handle implements protocol.Handler.
func (g *Gate) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch {
	case req.Op == protocol.Mechanisms:
		say(resp, protocol.OK, g.exchange.Mechanisms())
	case req.Op == protocol.Login && req.Wire == onText:
		return g.byLine(req, resp)
	case req.Op == protocol.Login || req.Op == protocol.LoginStep:
		return g.bySASL(req, resp)
	case g.user == nil && req.Op != protocol.Version:
		resp.Status = protocol.NotAllowed // Parse lets none through: this is the lock behind the lock
	default:
		return g.pass(req, resp)
	}
	return nil
}

// byLine logs in on the text wire. The words are memcached's.
func (g *Gate) byLine(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Reason {
	case protocol.UnknownCommand:
		return say(resp, protocol.ClientError, "unauthenticated")
	case protocol.TooLarge:
		return say(resp, protocol.ClientError, "auth token too long")
	case protocol.BadChunk:
		return say(resp, protocol.ClientError, "bad command line termination")
	}
	user, readable := g.users.ByWords(req.Value)
	switch {
	case !readable:
		return say(resp, protocol.ClientError, "bad authentication token format")
	case user == nil:
		return g.fail(protocol.ClientError, "authentication failure")
	}
	g.user, resp.Status = user, protocol.OK
	return nil
}

// say answers at once.
func say(resp *protocol.Response, status protocol.Status, value string) *protocol.Pending {
	resp.Status, resp.Scratch = status, append(resp.Scratch[:0], value...)
	resp.Value = resp.Scratch
	return nil
}

// bySASL logs in on the binary wire. Who logs in once more has gone out first.
func (g *Gate) bySASL(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	g.user = nil
	var (
		reply   []byte
		verdict login.Verdict
	)
	if req.Op == protocol.Login {
		reply, verdict = g.exchange.Start(req.Key, req.Value)
	} else {
		reply, verdict = g.exchange.Step(req.Value)
	}
	switch verdict {
	case login.In:
		g.user = g.exchange.User()
		return say(resp, protocol.OK, "Authenticated")
	case login.Continue:
		return say(resp, protocol.Challenge, string(reply))
	default:
		return g.fail(protocol.NotAllowed, "")
	}
}

// fail refuses a login, but not at once: see login.Config.Hold.
func (g *Gate) fail(status protocol.Status, message string) *protocol.Pending {
	if g.failures++; g.failures == maxFailures {
		g.users.Stats().Lockouts.Add(1)
	}
	later := protocol.NewPending(nil)
	say(&later.Response, status, message)
	g.users.Refuse(later.Complete)
	return later
}
