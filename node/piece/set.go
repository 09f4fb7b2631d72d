package piece

import (
	"iter"
	"math/bits"
)

// A Set is a set of partitions, a bit each.
type Set []byte

// NewSet gives an empty set of so many partitions.
func NewSet(partitions int) Set { return make(Set, (partitions+7)/8) }

// Add puts a partition in.
func (s Set) Add(part int) { s[part/8] |= 1 << (part % 8) }

// Remove takes a partition out.
func (s Set) Remove(part int) { s[part/8] &^= 1 << (part % 8) }

// Has reports whether a partition is in it.
func (s Set) Has(part int) bool { return s[part/8]&(1<<(part%8)) != 0 }

// Union puts in what is in another set of as many partitions.
func (s Set) Union(other Set) {
	for i := range s {
		s[i] |= other[i]
	}
}

// Empty reports whether none is in it.
func (s Set) Empty() bool {
	for _, octet := range s {
		if octet != 0 {
			return false
		}
	}
	return true
}

// Len counts the partitions in it.
func (s Set) Len() (count int) {
	for _, octet := range s {
		count += bits.OnesCount8(octet)
	}
	return count
}

// All gives the partitions in their order.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, octet := range s {
			for ; octet != 0; octet &= octet - 1 {
				if !yield(i*8 + bits.TrailingZeros8(octet)) {
					return
				}
			}
		}
	}
}

// Fits reports whether no bit is beyond the last partition.
func (s Set) Fits(partitions int) bool {
	return len(s) == (partitions+7)/8 && (partitions%8 == 0 || s[len(s)-1]>>(partitions%8) == 0)
}
