package arena

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// testRecordBytes are the lengths that the self-test writes by turns: both ends, and some that leave odd rests in a chunk.
var testRecordBytes = [...]int{0, 1, 517, 4099, 12345, 40000, MaxRecordBytes}

// selfTest writes two laps and compares what can be read with what the mirror predicts: after a full first lap and a second one up to the middle,
// the new records, and the old ones behind the write position whose numbers were not used again; nothing else.
func selfTest(g *Segment) error {
	token := g.token(7)
	if h := xxhash.Sum64(token[:]); h != 7<<bucketBits|g.bucket {
		return fmt.Errorf("the token of record 7 has the hash %#x", h)
	}
	if err := g.testRead(1, 0, false); err != nil {
		return err
	}

	var old []int // where the records of the first lap begin
	for i := 0; ; i++ {
		if g.Put(testRecord(1, g.records+1, testRecordBytes[i%len(testRecordBytes)])) == 0 {
			break
		}
		old = append(old, g.position())
	}
	for n := 1; n <= g.records; n++ {
		if err := g.testRead(n, 1, true); err != nil {
			return err
		}
	}
	if !g.at.right(g, old) {
		g.at, g.lies = chunksAt{}, [peekChunks]*[chunkBytes]byte{}
	}

	g.Reset()
	for g.records < len(old)/2 {
		g.Put(testRecord(2, g.records+1, 300))
	}
	written := g.chunk*chunkBytes + g.used
	for n := 1; n <= len(old); n++ {
		lap, there := 2, true
		if n > g.records {
			lap, there = 1, old[n-1] >= written
		}
		if err := g.testRead(n, lap, there); err != nil {
			return err
		}
	}
	return nil
}

// position is where the newest record begins: it can be read until the writing of a later lap has come past this.
func (g *Segment) position() int {
	return g.chunk*chunkBytes + g.used - headBytes - len(g.Append(nil, g.records))
}

// testRead compares record n with what lap wrote.
func (g *Segment) testRead(n, lap int, there bool) error {
	record, found := g.cache.HasGet(nil, tokenOf(g, n))
	if found != there {
		return fmt.Errorf("record %d: found %t, expected %t", n, found, there)
	}
	if there && !bytes.Equal(record, testRecord(lap, n, len(record))) {
		return fmt.Errorf("record %d: not what was written in lap %d", n, lap)
	}
	return nil
}

func tokenOf(g *Segment, n int) []byte {
	t := g.token(n)
	return t[:]
}

// testRecord gives length bytes that tell laps and numbers apart.
func testRecord(lap, n, length int) []byte {
	var seed [8]byte
	binary.LittleEndian.PutUint32(seed[:], uint32(lap))
	binary.LittleEndian.PutUint32(seed[4:], uint32(n))
	return bytes.Repeat(seed[:], length/8+1)[:length]
}
