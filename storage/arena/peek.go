package arena

import (
	"encoding/binary"
	"unsafe"
)

// fastcache's Get counts, locks, and looks the record's place up in a map: three or four cache lines, to be told what the mirror knows already. So
// whoever has kept the position of a record, and holds the lock that its writer needs, may look at it where it lies.
//
//	chunk:  ... | lengths 4 | token 8 | record | ...
//	              head: is it this record?
//
// The head is compared as Get does it, and anything unexpected means only that fastcache is asked after all.

// peekChunks is how many chunks of a segment can be looked at: segments are rarely longer.
const peekChunks = 4

// locate notes where the chunk lies that is written to.
func (g *Segment) locate() {
	if g.chunk >= peekChunks || g.lies[g.chunk] != nil {
		return
	}
	if chunks := g.at.of(g); g.chunk < len(chunks) && cap(chunks[g.chunk]) == chunkBytes {
		g.lies[g.chunk] = (*[chunkBytes]byte)(chunks[g.chunk][:chunkBytes])
	}
}

// Head gives the place of the head of the record that begins at this position, where the record follows: to be fetched ahead, not to be read. nil if it is not known.
func (g *Segment) Head(position int) unsafe.Pointer {
	if chunk, at := position/chunkBytes, position%chunkBytes-headBytes; chunk < peekChunks && g.lies[chunk] != nil && at >= 0 {
		return unsafe.Pointer(&g.lies[chunk][at])
	}
	return nil
}

// Peek gives length bytes of the record of this number, from offset on. It begins at this position, as Next has it. They lie in the arena's own
// memory: they are good, and not to be changed, as long as the caller has the lock and does not begin a new lap. nil if they cannot be had this way.
func (g *Segment) Peek(number, position, offset, length int) []byte {
	chunk, at := position/chunkBytes, position%chunkBytes-headBytes
	if chunk >= peekChunks || g.lies[chunk] == nil || at < 0 {
		return nil
	}
	head := g.lies[chunk][at:]
	if len(head) < headBytes+offset+length || head[1] != 8 || offset+length > int(binary.BigEndian.Uint16(head[2:])) {
		return nil
	}
	if token := g.token(number); string(head[4:headBytes]) != string(token[:]) {
		return nil
	}
	return head[headBytes+offset:][:length]
}
