package transcript

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A text is what is sent or answered: pieces, of which some stand for what only the server knows.
type text []piece

type piece struct {
	literal string
	wild    bool   // {*}: any bytes, up to the end of the line
	name    string // {name}: digits, remembered
}

var (
	repeated = regexp.MustCompile(`^(\d{1,8})\*(.+)$`)
	named    = regexp.MustCompile(`^[a-z]+$`)
)

// parseText reads the escapes and braces of source.
func parseText(source string) (t text, err error) {
	var literal []byte
	flush := func() {
		if len(literal) > 0 {
			t = append(t, piece{literal: string(literal)})
			literal = nil
		}
	}
	for len(source) > 0 {
		switch source[0] {
		case '\\':
			b, n, err := unescape(source)
			if err != nil {
				return nil, err
			}
			literal, source = append(literal, b), source[n:]
		case '{':
			end := strings.IndexByte(source, '}')
			if end < 0 {
				return nil, fmt.Errorf("%q: a brace is not closed", source)
			}
			inner := source[1:end]
			source = source[end+1:]
			if m := repeated.FindStringSubmatch(inner); m != nil {
				once, err := parseText(m[2])
				if err != nil {
					return nil, err
				}
				n, err := strconv.Atoi(m[1])
				if err != nil {
					return nil, err
				}
				literal = append(literal, bytes.Repeat(once.fill(nil), n)...)
				continue
			}
			flush()
			switch {
			case inner == "*":
				t = append(t, piece{wild: true})
			case named.MatchString(inner):
				t = append(t, piece{name: inner})
			default:
				return nil, fmt.Errorf("{%s} means nothing", inner)
			}
		default:
			literal, source = append(literal, source[0]), source[1:]
		}
	}
	flush()
	return t, nil
}

// unescape reads the escape at the head of source, n bytes.
func unescape(source string) (b byte, n int, err error) {
	if len(source) >= 4 && source[1] == 'x' {
		v, err := strconv.ParseUint(source[2:4], 16, 8)
		return byte(v), 4, err
	}
	if len(source) >= 2 {
		if i := strings.IndexByte(`rnt0\{`, source[1]); i >= 0 {
			return "\r\n\t\x00\\{"[i], 2, nil
		}
	}
	return 0, 0, fmt.Errorf("%.4q is no escape", source)
}

// line gives t with CR LF.
func (t text) line() text { return append(t, piece{literal: "\r\n"}) }

// open reports whether t stands for more than one sequence of bytes.
func (t text) open(names map[string]string) bool {
	for _, p := range t {
		if p.wild || p.name != "" && names[p.name] == "" {
			return true
		}
	}
	return false
}

// fill gives the bytes of t. An unknown name stays as it was written, and the answer will show it.
func (t text) fill(names map[string]string) []byte {
	var b bytes.Buffer
	for _, p := range t {
		switch {
		case p.name != "" && names[p.name] != "":
			b.WriteString(names[p.name])
		default:
			b.WriteString(p.String())
		}
	}
	return b.Bytes()
}

// match compares line with t and remembers the names it meets.
func (t text) match(line []byte, names map[string]string) bool {
	if len(t) == 0 {
		return len(line) == 0
	}
	p, rest := t[0], t[1:]
	switch {
	case p.wild:
		for n := 0; n <= len(line); n++ {
			if rest.match(line[n:], names) {
				return true
			}
		}
		return false
	case p.name != "" && names[p.name] == "":
		n := 0
		for n < len(line) && line[n] >= '0' && line[n] <= '9' {
			n++
		}
		if n == 0 || !rest.match(line[n:], names) {
			return false
		}
		names[p.name] = string(line[:n])
		return true
	default:
		literal := text{p}.fill(names)
		return bytes.HasPrefix(line, literal) && rest.match(line[len(literal):], names)
	}
}

func (p piece) String() string {
	switch {
	case p.wild:
		return "{*}"
	case p.name != "":
		return "{" + p.name + "}"
	default:
		return p.literal
	}
}

func (t text) String() string { return show(t.fill(nil)) }
