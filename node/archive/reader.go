package archive

import (
	"bytes"
	"cmp"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// A Reader reads an archive, block by block. One goroutine uses it; what it gives may be used by others.
type Reader struct {
	in      io.ReaderAt
	size    int64
	header  header
	open    cipher.AEAD // nil: not encrypted
	decoder *zstd.Decoder

	at      int64  // where the next block begins
	blocks  uint64 // the number of the next
	items   int64  // met so far
	skipped bool   // something was left out, so that counts need not be right
	ended   bool
}

// NewReader opens an archive of size bytes with one of secrets, the lines of a key file; nil: without. A *DamageError says that its beginning is spoiled.
func NewReader(in io.ReaderAt, size int64, secrets [][]byte) (*Reader, error) {
	r := &Reader{in: in, size: size, at: headerBytes}
	if size < headerBytes {
		return nil, &DamageError{0, fmt.Sprintf("an archive is longer than %d bytes", size)}
	}
	if err := r.read(r.header[:], 0); err != nil {
		return nil, err
	}
	switch h := &r.header; {
	case string(h[:len(magic)]) != magic:
		return nil, &DamageError{0, "it is no archive of memring, or its beginning is spoiled"}
	case h.sum() != h.sumDue():
		return nil, &DamageError{0, "the checksum of its beginning is wrong"}
	case h.version() != version || h.features()&^encrypted != 0:
		return nil, fmt.Errorf("it is of version %d with features %x: this build knows version %d only", h.version(), h.features(), version)
	}
	if err := r.unlock(secrets); err != nil {
		return nil, err
	}
	var err error
	r.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	return r, err
}

// unlock finds the key that the archive is encrypted with.
func (r *Reader) unlock(secrets [][]byte) error {
	locked := r.header.features()&encrypted != 0
	switch {
	case !locked && len(secrets) > 0:
		return ErrNotEncrypted
	case !locked:
		return nil
	case len(secrets) == 0:
		return ErrKeyNeeded
	}
	for _, secret := range secrets {
		open, check, err := keyOf(secret, r.header.salt())
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(check, r.header.check()) == 1 {
			r.open = open
			return nil
		}
	}
	return ErrWrongKey
}

// read fills to with what is at an offset. The size is known, so that less is no end but an error.
func (r *Reader) read(to []byte, at int64) error {
	if n, err := r.in.ReadAt(to, at); n < len(to) {
		return fmt.Errorf("read at byte %d: %w", at, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return nil
}

// A Block is some items, checked but not yet decompressed.
type Block struct {
	Items  int // how many
	r      *Reader
	offset int64
	head   head
	stored []byte
}

// About gives what the writer has said about the archive. It is to be called first, once.
func (r *Reader) About() ([]byte, error) {
	b, err := r.block()
	if err != nil {
		return nil, err
	}
	if b.head.kind != about {
		return nil, r.damaged(b.offset, "it does not begin with what is said about it")
	}
	return b.unpack(nil)
}

// Next gives the next items; io.EOF at the end of an archive that is whole. A *DamageError says what is wrong with the block; Skip goes on behind it.
func (r *Reader) Next() (*Block, error) {
	if r.ended {
		return nil, io.EOF
	}
	b, err := r.block()
	if err != nil {
		return nil, err
	}
	switch b.head.kind {
	case items:
		r.items += int64(b.Items)
		return b, nil
	case end:
		return nil, r.end(b)
	default:
		return nil, r.damaged(b.offset, "its kind is unknown")
	}
}

// end holds what the end says against what was there.
func (r *Reader) end(b *Block) error {
	told, err := b.unpack(nil)
	switch {
	case err != nil:
		return err
	case len(told) != 8 || !r.skipped && le.Uint64(told) != uint64(r.items):
		return r.damaged(b.offset, fmt.Sprintf("the end does not speak of the %d items that were there", r.items))
	case r.at != r.size:
		return r.damaged(r.at, fmt.Sprintf("%d bytes are behind the end", r.size-r.at))
	}
	r.ended = true
	return io.EOF
}

// damaged also goes back to the block's beginning, where Skip goes on.
func (r *Reader) damaged(offset int64, why string) error {
	r.at = offset
	return &DamageError{offset, why}
}

// block reads the next block and checks it.
func (r *Reader) block() (*Block, error) {
	offset := r.at
	var beginning [headBytes]byte
	switch left := r.size - offset; {
	case left == 0:
		return nil, r.damaged(offset, "it ends here, without its end: it was cut off")
	case left < headBytes:
		return nil, r.damaged(offset, "it ends in the middle of a block: it was cut off")
	}
	if err := r.read(beginning[:], offset); err != nil {
		return nil, err
	}
	h, ok := parseHead(beginning[:], &r.header)
	switch {
	case !ok:
		return nil, r.damaged(offset, "no block of this archive begins here")
	case h.number < r.blocks || h.number > r.blocks && !r.skipped:
		return nil, r.damaged(offset, fmt.Sprintf("here is block %d, and block %d should be", h.number, r.blocks))
	case int64(h.ownBytes)+sumBytes > r.size-offset-headBytes:
		return nil, r.damaged(offset, "it ends in the middle of a block: it was cut off")
	}
	stored := make([]byte, h.ownBytes+sumBytes)
	if err := r.read(stored, offset+headBytes); err != nil {
		return nil, err
	}
	stored, sum := stored[:h.ownBytes], stored[h.ownBytes:]
	if le.Uint32(sum) != sumOf(beginning[:], stored) {
		return nil, r.damaged(offset, "the checksum of a block is wrong")
	}
	if r.open != nil {
		var err error
		if stored, err = r.open.Open(stored[:0], nonceOf(h.number), stored, boundTo(&r.header, beginning[:])); err != nil {
			return nil, r.damaged(offset, "a block was not encrypted with this key, or was changed")
		}
	}
	r.at = offset + headBytes + int64(h.ownBytes) + sumBytes
	r.blocks = h.number + 1
	return &Block{Items: int(h.items), r: r, offset: offset, head: h, stored: stored}, nil
}

// Skip goes on behind a damage, at the next beginning of a block; more is false if there is none.
func (r *Reader) Skip() (more bool, err error) {
	r.skipped = true
	marker, window := r.header.salt()[:markerBytes], make([]byte, 256<<10)
	for r.at++; r.size-r.at >= headBytes; {
		part := window[:min(int64(len(window)), r.size-r.at)]
		if err := r.read(part, r.at); err != nil {
			return false, err
		}
		found := bytes.Index(part, marker)
		switch {
		case found < 0:
			r.at += int64(len(part) - markerBytes + 1) // it may begin at the end of this part
			continue
		case len(part)-found >= headBytes:
			if _, ok := parseHead(part[found:], &r.header); ok {
				r.at += int64(found)
				return true, nil
			}
			found++
		}
		r.at += int64(found)
	}
	r.at = r.size
	return false, nil
}

// Read gives how far it is, of Size.
func (r *Reader) Read() int64 { return r.at }

// Each decompresses the items into memory, which may be nil, and gives them, and the memory they are in. They are good until that is used for others.
func (b *Block) Each(memory []byte) (all iter.Seq2[[]byte, storage.Item], used []byte, err error) {
	raw, err := b.unpack(memory[:0])
	if err != nil {
		return nil, memory, err
	}
	all, count, ok := piece.Items(raw)
	if !ok || count != b.Items {
		return nil, raw, &DamageError{b.offset, "what is in a block is not what was written"}
	}
	return all, raw, nil
}

// unpack decompresses the block.
func (b *Block) unpack(memory []byte) ([]byte, error) {
	if cap(memory) < int(b.head.rawBytes) {
		memory = make([]byte, 0, b.head.rawBytes)
	}
	raw, err := b.r.decoder.DecodeAll(b.stored, memory[:0:b.head.rawBytes])
	if err != nil || len(raw) != int(b.head.rawBytes) {
		return nil, &DamageError{b.offset, fmt.Sprintf("a block cannot be decompressed: %v", cmp.Or(err, errors.New("it is shorter than it should be")))}
	}
	return raw, nil
}
