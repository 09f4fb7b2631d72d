package storage

import "math/bits"

// Where a hash belongs. What shares a table must not share the bits that tell its items apart there, whatever the number of partitions is, be it a
// power of two:
//
//	hash   63 ............ 49         fingerprint, in the ghost
//	                  49 ... 44       stripe
//	                    43 ... 26     group of the table, where a search begins
//	                       25 ... 20  tag, in the reference
//	modulo spread                     table: of a power of two, these are the last bits
//
// A table has the hashes of neighbouring partitions: of partitions 0 to 31, say, the next one those of 32 to 63. So whoever goes through the tables in
// their order meets one partition after another, and whoever wants a few partitions finds them in a few tables. Where there are hardly more partitions
// than tables a part of a partition is what a table has some of, so that all tables have about as much: spread is a multiple of the partitions.
const (
	tagShift   = 20
	homeShift  = tagShift + tagBits
	homeBits   = 18
	ghostShift = homeShift - 1 // which of the group's sets of the ghost

	// leastShares is of how many shares of the hashes a table has some: then those with one more have an eighth more.
	leastShares = 8
)

func (l *layout) stripeOf(hash uint64) int { return int(hash>>44) & (l.stripes - 1) }
func tagOf(hash uint64) uint32             { return uint32(hash>>tagShift) & (1<<tagBits - 1) }
func fingerprint(hash uint64) uint16       { return 1<<15 | uint16(hash>>49) }

// spreadOf is the number of shares that the hashes are cut into, hash modulo that.
func spreadOf(partitions, tables int) int {
	return partitions * max(1, (leastShares*tables+partitions-1)/partitions)
}

// tableOf is the table of the hash's share, when the shares are dealt in their order, evenly.
func (l *layout) tableOf(hash uint64) int { return scale(l.bySpread.remainder(hash), l.tables) }

// partOf is the hash's partition.
func (l *layout) partOf(hash uint64) int { return scale(l.byParts.remainder(hash), l.partitions) }

// has reports whether the table has hashes of a partition that is wanted.
func (l *layout) has(table int, want func(part int) bool) bool {
	for share := l.firstShare(table); share < l.firstShare(table+1); share++ {
		if want(share % l.partitions) {
			return true
		}
	}
	return false
}

func (l *layout) firstShare(table int) int { return (table*l.spread + l.tables - 1) / l.tables }

// A divisor is a number by which hashes are divided without a division, which would be tens of cycles of a look-up: its reciprocal in 128 bits, rounded up.
// See Lemire, Kaser, Kurz, "Faster remainder by direct computation", 2019.
type divisor struct{ hi, lo uint64 }

func divisorOf(n int) divisor {
	hi, rest := bits.Div64(0, 1<<64-1, uint64(n))
	lo, _ := bits.Div64(rest, 1<<64-1, uint64(n))
	lo, carry := bits.Add64(lo, 1, 0)
	return divisor{hi + carry, lo}
}

// remainder gives what is left of the hash, in 2^64ths of the divisor: not below what it is exactly, and at most 2 above.
func (d divisor) remainder(hash uint64) uint64 {
	low, _ := bits.Mul64(d.lo, hash)
	return d.hi*hash + low + 1
}

// scale gives the share, of so many equal ones, in which a remainder is. It is exact as long as divisor times count is below 2^62.
func scale(remainder uint64, count int) int {
	share, _ := bits.Mul64(remainder, uint64(count))
	return int(share)
}
