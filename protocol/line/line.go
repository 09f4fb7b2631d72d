// Package line is one command line of the classic wires, text and meta: its end, its words, its numbers, its data block, and its error line.
//
//	buf    set k 0 0 5 \r \n hello \r \n get ...
//	Cut    [---------]               used: with its end
//	Word   [-] [] ...
//	Block                   [---]
//
// Everything it gives lies in the caller's buffer.
package line

import (
	"bytes"
	"math"
)

// MaxBytes is the longest command line, its end not counted. A peer that has sent more without ending the line speaks another language, so
// the conversation ends; only a line of keys may be longer (protocol.txt does not bound a multi-get).
const MaxBytes = 2048

// MaxCheckedBytes is the longest line of keys that is checked whole, so that a bad key is its only answer, as on memcached. In a longer one the
// answers before the bad key have been sent; they end with the error.
const MaxCheckedBytes = 64 << 10

// MinBytes is the shortest line that can hold a command, its end counted: memcached looks at no shorter one.
const MinBytes = 4

// MaxBlockBytes is the longest data block that a line may announce: memcached counts it with its CR LF in a signed 32-bit number.
const MaxBlockBytes = 1<<31 - 3

// BlockEnd is the length of the CR LF after a data block.
const BlockEnd = 2

// Cut gives the line at the head of buf, without its end (CR LF or a bare LF), and the bytes it takes with it. used is 0 when none of the
// first limit+1 bytes ends the line. (The limit is held even when the end is in sight: what a line means must not depend on how it was cut
// into packets.)
func Cut(buf []byte, limit int) (text []byte, used int) {
	end := bytes.IndexByte(buf[:min(len(buf), limit+1)], '\n')
	if end < 0 {
		return nil, 0
	}
	return TrimCR(buf[:end]), end + 1
}

// TrimCR takes the CR off that belongs to the line's end.
func TrimCR(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] == '\r' {
		return text[:n-1]
	}
	return text
}

// Word gives the first word of text and what follows it. Only blanks part words: a tab is part of one. The word is empty when there is none.
func Word(text []byte) (word, rest []byte) {
	text = TrimBlanks(text)
	if end := bytes.IndexByte(text, ' '); end >= 0 {
		return text[:end], text[end:]
	}
	return text, text[len(text):]
}

// TrimBlanks gives text from its first byte that is not blank.
func TrimBlanks(text []byte) []byte {
	n := 0
	for n < len(text) && text[n] == ' ' {
		n++
	}
	return text[n:]
}

// LastWord gives the last word of text.
func LastWord(text []byte) []byte {
	for len(text) > 0 && text[len(text)-1] == ' ' {
		text = text[:len(text)-1]
	}
	return text[bytes.LastIndexByte(text, ' ')+1:]
}

// maxDigits is how long a number may be: one that can only have been meant as padding is none. memcached draws the line there too.
const maxDigits = 22

// safeDigits many never overflow 64 bits.
const safeDigits = 19

// Uint reads a whole word as a decimal number of at most limit.
func Uint(word []byte, limit uint64) (n uint64, ok bool) {
	if len(word) == 0 || len(word) > maxDigits {
		return 0, false
	}
	for i, c := range word {
		digit := uint64(c - '0')
		if digit > 9 || i >= safeDigits && n > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, n <= limit
}

// Int reads a whole word as a decimal number between -limit-1 and limit, which is how far a signed number goes.
func Int(word []byte, limit int64) (n int64, ok bool) {
	if len(word) > 0 && word[0] == '-' {
		magnitude, ok := Uint(word[1:], uint64(limit)+1)
		return -int64(magnitude), ok
	}
	magnitude, ok := Uint(word, uint64(limit))
	return int64(magnitude), ok
}

// Block gives the n bytes of data at the head of buf, which holds BlockEnd bytes more; ok tells whether those are CR LF, as they must be.
func Block(buf []byte, n int) (data []byte, ok bool) {
	return buf[:n:n], buf[n] == '\r' && buf[n+1] == '\n'
}
