package storage

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzRecord: what appendTail has put together cutTail takes apart, and of bytes that are no record it takes nothing that is not theirs.
func FuzzRecord(f *testing.F) {
	f.Add([]byte("value"), []byte("key"), uint32(7), uint64(9), uint64(9), uint16(flagged))
	f.Add([]byte{}, []byte("k"), uint32(0), uint64(1), uint64(5), uint16(0))
	f.Add(bytes.Repeat([]byte{255}, 14), []byte{}, uint32(0), uint64(0), uint64(1), uint16(flagged|chosen))
	f.Fuzz(func(t *testing.T, value, key []byte, flags uint32, cas, version uint64, claim uint16) {
		var it Item
		if v, k, ok := cutTail(value, metaBits(claim), &it); ok && len(v)+len(k)+tailBytes > len(value) {
			t.Errorf("more was found than is there")
		}
		if len(key) > maxKey {
			return
		}
		in := Item{Value: value, Flags: flags, CAS: cas, Version: version}
		record := appendTail(bytes.Clone(value), key, &in)
		if len(record) != recordBytes(key, &in) {
			t.Errorf("%d bytes, said to be %d", len(record), recordBytes(key, &in))
		}
		var m extent
		m.set(flagged, flags != 0)
		m.set(chosen, version != cas)
		v, k, ok := cutTail(record, m.bits, &it)
		if m.valueBytes(len(record), len(key)) != len(value) {
			t.Errorf("a value of %d bytes is said to have %d", len(value), m.valueBytes(len(record), len(key)))
		}
		if !ok || !bytes.Equal(v, value) || !bytes.Equal(k, key) || it.Flags != flags || it.CAS != cas || it.Version != version {
			t.Errorf("put together %q %q %d %d, took apart %q %q %+v", value, key, flags, cas, v, k, it)
		}
	})
}

// FuzzStore plays the model's steps as the input says.
func FuzzStore(f *testing.F) {
	f.Add([]byte("some steps that do this and that"), true)
	f.Add(bytes.Repeat([]byte{60, 1, 0, 77, 3, 200, 9}, 300), false)
	f.Fuzz(func(t *testing.T, input []byte, noEvict bool) {
		if len(input) > 16<<10 {
			return
		}
		m := newModel(t, Config{MaxBytes: 1 << 20, NoEvict: noEvict}, 200_000, nil)
		defer m.s.Close()
		m.draw = func(n int) int {
			if len(input) < 2 {
				input = nil
				return 0
			}
			v := binary.LittleEndian.Uint16(input)
			input = input[2:]
			return int(uint64(v) * uint64(n) >> 16)
		}
		for len(input) > 0 {
			m.step(50)
		}
		m.finish()
	})
}
