package meta

import (
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// parseCommand reads text, a whole line that takes used bytes of buf.
func (c *Codec) parseCommand(buf, text []byte, used int, req *protocol.Request) int {
	key, words := line.Word(text[2:])
	command := text[1]
	if len(text) > 2 && text[2] != ' ' {
		command = 0 // no word of two letters
	}
	switch command {
	case 'g', 'd', 'a':
		c.parseKeyed(command, key, words, req)
	case 's':
		return c.parseStore(buf, key, words, used, req)
	case 'e':
		c.parseInspect(key, words, req)
	case 'n':
		req.Op = protocol.Noop
	default:
		req.Op, req.Reason = protocol.Reject, protocol.UnknownCommand
	}
	return used
}

// parseKeyed reads what follows mg, md and ma: "KEY option ...".
func (c *Codec) parseKeyed(command byte, key, words []byte, req *protocol.Request) {
	number, ok := countWords(words, 2)
	if len(key) == 0 || !ok {
		reject(req, badLine)
		return
	}
	var o options
	wrong := o.read(number, words, key, c.decoded[:])
	switch {
	case wrong != none && command == 'a':
		wrong = invalidOrDuplicateOption // whatever it is
	case wrong != none:
	case command == 'g':
		o.get(req)
	case command == 'd':
		o.delete(req)
	case !o.count(req):
		wrong = badCountMode
	}
	if wrong == none && o.longOpaque {
		wrong = badOpaque
	}
	if wrong != none {
		reject(req, wrong)
		return
	}
	c.address(req, key, words, &o)
}

// parseStore reads what follows ms, "KEY LENGTH option ...", and the data block.
//
// Without a length there is no block to be skipped; what follows is read as a line. After it, whatever is wrong, the block is swallowed.
func (c *Codec) parseStore(buf, key, words []byte, used int, req *protocol.Request) int {
	lengthWord, words := line.Word(words)
	n, isLength := line.Uint(lengthWord, line.MaxBlockBytes)
	number, ok := countWords(words, 3)
	if !isLength || !ok {
		reject(req, badLine)
		return used
	}
	length := int(n)
	var o options
	wrong := o.read(number, words, key, c.decoded[:])
	op, isMode := storeOf(o.mode)
	switch {
	case wrong != none:
	case !isMode:
		wrong = badSetMode
	case protocol.ItemBytes(o.keyBytes(key), o.flags, length) > c.maxItemBytes:
		// The client has said that the old value is out of date: memcached takes it at its word, in every mode.
		c.left = length + line.BlockEnd
		req.Op, req.Reason = protocol.Discard, protocol.TooLarge
		c.address(req, key, words, &o)
		return used
	case o.longOpaque:
		wrong = badOpaque
	}
	if wrong != none {
		c.left = length + line.BlockEnd
		reject(req, wrong)
		return used
	}
	whole := used + length + line.BlockEnd
	if len(buf) < whole {
		return -whole
	}
	data, ok := line.Block(buf[used:], length)
	if !ok {
		req.Op, req.Reason = protocol.Reject, protocol.BadChunk
		return whole
	}
	o.store(req, op)
	req.Value = data
	c.address(req, key, words, &o)
	return whole
}

// parseInspect reads what follows me: "KEY [b]".
func (c *Codec) parseInspect(key, words []byte, req *protocol.Request) {
	_, ok := countWords(words, 2)
	if len(key) == 0 || len(key) > protocol.MaxKeyBytes || !ok {
		reject(req, badLine)
		return
	}
	var o options
	if first, _ := line.Word(words); string(first) == "b" {
		if o.read(3, first, key, c.decoded[:]) != none {
			reject(req, badLine)
			return
		}
	}
	req.Op = protocol.Inspect
	c.address(req, key, nil, &o)
}

// address gives req what every command on a key has.
//
// A key in base64 is written decoded where it stood. The request's slices lie in the read buffer, so this is memory that lasts as long as they
// do; and the line is not read again, which is why this comes last, when it is certain that its bytes are used up. The encoder does read Raw
// again: it begins behind the key.
func (c *Codec) address(req *protocol.Request, key, words []byte, o *options) {
	req.Key, req.Raw = key, words
	if o.has('b') {
		req.Key, req.Verb = key[:copy(key, c.decoded[:o.decodedBytes])], base64Key
	}
	if o.has('q') {
		req.Options |= protocol.Quiet
	}
}
