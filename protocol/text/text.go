// Package text is memcached's classic text wire.
//
// What a line means is memcached 1.6.45's reading of protocol.txt, down to its error lines: testdata holds it, as recorded there.
//
//	atLine --- get a b c ---> inKeys: one request a key, checked before the first is given
//	       --- get a b c ... (endless) ---> inStream: the same, each key checked as it comes
//	       --- set k f e n, but refused ---> inRefused: its data block is swallowed as it comes
//
// So memory is bounded by the longest line that is checked whole, or one item. What is given never depends on how the bytes were cut into packets.
package text

import (
	"bytes"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// Config is what a conversation must know.
type Config struct {
	// MaxItemBytes is the largest item stored, with memcached's overhead (protocol.ItemBytes): its -I, by default 1 MiB. A conversation
	// buffers one data block of that size.
	MaxItemBytes int

	// GetErrors ends an answer to get with an error instead of END if a key's owner could not be asked. Default: such a key is a miss.
	GetErrors bool
}

// A Codec is one conversation on this wire.
type Codec struct {
	maxItemBytes int
	getErrors    bool
	lost         protocol.Status // with getErrors: why an earlier key of the line being answered is not shown

	place   place
	left    int // inKeys: bytes to the end of the line; inRefused: bytes of the data block to come
	verb    uint8
	op      protocol.Op // with verb and exptime: what inKeys and inStream ask of each key
	exptime int64
}

// A place is where in the conversation the next byte stands.
type place uint8

const (
	atLine    place = iota
	inKeys          // in a line of keys that has been checked
	inStream        // in a line of keys whose end is not known
	inLost          // in the rest of such a line after a bad key
	inRefused       // in a data block that nobody wants
)

// New begins a conversation.
func New(config Config) *Codec {
	return &Codec{maxItemBytes: config.MaxItemBytes, getErrors: config.GetErrors}
}

// Between reports that the next byte begins a line (session.LineCodec).
func (c *Codec) Between() bool { return c.place == atLine }

// Parse reads the next request (session.Codec).
func (c *Codec) Parse(buf []byte, req *protocol.Request) (used int) {
	switch {
	case len(buf) == 0:
		return 0
	case c.place == atLine:
		return c.parseLine(buf, req)
	case c.place == inKeys:
		return c.parseKey(buf, req)
	case c.place == inStream:
		return c.parseStreamedKey(buf, req)
	case c.place == inLost:
		return c.skipLine(buf)
	default:
		return c.skipBlock(buf)
	}
}

// skipBlock swallows what there is of a refused data block.
func (c *Codec) skipBlock(buf []byte) (used int) {
	used = min(c.left, len(buf))
	if c.left -= used; c.left == 0 {
		c.place = atLine
	}
	return used
}

// skipLine swallows what there is of the line.
func (c *Codec) skipLine(buf []byte) (used int) {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		return len(buf)
	}
	c.place = atLine
	return end + 1
}

// parseLine reads a command line and, with it, the data block it announces.
func (c *Codec) parseLine(buf []byte, req *protocol.Request) (used int) {
	text, used := line.Cut(buf, line.MaxBytes)
	if used == 0 {
		if len(buf) <= line.MaxBytes {
			return 0
		}
		name, _ := verbOf(buf[:line.MaxBytes])
		if op, _ := fetchOf(name); op == protocol.None {
			req.Options |= protocol.Hangup
			return len(buf)
		}
		if text, used = line.Cut(buf, line.MaxCheckedBytes); used == 0 {
			if len(buf) <= line.MaxCheckedBytes {
				return 0
			}
			return c.beginStream(buf, req)
		}
	}
	if used < line.MinBytes {
		reject(req, protocol.BadFormat)
		return used
	}
	return c.parseCommand(buf, text, used, req)
}

// verbOf parts a line's verb from the rest. A line that begins with a blank has none.
func verbOf(text []byte) (verb, rest []byte) {
	if end := bytes.IndexByte(text, ' '); end >= 0 {
		return text[:end], text[end:]
	}
	return text, text[len(text):]
}

// reject makes req a malformed request. It takes its seat in the order all the same.
func reject(req *protocol.Request, reason protocol.Status) {
	req.Op, req.Reason = protocol.Reject, reason
}
