package trace

import (
	"bytes"
	"math/rand/v2"
)

// Values gives every key a value of any length that can be recognised: a window of one random pattern that begins where the key says.
// So nothing is generated while playing, and every byte that comes back is compared.
type Values struct{ pattern []byte }

// starts is how many windows there are; two keys share one by chance, then an exchange of their values goes unseen (the key that
// comes back with a value is compared too).
const starts = 1 << 16

// maxValueBytes is the largest value there is a pattern for.
const maxValueBytes = 2 << 20

// NewValues makes the pattern, which takes some milliseconds and 2 MB.
func NewValues() Values {
	// The pattern is the same in every run: a value left by an earlier player is still right.
	return Values{appendRandom(make([]byte, 0, starts+maxValueBytes), rand.NewPCG(1, 2))}
}

func appendRandom(dst []byte, random *rand.PCG) []byte {
	for len(dst) < cap(dst) {
		for word := random.Uint64(); len(dst) < cap(dst) && word > 0; word >>= 8 {
			dst = append(dst, byte(word))
		}
	}
	return dst
}

// Of gives the value of a key at a size of the request, which contains the key.
func (v Values) Of(key, size uint32) []byte {
	start := mix(uint64(key)) % starts
	return v.pattern[start:][:min(max(int(size)-KeyBytes, 0), maxValueBytes)]
}

// IsPart reports whether got is what the key's value holds from offset on.
func (v Values) IsPart(key uint32, offset int, got []byte) bool {
	start := int(mix(uint64(key)) % starts)
	return start+offset+len(got) <= len(v.pattern) && bytes.Equal(got, v.pattern[start+offset:][:len(got)])
}
