package server

import (
	"encoding/binary"
	"testing"
)

// The pieces of an answer, put together by their numbers, are the answer; none is larger than a datagram may be, none is empty.
// Whatever the datagram, its answer is within the bound.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x005:hello"), uint16(3000))
	f.Add([]byte("\x00\x01\x00\x00\x00\x02\x00\x005:hello"), uint16(0))
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x001:a.1:b"), uint16(1392))
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		if soundHead(in) {
			u := &socket{server: New(Config{UDPSession: EchoSession})}
			got, ok := u.answer(nil, in[udpHeadBytes:])
			if len(got) > maxUDPAnswerBytes || !ok && len(in) < maxUDPAnswerBytes {
				t.Fatalf("%d bytes of answer, %v, to %d bytes", len(got), ok, len(in))
			}
		}
		answer := make([]byte, size)
		for i := range answer {
			answer[i] = byte(i * 7)
		}
		var joined []byte
		for i := range pieces(len(answer)) {
			piece := appendPiece(nil, 42, answer, i)
			if len(piece) <= udpHeadBytes || len(piece) > maxDatagramBytes || int(binary.BigEndian.Uint16(piece[2:])) != i ||
				int(binary.BigEndian.Uint16(piece[4:])) != pieces(len(answer)) {
				t.Fatalf("piece %d of %d has %d bytes, head % x", i, pieces(len(answer)), len(piece), piece[:udpHeadBytes])
			}
			joined = append(joined, piece[udpHeadBytes:]...)
		}
		if string(joined) != string(answer) {
			t.Fatal("the pieces are not the answer")
		}
	})
}
