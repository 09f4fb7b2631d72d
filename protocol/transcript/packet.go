package transcript

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A packet is one of the binary wire, said in words: its verb, and what differs from an empty one.
//
//	=> set key=k extras=0000000a,00000000 cas=unique value=some data
//	<= set status=0002 value=Data exists for key.
//
// The verb is a name or an opcode in hex. extras are hex, commas among them for the eye; key and value are texts, the value the last, up to the
// end of the line; cas is a number, or a name for the one that an item bears, which the text wire may then say, too ("cas k 0 0 1 {unique}").
// The opaque is 01020304 unless opaque= says otherwise, to be echoed. The lengths are what they should be; a packet that lies says keylen=,
// extlen= or bodylen= (hex). There are also magic=, type= and reserved= (hex), and status= of an answer: 0000 unless it says otherwise.
type packet struct {
	said string
	head [headBytes]byte
	lies bool   // about the length of its body: bodylen= was said
	cas  string // digits, or a name for them; empty: 0
	body text   // extras, key, value
}

const (
	requestMagic = 0x80
	answerMagic  = 0x81
	headBytes    = 24

	usualOpaque = 0x01020304

	// maxPacketBytes is far above what any conversation has answered.
	maxPacketBytes = 16 << 20
)

var verbs = map[string]byte{
	"get": 0x00, "getq": 0x09, "getk": 0x0c, "getkq": 0x0d,
	"touch": 0x1c, "gat": 0x1d, "gatq": 0x1e, "gatk": 0x23, "gatkq": 0x24,
	"set": 0x01, "add": 0x02, "replace": 0x03, "setq": 0x11, "addq": 0x12, "replaceq": 0x13,
	"append": 0x0e, "prepend": 0x0f, "appendq": 0x19, "prependq": 0x1a,
	"delete": 0x04, "deleteq": 0x14,
	"incr": 0x05, "decr": 0x06, "incrq": 0x15, "decrq": 0x16,
	"quit": 0x07, "quitq": 0x17, "flush": 0x08, "flushq": 0x18,
	"noop": 0x0a, "version": 0x0b, "stat": 0x10, "verbosity": 0x1b,
	"mechs": 0x20, "auth": 0x21, "step": 0x22,
}

// parsePacket reads "VERB field=... field=... value=...".
func parsePacket(magic byte, source string) (*packet, error) {
	p := &packet{said: source}
	words, value, _ := strings.Cut(source, " value=")
	fields := strings.Fields(words)
	if len(fields) == 0 {
		return nil, fmt.Errorf("a packet without a verb")
	}
	verb, known := verbs[fields[0]]
	if !known {
		n, err := strconv.ParseUint(fields[0], 16, 8)
		if err != nil {
			return nil, fmt.Errorf("%q is no verb", fields[0])
		}
		verb = byte(n)
	}
	p.head[0], p.head[1] = magic, verb
	binary.BigEndian.PutUint32(p.head[12:], usualOpaque)
	var extras []byte
	var key text
	said := map[string]uint64{}
	for _, field := range fields[1:] {
		name, content, _ := strings.Cut(field, "=")
		var err error
		switch name {
		case "extras":
			extras, err = hex.DecodeString(strings.ReplaceAll(content, ",", ""))
		case "key":
			key, err = parseText(content)
		case "cas":
			p.cas = content
		default:
			said[name], err = strconv.ParseUint(content, 16, 32)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
	}
	data, err := parseText(value)
	if err != nil {
		return nil, err
	}
	p.body = append(append(text{{literal: string(extras)}}, key...), data...)
	binary.BigEndian.PutUint16(p.head[2:], uint16(len(key.fill(nil))))
	p.head[4] = byte(len(extras))
	return p, p.override(said)
}

// override sets the numbers of the head that were said.
func (p *packet) override(said map[string]uint64) error {
	for name, n := range said {
		limit := uint64(math.MaxUint32)
		switch name {
		case "magic":
			limit, p.head[0] = math.MaxUint8, byte(n)
		case "keylen":
			limit = math.MaxUint16
			binary.BigEndian.PutUint16(p.head[2:], uint16(n))
		case "extlen":
			limit, p.head[4] = math.MaxUint8, byte(n)
		case "type":
			limit, p.head[5] = math.MaxUint8, byte(n)
		case "status", "reserved":
			limit = math.MaxUint16
			binary.BigEndian.PutUint16(p.head[6:], uint16(n))
		case "bodylen":
			p.lies = true
			binary.BigEndian.PutUint32(p.head[8:], uint32(n))
		case "opaque":
			binary.BigEndian.PutUint32(p.head[12:], uint32(n))
		default:
			return fmt.Errorf("a packet has no %s", name)
		}
		if n > limit {
			return fmt.Errorf("%s=%x is too large", name, n)
		}
	}
	return nil
}

// fill gives the bytes of p.
func (p *packet) fill(names map[string]string) ([]byte, error) {
	body := p.body.fill(names)
	data := append(bytes.Clone(p.head[:]), body...)
	if !p.lies {
		binary.BigEndian.PutUint32(data[8:], uint32(len(body)))
	}
	if p.cas == "" {
		return data, nil
	}
	digits := p.cas
	if known := names[p.cas]; known != "" {
		digits = known
	}
	cas, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("cas=%s: nothing of that name has been heard", p.cas)
	}
	binary.BigEndian.PutUint64(data[16:], cas)
	return data, nil
}

// match compares a whole packet with p and remembers the name it meets.
func (p *packet) match(got []byte, names map[string]string) bool {
	want := p.head
	if binary.BigEndian.PutUint32(want[8:], uint32(len(got)-headBytes)); !bytes.Equal(got[:16], want[:16]) {
		return false
	}
	cas := strconv.FormatUint(binary.BigEndian.Uint64(got[16:]), 10)
	switch {
	case p.cas == "" || p.cas[0] <= '9':
		if cas != p.cas && (cas != "0" || p.cas != "") {
			return false
		}
	case names[p.cas] != "":
		if cas != names[p.cas] {
			return false
		}
	case cas == "0":
		return false // no item bears it
	default:
		names[p.cas] = cas
	}
	return p.body.match(got[headBytes:], names)
}

// cutPacket gives the packet at the head of data, nil while it is not whole; not ok if there is none.
func cutPacket(data []byte) (whole []byte, ok bool) {
	switch {
	case len(data) == 0:
		return nil, true
	case data[0] != requestMagic && data[0] != answerMagic:
		return nil, false
	case len(data) < headBytes:
		return nil, true
	}
	n := headBytes + int(binary.BigEndian.Uint32(data[8:]))
	switch {
	case n > maxPacketBytes:
		return nil, false
	case len(data) < n:
		return nil, true
	}
	return data[:n], true
}

// showPacket says a whole packet in words.
func showPacket(data []byte) string {
	head, body := data[:headBytes], data[headBytes:]
	keyBytes, extrasBytes := int(binary.BigEndian.Uint16(head[2:])), int(head[4])
	said := fmt.Sprintf("%02x status=%04x opaque=%08x cas=%d", head[1], head[6:8], head[12:16], binary.BigEndian.Uint64(head[16:]))
	if keyBytes+extrasBytes > len(body) {
		return said + " body=" + show(body)
	}
	return said + fmt.Sprintf(" extras=%x key=%s value=%s", body[:extrasBytes], show(body[extrasBytes:extrasBytes+keyBytes]), show(body[extrasBytes+keyBytes:]))
}
