// Package piece writes what members send each other of their partitions: sets of partitions, items alone, and pieces of many items.
//
//	Set       a bit for each partition
//	a piece   cursor 24 | more 1 | pause 4, microseconds | items, each: key length 1 | marks 1 | flags 4 | value length 4 | expiry 8 | CAS 8 | last access 8
//	          | version 8, only if its mark is set: it is not the CAS unique | key | value
//
// Numbers are little-endian.
package piece

import (
	"encoding/binary"
	"iter"
	"math"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

var le = binary.LittleEndian

// A Member is one run of a node.
type Member struct {
	ID   string
	Boot uint64
}

// CursorBytes is the length of a cursor as it is written.
const CursorBytes = 24

// AppendCursor writes a cursor of storage.Store.Walk.
func AppendCursor(dst []byte, c storage.Cursor) []byte {
	dst = le.AppendUint64(dst, uint64(c.Stripe))
	dst = le.AppendUint64(dst, uint64(c.Table))
	return le.AppendUint64(dst, c.After)
}

// CutCursor reads what AppendCursor wrote; ok is false for bytes that are none.
func CutCursor(value []byte) (c storage.Cursor, ok bool) {
	if len(value) != CursorBytes {
		return c, false
	}
	return storage.Cursor{Stripe: int(le.Uint64(value)), Table: int(le.Uint64(value[8:])), After: le.Uint64(value[16:])}, true
}

// The marks of an item.
const (
	markFetched = 1 << iota
	markStale
	markWon
	markVersion // it is told: a client has chosen the CAS unique

	markBuried = 1 << 6 // it is a tombstone; what is between belongs to the lanes (protocol.Marks)
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
	if it.Version != it.CAS && it.Version != 0 {
		marks |= markVersion
	}
	if it.Buried {
		marks |= markBuried
	}
	return marks
}

func mark(it *storage.Item, marks byte) {
	it.Fetched, it.Stale, it.Won, it.Buried = marks&markFetched != 0, marks&markStale != 0, marks&markWon != 0, marks&markBuried != 0
}

// Tell answers a Fetch.
func Tell(resp *protocol.Response, it storage.Item) {
	resp.Status = protocol.OK
	resp.Flags, resp.CAS, resp.TTL, resp.Idle, resp.Marks = it.Flags, it.CAS, it.Expiry, it.LastAccess, protocol.Marks(marksOf(it))
	resp.Scratch = append(resp.Scratch[:0], it.Value...)
	if resp.Marks&markVersion != 0 {
		resp.Scratch = le.AppendUint64(resp.Scratch, it.Version) // behind the value: Number is of those who send it in parts
	}
	resp.Value, resp.Size = resp.Scratch, uint32(len(resp.Scratch)) // Size, so that a long one is sent in parts
}

// ItemOf is the item that Tell told of; its value is the response's.
func ItemOf(resp *protocol.Response) (it storage.Item) {
	it = storage.Item{Value: resp.Value, Flags: resp.Flags, CAS: resp.CAS, Version: resp.CAS, Expiry: resp.TTL, LastAccess: resp.Idle}
	mark(&it, byte(resp.Marks))
	if n := len(it.Value) - versionBytes; resp.Marks&markVersion != 0 && n >= 0 {
		it.Version, it.Value = le.Uint64(it.Value[n:]), it.Value[:n]
	}
	return it
}

const (
	pieceHead = CursorBytes + 1 + 4
	itemHead  = 1 + 1 + 4 + 4 + 8 + 8 + 8

	versionBytes = 8 // behind the head, if there
)

// Begin makes room for the head of a piece.
func Begin(dst []byte) []byte { return append(dst, make([]byte, pieceHead)...) }

// End fills in the head, when it is known: the cursor behind the piece, whether there is more, and how long to wait before that is asked for.
func End(piece []byte, next storage.Cursor, more bool, pause time.Duration) {
	AppendCursor(piece[:0], next)
	if more {
		piece[CursorBytes] = 1
	}
	le.PutUint32(piece[CursorBytes+1:], uint32(min(max(pause.Microseconds(), 0), math.MaxUint32)))
}

// Append writes an item behind those of a piece. Of a tombstone what it was the value of is not told.
func Append(dst, key []byte, it storage.Item) []byte {
	if it.Buried {
		it.Value = nil
	}
	marks := marksOf(it)
	dst = append(dst, byte(len(key)), marks)
	dst = le.AppendUint32(dst, it.Flags)
	dst = le.AppendUint32(dst, uint32(len(it.Value)))
	dst = le.AppendUint64(dst, uint64(it.Expiry))
	dst = le.AppendUint64(dst, it.CAS)
	dst = le.AppendUint64(dst, uint64(it.LastAccess))
	if marks&markVersion != 0 {
		dst = le.AppendUint64(dst, it.Version)
	}
	return append(append(dst, key...), it.Value...)
}

// fillTables bounds the tables of the store's index that are looked through for one piece, where few of the items are wanted: each is of 64 KB of the store.
const fillTables = 128

// A Walk is storage.Store.Walk or the like.
type Walk func(c storage.Cursor, want func(part int) bool, visit func(key []byte, it storage.Item) bool) (next storage.Cursor, more bool)

// Fill writes a piece of the items of the partitions that are wanted, from the cursor on: up to so many bytes, or a single longer item, and no more than the duty has time for.
func Fill(dst []byte, walk Walk, cursor storage.Cursor, wants func(part int) bool, bytes int, duty *Duty) (piece []byte, items int64, more bool) {
	began := duty.Begin()
	out, more, full := Begin(dst), true, false
	for looked := 0; more && !full && looked < fillTables && (looked == 0 || !duty.Over(began)); looked++ {
		cursor, more = walk(cursor, wants, func(key []byte, it storage.Item) bool {
			if full = items > 0 && len(out)+len(key)+len(it.Value) > bytes; full {
				return false
			}
			out = Append(out, key, it)
			items++
			return true
		})
	}
	End(out, cursor, more, duty.Spend(began))
	return out, items, more
}

// Pace is the time that a piece takes at a rate of so many bytes a second, at least 1.
func Pace(bytes int, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(max(rate, 1)) * float64(time.Second))
}

