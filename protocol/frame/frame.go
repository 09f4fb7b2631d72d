// Package frame is what members say to each other: a Request or Response, every field, as bytes.
//
// Numbers are little-endian, and each frame begins with the length of all of it:
//
//	request   length 4 | sequence 4 | op 1 | reason 1 | key length 2 | options 4 | flags 4 | exptime 8 | CAS 8 | new CAS 8 | delta 8 | initial 8
//	          | vivify exptime 8 | recache TTL 8 | key | value
//	response  length 4 | sequence 4 | status 1 | marks 1 | flags 4 | CAS 8 | number 8 | TTL 8 | idle 8 | size 4
//	          | value length 4 | value | report lines, each 3 x (length 4 | text)
//
// A frame has one form only: what is accepted, written again, gives the same bytes. What only an encoder reads (Verb, Wire, Opaque, Raw) and what
// only its session does (Origin, View, AfterWrite, Share, Bulk, Hangup) stays with the session that the client talks to.
package frame

import (
	"encoding/binary"
	"errors"

	"github.com/memring/memring/protocol"
)

// MaxBytes is the longest frame. A length above it is refused before any memory is taken for it: it is no frame of ours, or a broken one.
const MaxBytes = 64 << 20

// PartBytes is the longest value that goes between members in one frame. A longer one goes in parts of so many bytes (node/peer), so that nobody's
// request waits behind it. It is more than the largest item by default, and takes a lane about a millisecond.
const PartBytes = 1 << 20

// The bytes before a request's key, and before a response's value.
const (
	requestHeadBytes  = 4 + 4 + 1 + 1 + 2 + 4 + 4 + 7*8
	responseHeadBytes = 4 + 4 + 1 + 1 + 4 + 4*8 + 4 + 4
)

const keyBytesAt = 4 + 4 + 1 + 1 // in a request

// stays are the options that are not carried: they concern the conversation with the client, not that between members.
const stays = protocol.Hangup

// Why a response cannot be one of ours. The link is then of no more use: nobody knows where the next frame begins.
var (
	errLength = errors.New("frame: impossible length")
	errStatus = errors.New("frame: unknown status")
	errReport = errors.New("frame: report lines and frame end apart")
)

// travels reports whether requests of this op are sent to members; the others are for the session that read them.
func travels(op protocol.Op) bool {
	return op.Known() && op != protocol.None && op != protocol.Reject && op != protocol.Quit
}

// RequestBytes is the length of req as a frame.
func RequestBytes(req *protocol.Request) int { return requestHeadBytes + len(req.Key) + len(req.Value) }

// Fits reports whether req can be said in a frame. One that does not must not be sent: the other side would hang up.
func Fits(req *protocol.Request) bool {
	return travels(req.Op) && req.Reason.Known() && len(req.Key) <= protocol.MaxKeyBytes && (len(req.Key) > 0 || !req.Op.Keyed()) && RequestBytes(req) <= MaxBytes
}

// AppendRequest adds req, which Fits, to dst. The answer will bear the same sequence.
func AppendRequest(dst []byte, sequence uint32, req *protocol.Request) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(RequestBytes(req)))
	dst = le.AppendUint32(dst, sequence)
	dst = append(dst, byte(req.Op), byte(req.Reason))
	dst = le.AppendUint16(dst, uint16(len(req.Key)))
	dst = le.AppendUint32(dst, uint32(req.Options&^stays))
	dst = le.AppendUint32(dst, req.Flags)
	dst = le.AppendUint64(dst, uint64(req.Exptime))
	dst = le.AppendUint64(dst, req.CAS)
	dst = le.AppendUint64(dst, req.NewCAS)
	dst = le.AppendUint64(dst, req.Delta)
	dst = le.AppendUint64(dst, req.Initial)
	dst = le.AppendUint64(dst, uint64(req.VivifyExptime))
	dst = le.AppendUint64(dst, uint64(req.RecacheTTL))
	dst = append(dst, req.Key...)
	return append(dst, req.Value...)
}

// parseRequest reads the request at the head of buf; its Opaque is the frame's sequence. used is as session.Codec says; ok is false when the bytes are no request.
func parseRequest(buf []byte, req *protocol.Request) (used int, ok bool) {
	if len(buf) < requestHeadBytes {
		if len(buf) >= 4 && !possible(binary.LittleEndian.Uint32(buf), requestHeadBytes) {
			return 0, false
		}
		return -requestHeadBytes, true
	}
	h := head(buf[:requestHeadBytes])
	length, sequence := h.uint32(), h.uint32()
	*req = protocol.Request{Opaque: sequence, Op: protocol.Op(h.uint8()), Reason: protocol.Status(h.uint8())}
	keyBytes := int(h.uint16())
	if !possible(length, requestHeadBytes) || requestHeadBytes+keyBytes > int(length) {
		return 0, false
	}
	req.Options, req.Flags, req.Exptime = protocol.Options(h.uint32()), h.uint32(), int64(h.uint64())
	req.CAS, req.NewCAS, req.Delta, req.Initial = h.uint64(), h.uint64(), h.uint64(), h.uint64()
	req.VivifyExptime, req.RecacheTTL = int64(h.uint64()), int64(h.uint64())
	keyed := travels(req.Op) && req.Op.Keyed()
	if !travels(req.Op) || !req.Reason.Known() || req.Options&stays != 0 || keyBytes > protocol.MaxKeyBytes || keyed && keyBytes == 0 {
		return 0, false
	}
	if len(buf) < int(length) {
		return -int(length), true
	}
	value := requestHeadBytes + keyBytes
	req.Key = buf[requestHeadBytes:value:value]
	req.Value = buf[value:length:length]
	return int(length), true
}

