package foresee_test

import (
	"bytes"
	"testing"

	"github.com/memring/memring/protocol/foresee"
)

// FuzzForesee: from whatever bytes, keys come one behind the other out of these, no more than there is room for, and each look goes on.
func FuzzForesee(f *testing.F) {
	f.Add([]byte("get a b  c\r\nset d 0 0 5\r\nget x\r\ngat 0 e\nmg f v\r\nms g 2 T0\r\nvv\r\nversion\r\nget h"), uint8(3))
	f.Add([]byte("set a 0 0 4294967296\r\nget b\r\nms c 18446744073709551615\r\n"), uint8(8))
	f.Add(append([]byte{0x80, 0, 0, 1, 8, 0, 0, 0, 0, 0, 0, 10, 23: 0}, "12345678kv"...), uint8(1))
	f.Add(append([]byte{0x80, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 23: 0}, "12345678kv"...), uint8(2))
	f.Add(append([]byte{0x80, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0, 0, 23: 0}, []byte{0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 23: 0, 24: 'k', 30: 0}...), uint8(8)) // a key longer than its packet
	f.Fuzz(func(t *testing.T, in []byte, room uint8) {
		keys := make([][]byte, 1+int(room)%40)
		check := func(found, used int, rest []byte) {
			t.Helper()
			if found > len(keys) || used > len(rest) || used <= 0 {
				t.Fatalf("%d keys, %d of %d bytes used", found, used, len(rest))
			}
			at := 0
			for _, key := range keys[:found] {
				i := bytes.Index(rest[at:], key)
				if len(key) == 0 || i < 0 || cap(key) > cap(rest) {
					t.Fatalf("%q is not in %q", key, rest[at:])
				}
				at += i + len(key)
			}
		}
		for rest := in; len(rest) > 0; {
			found, used := foresee.Packets(rest, keys)
			check(found, used, rest)
			rest = rest[used:]
		}
		for _, inKeys := range []bool{false, true} {
			for rest := in; len(rest) > 0; {
				found, used := foresee.Lines(rest, inKeys, keys)
				check(found, used, rest)
				for _, key := range keys[:found] {
					if bytes.ContainsAny(key, " \n") {
						t.Fatalf("%q is no word", key)
					}
				}
				rest = rest[used:]
			}
		}
	})
}
