// Package archive is a file of items, written from one end to the other and read back with every byte checked.
//
//	archive  header | block: about | blocks: items | block: end
//	header   magic 8 | version 4 | features 4 | salt 32 | key check 8 | checksum 4
//	block    marker 8 | number 8 | kind 4 | items 4 | raw length 4 | stored length 4 | checksum 4 | stored bytes | checksum 4
//	items    each as node/piece writes it: key length 1 | marks 1 | flags 4 | value length 4 | expiry 8 | CAS unique 8 | last access 8
//	         | version 8, only if its mark is set | key | value
//
// Numbers are little-endian. The salt is random. Blocks are numbered from 0 without a gap, and their marker is the first 8 bytes of the salt, so that behind
// a damage the next block is found. What is in a block is compressed (Zstandard, RFC 8878); its raw length is that before. About is JSON, and its writer's matter. The end
// tells how many items there are: what was cut off has none.
//
// A checksum is CRC-32C of all before it in the header or block, begun with that of the header, so that a block of another archive, or in another place, does not pass.
//
// With a key the feature 1 is set and stored bytes are AES-256-GCM of what is compressed: the key is HKDF-SHA256 of the key file's line and the salt, the
// nonce is the block's number (4 zero bytes before it), the additional data are the header and the block's head up to its checksum. The key check is of the same HKDF, and
// tells a wrong key from a damage. What the blocks hold is hidden; how many there are, how long they are and how many items they have is not.
package archive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	magic   = "\x89MRA\r\n\x1a\n" // a transfer as text, or one that strips the eighth bit, spoils it
	version = 1

	encrypted = 1 // the features

	saltBytes   = 32
	markerBytes = 8
	checkBytes  = 8
	sumBytes    = 4
	headerBytes = 8 + 4 + 4 + saltBytes + checkBytes + sumBytes
	headBytes   = markerBytes + 8 + 4 + 4 + 4 + 4 + sumBytes

	// batchBytes is how long a block is before it is compressed, but for a single longer item; a damage costs no more than that.
	batchBytes = 512 << 10
	// maxValueBytes is the largest -I, 1 GiB; maxRawBytes is a block of one such item.
	maxValueBytes = 1 << 30
	maxRawBytes   = maxValueBytes + 1<<16
	// maxStoredBytes is what the longest block may become: what cannot be compressed grows by three bytes in 128 KB, and by GCM's tag.
	maxStoredBytes = maxRawBytes + 1<<20
)

// The kinds of blocks.
const (
	about = 1 + iota
	items
	end
)

// Why an archive cannot be opened with the keys that are given.
var (
	ErrKeyNeeded    = errors.New("it is encrypted, and no key is given")
	ErrWrongKey     = errors.New("it is encrypted with another key")
	ErrNotEncrypted = errors.New("a key is given, and it is not encrypted: it may be another one than was meant")
)

// A DamageError says where an archive is not as it was written.
type DamageError struct {
	Offset int64 // of the header or block that is damaged, in bytes
	Why    string
}

// Error implements error.
func (e *DamageError) Error() string { return fmt.Sprintf("damaged at byte %d: %s", e.Offset, e.Why) }

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// A header is the beginning of an archive.
type header [headerBytes]byte

func (h *header) salt() []byte    { return h[16:][:saltBytes] }
func (h *header) check() []byte   { return h[16+saltBytes:][:checkBytes] }
func (h *header) sum() uint32     { return le.Uint32(h[headerBytes-sumBytes:]) }
func (h *header) sumDue() uint32  { return crc32.Checksum(h[:headerBytes-sumBytes], castagnoli) }
func (h *header) features() int   { return int(le.Uint32(h[12:])) }
func (h *header) version() uint32 { return le.Uint32(h[8:]) }

// newHeader begins an archive; check is that of its key, nil for none.
func newHeader(salt, check []byte) (h header) {
	copy(h[:], magic)
	le.PutUint32(h[8:], version)
	if check != nil {
		le.PutUint32(h[12:], encrypted)
	}
	copy(h.salt(), salt)
	copy(h.check(), check)
	le.PutUint32(h[headerBytes-sumBytes:], h.sumDue())
	return h
}

// A head is the beginning of a block.
type head struct {
	number             uint64
	kind, items        uint32
	rawBytes, ownBytes uint32 // before compression, and as stored
}

// bytes gives the head as it is stored, in an archive of that header.
func (b *head) bytes(h *header) (out [headBytes]byte) {
	copy(out[:], h.salt()[:markerBytes])
	le.PutUint64(out[8:], b.number)
	le.PutUint32(out[16:], b.kind)
	le.PutUint32(out[20:], b.items)
	le.PutUint32(out[24:], b.rawBytes)
	le.PutUint32(out[28:], b.ownBytes)
	le.PutUint32(out[headBytes-sumBytes:], crc32.Update(h.sum(), castagnoli, out[:headBytes-sumBytes]))
	return out
}

// parseHead reads what bytes gave; ok is false for what is no head of this archive.
func parseHead(in []byte, h *header) (b head, ok bool) {
	b = head{number: le.Uint64(in[8:]), kind: le.Uint32(in[16:]), items: le.Uint32(in[20:]), rawBytes: le.Uint32(in[24:]), ownBytes: le.Uint32(in[28:])}
	due := b.bytes(h)
	return b, string(due[:]) == string(in[:headBytes]) && b.rawBytes <= maxRawBytes && b.ownBytes <= maxStoredBytes
}

// keyOf makes of a key file's line, for an archive with that salt, the cipher and its check.
func keyOf(secret, salt []byte) (cipher.AEAD, []byte, error) {
	const keyBytes = 32
	derived, err := hkdf.Key(sha256.New, secret, salt, "memring archive, version 1", keyBytes+checkBytes)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(derived[:keyBytes])
	if err != nil {
		return nil, nil, err
	}
	sealed, err := cipher.NewGCM(block)
	return sealed, derived[keyBytes:], err
}

// nonceOf is the nonce of a block: its number, which no other block of the archive has, and no other archive has its key.
func nonceOf(number uint64) []byte { return le.AppendUint64(make([]byte, 4, 12), number) }

// boundTo is what a block's encryption is bound to: the header and the head, but for its checksum.
func boundTo(h *header, head []byte) []byte {
	return append(h[:len(h):len(h)], head[:headBytes-sumBytes]...)
}
