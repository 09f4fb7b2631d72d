package trace

import (
	"bytes"
	"fmt"
)

// answers reads one answer for each request, in order, and tells the outcome of each.
func (p *Player) answers(requests []Request, t *Tally, outcome func(r Request, hit bool, t *Tally)) error {
	for _, r := range requests {
		var hit bool
		var err error
		switch r.Op {
		case Get, Peek:
			hit, err = p.found(r, t)
		case Set:
			err = p.stored(t)
		case Delete:
			err = p.deleted(t)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Op, err)
		}
		outcome(r, hit, t)
	}
	return nil
}

// found reads "VALUE key flags bytes", the value and END, or END alone.
func (p *Player) found(r Request, t *Tally) (bool, error) {
	line, err := p.line()
	if err != nil || string(line) == "END" {
		return false, err
	}
	words := bytes.Fields(line)
	if len(words) != 4 || string(words[0]) != "VALUE" {
		return false, unexpected(line)
	}
	var key [KeyBytes]byte
	right := bytes.Equal(words[1], AppendKey(key[:0], r.Key)) && string(words[2]) == "0"
	length, ok := number(words[3], maxSize)
	if !ok {
		return false, unexpected(line)
	}
	same, err := p.sameValue(r.Key, int(length))
	if err != nil {
		return false, err
	}
	if !right || !same {
		t.Wrong++
	}
	for _, want := range []string{"", "END"} { // what ends the value, and the answer
		if line, err = p.line(); err != nil || string(line) != want {
			return false, fmt.Errorf("after a value of %d bytes: %w", length, either(err, line))
		}
	}
	return true, nil
}

// sameValue reads a value and compares it as it comes.
func (p *Player) sameValue(key uint32, length int) (same bool, err error) {
	same = true
	for offset := 0; offset < length; {
		piece, err := p.read.Peek(min(length-offset, max(p.read.Buffered(), 1)))
		if err != nil {
			return false, err
		}
		same = same && p.values.IsPart(key, offset, piece)
		n, err := p.read.Discard(len(piece))
		if err != nil {
			return false, err
		}
		offset += n
	}
	return same, nil
}

func (p *Player) stored(t *Tally) error {
	line, err := p.line()
	switch {
	case err != nil:
		return err
	case string(line) == "STORED":
		t.Sets++
	case bytes.HasPrefix(line, []byte("SERVER_ERROR ")): // too large, or out of memory
		t.Refused++
	default:
		return unexpected(line)
	}
	return nil
}

func (p *Player) deleted(t *Tally) error {
	line, err := p.line()
	if err != nil || string(line) != "DELETED" && string(line) != "NOT_FOUND" {
		return either(err, line)
	}
	t.Deletes++
	return nil
}

// line reads to the next line's end, which it leaves out. The line is good until the next read.
func (p *Player) line() ([]byte, error) {
	line, err := p.read.ReadSlice('\n')
	return bytes.TrimSuffix(line, []byte("\r\n")), err
}

func either(err error, line []byte) error {
	if err != nil {
		return err
	}
	return unexpected(line)
}

func unexpected(line []byte) error {
	const shown = 80
	return fmt.Errorf("unexpected answer %q", line[:min(len(line), shown)])
}
