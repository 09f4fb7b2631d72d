package text

import (
	"bytes"
	"math"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// The verbs that the encoder must tell apart.
const (
	plain   uint8 = iota
	withCAS       // gets, gats: the CAS unique is shown
)

// fetchOf tells which verbs are followed by keys, any number of them; None for the others.
func fetchOf(name []byte) (op protocol.Op, verb uint8) {
	switch string(name) {
	case "get":
		return protocol.Get, plain
	case "gets":
		return protocol.Get, withCAS
	case "gat":
		return protocol.Gat, plain
	case "gats":
		return protocol.Gat, withCAS
	}
	return protocol.None, plain
}

// beginKeys reads what comes before the keys and checks them all, then gives the first.
func (c *Codec) beginKeys(buf, text, rest []byte, used int, req *protocol.Request) int {
	keys, reason := c.asked(rest)
	if reason == protocol.Unset && !keysFit(keys) {
		reason = protocol.BadFormat
	}
	if reason != protocol.Unset {
		reject(req, reason)
		return used
	}
	before := len(text) - len(keys)
	c.place, c.left = inKeys, used-before
	return before + c.parseKey(buf[before:], req)
}

// asked reads the exptime of gat and gats, and gives the keys; a reason if something is amiss with either.
func (c *Codec) asked(rest []byte) (keys []byte, reason protocol.Status) {
	if c.exptime = 0; c.op != protocol.Gat {
		if keys = line.TrimBlanks(rest); len(keys) == 0 {
			return nil, protocol.BadFormat
		}
		return keys, protocol.Unset
	}
	word, rest := line.Word(rest)
	if keys = line.TrimBlanks(rest); len(keys) == 0 {
		return nil, protocol.BadFormat
	}
	exptime, ok := line.Int(word, math.MaxInt32)
	if !ok {
		return nil, protocol.BadExptime
	}
	c.exptime = exptime
	return keys, protocol.Unset
}

// keysFit reports whether no key is too long: whether there is a blank in every stretch that is one byte longer than a key may be.
func keysFit(keys []byte) bool {
	for len(keys) > protocol.MaxKeyBytes {
		blank := bytes.LastIndexByte(keys[:protocol.MaxKeyBytes+1], ' ')
		if blank < 0 {
			return false
		}
		keys = keys[blank+1:]
	}
	return true
}

// parseKey gives the next key of a checked line. There is one: the line ends with the last.
func (c *Codec) parseKey(buf []byte, req *protocol.Request) (used int) {
	if len(buf) < c.left {
		return -c.left
	}
	keys := line.TrimCR(buf[:c.left-1])
	key, rest := line.Word(keys)
	c.fetch(req, key)
	if len(line.TrimBlanks(rest)) == 0 {
		c.conclude(req)
		c.place = atLine
		return c.left
	}
	used = len(keys) - len(rest)
	c.left -= used
	return used
}

// conclude makes req the last of its line.
func (c *Codec) conclude(req *protocol.Request) {
	if req.Options |= protocol.Last; c.getErrors {
		req.Options |= protocol.AfterAll
	}
}

// fetch asks for key what the line asks for each.
func (c *Codec) fetch(req *protocol.Request, key []byte) {
	req.Op, req.Verb, req.Key = c.op, c.verb, key
	if c.op == protocol.Gat {
		req.Exptime, req.Options = c.exptime, protocol.SetExptime
	}
}

// beginStream reads the head of a line of keys that is too long to be checked whole; its first key must be in sight.
func (c *Codec) beginStream(buf []byte, req *protocol.Request) int {
	head := buf[:line.MaxCheckedBytes]
	name, rest := verbOf(head)
	c.op, c.verb = fetchOf(name)
	keys, reason := c.asked(rest)
	if reason != protocol.Unset {
		c.place = inLost
		reject(req, reason)
		return len(head)
	}
	c.place = inStream
	before := len(head) - len(keys)
	return before + c.parseStreamedKey(buf[before:], req)
}

// maxStreamedWord is how far one must look for the end of a key: its bytes, CR and LF.
const maxStreamedWord = protocol.MaxKeyBytes + 2

// parseStreamedKey gives the next key of an endless line. None of these is the last: the end of the line is a request of its own, a Noop.
func (c *Codec) parseStreamedKey(buf []byte, req *protocol.Request) (used int) {
	if buf[0] == ' ' {
		return len(buf) - len(line.TrimBlanks(buf))
	}
	word := buf[:min(len(buf), maxStreamedWord)]
	end := bytes.IndexAny(word, " \n")
	switch {
	case end < 0 && len(word) < maxStreamedWord:
		return 0
	case end < 0:
		return c.lose(req, len(word))
	}
	key := word[:end]
	if word[end] == '\n' {
		if key = line.TrimCR(key); len(key) == 0 {
			c.place = atLine
			req.Op = protocol.Noop
			c.conclude(req)
			return end + 1
		}
	}
	if len(key) > protocol.MaxKeyBytes {
		return c.lose(req, len(key))
	}
	c.fetch(req, key)
	return len(key)
}

// lose ends the line's answer with an error: what follows in it is not looked at.
func (c *Codec) lose(req *protocol.Request, used int) int {
	c.place = inLost
	reject(req, protocol.BadFormat)
	c.conclude(req)
	return used
}
