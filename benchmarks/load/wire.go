package load

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/memring/memring/benchmarks/trace"
)

// A Wire is one of memcached's protocols.
type Wire uint8

const (
	Text Wire = iota
	Meta
	Binary
)

// Wires are their names, in order.
var Wires = [...]string{Text: "text", Meta: "meta", Binary: "binary"}

func (w Wire) String() string { return Wires[w] }

// A codec writes requests and reads answers.
type codec interface {
	append(dst []byte, c *conn, r *request) []byte

	// take reads one piece of the answer to r: a value of several, or all of it. It uses no byte while the piece is not whole; done is the
	// answer's end.
	take(in []byte, c *conn, r *request) (used int, done bool, err error)
}

func (w Wire) codec() codec {
	switch w {
	case Meta:
		return metaWire{}
	case Binary:
		return binaryWire{}
	}
	return textWire{}
}

type textWire struct{}

func (textWire) append(dst []byte, c *conn, r *request) []byte {
	switch r.op {
	case get, multiGet:
		dst = append(dst, "get"...)
		for _, key := range r.keys {
			dst = trace.AppendKey(append(dst, ' '), key)
		}
	case set:
		value := c.values.Of(r.keys[0], c.dealer.config.sizeOf(r.keys[0]))
		dst = trace.AppendKey(append(dst, "set "...), r.keys[0])
		dst = strconv.AppendInt(append(dst, " 0 0 "...), int64(len(value)), 10)
		dst = append(append(dst, "\r\n"...), value...)
	case touch:
		dst = append(trace.AppendKey(append(dst, "touch "...), r.keys[0]), " 0"...)
	case incr:
		dst = append(trace.AppendKey(append(dst, "incr "...), r.keys[0]), " 1"...)
	}
	return append(dst, "\r\n"...)
}

func (textWire) take(in []byte, c *conn, r *request) (used int, done bool, err error) {
	line, rest, ok := cutLine(in)
	if !ok {
		return 0, false, nil
	}
	used = len(in) - len(rest)
	if refused(line, c) {
		return used, true, nil
	}
	switch r.op {
	case get, multiGet:
		if string(line) == "END" {
			c.end(r)
			return used, true, nil
		}
		words, ok := bytes.CutPrefix(line, []byte("VALUE "))
		key, numbers, _ := bytes.Cut(words, []byte(" "))
		_, length, _ := bytes.Cut(numbers, []byte(" "))
		n, err := strconv.Atoi(string(length))
		if !ok || err != nil || n < 0 || n > maxValueBytes {
			return 0, false, unexpected(line)
		}
		if len(rest) < n+2 {
			return 0, false, nil
		}
		return used + n + 2, false, found(c, r, key, rest[:n], rest[n:n+2])
	case set:
		return used, true, either(c, r, line, "STORED", "NOT_STORED")
	case touch:
		return used, true, either(c, r, line, "TOUCHED", "NOT_FOUND")
	default:
		return used, true, counted(c, r, line)
	}
}

// found takes a value that came with its key.
func found(c *conn, r *request, key, value, end []byte) error {
	i := r.place(key)
	if i < 0 || string(end) != "\r\n" {
		return unexpected(key)
	}
	c.hit(r, i, value)
	return nil
}

func either(c *conn, r *request, line []byte, hit, miss string) error {
	if string(line) != hit && string(line) != miss {
		return unexpected(line)
	}
	c.outcome(r, string(line) == hit)
	return nil
}

// counted takes an answer to incr.
func counted(c *conn, r *request, line []byte) error {
	hit := string(line) != "NOT_FOUND"
	if _, err := strconv.ParseUint(string(line), 10, 64); hit && err != nil {
		return unexpected(line)
	}
	c.outcome(r, hit)
	return nil
}

type metaWire struct{}

func (metaWire) append(dst []byte, c *conn, r *request) []byte {
	switch r.op {
	case get:
		dst = append(trace.AppendKey(append(dst, "mg "...), r.keys[0]), " k v"...)
	case multiGet: // quiet ones, and what is always answered
		for _, key := range r.keys {
			dst = append(trace.AppendKey(append(dst, "mg "...), key), " k v q\r\n"...)
		}
		dst = append(dst, "mn"...)
	case set:
		value := c.values.Of(r.keys[0], c.dealer.config.sizeOf(r.keys[0]))
		dst = trace.AppendKey(append(dst, "ms "...), r.keys[0])
		dst = strconv.AppendInt(append(dst, ' '), int64(len(value)), 10)
		dst = append(append(dst, "\r\n"...), value...)
	case touch:
		dst = append(trace.AppendKey(append(dst, "mg "...), r.keys[0]), " T0"...)
	case incr:
		dst = append(trace.AppendKey(append(dst, "ma "...), r.keys[0]), " v"...)
	}
	return append(dst, "\r\n"...)
}

func (metaWire) take(in []byte, c *conn, r *request) (used int, done bool, err error) {
	line, rest, ok := cutLine(in)
	if !ok {
		return 0, false, nil
	}
	used = len(in) - len(rest)
	if refused(line, c) {
		return used, r.op != multiGet, nil
	}
	switch string(line[:min(len(line), 2)]) {
	case "MN":
		c.end(r)
		return used, true, nil
	case "EN", "NF", "NS":
		c.outcome(r, false)
		return used, r.op != multiGet, nil
	case "HD":
		if r.op == get || r.op == multiGet { // a hit without its value
			return 0, false, unexpected(line)
		}
		c.outcome(r, true)
		return used, true, nil
	case "VA":
	default:
		return 0, false, unexpected(line)
	}
	length, options, _ := bytes.Cut(line[min(len(line), 3):], []byte(" "))
	n, err := strconv.Atoi(string(length))
	if err != nil || n < 0 || n > maxValueBytes {
		return 0, false, unexpected(line)
	}
	if len(rest) < n+2 {
		return 0, false, nil
	}
	if r.op == incr {
		return used + n + 2, true, counted(c, r, rest[:n])
	}
	key, _ := bytes.CutPrefix(options, []byte("k"))
	return used + n + 2, r.op == get, found(c, r, key, rest[:n], rest[n:n+2])
}

// cutLine gives the first line, without its end, and what follows it.
func cutLine(in []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(in, '\n')
	if i < 1 || in[i-1] != '\r' {
		return nil, nil, false
	}
	return in[:i-1], in[i+1:], true
}

// refused counts what a server has no room for.
func refused(line []byte, c *conn) bool {
	if len(line) == 0 || line[0] != 'S' || !bytes.HasPrefix(line, []byte("SERVER_ERROR ")) {
		return false
	}
	c.report.Errors++
	return true
}

func unexpected(answer []byte) error {
	const shown = 80
	return fmt.Errorf("unexpected answer %q", answer[:min(len(answer), shown)])
}
