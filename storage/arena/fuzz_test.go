package arena

import (
	"bytes"
	"testing"
)

// FuzzLaps puts records of the lengths that the input says (0 begins a new lap) and reads all of the lap.
func FuzzLaps(f *testing.F) {
	f.Add([]byte{1, 200, 255, 255, 0, 9, 90, 0, 255})
	f.Add([]byte{255, 128, 0, 255, 128, 7, 7, 7, 0, 1})
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 1000 {
			return
		}
		a, err := New(2 * ChunkBytes)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		g := a.NewSegment()
		var lap [][]byte
		for i, b := range input {
			if b == 0 {
				g.Reset()
				lap = nil
				continue
			}
			record := bytes.Repeat([]byte{byte(i)}, min(int(b)*int(b), MaxRecordBytes))
			rest, last := g.Rest(), g.Last()
			n := g.Put(record)
			if fits := len(record) <= rest || !last; fits != (n == len(lap)+1) {
				t.Fatalf("record of %d bytes, room for %d, last chunk %t: number %d", len(record), rest, last, n)
			}
			if n > 0 {
				lap = append(lap, record)
			}
		}
		for i, record := range lap {
			if got := g.Append(nil, i+1); !bytes.Equal(got, record) {
				t.Fatalf("record %d of %d is lost or changed", i+1, len(lap))
			}
		}
	})
}