// A Piece is what is read of one.
type Piece struct {
	Next  storage.Cursor
	More  bool
	Pause time.Duration // that its sender wants, before the next
	Items iter.Seq2[[]byte, storage.Item]
}

// Cut reads the answer to a Pull; ok is false for bytes that are none.
func Cut(piece []byte) (p Piece, ok bool) {
	if len(piece) < pieceHead || piece[CursorBytes] > 1 {
		return p, false
	}
	p.Next, _ = CutCursor(piece[:CursorBytes])
	p.More = piece[CursorBytes] == 1
	p.Pause = time.Duration(le.Uint32(piece[CursorBytes+1:])) * time.Microsecond
	p.Items, _, ok = Items(piece[pieceHead:])
	return p, ok
}

// Items reads what Append has written, one item behind the other; ok is false for bytes that are none.
func Items(items []byte) (all iter.Seq2[[]byte, storage.Item], count int, ok bool) {
	for at := items; len(at) > 0; count++ {
		length := first(at)
		if length == 0 {
			return nil, 0, false
		}
		at = at[length:]
	}
	return func(yield func([]byte, storage.Item) bool) {
		for at := items; len(at) > 0; {
			length := first(at)
			if !yield(read(at[:length:length])) {
				return
			}
			at = at[length:]
		}
	}, count, true
}

// One reads an item that Append has written alone; ok is false for bytes that are none.
func One(value []byte) (key []byte, it storage.Item, ok bool) {
	if length := first(value); length == 0 || length != uint64(len(value)) {
		return nil, it, false
	}
	key, it = read(value)
	return key, it, true
}

// first gives the length of the first of some items; 0: it is none.
func first(items []byte) uint64 {
	if len(items) < itemHead || items[0] == 0 || items[0] > protocol.MaxKeyBytes {
		return 0
	}
	head := headOf(items)
	length := uint64(head) + uint64(items[0]) + uint64(le.Uint32(items[6:]))
	if length > uint64(len(items)) || head > itemHead && le.Uint64(items[itemHead:]) == le.Uint64(items[18:]) {
		return 0
	}
	return length
}

// headOf is the length of what stands before an item's key.
func headOf(item []byte) int {
	if item[1]&markVersion != 0 {
		return itemHead + versionBytes
	}
	return itemHead
}

// read reads one item, which is all there is.
func read(item []byte) (key []byte, it storage.Item) {
	head := headOf(item)
	keyEnd := head + int(item[0])
	it = storage.Item{
		Value: item[keyEnd:], Flags: le.Uint32(item[2:]), Expiry: int64(le.Uint64(item[10:])), CAS: le.Uint64(item[18:]), LastAccess: int64(le.Uint64(item[26:])),
	}
	it.Version = it.CAS
	if head > itemHead {
		it.Version = le.Uint64(item[itemHead:])
	}
	mark(&it, item[1])
	return item[head:keyEnd:keyEnd], it
}
