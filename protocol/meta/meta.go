// Package meta is memcached's meta wire.
//
// What a line means is memcached 1.6.45's reading of protocol.txt ("Meta Commands"), down to its error lines: testdata holds it, as recorded there.
//
//	mg KEY option ...          Get; Gat when it may change the item    VA HD EN
//	ms KEY LENGTH option ...   Set, Add, Replace, Append, Prepend      HD NS EX NF
//	md KEY option ...          Delete                                  HD EX NF
//	ma KEY option ...          Incr, Decr                              VA HD NS EX NF
//	me KEY [b]                 Inspect                                 ME EN
//	mn                         Noop                                    MN
//
// An option (protocol.txt calls it a flag) is a letter with what it bears, "T60". Some say what to do; they become part of the request. Some say
// what to show, in their order: for these the encoder reads Request.Raw once more, so between parsing and answering nothing has to be kept.
package meta

import (
	"strings"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// Config is what a conversation must know.
type Config struct {
	// MaxItemBytes is the largest item stored, with memcached's overhead (protocol.ItemBytes): its -I, by default 1 MiB. A conversation
	// buffers one data block of that size.
	MaxItemBytes int
}

// A Codec is one conversation on this wire.
type Codec struct {
	maxItemBytes int

	left    int                        // bytes to come of a data block that nobody wants
	decoded [protocol.MaxKeyBytes]byte // a key that came in base64, until its request is known to be whole
}

// New begins a conversation.
func New(config Config) *Codec { return &Codec{maxItemBytes: config.MaxItemBytes} }

// Speaks reports whether a line is on this wire, by its first three bytes.
func Speaks(head []byte) bool {
	return len(head) >= 3 && head[0] == 'm' && strings.IndexByte("gsdaen", head[1]) >= 0 && strings.IndexByte(" \r\n", head[2]) >= 0
}

// Between reports that the next byte begins a line (session.LineCodec).
func (c *Codec) Between() bool { return c.left == 0 }

// Parse reads the next request (session.Codec).
func (c *Codec) Parse(buf []byte, req *protocol.Request) (used int) {
	if c.left > 0 {
		return c.skipBlock(buf)
	}
	text, used := line.Cut(buf, line.MaxBytes)
	switch {
	case used == 0 && len(buf) <= line.MaxBytes:
		return 0
	case used == 0:
		req.Options |= protocol.Hangup
		return len(buf)
	case used < line.MinBytes:
		reject(req, badLine)
		return used
	}
	return c.parseCommand(buf, text, used, req)
}

// skipBlock swallows what there is of a refused data block.
func (c *Codec) skipBlock(buf []byte) (used int) {
	used = min(c.left, len(buf))
	c.left -= used
	return used
}
