package handover

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math/bits"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// What members say to each other here, as the Values of requests and responses on copy lanes. Numbers are little-endian.
//
//	Takeover, Offer   boot 8 | view 8 | number 8 | partitions, a bit each | again, a bit each | id
//	its answer        boot 8 | view 8 | move 8 | clock 8 | flush at 8 | given, a bit each | contested, a bit each | kept, a bit each | wanted, a bit each
//	Fetch             Key, Delta: the move; the answer is an item in the Response's fields
//	Pull              Delta: the move; Value: cursor 24
//	its answer        cursor 24 | more 1 | items, each: key length 1 | marks 1 | flags 4 | value length 4 | expiry 8 | CAS 8 | last access 8 | key | value
//	Pulled            Delta: the move

var le = binary.LittleEndian

// A bitmap is a set of partitions.
type bitmap []byte

func newBitmap(partitions int) bitmap { return make(bitmap, (partitions+7)/8) }

func (b bitmap) set(part int)      { b[part/8] |= 1 << (part % 8) }
func (b bitmap) has(part int) bool { return b[part/8]&(1<<(part%8)) != 0 }

func (b bitmap) add(other bitmap) {
	for i := range b {
		b[i] |= other[i]
	}
}

// all gives the partitions in their order.
func (b bitmap) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, octet := range b {
			for ; octet != 0; octet &= octet - 1 {
				if !yield(i*8 + bits.TrailingZeros8(octet)) {
					return
				}
			}
		}
	}
}

// fits reports whether no bit is beyond the last partition.
func (b bitmap) fits(partitions int) bool {
	return partitions%8 == 0 || b[len(b)-1]>>(partitions%8) == 0
}

// An ask is a Takeover or an Offer.
type ask struct {
	from  Member
	view  uint64 // the print of the members that he sees
	count uint64 // how many he has sent: one that comes late is told by it
	parts bitmap
	again bitmap // of these, those that he has asked for before without an answer; nil: none
}

const askHead = 3 * 8

func (a *ask) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, a.from.Boot)
	dst = le.AppendUint64(dst, a.view)
	dst = le.AppendUint64(dst, a.count)
	dst = append(dst, a.parts...)
	if a.again == nil {
		dst = append(dst, make([]byte, len(a.parts))...)
	}
	return append(append(dst, a.again...), a.from.ID...)
}

func (a *ask) parse(value []byte, partitions int) bool {
	size := len(newBitmap(partitions))
	if len(value) <= askHead+2*size {
		return false
	}
	a.from = Member{ID: string(value[askHead+2*size:]), Boot: le.Uint64(value)}
	a.view, a.count, a.parts = le.Uint64(value[8:]), le.Uint64(value[16:]), bitmap(value[askHead:askHead+size])
	a.again = bitmap(value[askHead+size : askHead+2*size])
	return a.parts.fits(partitions) && a.again.fits(partitions)
}

// A handout is the answer to a Takeover.
type handout struct {
	boot     uint64 // of who gives
	view     uint64 // the print of the members that he sees
	move     uint64 // its number there; 0: nothing is given
	clock    uint64 // a CAS unique not below any that was given there
	flushAt  int64  // the Unix second of a flush_all that is to come; 0: none
	given    bitmap
	contests bitmap // he has these or has given them to another, and does not give them
	keeps    bitmap // of these, those that he answers for
	wants    bitmap // he has not got these, and waits for them as well
}

const handoutHead = 5 * 8

func (h *handout) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, h.boot)
	dst = le.AppendUint64(dst, h.view)
	dst = le.AppendUint64(dst, h.move)
	dst = le.AppendUint64(dst, h.clock)
	dst = le.AppendUint64(dst, uint64(h.flushAt))
	return append(append(append(append(dst, h.given...), h.contests...), h.keeps...), h.wants...)
}

func (h *handout) parse(value []byte, partitions int) bool {
	size := len(newBitmap(partitions))
	if len(value) != handoutHead+4*size {
		return false
	}
	h.boot, h.view, h.move = le.Uint64(value), le.Uint64(value[8:]), le.Uint64(value[16:])
	h.clock, h.flushAt = le.Uint64(value[24:]), int64(le.Uint64(value[32:]))
	rest := bytes.Clone(value[handoutHead:])
	h.given, h.contests, h.keeps, h.wants = rest[:size], rest[size:2*size], rest[2*size:3*size], rest[3*size:]
	return h.given.fits(partitions) && h.contests.fits(partitions) && h.keeps.fits(partitions) && h.wants.fits(partitions)
}

