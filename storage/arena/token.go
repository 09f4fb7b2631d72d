package arena

import "math/bits"

// The constants of xxhash64 (its specification, "XXH64 algorithm description").
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

const (
	undo1 uint64 = 0x0887493432BADB37 // times prime1 is 1 modulo 2^64
	undo2 uint64 = 0x0BA79078168D4BAF
	undo3 uint64 = 0xE9E9F4C41D6DF849 // of prime3, 0x165667B19E3779F9
)

// unhash gives the number whose 8 bytes, least significant first, have the xxhash64 h.
//
// For 8 bytes every step of the hash can be undone: the last three mix the state with itself, the one before stirs the input in.
func unhash(h uint64) uint64 {
	h ^= h >> 32
	h *= undo3
	h ^= h>>29 ^ h>>58
	h *= undo2
	h ^= h >> 33

	h = bits.RotateLeft64((h-prime4)*undo1, -27)
	h ^= prime5 + 8
	return bits.RotateLeft64(h*undo1, -31) * undo2
}
