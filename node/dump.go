package node

import (
	"slices"

	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// A dump lists the items of the partitions that this node owns, a table of the index at a time: so its memory is bounded by the items of a
// table, some thousands, and nobody waits for it.
type dump struct {
	node   *Node
	write  func(dst []byte, item operator.Item) []byte
	end    string
	began  bool
	cursor storage.Cursor
}

// dumpBytes is the size of a piece, from which on it is sent.
const dumpBytes = 64 << 10

func (n *Node) dump(write func(dst []byte, item operator.Item) []byte, end string) protocol.Stream {
	return &dump{node: n, write: write, end: end}
}

// Next implements protocol.Stream.
func (d *dump) Next(dst []byte) (piece []byte, more bool) {
	if !d.began {
		d.began = true
		dst = append(dst, "OK\r\n"...)
	}
	for more = true; more && len(dst) < dumpBytes; {
		d.cursor, more = d.node.walkOwned(d.cursor, func(item operator.Item) bool {
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
func (d *dump) Close() {}

// walkOwned is storage's Walk over the items whose owner this node is now. What it may still have of others is listed by them.
func (n *Node) walkOwned(c storage.Cursor, visit func(item operator.Item) bool) (next storage.Cursor, more bool) {
	table := n.router.Table()
	self := table.Index(n.self.ID)
	all := func(uint64) bool { return true }
	return n.store.Walk(c, all, func(key []byte, it storage.Item) bool {
		if table.Owner(table.Partition(key)) != self {
			return true
		}
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

// someItems are the first that a walk meets: limit of them, unless that is 0, and no more than fit in maxBytes of lines.
func (n *Node) someItems(limit, maxBytes int) (items []operator.Item) {
	const lineBytes = 64 // over the key: what a line says besides, and what an item takes here
	for cursor, more := (storage.Cursor{}), true; more; {
		full := false
		next, rest := n.walkOwned(cursor, func(item operator.Item) bool {
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
