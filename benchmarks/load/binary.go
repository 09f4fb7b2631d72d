package load

import (
	"encoding/binary"
	"fmt"

	"github.com/memring/memring/benchmarks/trace"
)

// Of memcached's protocol_binary.h: what we ask, and how it is answered.
const (
	opGet       = 0x00
	opSet       = 0x01
	opIncrement = 0x05
	opNoop      = 0x0a
	opGetKQ     = 0x0d
	opTouch     = 0x1c

	headBytes = 24
	asked     = 0x80
	answered  = 0x81

	statusOK       = 0x00
	statusMissing  = 0x01
	statusTooLarge = 0x03
	statusMemory   = 0x82

	noNewCounter = 0xffffffff // as exptime: an absent counter stays absent
)

type binaryWire struct{}

// head appends a request's head; what follows it is the caller's.
func head(dst []byte, opcode byte, extras, key, value int, opaque uint32) []byte {
	dst = append(dst, asked, opcode)
	dst = binary.BigEndian.AppendUint16(dst, uint16(key))
	dst = append(dst, byte(extras), 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(extras+key+value))
	dst = binary.BigEndian.AppendUint32(dst, opaque)
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
}

// append sends each key's place in the request as opaque.
func (binaryWire) append(dst []byte, c *conn, r *request) []byte {
	key := r.keys[0]
	switch r.op {
	case get:
		return trace.AppendKey(head(dst, opGet, 0, trace.KeyBytes, 0, 0), key)
	case multiGet:
		for i, key := range r.keys {
			dst = trace.AppendKey(head(dst, opGetKQ, 0, trace.KeyBytes, 0, uint32(i)), key)
		}
		return head(dst, opNoop, 0, 0, 0, 0)
	case set:
		value := c.values.Of(key, c.dealer.config.sizeOf(key))
		dst = append(head(dst, opSet, 8, trace.KeyBytes, len(value), 0), 0, 0, 0, 0, 0, 0, 0, 0)
		return append(trace.AppendKey(dst, key), value...)
	case touch:
		return trace.AppendKey(append(head(dst, opTouch, 4, trace.KeyBytes, 0, 0), 0, 0, 0, 0), key)
	default:
		dst = head(dst, opIncrement, 20, trace.KeyBytes, 0, 0)
		dst = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, 1), 0)
		return trace.AppendKey(binary.BigEndian.AppendUint32(dst, noNewCounter), key)
	}
}

func (binaryWire) take(in []byte, c *conn, r *request) (used int, done bool, err error) {
	if len(in) < headBytes {
		return 0, false, nil
	}
	key, extras := int(binary.BigEndian.Uint16(in[2:])), int(in[4])
	status, body := binary.BigEndian.Uint16(in[6:]), int(binary.BigEndian.Uint32(in[8:]))
	place := int(binary.BigEndian.Uint32(in[12:]))
	if in[0] != answered || extras+key > body || body > maxValueBytes+1<<10 {
		return 0, false, unexpected(in[:headBytes])
	}
	used = headBytes + body
	if len(in) < used {
		return 0, false, nil
	}
	value := in[headBytes+extras+key : used]
	switch status {
	case statusOK, statusMissing:
	case statusTooLarge, statusMemory:
		c.report.Errors++
		return used, r.op != multiGet, nil
	default:
		return 0, false, fmt.Errorf("status %#x: %w", status, unexpected(value))
	}
	switch {
	case in[1] == opNoop && r.op == multiGet:
		c.end(r)
		return used, true, nil
	case r.op == multiGet && in[1] == opGetKQ || r.op == get && in[1] == opGet:
		if place < r.next || place >= len(r.keys) || key > 0 && r.place(in[headBytes+extras:][:key]) != place {
			return 0, false, unexpected(in[:headBytes])
		}
		if status == statusOK {
			c.hit(r, place, value)
		} else {
			c.end(r)
		}
		return used, r.op == get, nil
	case r.op == set && in[1] == opSet, r.op == touch && in[1] == opTouch, r.op == incr && in[1] == opIncrement:
		c.outcome(r, status == statusOK)
		return used, true, nil
	}
	return 0, false, unexpected(in[:headBytes])
}
