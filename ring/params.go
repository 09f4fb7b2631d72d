package ring

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// Params are the constants of a cluster. All members must have the same ones, or they would look for a key in different places;
// so membership compares Print and refuses who differs. To change one is to start another cluster. All but Copies: members agree on that while they run.
type Params struct {
	Partitions int     // how many the keys are cut into; a prime spreads best; at least 8, better 40, for each unit of weight
	VNodes     int     // points on the ring for each unit of weight
	Copies     int     // members that hold each item, its owner included; 1 to MaxCopies
	Load       float64 // no member owns more than this many times its share
	CopyLoad   float64 // no member holds more than this many times its share of all copies, where zones permit
	Algorithm  uint8   // how the table is made from the rest, see below
}

// algorithmConsistentV1 is the placement of consistent v1.0.0 for owners and our walk of the same ring for copies. Earlier versions of the package
// place points elsewhere, so whoever changes the version or the walk takes the next number.
const algorithmConsistentV1 = 1

// The bounds of Params.
const (
	maxPartitions    = 1 << 18 // the table stays small enough for the processor's cache, and member indexes fit 16 bits
	maxVNodes        = 1000    // more makes building slow and no longer spreads better
	MaxCopies        = 8
	minLoad          = 1.05 // tighter bounds are bought with movement: DESIGN.md
	maxLoad          = 4.0
	partitionsByUnit = 8 // fewer partitions for each unit would make the shares too unlike
)

// DefaultParams are good from 1 to some 400 units of weight; DESIGN.md has the measurements.
func DefaultParams() Params {
	return Params{Partitions: 16381, VNodes: 100, Copies: 1, Load: 1.15, CopyLoad: 1.15, Algorithm: algorithmConsistentV1}
}

// Print is the fingerprint of the parameters in which members may not differ: all but Copies.
func (p Params) Print() uint64 {
	b := make([]byte, 0, 40)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Partitions))
	b = binary.BigEndian.AppendUint64(b, uint64(p.VNodes))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.Load))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.CopyLoad))
	b = append(b, p.Algorithm)
	return xxhash.Sum64(b)
}

// Validate reports the first parameter out of its range. Which flag sets it, the node knows.
func (p Params) Validate() error {
	switch {
	case p.Algorithm != algorithmConsistentV1:
		return fmt.Errorf("placement algorithm %d: this build knows only %d", p.Algorithm, algorithmConsistentV1)
	case p.Partitions < partitionsByUnit || p.Partitions > maxPartitions:
		return fmt.Errorf("partitions %d: want %d to %d", p.Partitions, partitionsByUnit, maxPartitions)
	case p.VNodes < 1 || p.VNodes > maxVNodes:
		return fmt.Errorf("vnodes %d: want 1 to %d", p.VNodes, maxVNodes)
	case p.Copies < 1 || p.Copies > MaxCopies:
		return fmt.Errorf("copies %d: want 1 to %d", p.Copies, MaxCopies)
	case !(p.Load >= minLoad && p.Load <= maxLoad): // so written, a NaN is refused too
		return fmt.Errorf("load %v: want %v to %v", p.Load, minLoad, maxLoad)
	case !(p.CopyLoad >= minLoad && p.CopyLoad <= maxLoad):
		return fmt.Errorf("copy load %v: want %v to %v", p.CopyLoad, minLoad, maxLoad)
	}
	return nil
}
