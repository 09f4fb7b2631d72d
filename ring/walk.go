package ring

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// A walk places the copies beside the owners.
//
//	              hash of the partition
//	                    |
//	ring:  a   b   c    v   a   d   b   c   a ...      each letter one point of that member
//	                        owner   |
//	                                first that may take the copy
//
// The n-th copies of all partitions are placed before the (n+1)-th, partitions by rising number. A copy goes to the first member met on the way that
// does not hold the partition yet, is in a zone that has none of it yet, and has room. Where no such member exists, the second copy gives up room
// before zone (it is there for the day a zone fails), later ones give up zone before room.
//
// The neighbours that the consistent package offers will not do: they depend on the owner's name alone, so one survivor would inherit all of a dead
// member's partitions.
type walk struct {
	t      *Table
	points []point

	zone  []int // of each member, numbered
	zones int   // how many there are

	room     []int // how many more partitions each member may hold
	open     int   // members that have room
	openZone []int // of them, in each zone
}

// A point is one place on the ring.
type point struct {
	hash   uint64
	name   string // of the unit
	member uint16
}

// The demands on a member that takes a copy, beside not holding the partition already.
type demand struct{ zone, room bool }

func newWalk(t *Table) *walk {
	w := &walk{t: t, points: ringPoints(t.units(), t.params.VNodes), zone: make([]int, len(t.members)), room: make([]int, len(t.members))}
	numbers := map[string]int{}
	weights := 0
	for i, m := range t.members {
		number, known := numbers[m.Zone]
		if !known {
			number = len(numbers)
			numbers[m.Zone] = number
		}
		w.zone[i] = number
		weights += int(m.Weight)
	}
	w.zones = len(numbers)
	w.openZone = make([]int, w.zones)
	for i, m := range t.members {
		share := float64(t.copies) * float64(t.params.Partitions) * float64(m.Weight) / float64(weights)
		w.room[i] = int(math.Ceil(share * t.params.CopyLoad))
		w.open++
		w.openZone[w.zone[i]]++
	}
	for part := range uint32(t.params.Partitions) {
		w.take(uint16(t.Owner(part)))
	}
	return w
}

// ringPoints computes the ring as the consistent package does, which keeps its own to itself; a test holds the two together.
func ringPoints(units []unit, vnodes int) []point {
	points := make([]point, 0, len(units)*vnodes)
	var name []byte
	for _, u := range units {
		for i := range vnodes {
			name = append(append(strconv.AppendInt(name[:0], int64(i), 10), ':'), u.name...)
			points = append(points, point{hash: xxhash.Sum64(name), name: u.name, member: u.member})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.name, b.name)) })
	return points
}

// firstPoint is where the walk of a partition begins.
func firstPoint(points []point, part uint32) int {
	hash := xxhash.Sum64(binary.LittleEndian.AppendUint64(make([]byte, 0, 8), uint64(part)))
	at, _ := slices.BinarySearchFunc(points, hash, func(p point, hash uint64) int { return cmp.Compare(p.hash, hash) })
	return at % len(points)
}

func (w *walk) placeCopies(rest func()) {
	t := w.t
	for copy := 1; copy < t.copies; copy++ {
		demands := []demand{{zone: true, room: true}, {room: true}, {zone: true}, {}}
		if copy == 1 {
			demands = []demand{{zone: true, room: true}, {zone: true}, {room: true}, {}}
		}
		for part := range uint32(t.params.Partitions) {
			if part%restEvery == 0 {
				rest()
			}
			list := t.holders[int(part)*t.copies:][:copy+1]
			list[copy] = w.choose(part, list[:copy], demands)
			w.take(list[copy])
		}
	}
}

// choose finds the next holder of part, which holders have already. There is always one: the table never has more copies than members.
func (w *walk) choose(part uint32, holders []uint16, demands []demand) uint16 {
	for _, d := range demands {
		if !w.possible(holders, d) {
			continue
		}
		for at := firstPoint(w.points, part); ; at = (at + 1) % len(w.points) {
			if member := w.points[at].member; w.fits(member, holders, d) {
				return member
			}
		}
	}
	panic("ring: fewer members than copies") // Build turns it into an error
}

// possible tells without walking whether somebody fits, so that no walk goes round in vain.
func (w *walk) possible(holders []uint16, d demand) bool {
	left, leftOpen := len(w.t.members)-len(holders), w.open
	for _, h := range holders {
		if w.room[h] > 0 {
			leftOpen--
		}
	}
	if d.zone {
		left, leftOpen = w.zones, w.open
		for i, h := range holders {
			if !w.sameZone(h, holders[:i]) {
				left--
				leftOpen -= w.openZone[w.zone[h]]
			}
		}
	}
	if d.room {
		return leftOpen > 0
	}
	return left > 0
}

func (w *walk) fits(member uint16, holders []uint16, d demand) bool {
	if d.room && w.room[member] <= 0 || d.zone && w.sameZone(member, holders) {
		return false
	}
	return !slices.Contains(holders, member)
}

func (w *walk) sameZone(member uint16, holders []uint16) bool {
	for _, h := range holders {
		if w.zone[h] == w.zone[member] {
			return true
		}
	}
	return false
}

// take counts one more partition held by member.
func (w *walk) take(member uint16) {
	w.room[member]--
	if w.room[member] == 0 {
		w.open--
		w.openZone[w.zone[member]]--
	}
}
