package frame

import (
	"encoding/binary"

	"github.com/memring/memring/protocol"
)

// A Codec is the acceptor's side of one lane, for a session.
//
// The first request must be a Hello, and no other may be one; nothing else is read before the Hello has been answered with OK. Whoever
// breaks this, or sends what is no frame, is hung up on.
type Codec struct {
	// Cut, when set, makes an answer fit into a frame before it is added.
	Cut func(resp *protocol.Response)

	stage stage
}

// stage is how far the conversation has come.
type stage uint8

const (
	silent  stage = iota // nothing said yet
	greeted              // a Hello has come; not answered, or refused
	open                 // the Hello was answered with OK
)

// maxHelloBytes is more than any Hello has.
const maxHelloBytes = 4 << 10

// NewCodec gives the codec of a new lane.
func NewCodec() *Codec { return &Codec{} }

// Parse reads the next request; see session.Codec. Request.Opaque is the frame's sequence. Bytes that are no request are a Reject with Hangup.
func (c *Codec) Parse(buf []byte, req *protocol.Request) (used int) {
	used, ok := parseRequest(buf, req)
	if c.stage == silent && -used > maxHelloBytes {
		ok = false // nobody is given memory before he has said who he is
	}
	if ok && used <= 0 {
		*req = protocol.Request{Origin: req.Origin}
		return used
	}
	allowed := c.stage == open
	if ok && req.Op == protocol.Hello {
		allowed = c.stage == silent
		c.stage = max(c.stage, greeted)
	}
	if !ok || !allowed {
		*req = protocol.Request{Op: protocol.Reject, Reason: protocol.BadFormat, Options: protocol.Hangup, Opaque: req.Opaque}
		return len(buf)
	}
	return used
}

// Foresee tells keys of the next requests; see session.Foreseer.
func (c *Codec) Foresee(buf []byte, keys [][]byte) (found, used int) {
	for c.stage == open && found < len(keys) && len(buf)-used >= requestHeadBytes {
		rest := buf[used:]
		length, keyBytes := binary.LittleEndian.Uint32(rest), int(binary.LittleEndian.Uint16(rest[keyBytesAt:]))
		if !possible(length, requestHeadBytes) || requestHeadBytes+keyBytes > len(rest) {
			break
		}
		if keyBytes > 0 {
			keys[found] = rest[requestHeadBytes:][:keyBytes]
			found++
		}
		used = min(used+int(length), len(buf))
	}
	if found < len(keys) {
		used = len(buf)
	}
	return found, used
}

// Append adds the answer to req; see session.Codec.
func (c *Codec) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	if req.Op == protocol.Hello && resp.Status == protocol.OK && c.stage == greeted {
		c.stage = open
	}
	if c.Cut != nil {
		c.Cut(resp)
	}
	return AppendResponse(dst, req.Opaque, resp)
}
