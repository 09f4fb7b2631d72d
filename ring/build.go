package ring

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// Build makes the table of these members, in whatever order they are given. It changes none of its arguments.
// An error tells which member or parameter is unfit; the caller keeps the table it has.
// It takes some 10 ms for 30 units of weight and grows with their square: build in the background.
func Build(members []Member, p Params) (t *Table, err error) {
	return BuildAtEase(members, p, func() {})
}

// BuildAtEase is Build for who has something else to do: rest is called again and again, after some 0.1 ms of work each time.
func BuildAtEase(members []Member, p Params, rest func()) (t *Table, err error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	if err := validateSet(members, p); err != nil {
		return nil, err
	}
	t = &Table{params: p, print: printOf(members, p), members: members, copies: min(p.Copies, len(members))}
	if len(members) == 0 {
		return t, nil
	}
	// The consistent package panics where it finds no room. The checks above leave no way there, but a node must outlive being wrong about that.
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, fmt.Errorf("place %d partitions on %d members: %v", p.Partitions, len(members), r)
		}
	}()
	t.holders = make([]uint16, p.Partitions*t.copies)
	t.placeOwners(rest)
	if t.copies > 1 {
		newWalk(t).placeCopies(rest)
	}
	return t, nil
}

// validateSet wants members sorted.
func validateSet(members []Member, p Params) error {
	units := 0
	for i, m := range members {
		if err := m.Validate(); err != nil {
			return err
		}
		if i > 0 && m.ID == members[i-1].ID {
			return fmt.Errorf("member id %s: given twice", m.ID)
		}
		units += int(m.Weight)
	}
	if most := p.Partitions / partitionsByUnit; units > most {
		return fmt.Errorf("weights add up to %d: %d partitions carry up to %d", units, p.Partitions, most)
	}
	return nil
}

// printOf tells tables apart: strings are preceded by their lengths, so no two sets are written alike.
func printOf(members []Member, p Params) uint64 {
	b := binary.BigEndian.AppendUint64(nil, p.Print())
	b = append(b, byte(p.Copies))
	for _, m := range members {
		b = append(append(b, byte(len(m.ID))), m.ID...)
		b = append(append(b, byte(len(m.Zone))), m.Zone...)
		b = append(b, m.Weight)
	}
	return xxhash.Sum64(b)
}

// A unit is one share of weight: the consistent package treats all its members alike, so a member of weight w goes there as w of them.
type unit struct {
	name   string // of fixed width after the member's id, so that no two members' units share a name
	member uint16 // index in Table.members
}

func (u unit) String() string { return u.name }

// units lists the units by falling name. When two points of the ring fall together the consistent package keeps the one added last: so the lower name.
func (t *Table) units() []unit {
	var units []unit
	for i, m := range t.members {
		for n := range m.Weight {
			units = append(units, unit{name: fmt.Sprintf("%s/%02d", m.ID, n), member: uint16(i)})
		}
	}
	slices.SortFunc(units, func(a, b unit) int { return cmp.Compare(b.name, a.name) })
	return units
}

// A hasher is the consistent package's way to us while it is at work: it hashes each point and each partition once.
type hasher struct {
	rest   func()
	hashed int
}

// restEvery is the number of points or partitions between two rests: one takes the consistent package some 0.2 us.
const restEvery = 512

func (h *hasher) Sum64(b []byte) uint64 {
	if h.hashed++; h.hashed%restEvery == 0 {
		h.rest()
	}
	return xxhash.Sum64(b)
}

// placeOwners copies the owners out of the consistent package, whose own look-up takes a lock and a map.
func (t *Table) placeOwners(rest func()) {
	units := t.units()
	members := make([]consistent.Member, len(units))
	for i, u := range units {
		members[i] = u
	}
	ring := consistent.New(members, consistent.Config{
		Hasher:            &hasher{rest: rest},
		PartitionCount:    t.params.Partitions,
		ReplicationFactor: t.params.VNodes,
		Load:              t.params.Load,
	})
	for part := range t.params.Partitions {
		if part%restEvery == 0 {
			rest()
		}
		t.holders[part*t.copies] = ring.GetPartitionOwner(part).(unit).member
	}
}
