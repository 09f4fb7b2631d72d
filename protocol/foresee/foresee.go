// Package foresee guesses from bytes that have not been parsed yet which keys are asked for in them.
//
// It puts keys into a list, as many as that has room for, and says how much of the bytes it has looked at. Some keys may be missing, and what is malformed, refused
// or of an unknown command may look like one: nothing may depend on it but what is prepared for the requests to come. Keys lie in the bytes.
package foresee

import (
	"bytes"
	"encoding/binary"

	"github.com/memring/memring/protocol/line"
)

// What must be known of a packet on the binary wire.
const (
	magic      = 0x80
	headBytes  = 24
	keyBytesAt = 2
	extrasAt   = 4
	bodyAt     = 8
)

// Lines looks at lines of the text and the meta wire. inKeys: buf begins in a line of keys.
func Lines(buf []byte, inKeys bool, keys [][]byte) (found, used int) {
	rest := buf
	for found < len(keys) {
		var key []byte
		if inKeys {
			key, rest, inKeys = nextWord(rest)
		} else {
			key, rest, inKeys = nextLine(rest)
		}
		if len(key) > 0 {
			keys[found] = key
			found++
		}
		if len(rest) == 0 {
			break
		}
	}
	return found, len(buf) - len(rest)
}

// nextWord gives the next key of a line of keys; inKeys: there may be more of them. Nothing is left if the word has no end.
func nextWord(buf []byte) (key, rest []byte, inKeys bool) {
	buf = line.TrimBlanks(buf)
	end := bytes.IndexByte(buf, ' ')
	if end < 0 {
		end = len(buf)
	}
	if last := bytes.IndexByte(buf[:end], '\n'); last >= 0 {
		return line.TrimCR(buf[:last]), buf[last+1:], false
	}
	if end == len(buf) {
		return nil, nil, false
	}
	return buf[:end], buf[end:], true
}

// nextLine looks at the head of the next line that has more than one word, and gives its key, or, inKeys, leaves its keys. Nothing is left if it has no end.
func nextLine(buf []byte) (key, rest []byte, inKeys bool) {
	end := bytes.IndexByte(buf, ' ')
	if end < 0 {
		return nil, nil, false
	}
	verb, rest := buf[:end], buf[end:]
	verb = verb[bytes.LastIndexByte(verb, '\n')+1:]
	words := 0 // from the key to the length of the data block; 0: there is none
	switch string(verb) {
	case "get", "gets":
		return nil, rest, true
	case "gat", "gats":
		_, rest = line.Word(rest)
		return nil, rest, true
	case "ms":
		words = 1
	case "set", "add", "replace", "append", "prepend", "cas":
		words = 3
	}
	text, used := line.Cut(rest, line.MaxBytes)
	if used == 0 {
		return nil, nil, false
	}
	key, text = line.Word(text)
	if words == 0 {
		return key, rest[used:], false
	}
	var length []byte
	for range words {
		length, text = line.Word(text)
	}
	if block, ok := line.Uint(length, uint64(len(rest))); ok {
		used += int(block) + line.BlockEnd
	}
	return key, rest[min(used, len(rest)):], false
}

// Packets looks at packets of the binary wire.
func Packets(buf []byte, keys [][]byte) (found, used int) {
	for found < len(keys) && len(buf)-used >= headBytes && buf[used] == magic {
		head := buf[used:]
		keyBytes, extras := int(binary.BigEndian.Uint16(head[keyBytesAt:])), int(head[extrasAt])
		body := min(uint64(binary.BigEndian.Uint32(head[bodyAt:])), uint64(len(buf)))
		key := headBytes + extras
		if key+keyBytes > len(head) || uint64(extras+keyBytes) > body {
			break
		}
		if keyBytes > 0 {
			keys[found] = head[key:][:keyBytes]
			found++
		}
		used = min(used+headBytes+int(body), len(buf))
	}
	if found < len(keys) {
		used = len(buf)
	}
	return found, used
}
