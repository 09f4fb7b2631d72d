package session

import (
	"bytes"

	"github.com/memring/memring/protocol"
)

// Wires is the codec of a client's connection, whose requests may come on several wires.
//
// The first byte of a connection decides between the binary wire, for good, and lines; on a connection of lines each is of the text wire or of
// the meta wire. An answer goes back on the wire of its request (Request.Wire).
type Wires struct {
	text, meta LineCodec
	binary     Codec
	speaksMeta func(head []byte) bool
	on         uint8 // the wire of what came last
}

// A LineCodec is a wire spoken in lines.
type LineCodec interface {
	Codec
	// Between reports that the next byte begins a line: nothing of the last one, nor of its data block, is to come.
	Between() bool
}

const (
	undecided uint8 = iota
	onText
	onMeta
	onBinary
)

const (
	binaryMagic = 0x80 // the first byte of every request on the binary wire
	headBytes   = 3    // two letters and what ends them: so much tells meta from text
)

// NewWires gives the codec of a new connection. speaksMeta tells by the first three bytes of a line, or by all of a shorter one, whether it is
// meta's. Without binary, or without text and meta, a connection on the missing wire is hung up on.
func NewWires(text, meta LineCodec, speaksMeta func(head []byte) bool, binary Codec) *Wires {
	return &Wires{text: text, meta: meta, speaksMeta: speaksMeta, binary: binary}
}

// Parse implements Codec.
func (w *Wires) Parse(buf []byte, req *protocol.Request) (used int) {
	if len(buf) == 0 || !w.choose(buf) {
		return 0
	}
	codec := w.codec(w.on)
	if codec == nil {
		req.Op, req.Options = protocol.None, protocol.Hangup
		return len(buf)
	}
	used = codec.Parse(buf, req)
	req.Wire = w.on
	return used
}

// Append implements Codec.
func (w *Wires) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	return w.codec(req.Wire).Append(dst, req, resp)
}

func (w *Wires) codec(wire uint8) Codec {
	switch {
	case wire == onText && w.text != nil:
		return w.text
	case wire == onMeta && w.meta != nil:
		return w.meta
	case wire == onBinary:
		return w.binary
	default:
		return nil
	}
}

// choose sets the wire of what comes next; false if too little has come to tell.
func (w *Wires) choose(buf []byte) bool {
	switch {
	case w.on == onBinary || w.on == onText && !w.text.Between() || w.on == onMeta && !w.meta.Between():
		return true
	case w.on == undecided && buf[0] == binaryMagic:
		w.on = onBinary
		return true
	}
	head := buf[:min(headBytes, len(buf))]
	if head[0] == 'm' && len(head) < headBytes && bytes.IndexByte(head, '\n') < 0 {
		return false
	}
	if w.on = onText; head[0] == 'm' && w.speaksMeta(head) {
		w.on = onMeta
	}
	return true
}
