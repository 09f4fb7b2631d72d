package dump

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// An export gives the items of the partitions that are all here, values and all, as a stream:
//
//	EXPORT partitions, of these here, about so many bytes, 3\r\n
//	pieces, each: length 4 | items as node/piece writes them
//	0 4 | complete | gone | short: a bit for each partition
//
// Numbers in pieces are little-endian. Complete is what was here all the while. Gone was here when it began, and is not any more, or has been away: some items may have gone with it, and whoever
// has it now may have begun without them. Short are those of all partitions, wherever they are now, that began here with less than there was of them, or went on so, within the span that was
// asked for; who names no span gets only what is complete, and no 3. Items that change meanwhile are given in one version or the other.
type export struct {
	source *Source
	asked  time.Time
	span   time.Duration // before that, in which what is short became so; 0: it is not asked for
	began  bool
	done   bool
	held   []uint64 // by partition: its number when the export began; 0: it is not wanted, or not here
	cursor storage.Cursor
	piece  []byte
	left   []byte // of piece: what is to be sent still
}

const (
	lengthBytes = 4
	// endSets is how many sets are at the end.
	endSets = 3
	// sendBytes is how much of a longer item is given at a time.
	sendBytes = pieceBytes
	// maxKept bounds the memory that is kept between two pieces.
	maxKept = 4 * pieceBytes
)

// Export begins to give the items of parts, a bit each, or of all partitions if that is empty, and with a span above 0 tells at the end also what is gone and short; ok is false for bytes that
// are no partitions.
func (s *Source) Export(parts []byte, span time.Duration) (stream protocol.Stream, ok bool) {
	if len(parts) > 0 && !piece.Set(parts).Fits(s.Store.Partitions()) {
		return nil, false
	}
	e := &export{source: s, asked: time.Now(), span: span, held: make([]uint64, s.Store.Partitions())}
	for part := range e.held {
		if len(parts) == 0 || piece.Set(parts).Has(part) {
			e.held[part] = s.Held(uint32(part))
		}
	}
	return e, true
}

// Next implements protocol.Stream.
func (e *export) Next(dst []byte) (out []byte, more bool) {
	if !e.began {
		e.began = true
		dst = e.begin(dst)
	}
	for len(e.left) == 0 && !e.done {
		e.fill()
	}
	n := min(len(e.left), sendBytes)
	dst, e.left = append(dst, e.left[:n]...), e.left[n:]
	return dst, len(e.left) > 0 || !e.done
}

// Close implements protocol.Stream.
func (e *export) Close() {}

// begin writes the first line. Keys fall evenly on partitions; to count what is in some of them would take too long.
func (e *export) begin(dst []byte) []byte {
	wanted, all := 0, 0
	for part := range e.held {
		if e.held[part] != 0 {
			wanted++
		}
		if e.source.Holds(uint32(part)) {
			all++
		}
	}
	bytes := float64(e.source.Store.Stats().Bytes) * float64(wanted) / float64(max(all, wanted, 1))
	dst = fmt.Appendf(dst, "EXPORT %d %d %d", len(e.held), wanted, int64(bytes))
	if e.span > 0 {
		dst = fmt.Appendf(dst, " %d", endSets)
	}
	return append(dst, "\r\n"...)
}

// still reports whether a partition has been here all the while.
func (e *export) still(part uint32) bool {
	return e.held[part] != 0 && e.source.Held(part) == e.held[part]
}

// fill makes the next piece, or the end.
func (e *export) fill() {
	if cap(e.piece) > maxKept {
		e.piece = nil
	}
	out, more := append(e.piece[:0], make([]byte, lengthBytes)...), true
	wants := func(part int) bool { return e.still(uint32(part)) }
	for more && len(out) < pieceBytes {
		e.cursor, more = e.source.Store.Walk(e.cursor, wants, func(key []byte, it storage.Item) bool {
			full := len(out) >= pieceBytes
			if !full {
				out = piece.Append(out, key, it)
			}
			return !full
		})
	}
	binary.LittleEndian.PutUint32(out, uint32(len(out)-lengthBytes))
	e.piece, e.left = out, out
	if more {
		return
	}
	e.done = true
	if len(out) == lengthBytes { // nothing is left: this is the end's length already
		e.left = out[:0]
	}
	complete, gone := piece.NewSet(len(e.held)), piece.NewSet(len(e.held))
	for part := range e.held {
		switch {
		case e.still(uint32(part)):
			complete.Add(part)
		case e.held[part] != 0:
			gone.Add(part)
		}
	}
	e.left = append(append(e.left, make([]byte, lengthBytes)...), complete...)
	if e.span > 0 {
		e.left = append(append(e.left, gone...), e.source.Short(e.span+time.Since(e.asked))...)
	}
	e.piece = e.left
}
