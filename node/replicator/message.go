package replicator

import (
	"encoding/binary"

	"github.com/memring/memring/node/piece"
)

// What holders and replicas say to each other, on copy lanes. Numbers are little-endian.
//
//	Follow      Value: boot 8 | number 8, 0 to ask only | partitions, a bit each | id; the answer's Value: those that are held there
//	Unfollow    CAS: the number, 0 for all of the sender's; Key: his id; Delta: his boot; Value: partitions, a bit each; none for all
//	            the answer's Value: those of them that are held there now
//	Copy        CAS: the number; Delta: the turn; Value: the item, or its tombstone, as in a piece; or Key: that of an item that is gone
//	            the answer of who holds the partition now, CAS: the number of the copies that he took it over with
//	Confirm     CAS: the number; Key: the id of who asks; the answer's Value: partitions, a bit each
//	Draw        CAS: the number; Key: the id of who asks; Value: cursor 24; the answer's Value: a piece

// An ask is a Follow.
type ask struct {
	from   piece.Member
	number uint64
	parts  piece.Set
}

const askHead = 2 * 8

func (a *ask) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, a.from.Boot)
	dst = binary.LittleEndian.AppendUint64(dst, a.number)
	return append(append(dst, a.parts...), a.from.ID...)
}

func (a *ask) parse(value []byte, partitions int) bool {
	end := askHead + len(piece.NewSet(partitions))
	if len(value) <= end {
		return false
	}
	a.from = piece.Member{ID: string(value[end:]), Boot: binary.LittleEndian.Uint64(value)}
	a.number, a.parts = binary.LittleEndian.Uint64(value[8:]), piece.Set(value[askHead:end])
	return a.parts.Fits(partitions)
}
