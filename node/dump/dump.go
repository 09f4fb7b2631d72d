// Package dump lists the items whose owner this node is, a piece at a time.
package dump

import (
	"slices"
	"time"

	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// A Source is where items are listed from. What a store still has of partitions that it has given away is listed by their new holders.
type Source struct {
	Store *storage.Store
	Holds func(part uint32) bool             // whether this node answers for a partition
	Held  func(part uint32) (number uint64)  // of the time since when all of a partition is here, see handover.Handover.Held; 0: it is not
	Short func(span time.Duration) piece.Set // the partitions that began within a span with less than there was of them, see handover.Handover.Short
}

// A stream lists a table of the store's index at a time: so its memory is bounded by the items of a table, some thousands, and nobody waits.
type stream struct {
	source *Source
	write  func(dst []byte, item operator.Item) []byte
	end    string
	began  bool
	cursor storage.Cursor
}

// pieceBytes is the size of a piece, from which on it is sent.
const pieceBytes = 64 << 10

// All begins to list them, written by write and ended by end.
func (s *Source) All(write func(dst []byte, item operator.Item) []byte, end string) protocol.Stream {
	return &stream{source: s, write: write, end: end}
}

// Next implements protocol.Stream.
func (d *stream) Next(dst []byte) (piece []byte, more bool) {
	if !d.began {
		d.began = true
		dst = append(dst, "OK\r\n"...)
	}
	for more = true; more && len(dst) < pieceBytes; {
		d.cursor, more = d.source.walk(d.cursor, func(item operator.Item) bool {
			dst = d.write(dst, item)
			return true
		})
	}
	if !more {
		dst = append(dst, d.end...)
	}
	return dst, more
}

// Close implements protocol.Stream.
func (d *stream) Close() {}

// walk is storage's Walk over the items whose owner this node is now.
func (s *Source) walk(c storage.Cursor, visit func(item operator.Item) bool) (next storage.Cursor, more bool) {
	holds := func(part int) bool { return s.Holds(uint32(part)) }
	return s.Store.Walk(c, holds, func(key []byte, it storage.Item) bool {
		return visit(operator.Item{
			Key:        key,
			Flags:      it.Flags,
			Expiry:     it.Expiry,
			LastAccess: it.LastAccess,
			CAS:        it.CAS,
			Fetched:    it.Fetched,
			ValueBytes: len(it.Value),
		})
	})
}

// Some are the first that a walk meets: limit of them, unless that is 0, and no more than fit in maxBytes of lines.
func (s *Source) Some(limit, maxBytes int) (items []operator.Item) {
	const lineBytes = 64 // over the key: what a line says besides, and what an item takes here
	for cursor, more := (storage.Cursor{}), true; more; {
		full := false
		next, rest := s.walk(cursor, func(item operator.Item) bool {
			maxBytes -= len(item.Key) + lineBytes
			if full = maxBytes < 0 || limit > 0 && len(items) == limit; !full {
				item.Key = slices.Clone(item.Key)
				items = append(items, item)
			}
			return !full
		})
		if cursor, more = next, rest && !full && (limit == 0 || len(items) < limit); full {
			break
		}
	}
	return items
}
