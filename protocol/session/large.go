package session

import (
	"math/bits"
	"sync"
)

// Buffers over maxKeptBytes are needed for the length of a batch only. They are lent from one session to the next: kept by each they would fill
// the memory, and made anew for each batch they keep the collector busy.
var lent [lentSizes]sync.Pool // of *[]byte, each of 2*maxKeptBytes<<i

// lentSizes is how often the size of a lent buffer doubles: up to 4 MiB, an item of the usual largest size and its line. Larger ones are rare.
const lentSizes = 6

func lentSize(n int) int { return bits.Len(uint((n - 1) / (2 * maxKeptBytes))) }

// roomFor gives buf room for n more bytes, in a lent buffer if that is more than a session keeps. (Left to append, a buffer would grow past what
// is kept, and be made anew for every batch.)
func roomFor(buf []byte, n int) []byte {
	need := len(buf) + n
	if need <= cap(buf) {
		return buf
	}
	if need <= maxKeptBytes {
		larger := make([]byte, len(buf), min(max(2*cap(buf), need), maxKeptBytes))
		copy(larger, buf)
		return larger
	}
	var larger []byte
	size := lentSize(need)
	if size >= lentSizes {
		larger = make([]byte, 0, need)
	} else if free, _ := lent[size].Get().(*[]byte); free != nil {
		larger = (*free)[:0]
	} else {
		larger = make([]byte, 0, 2*maxKeptBytes<<size)
	}
	larger = append(larger, buf...)
	giveBack(buf)
	return larger
}

// giveBack empties buf and gives what the session keeps of it: nothing, if it is large.
func giveBack(buf []byte) (kept []byte) {
	if cap(buf) <= maxKeptBytes {
		return buf[:0]
	}
	if size := lentSize(cap(buf)); size < lentSizes && cap(buf) == 2*maxKeptBytes<<size {
		free := buf // not buf itself: its address would move it to the heap in every call
		lent[size].Put(&free)
	}
	return nil
}