// AppendResponse adds resp to dst, as the answer to the request with that sequence. One too long for a frame is answered as a failure.
func AppendResponse(dst []byte, sequence uint32, resp *protocol.Response) []byte {
	length := responseHeadBytes + len(resp.Value)
	for i := range resp.Report {
		line := &resp.Report[i]
		length += 3*4 + len(line.Label) + len(line.Name) + len(line.Value)
	}
	if length > MaxBytes {
		var failed protocol.Response
		failed.Fail("answer too long to be sent between members")
		return AppendResponse(dst, sequence, &failed)
	}
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(length))
	dst = le.AppendUint32(dst, sequence)
	dst = append(dst, byte(resp.Status), byte(resp.Marks))
	dst = le.AppendUint32(dst, resp.Flags)
	dst = le.AppendUint64(dst, resp.CAS)
	dst = le.AppendUint64(dst, resp.Number)
	dst = le.AppendUint64(dst, uint64(resp.TTL))
	dst = le.AppendUint64(dst, uint64(resp.Idle))
	dst = le.AppendUint32(dst, resp.Size)
	dst = le.AppendUint32(dst, uint32(len(resp.Value)))
	dst = append(dst, resp.Value...)
	for i := range resp.Report {
		line := &resp.Report[i]
		dst = appendText(appendText(appendText(dst, line.Label), line.Name), line.Value)
	}
	return dst
}

// ResponseBytes is the length of the response at the head of buf if it is whole, else 0, or negative: not whole before buf holds so many bytes.
func ResponseBytes(buf []byte) (int, error) {
	if len(buf) < 4 {
		return 0, nil
	}
	length := binary.LittleEndian.Uint32(buf)
	if !possible(length, responseHeadBytes) {
		return 0, errLength
	}
	if len(buf) < int(length) {
		return -int(length), nil
	}
	return int(length), nil
}

// ParseResponse reads the response at the head of buf into resp, whose Value will lie in its Scratch, so that buf may be used again.
// used is as ResponseBytes says; with 0 or less resp is untouched, after an error it is to be reset.
func ParseResponse(buf []byte, resp *protocol.Response) (sequence uint32, used int, err error) {
	used, err = ResponseBytes(buf)
	if used <= 0 || err != nil {
		return 0, used, err
	}
	h, rest := head(buf[4:responseHeadBytes]), buf[responseHeadBytes:used]
	sequence = h.uint32()
	if resp.Status = protocol.Status(h.uint8()); !resp.Status.Known() {
		return sequence, used, errStatus
	}
	resp.Marks, resp.Flags = protocol.Marks(h.uint8()), h.uint32()
	resp.CAS, resp.Number, resp.TTL, resp.Idle, resp.Size = h.uint64(), h.uint64(), int64(h.uint64()), int64(h.uint64()), h.uint32()
	valueBytes := h.uint32()
	if valueBytes > uint32(len(rest)) {
		return sequence, used, errLength
	}
	resp.Scratch = append(resp.Scratch[:0], rest[:valueBytes]...)
	resp.Value = resp.Scratch
	resp.Report = nil
	for rest = rest[valueBytes:]; len(rest) > 0; {
		var line protocol.ReportLine
		for _, text := range [...]*string{&line.Label, &line.Name, &line.Value} {
			var ok bool
			if *text, rest, ok = cutText(rest); !ok {
				return sequence, used, errReport
			}
		}
		resp.Report = append(resp.Report, line)
	}
	return sequence, used, nil
}

// ValueBytes is the length of the value that the whole response at the head of buf brings, or brings the first part of.
func ValueBytes(buf []byte) int {
	const marks, size, valueBytes = 4 + 4 + 1, responseHeadBytes - 8, responseHeadBytes - 4
	if protocol.Marks(buf[marks]).Has(protocol.Parted) {
		return int(binary.LittleEndian.Uint32(buf[size:]))
	}
	return int(binary.LittleEndian.Uint32(buf[valueBytes:]))
}

// A head is what comes before the bytes of a frame; its numbers are taken off one by one.
type head []byte

func (h *head) uint8() (n uint8)   { n, *h = (*h)[0], (*h)[1:]; return n }
func (h *head) uint16() (n uint16) { n, *h = binary.LittleEndian.Uint16(*h), (*h)[2:]; return n }
func (h *head) uint32() (n uint32) { n, *h = binary.LittleEndian.Uint32(*h), (*h)[4:]; return n }
func (h *head) uint64() (n uint64) { n, *h = binary.LittleEndian.Uint64(*h), (*h)[8:]; return n }

// possible reports whether a frame that begins with a head of so many bytes can be that long.
func possible(length uint32, headBytes int) bool {
	return length >= uint32(headBytes) && length <= MaxBytes
}

// appendText adds text, its length before it.
func appendText(dst []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), text...)
}

// cutText takes off what appendText has added.
func cutText(buf []byte) (text string, rest []byte, ok bool) {
	if len(buf) < 4 {
		return "", nil, false
	}
	n := binary.LittleEndian.Uint32(buf)
	if buf = buf[4:]; uint64(n) > uint64(len(buf)) {
		return "", nil, false
	}
	return string(buf[:n]), buf[n:], true
}
