package meta

import "encoding/base64"

// base64Key is the Verb of a request whose key came in base64, so that it is shown so.
const base64Key uint8 = 1

// decode writes what src says in base64 to dst, which is as long, and gives its length; 0 if it says nothing.
//
// It reads as memcached does, so that a client that moves here finds its items: what is not of the alphabet is passed over, four
// letters make three bytes, and padding ends the key.
func decode(dst, src []byte) (n int) {
	var letters, pads int
	for _, c := range src {
		if sextet(c) != notBase64 {
			letters++
		}
	}
	if letters%4 != 0 {
		return 0
	}
	var quad uint32
	letters = 0
	for _, c := range src {
		value := sextet(c)
		if value == notBase64 {
			continue
		}
		if c == '=' {
			pads++
		}
		quad = quad<<6 | uint32(value)
		if letters++; letters%4 != 0 {
			continue
		}
		if pads > 2 {
			return 0
		}
		dst[n], dst[n+1], dst[n+2] = byte(quad>>16), byte(quad>>8), byte(quad)
		if n += 3 - pads; pads > 0 {
			break
		}
	}
	return n
}

const notBase64 = 0xff

// sextet gives the six bits that c stands for. Padding stands for zeros.
func sextet(c byte) byte {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A'
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26
	case c >= '0' && c <= '9':
		return c - '0' + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	case c == '=':
		return 0
	}
	return notBase64
}

// appendKey adds the key as it came. (memcached adds it as the item's first writer sent it, a thing we do not keep; they differ only for
// clients that are not of one mind on what their keys are.)
func appendKey(dst, key []byte, verb uint8) []byte {
	if verb == base64Key {
		return base64.StdEncoding.AppendEncode(dst, key)
	}
	return append(dst, key...)
}
