// Package binary is memcached's binary wire.
//
// What a packet means is memcached 1.6.45's reading of protocol-binary.txt, down to its error texts: testdata holds it, as recorded there.
//
//	0     1    2          4             5    6        8          12     16  24
//	magic verb key length extras length type reserved body length opaque CAS extras key value
//
//	a whole packet                           a request
//	one whose verb nobody knows              a rejected request; the rest of its body is swallowed as it comes
//	one whose value is refused               the same
//	one that contradicts itself or its verb  a rejected request, and the end: nobody can tell where the next packet begins
//
// So memory is bounded by one item, and what is given never depends on how the bytes were cut into pieces.
package binary

import (
	"encoding/binary"

	"github.com/memring/memring/protocol"
)

// Config is what a conversation must know.
type Config struct {
	// MaxItemBytes is the largest item stored, with memcached's overhead (protocol.ItemBytes): its -I, by default 1 MiB. A conversation
	// buffers one packet with a value of that size.
	MaxItemBytes int

	// Login makes SASL's packets requests. Without it they are unknown, as to a memcached that was started without -S.
	Login bool
}

// A Codec is one conversation on this wire.
type Codec struct {
	maxItemBytes int
	login        bool
	left         int // the bytes of a body that nobody wants, still to come
}

const (
	requestMagic = 0x80
	answerMagic  = 0x81
	headBytes    = 24
	bodyAt       = 8 // the place of the body length

	// maxBodyBytes is memcached's largest -I. Who announces more is not believed: it would have to be swallowed.
	maxBodyBytes = 1 << 30

	// neverMade, as the exptime of incr and decr, says that an absent number stays absent.
	neverMade = 0xffffffff
)

// New begins a conversation.
func New(config Config) *Codec { return &Codec{maxItemBytes: config.MaxItemBytes, login: config.Login} }

// Parse reads the next request (session.Codec).
func (c *Codec) Parse(buf []byte, req *protocol.Request) (used int) {
	switch {
	case len(buf) == 0:
		return 0
	case c.left > 0:
		return c.skipBody(buf)
	case buf[0] != requestMagic:
		req.Options |= protocol.Hangup // another language, or lost: as memcached, without a word
		return len(buf)
	case len(buf) < headBytes:
		return -headBytes
	}
	h := readHead(buf)
	v := verbs[h.verb]
	req.Verb, req.Opaque = h.verb, h.opaque
	switch {
	case h.value < 0:
		return hangUp(req, protocol.UnknownCommand)
	case h.body > maxBodyBytes || h.key > protocol.MaxKeyBytes:
		return hangUp(req, protocol.BadFormat)
	case v.op == protocol.None:
		return c.refuse(req, protocol.UnknownCommand, headBytes, h.body)
	case !v.fits(h):
		return hangUp(req, protocol.BadFormat)
	case v.logsIn() && !c.login:
		return c.refuse(req, protocol.UnknownCommand, headBytes, h.body)
	case v.logsIn() && (h.key > protocol.MaxMechanismBytes || h.value > protocol.MaxLoginBytes):
		return refuseLogin(buf, h, req)
	}
	return c.parseBody(buf, h, v, req)
}

// skipBody swallows what there is of a body that nobody wants.
func (c *Codec) skipBody(buf []byte) (used int) {
	used = min(c.left, len(buf))
	c.left -= used
	return used
}

// A head is the first 24 bytes of a packet. Lengths are in bytes.
type head struct {
	verb        uint8
	extras, key int
	value       int // negative: the body is too short for the extras and the key
	body        int // all of them
	opaque      uint32
	cas         uint64
}

func readHead(buf []byte) (h head) {
	buf = buf[:headBytes]
	h.verb = buf[1]
	h.key = int(binary.BigEndian.Uint16(buf[2:]))
	h.extras = int(buf[4])
	h.body = int(binary.BigEndian.Uint32(buf[bodyAt:]))
	h.value = h.body - h.extras - h.key
	h.opaque = binary.BigEndian.Uint32(buf[12:])
	h.cas = binary.BigEndian.Uint64(buf[16:])
	return h
}

// parseBody reads the extras, the key and the value of a packet whose head is right.
func (c *Codec) parseBody(buf []byte, h head, v verb, req *protocol.Request) (used int) {
	named := headBytes + h.extras + h.key
	if len(buf) < named {
		return -named
	}
	extras, key := buf[headBytes:headBytes+h.extras], buf[named-h.key:named:named]
	readExtras(req, v, extras)
	if v.value && protocol.ItemBytes(h.key, req.Flags, h.value) > c.maxItemBytes {
		c.refuse(req, protocol.TooLarge, named, h.value)
		if v.op == protocol.Set {
			// The client has said that the old value is out of date: only of this command memcached takes it at its word.
			req.Op, req.Key = protocol.Discard, key
		}
		return named
	}
	whole := named + h.value
	if len(buf) < whole {
		return -whole
	}
	req.Op, req.Key, req.Value = v.op, key, buf[named:whole:whole]
	req.Options |= v.options
	if v.compares && h.cas != 0 {
		req.CAS = h.cas
		req.Options |= protocol.Compare
		if v.op == protocol.Add || v.op == protocol.Replace {
			req.Op = protocol.Set // memcached makes all three a cas
		}
	}
	if v.op == protocol.Stats && string(key) == "reset" {
		req.Op, req.Key = protocol.ResetStats, nil
	}
	return whole
}

// readExtras reads what the verb has extras for.
func readExtras(req *protocol.Request, v verb, extras []byte) {
	number := func(at int) uint32 { return binary.BigEndian.Uint32(extras[at:]) }
	switch v.op {
	case protocol.Set, protocol.Add, protocol.Replace:
		req.Flags, req.Exptime = number(0), int64(number(4))
	case protocol.Gat:
		req.Exptime = int64(number(0))
	case protocol.Incr, protocol.Decr:
		req.Delta, req.Initial = binary.BigEndian.Uint64(extras), binary.BigEndian.Uint64(extras[8:])
		if exptime := number(16); exptime != neverMade {
			req.Options |= protocol.Vivify
			req.VivifyExptime = int64(exptime)
		}
	case protocol.Flush:
		if len(extras) > 0 {
			req.Exptime = int64(number(0))
		}
	}
}

// refuse rejects a request of which used bytes have been read and the rest is not wanted.
func (c *Codec) refuse(req *protocol.Request, reason protocol.Status, used, rest int) int {
	c.left = rest
	req.Op, req.Reason = protocol.Reject, reason
	return used
}

// refuseLogin rejects a login that is too long. Nothing of it is left to be swallowed, so that what follows begins with a head: the gate of the
// session counts on that.
func refuseLogin(buf []byte, h head, req *protocol.Request) (used int) {
	whole := headBytes + h.body
	switch {
	case h.value > protocol.MaxLoginBytes:
		return hangUp(req, protocol.BadFormat)
	case len(buf) < whole:
		return -whole
	}
	req.Op, req.Reason = protocol.Reject, protocol.BadFormat
	return whole
}

// hangUp rejects a request after which nothing can be understood.
func hangUp(req *protocol.Request, reason protocol.Status) (used int) {
	req.Op, req.Reason = protocol.Reject, reason
	req.Options |= protocol.Hangup
	return headBytes
}
