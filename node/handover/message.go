package handover

import (
	"bytes"
	"encoding/binary"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// What members say to each other here, as the Values of requests and responses on copy lanes. Numbers are little-endian.
//
//	Takeover, Offer   boot 8 | view 8 | number 8 | flushed 8 | partitions, again, salvage, orphans: a bit each | id
//	its answer        boot 8 | view 8 | move 8 | clock 8 | flushed 8 | flush in 8 | flush mark 8
//	                  | copies' number 8 | bytes 8 | leaves in 8 | given, whole, follows, contested, kept, wanted, copied, halves, salvaged: a bit each
//	                  TTL: for how many seconds yet its deletions leave tombstones
//	Fetch             Key, Delta: the move; the answer is an item in the Response's fields
//	Pull              Delta: the move; Initial: 0 for what has been used, then 1 for the rest; Flags: how many bytes; Value: cursor 24 | those of whole that he lacks, a bit each; or no more
//	its answer        a piece (node/piece)
//	Pulled            Delta: the move

// The Initial of a Pull.
const (
	usedFirst = iota
	unusedThen
)

var le = binary.LittleEndian

// An ask is a Takeover or an Offer.
type ask struct {
	from    Member
	view    uint64 // the print of the members that he sees
	count   uint64 // how many he has sent: one that comes late is told by it
	flushed uint64 // the mark of the last flush_all that he knows of
	parts   piece.Set
	again   piece.Set // of these, those that he has asked for before without an answer; nil: none
	salvage piece.Set // of these, those that nobody has, so that a copy of them is asked for; nil: none
	orphans piece.Set // he holds these, but not all of them, and who gave them is gone: who has copies? nil: none
}

const (
	askHead = 4 * 8
	askSets = 4
)

func (a *ask) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, a.from.Boot)
	dst = le.AppendUint64(dst, a.view)
	dst = le.AppendUint64(dst, a.count)
	dst = le.AppendUint64(dst, a.flushed)
	dst = append(dst, a.parts...)
	for _, set := range []piece.Set{a.again, a.salvage, a.orphans} {
		if set == nil {
			set = make(piece.Set, len(a.parts))
		}
		dst = append(dst, set...)
	}
	return append(dst, a.from.ID...)
}

func (a *ask) parse(value []byte, partitions int) bool {
	size := len(piece.NewSet(partitions))
	if len(value) <= askHead+askSets*size {
		return false
	}
	a.from = Member{ID: string(value[askHead+askSets*size:]), Boot: le.Uint64(value)}
	a.view, a.count, a.flushed = le.Uint64(value[8:]), le.Uint64(value[16:]), le.Uint64(value[24:])
	sets := value[askHead:]
	for i, set := range []*piece.Set{&a.parts, &a.again, &a.salvage, &a.orphans} {
		if *set = piece.Set(sets[i*size : (i+1)*size]); !set.Fits(partitions) {
			return false
		}
	}
	return true
}

// A handout is the answer to a Takeover.
type handout struct {
	boot      uint64 // of who gives
	view      uint64 // the print of the members that he sees
	move      uint64 // its number there; 0: nothing is given
	clock     uint64 // a version not below any that was given there
	flushed   uint64 // the mark of the last flush_all that he knows of
	flushIn   int64  // the seconds to a flush_all that is to come; 0: none
	flushMark uint64 // its mark
	number    uint64 // of the copies that he keeps
	bytes     int64  // about, of what is given
	leaving   int64  // milliseconds until he is gone, since he drains; 0: he stays

	given    piece.Set
	whole    piece.Set // of those given: these need not be pulled, the copies of them that the receiver has are all there is
	follows  piece.Set // of those given: these he keeps copies of, under the number
	contests piece.Set // he has these or has given them to another, and does not give them
	keeps    piece.Set // of these, those that he answers for
	wants    piece.Set // he has not got these, and waits for them as well
	copied   piece.Set // he has copies of these, whose holder is gone
	halves   piece.Set // of those copied: these he had not drawn all of
	salvaged piece.Set // of those given: these he had copies of, no more
}

const (
	handoutHead = 10 * 8
	handoutSets = 9
)

// sets gives the sets in the order in which they are written.
func (h *handout) sets() [handoutSets]*piece.Set {
	return [...]*piece.Set{&h.given, &h.whole, &h.follows, &h.contests, &h.keeps, &h.wants, &h.copied, &h.halves, &h.salvaged}
}

func (h *handout) append(dst []byte) []byte {
	dst = le.AppendUint64(dst, h.boot)
	dst = le.AppendUint64(dst, h.view)
	dst = le.AppendUint64(dst, h.move)
	dst = le.AppendUint64(dst, h.clock)
	dst = le.AppendUint64(dst, h.flushed)
	dst = le.AppendUint64(dst, uint64(h.flushIn))
	dst = le.AppendUint64(dst, h.flushMark)
	dst = le.AppendUint64(dst, h.number)
	dst = le.AppendUint64(dst, uint64(h.bytes))
	dst = le.AppendUint64(dst, uint64(h.leaving))
	for _, set := range h.sets() {
		dst = append(dst, *set...)
	}
	return dst
}

func (h *handout) parse(value []byte, partitions int) bool {
	size := len(piece.NewSet(partitions))
	if len(value) != handoutHead+handoutSets*size {
		return false
	}
	h.boot, h.view, h.move = le.Uint64(value), le.Uint64(value[8:]), le.Uint64(value[16:])
	h.clock, h.flushed, h.flushIn, h.flushMark = le.Uint64(value[24:]), le.Uint64(value[32:]), int64(le.Uint64(value[40:])), le.Uint64(value[48:])
	h.number, h.bytes, h.leaving = le.Uint64(value[56:]), int64(le.Uint64(value[64:])), int64(le.Uint64(value[72:]))
	rest := bytes.Clone(value[handoutHead:])
	for i, set := range h.sets() {
		if *set = piece.Set(rest[i*size : (i+1)*size]); !set.Fits(partitions) {
			return false
		}
	}
	return true
}

// cutPull reads the Value of a Pull; lacks is nil if nothing is said of it.
func cutPull(value []byte, partitions int) (c storage.Cursor, lacks piece.Set, ok bool) {
	if len(value) > piece.CursorBytes {
		lacks = piece.Set(value[piece.CursorBytes:])
		if !lacks.Fits(partitions) {
			return c, nil, false
		}
		value = value[:piece.CursorBytes]
	}
	c, ok = piece.CutCursor(value)
	return c, lacks, ok
}
