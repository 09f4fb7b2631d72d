package archive

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// A Writer writes an archive. What it is given goes through Batches, which may be filled by many goroutines at once.
type Writer struct {
	header  header
	seal    cipher.AEAD // nil: not encrypted
	encoder *zstd.Encoder

	mu     sync.Mutex // guards the rest
	out    io.Writer
	blocks uint64
	items  int64
	bytes  int64
	err    error // the first; nothing is written after it
}

// NewWriter begins an archive with what is to be said about it, in JSON. It is encrypted unless secret, a key file's line, is nil. The caller buffers, if need be, and closes
// out after Close.
func NewWriter(out io.Writer, told, secret []byte) (*Writer, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	return newWriter(out, told, secret, salt)
}

func newWriter(out io.Writer, told, secret, salt []byte) (*Writer, error) {
	w := &Writer{out: out}
	var check []byte
	var err error
	if secret != nil {
		if w.seal, check, err = keyOf(secret, salt); err != nil {
			return nil, err
		}
	}
	if w.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true)); err != nil {
		return nil, err
	}
	w.header = newHeader(salt, check)
	w.put(w.header[:])
	w.block(about, 0, len(told), w.encoder.EncodeAll(told, nil))
	return w, w.err
}

// A Batch collects items for a block. One goroutine uses it.
type Batch struct {
	w      *Writer
	raw    []byte
	stored []byte
	items  int
}

// Batch gives a goroutine its own.
func (w *Writer) Batch() *Batch { return &Batch{w: w} }

// Add adds an item, or a tombstone. An error is the writer's: nothing more can be written.
func (b *Batch) Add(key []byte, it storage.Item) error {
	if len(it.Value) > maxValueBytes {
		return fmt.Errorf("an item of %d bytes is longer than any may be", len(it.Value))
	}
	if len(b.raw)+len(it.Value) > batchBytes {
		if err := b.Flush(); err != nil {
			return err
		}
	}
	b.raw = piece.Append(b.raw, key, it)
	b.items++
	return nil
}

// Flush writes what has been added since the last.
func (b *Batch) Flush() error {
	if b.items == 0 {
		return nil
	}
	b.stored = b.w.encoder.EncodeAll(b.raw, b.stored[:0])
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	b.stored = b.w.block(items, b.items, len(b.raw), b.stored)
	if b.raw, b.items = b.raw[:0], 0; cap(b.raw) > 4*batchBytes {
		b.raw, b.stored = nil, nil
	}
	return b.w.err
}

// Written gives how many items and bytes there are so far; of the bytes, those on their way to the file.
func (w *Writer) Written() (items, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.items, w.bytes
}

// Close writes the end, after all batches have been flushed.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.block(end, 0, 8, w.encoder.EncodeAll(le.AppendUint64(nil, uint64(w.items)), nil))
	return w.err
}

// block writes a block of what is compressed, and gives its memory back. The lock is held, or nobody else knows of w.
func (w *Writer) block(kind uint32, count, rawBytes int, stored []byte) []byte {
	if w.err != nil {
		return stored
	}
	h := head{number: w.blocks, kind: kind, items: uint32(count), rawBytes: uint32(rawBytes), ownBytes: uint32(len(stored))}
	if w.seal != nil {
		h.ownBytes += uint32(w.seal.Overhead())
	}
	beginning := h.bytes(&w.header)
	if w.seal != nil {
		stored = w.seal.Seal(stored[:0], nonceOf(h.number), stored, boundTo(&w.header, beginning[:]))
	}
	w.put(beginning[:])
	w.put(stored)
	w.put(le.AppendUint32(nil, sumOf(beginning[:], stored)))
	w.blocks++
	w.items += int64(count)
	return stored
}

// sumOf is the checksum at the end of a block: that of the head goes on.
func sumOf(head, stored []byte) uint32 {
	return crc32.Update(le.Uint32(head[headBytes-sumBytes:]), castagnoli, stored)
}

func (w *Writer) put(bytes []byte) {
	if w.err == nil {
		var n int
		n, w.err = w.out.Write(bytes)
		w.bytes += int64(n)
	}
}
