package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

const aboutTest = `{"kind":"test"}`

var (
	key1 = []byte("0123456789abcdef0123456789abcdef")
	key2 = []byte("another key, of the same length.")
)

// salted is a salt that is the same each time.
func salted() []byte { return bytes.Repeat([]byte("salt"), saltBytes/4) }

// some gives items in so many batches, as piece writes them.
func some(batches, each int) (all [][]string) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range batches {
		var batch []string
		for i := range each {
			it := storage.Item{
				Value: bytes.Repeat([]byte{byte(random.Uint32()), 'v'}, random.IntN(40)), Flags: random.Uint32N(3), Expiry: random.Int64N(2) << 33,
				CAS: 1 + random.Uint64()>>2, LastAccess: 1_700_000_000, Fetched: i%2 == 0, Stale: i%5 == 0, Buried: i%7 == 3,
			}
			it.Version = it.CAS
			if i%3 == 0 {
				it.Version++
			}
			batch = append(batch, string(piece.Append(nil, fmt.Appendf(nil, "key-%d-%d", n, i), it)))
		}
		all = append(all, batch)
	}
	return all
}

// written gives an archive of these items, a block for each batch.
func written(t testing.TB, batches [][]string, secret []byte) []byte {
	var out bytes.Buffer
	w, err := newWriter(&out, []byte(aboutTest), secret, salted())
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range batches {
		b := w.Batch()
		for _, item := range batch {
			key, it, _ := piece.One([]byte(item))
			if err := b.Add(key, it); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n, size := w.Written(); n != int64(len(slices.Concat(batches...))) || size != int64(out.Len()) {
		t.Errorf("written: %d items, %d bytes are told, and there are %d bytes", n, size, out.Len())
	}
	return out.Bytes()
}

// readAll reads an archive; with skip what is whole of it, else up to the first damage.
func readAll(in []byte, secrets [][]byte, skip bool) (all []string, damages []error, err error) {
	r, err := NewReader(bytes.NewReader(in), int64(len(in)), secrets)
	if err != nil {
		return nil, nil, err
	}
	told, err := r.About()
	switch {
	case err == nil && string(told) != aboutTest:
		return nil, nil, fmt.Errorf("it says of itself %q", told)
	case err != nil && !skip:
		return nil, nil, err
	}
	var memory []byte
	for err == nil || skip {
		if err != nil {
			if damage := (*DamageError)(nil); !errors.As(err, &damage) {
				return all, damages, err
			}
			damages = append(damages, err)
			if more, failed := r.Skip(); failed != nil || !more {
				return all, damages, failed
			}
		}
		var b *Block
		if b, err = r.Next(); err == io.EOF {
			return all, damages, nil
		} else if err != nil {
			continue
		}
		found, used, failed := b.Each(memory)
		if failed != nil {
			return all, damages, failed
		}
		for key, it := range found {
			all = append(all, string(piece.Append(nil, key, it)))
		}
		memory = used
	}
	return all, damages, err
}

func TestWrittenIsRead(t *testing.T) {
	batches := some(5, 20)
	long := storage.Item{Value: bytes.Repeat([]byte("0123456789"), 300_000), CAS: 7, Version: 7}
	batches = append(batches, []string{string(piece.Append(nil, []byte("long"), long))})
	for _, secret := range [][]byte{nil, key1} {
		var secrets [][]byte
		if secret != nil {
			secrets = [][]byte{key2, secret}
		}
		got, damages, err := readAll(written(t, batches, secret), secrets, false)
		if want := slices.Concat(batches...); err != nil || len(damages) > 0 || !slices.Equal(got, want) {
			t.Errorf("secret %q: %d items of %d, %v, %v", secret, len(got), len(want), damages, err)
		}
	}
}

func TestBatchesFill(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, []byte(aboutTest), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, random := w.Batch(), rand.New(rand.NewPCG(3, 4))
	value := make([]byte, 10_000)
	for i := range 200 { // four batches
		for j := range value {
			value[j] = byte(random.Uint32())
		}
		if err := b.Add(fmt.Append(nil, i), storage.Item{Value: value, CAS: 1, Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if _, size := w.Written(); size+batchBytes < 2_000_000 {
		t.Errorf("%d bytes are written of 2,000,000: batches are to go as they are full", size)
	}
}

func TestKeys(t *testing.T) {
	plain, locked := written(t, some(1, 5), nil), written(t, some(1, 5), key1)
	f := func(in []byte, want error, secrets ...[]byte) {
		t.Helper()
		if _, err := NewReader(bytes.NewReader(in), int64(len(in)), secrets); !errors.Is(err, want) {
			t.Errorf("secrets %q: %v, want %v", secrets, err, want)
		}
	}
	f(plain, nil)
	f(plain, ErrNotEncrypted, key1)
	f(locked, nil, key1)
	f(locked, nil, key2, key1)
	f(locked, ErrKeyNeeded)
	f(locked, ErrWrongKey, key2)
}

func TestEncryptedHidesItems(t *testing.T) {
	secretive := strings.Repeat("nobody is to read this. ", 3)
	item := string(piece.Append(nil, []byte("hidden-key"), storage.Item{Value: []byte(secretive), CAS: 1, Version: 1}))
	for _, secret := range [][]byte{nil, key1} {
		in := written(t, [][]string{{item}}, secret)
		shows := bytes.Contains(in, []byte("hidden-key")) || bytes.Contains(in, []byte("nobody")) || bytes.Contains(in, []byte("kind"))
		if shows != (secret == nil) { // without a key so short a block is stored as it is: so the test looks for the right thing
			t.Errorf("secret %q: shows what it holds: %v", secret, shows)
		}
	}
}

// whole fails unless what was read of a damaged archive is some of what was written, in order and unchanged.
func whole(t *testing.T, what string, got, want []string) {
	t.Helper()
	at := 0
	for _, item := range got {
		next := slices.Index(want[at:], item)
		if next < 0 {
			t.Fatalf("%s: an item is given that was not written, or twice: %q", what, item)
		}
		at += next + 1
	}
}

// TestDamagesAreTold cuts archives at every byte, and changes every byte of them.
func TestDamagesAreTold(t *testing.T) {
	batches := some(4, 6)
	want := slices.Concat(batches...)
	for _, secrets := range [][][]byte{nil, {key1}} {
		in := written(t, batches, slices.Concat(secrets...))
		f := func(what string, hurt []byte) (left []string) {
			t.Helper()
			got, _, err := readAll(hurt, secrets, false)
			damage := (*DamageError)(nil)
			if !errors.As(err, &damage) || damage.Offset > int64(len(hurt)) {
				t.Fatalf("%s: %v", what, err)
			}
			whole(t, what, got, want)
			left, damages, err := readAll(hurt, secrets, true)
			if err == nil && len(damages) == 0 {
				t.Fatalf("%s: no damage is told", what)
			}
			whole(t, what+", whole blocks only", left, want)
			return left
		}
		most := 0
		for n := range in {
			f(fmt.Sprintf("cut at %d", n), in[:n])
			for _, flip := range []byte{1 << (n % 8), 0xff} {
				hurt := bytes.Clone(in)
				hurt[n] ^= flip
				if left := f(fmt.Sprintf("byte %d changed by %x", n, flip), hurt); n >= headerBytes {
					most = max(most, len(want)-len(left))
				}
			}
			f(fmt.Sprintf("byte %d lost", n), slices.Delete(bytes.Clone(in), n, n+1))
			f(fmt.Sprintf("byte put in at %d", n), slices.Insert(bytes.Clone(in), n, 'x'))
		}
		f("a byte behind the end", append(bytes.Clone(in), 0))
		if most != len(batches[0]) {
			t.Errorf("a changed byte costs %d items, and %d are in a block", most, len(batches[0]))
		}
	}
}

// TestBlocksStayInPlace: a block that is whole is told when it is in another place, in another archive, or missing.
func TestBlocksStayInPlace(t *testing.T) {
	in := written(t, some(3, 4), nil)
	var starts []int
	for at := headerBytes; at < len(in); {
		starts = append(starts, at)
		at += headBytes + int(le.Uint32(in[at+28:])) + sumBytes
	}
	block := func(n int) []byte {
		return in[starts[n]:slices.Concat(starts[1:], []int{len(in)})[n]]
	}
	other := bytes.Clone(in[:headerBytes])
	other[20]++ // of the salt, not of the marker
	le.PutUint32(other[headerBytes-sumBytes:], (*header)(other).sumDue())
	for what, hurt := range map[string][]byte{
		"swapped":            slices.Concat(in[:headerBytes], block(0), block(2), block(1), block(3), block(4)),
		"twice":              slices.Concat(in[:headerBytes], block(0), block(1), block(1), block(2), block(3), block(4)),
		"missing":            slices.Concat(in[:headerBytes], block(0), block(1), block(3), block(4)),
		"of another archive": slices.Concat(other, in[headerBytes:]),
		"no end":             in[:starts[4]],
	} {
		_, _, err := readAll(hurt, nil, false)
		if damage := (*DamageError)(nil); !errors.As(err, &damage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestFormatStays reads archives that the first build wrote. Where this fails, the version must rise, and the former be read still.
func TestFormatStays(t *testing.T) {
	batches := some(2, 9)
	for name, secret := range map[string][]byte{"testdata/v1.archive": nil, "testdata/v1-encrypted.archive": key1} {
		in, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var secrets [][]byte
		if secret != nil {
			secrets = [][]byte{secret}
		}
		got, damages, err := readAll(in, secrets, false)
		if err != nil || len(damages) > 0 || !slices.Equal(got, slices.Concat(batches...)) {
			t.Errorf("%s: %d items, %v, %v", name, len(got), damages, err)
		}
	}
}

func TestVersionsToComeAreRefused(t *testing.T) {
	in := written(t, nil, nil)
	in[8]++
	le.PutUint32(in[headerBytes-sumBytes:], (*header)(in[:headerBytes]).sumDue())
	_, _, err := readAll(in, nil, true)
	if err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Error(err)
	}
}

// A failing refuses what is written from a byte on, as a disk that is full.
type failing struct{ left int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorsStay(t *testing.T) {
	w, err := NewWriter(&failing{left: 300}, []byte(aboutTest), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := w.Batch()
	if err := errors.Join(b.Add([]byte("k"), storage.Item{Value: make([]byte, 10), CAS: 1, Version: 1}), b.Flush()); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		err = errors.Join(err, b.Add([]byte("k"), storage.Item{Value: make([]byte, 10), CAS: 1, Version: 1}), b.Flush())
	}
	if !errors.Is(err, errFull) || !errors.Is(w.Close(), errFull) {
		t.Errorf("a full disk is not told: %v, %v", err, w.Close())
	}
}

// FuzzReader: whatever the bytes, reading ends, and with a key nothing is given that was not written with it.
func FuzzReader(f *testing.F) {
	batches := some(2, 3)
	plain, locked := written(f, batches, nil), written(f, batches, key1)
	f.Add(plain, false)
	f.Add(locked, true)
	f.Add(plain[:len(plain)/2], false)
	f.Add([]byte(magic), false)
	f.Fuzz(func(t *testing.T, in []byte, withKey bool) {
		var secrets [][]byte
		if withKey {
			secrets = [][]byte{key1}
		}
		got, _, err := readAll(in, secrets, false)
		left, _, _ := readAll(in, secrets, true)
		if len(left) < len(got) {
			t.Errorf("whole blocks only: %d items, and %d up to the first damage", len(left), len(got))
		}
		if withKey { // nobody else has it: so there is nothing but what was written
			whole(t, "whole blocks only", left, slices.Concat(batches...))
			if err == nil && !bytes.Equal(in, locked) {
				t.Error("an archive is taken for whole that was changed")
			}
		}
	})
}
