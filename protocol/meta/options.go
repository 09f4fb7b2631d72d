package meta

import (
	"math"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// options are what the options of one line say, whichever command they stand behind: a command passes over those that mean nothing to it.
type options struct {
	seen uint64 // the letters from 'A' to 'z', as bits

	mode           byte   // M
	flags          uint32 // F
	exptime        int64  // T
	vivifyExptime  int64  // N
	recacheTTL     int64  // R
	cas, newCAS    uint64 // C, E
	delta, initial uint64 // D, J
	decodedBytes   int    // b: the length of the key once decoded

	formerTTL  bool // t stands before T: it shows the TTL that was
	touchMade  bool // T stands after N: it holds for the item that is made, too
	longOpaque bool // a complaint for when there is no other
}

const (
	// maxWords is how many words a line may have, its command and key counted.
	maxWords = 20

	// maxCounted is how many words are looked at before there are too many. Bounded like memcached's, so that the same complaint comes first.
	maxCounted = 23

	// maxOpaqueBytes is how long an opaque may be, its letter not counted.
	maxOpaqueBytes = 31
)

// countWords counts on from number over words. ok is false when one of them cannot be an option: then it is not the option but the line that
// is complained of.
func countWords(words []byte, number int) (n int, ok bool) {
	before := byte(' ')
	for _, c := range words {
		if c != ' ' && before == ' ' {
			if number++; number > maxCounted {
				return number, true
			}
			if !(c >= 'A' && c <= 'z' || c >= '0' && c <= '9') {
				return number, false
			}
		}
		before = c
	}
	return number, true
}

// has reports whether there is an option of this letter.
func (o *options) has(letter byte) bool { return o.seen&(1<<(letter-'A')) != 0 }

// keyBytes is the length of the key that the item gets.
func (o *options) keyBytes(key []byte) int {
	if o.has('b') {
		return o.decodedBytes
	}
	return len(key)
}

// read reads words, the last of a line of so many, that countWords has passed. A key in base64 is decoded into decoded.
//
// As on memcached, the first option that is unknown or comes twice is complained of; else the last that bears nonsense.
func (o *options) read(number int, words, key, decoded []byte) (all complaint) {
	switch {
	case len(key) > protocol.MaxKeyBytes:
		return badLine
	case number > maxWords:
		return tooManyOptions
	}
	for word, rest := line.Word(words); len(word) > 0; word, rest = line.Word(rest) {
		letter := word[0]
		if letter < 'A' {
			return invalidOption
		}
		if o.has(letter) {
			return duplicateOption
		}
		o.seen |= 1 << (letter - 'A')
		switch c := o.take(letter, word[1:], key, decoded); {
		case c == invalidOption:
			return c
		case c != none && (all == none || letter != 'F'): // F has no words of its own
			all = c
		}
	}
	return all
}

// take takes one option and what it bears.
func (o *options) take(letter byte, borne, key, decoded []byte) complaint {
	ok, otherwise := true, badToken
	switch letter {
	case 'c', 'f', 'h', 'k', 'l', 's', 't', 'q', 'u', 'v', 'x', 'I':
	case 'L', 'P': // hints for proxies
	case 'b':
		o.decodedBytes = decode(decoded, key)
		ok, otherwise = o.decodedBytes > 0, badKey
	case 'O':
		o.longOpaque = len(borne) > maxOpaqueBytes
	case 'T':
		o.exptime, ok = line.Int(borne, math.MaxInt32)
		o.formerTTL, o.touchMade = o.has('t'), o.has('N')
	case 'N':
		o.vivifyExptime, ok = line.Int(borne, math.MaxInt32)
	case 'R':
		o.recacheTTL, ok = line.Int(borne, math.MaxInt32)
	case 'C':
		o.cas, ok = line.Uint(borne, math.MaxUint64)
	case 'E':
		o.newCAS, ok = line.Uint(borne, math.MaxUint64)
	case 'F':
		var flags uint64
		flags, ok = line.Uint(borne, math.MaxUint32)
		o.flags, otherwise = uint32(flags), badLine
	case 'D':
		o.delta, ok = line.Uint(borne, math.MaxUint64)
		otherwise = badDelta
	case 'J':
		o.initial, ok = line.Uint(borne, math.MaxUint64)
		otherwise = badInitial
	case 'M':
		if o.mode = ' '; len(borne) > 0 {
			o.mode = borne[0]
		}
	default:
		return invalidOption
	}
	if !ok {
		return otherwise
	}
	return none
}
