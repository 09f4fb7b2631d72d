package storage

import "encoding/binary"

// An Item is what is kept under a key.
type Item struct {
	Value  []byte
	Flags  uint32 // the client's; kept, never read
	Expiry int64  // the Unix second at which it is gone; 0: never
	CAS    uint64 // the CAS unique: what clients see and compare, never 0

	// Version rises with every change of the item, whoever makes it: of two the one with the greater version is the newer. It is the CAS unique as
	// well, unless a client has chosen that; 0, given to Install, means so too.
	Version uint64

	LastAccess int64 // the Unix second of the last use before this one, or of the storing; not kept by Put
	Fetched    bool  // used since it was stored, before this use; not kept by Put
	Stale      bool  // meta wire: marked stale, yet still given out
	Won        bool  // meta wire: some client has been told to recache it
	Buried     bool  // met by WalkAll: there is no item but a tombstone, of the deletion Version, until Expiry; not kept by Put
}

// What is accounted for an item over its key and value: memcached's own header (48), the CAS unique (8), the ends of key and value (1 + 2) and,
// if they are not 0, the flags (4). Limits and "bytes" count this way, so that they mean what they mean there.
const (
	itemBytes  = 48 + 8 + 1 + 2
	flagsBytes = 4
)

// A record is an item as bytes, its value first, so that a reader who wants only the value cuts off the rest:
//
//	value | key | version 8, unless it is the CAS unique | flags 4, unless 0 | length of the key 1 | CAS unique 8
//
// What may change without rewriting (expiry, uses) is in its meta. A value that is too long for one record goes on in the records behind it,
// which hold nothing else.
const (
	casBytes     = 8
	versionBytes = 8
	tailBytes    = 1 + casBytes // of every record
	maxKey       = 250
	maxTail      = maxKey + versionBytes + flagsBytes + tailBytes
	recordToMC   = itemBytes - tailBytes // record bytes without a version + this = what memcached would account
)

// recordBytes is the length of the item's records together.
func recordBytes(key []byte, it *Item) int {
	n := len(it.Value) + len(key) + tailBytes
	if it.Flags != 0 {
		n += flagsBytes
	}
	if it.Version != it.CAS {
		n += versionBytes
	}
	return n
}

// appendTail adds what stands behind the value.
func appendTail(dst, key []byte, it *Item) []byte {
	dst = append(dst, key...)
	if it.Version != it.CAS {
		dst = binary.LittleEndian.AppendUint64(dst, it.Version)
	}
	if it.Flags != 0 {
		dst = binary.LittleEndian.AppendUint32(dst, it.Flags)
	}
	dst = append(dst, byte(len(key)))
	return binary.LittleEndian.AppendUint64(dst, it.CAS)
}

// cutTail takes the tail off a record, fills the item's flags, CAS unique and version from it and gives what stands before, and the key, which
// lies in record's memory. bits are the record's. ok is false for bytes that are no record: a later lap may have put others there.
func cutTail(record []byte, bits metaBits, it *Item) (value, key []byte, ok bool) {
	n := len(record) - tailBytes
	if n < 0 {
		return nil, nil, false
	}
	keyBytes := int(record[n])
	it.CAS = binary.LittleEndian.Uint64(record[n+1:])
	it.Version, it.Flags = it.CAS, 0
	if bits&flagged != 0 {
		if n -= flagsBytes; n < 0 {
			return nil, nil, false
		}
		it.Flags = binary.LittleEndian.Uint32(record[n:])
	}
	if bits&chosen != 0 {
		if n -= versionBytes; n < 0 {
			return nil, nil, false
		}
		it.Version = binary.LittleEndian.Uint64(record[n:])
	}
	if keyBytes > n {
		return nil, nil, false
	}
	return record[:n-keyBytes], record[n-keyBytes : n], true
}
