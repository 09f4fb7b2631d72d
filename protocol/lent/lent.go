// Package lent lends large buffers from one batch to the next.
//
// Kept by each who needs one at times, such buffers would fill the memory; made anew each time, they keep the collector busy, which runs often in a small heap and
// makes all requests wait.
package lent

import (
	"math/bits"
	"sync"
)

const (
	// KeptBytes is up to where a buffer is its owner's to keep.
	KeptBytes = 64 << 10

	// stepsShift is how many steps there are from one power of two to the next, as a power of two: a buffer is at most a quarter larger than it must be.
	stepsShift = 2

	// sizes go up to 4 MiB, far above an item of the usual largest size and its line. Larger ones are rare.
	sizes = 6 << stepsShift
)

var free [sizes]sync.Pool // of *[]byte

// sizeOf gives the number of the smallest size that holds n bytes, n > KeptBytes, and that size.
func sizeOf(n int) (number, bytes int) {
	shift := bits.Len(uint(n-1)) - stepsShift - 1
	step := (n - 1) >> shift
	doublings := shift - (bits.Len(KeptBytes) - stepsShift - 1)
	return doublings<<stepsShift + step - 1<<stepsShift, (step + 1) << shift
}

// Room gives buf room for n more bytes, in a lent buffer if that is more than is kept. (Left to append, a buffer would grow past what is kept, and be made anew for
// every batch.) What buf lay in is not buf's any more.
func Room(buf []byte, n int) []byte {
	need := len(buf) + n
	if need <= cap(buf) {
		return buf
	}
	if need <= KeptBytes {
		larger := make([]byte, len(buf), min(max(2*cap(buf), need), KeptBytes))
		copy(larger, buf)
		return larger
	}
	larger := append(borrow(need), buf...)
	Back(buf)
	return larger
}

// borrow gives an empty buffer for n bytes.
func borrow(n int) []byte {
	number, bytes := sizeOf(n)
	if number >= sizes {
		return make([]byte, 0, n)
	}
	if buffer, _ := free[number].Get().(*[]byte); buffer != nil {
		return (*buffer)[:0]
	}
	return make([]byte, 0, bytes)
}

// Back empties buf and gives what its owner keeps of it: nothing, if it is large.
func Back(buf []byte) (kept []byte) {
	if cap(buf) <= KeptBytes {
		return buf[:0]
	}
	if number, bytes := sizeOf(cap(buf)); number < sizes && cap(buf) == bytes {
		buffer := buf // not buf itself: its address would move it to the heap in every call
		free[number].Put(&buffer)
	}
	return nil
}