const cursorBytes = 24

func appendCursor(dst []byte, c storage.Cursor) []byte {
	dst = le.AppendUint64(dst, uint64(c.Stripe))
	dst = le.AppendUint64(dst, uint64(c.Table))
	return le.AppendUint64(dst, c.After)
}

func cutCursor(value []byte) (c storage.Cursor, ok bool) {
	if len(value) != cursorBytes {
		return c, false
	}
	return storage.Cursor{Stripe: int(le.Uint64(value)), Table: int(le.Uint64(value[8:])), After: le.Uint64(value[16:])}, true
}

// The marks of an item.
const (
	markFetched = 1 << iota
	markStale
	markWon
)

func marksOf(it storage.Item) (marks byte) {
	if it.Fetched {
		marks |= markFetched
	}
	if it.Stale {
		marks |= markStale
	}
	if it.Won {
		marks |= markWon
	}
	return marks
}

func mark(it *storage.Item, marks byte) {
	it.Fetched, it.Stale, it.Won = marks&markFetched != 0, marks&markStale != 0, marks&markWon != 0
}

// tellItem answers a Fetch.
func tellItem(resp *protocol.Response, it storage.Item) {
	resp.Status = protocol.OK
	resp.Flags, resp.CAS, resp.TTL, resp.Idle, resp.Marks = it.Flags, it.CAS, it.Expiry, it.LastAccess, protocol.Marks(marksOf(it))
	resp.Scratch = append(resp.Scratch[:0], it.Value...)
	resp.Value, resp.Size = resp.Scratch, uint32(len(it.Value)) // Size, so that a long one is sent in parts
}

// itemOf is the item that tellItem told of; its value is the response's.
func itemOf(resp *protocol.Response) (it storage.Item) {
	it = storage.Item{Value: resp.Value, Flags: resp.Flags, CAS: resp.CAS, Expiry: resp.TTL, LastAccess: resp.Idle}
	mark(&it, byte(resp.Marks))
	return it
}

const (
	pieceHead = cursorBytes + 1
	itemHead  = 1 + 1 + 4 + 4 + 8 + 8 + 8
)

func beginPiece(dst []byte) []byte { return append(dst, make([]byte, pieceHead)...) }

// endPiece fills in the head, when it is known.
func endPiece(piece []byte, next storage.Cursor, more bool) {
	appendCursor(piece[:0], next)
	if more {
		piece[cursorBytes] = 1
	}
}

func appendItem(dst, key []byte, it storage.Item) []byte {
	dst = append(dst, byte(len(key)), marksOf(it))
	dst = le.AppendUint32(dst, it.Flags)
	dst = le.AppendUint32(dst, uint32(len(it.Value)))
	dst = le.AppendUint64(dst, uint64(it.Expiry))
	dst = le.AppendUint64(dst, it.CAS)
	dst = le.AppendUint64(dst, uint64(it.LastAccess))
	return append(append(dst, key...), it.Value...)
}

// cutPiece reads the answer to a Pull; ok is false for bytes that are none.
func cutPiece(piece []byte) (next storage.Cursor, more bool, items iter.Seq2[[]byte, storage.Item], ok bool) {
	if len(piece) < pieceHead {
		return next, false, nil, false
	}
	next, _ = cutCursor(piece[:cursorBytes])
	rest := piece[pieceHead:]
	for at := rest; len(at) > 0; {
		if len(at) < itemHead || at[0] == 0 || at[0] > protocol.MaxKeyBytes {
			return next, false, nil, false
		}
		length := uint64(itemHead) + uint64(at[0]) + uint64(le.Uint32(at[6:]))
		if length > uint64(len(at)) {
			return next, false, nil, false
		}
		at = at[length:]
	}
	return next, piece[cursorBytes] == 1, func(yield func([]byte, storage.Item) bool) {
		for at := rest; len(at) > 0; {
			keyEnd := itemHead + int(at[0])
			end := keyEnd + int(le.Uint32(at[6:]))
			it := storage.Item{
				Value: at[keyEnd:end:end], Flags: le.Uint32(at[2:]), Expiry: int64(le.Uint64(at[10:])), CAS: le.Uint64(at[18:]), LastAccess: int64(le.Uint64(at[26:])),
			}
			mark(&it, at[1])
			if !yield(at[itemHead:keyEnd:keyEnd], it) {
				return
			}
			at = at[end:]
		}
	}, true
}
