package ring

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Led gives the table as it is while some of its members (by their places) are down: the same members, and each partition with the same holders, but those that
// are alive first, so that Owner is who leads now. Nothing moves, so whoever is back soon finds all as it was.
//
//	holders        down    led by
//	c a e          c       a, then e, c
//	c d            c d     whom Build over the living gives: nobody has it any more
//
// t is one that Build has made. If nobody is down it is t itself; an error says that nobody is alive.
func (t *Table) Led(alive func(member int) bool) (*Table, error) {
	led := &Table{params: t.params, members: t.members, copies: t.copies, alive: make([]bool, len(t.members))}
	var living []Member
	print := binary.BigEndian.AppendUint64(nil, t.print)
	for i, m := range t.members {
		if led.alive[i] = alive(i); led.alive[i] {
			living = append(living, m)
		} else {
			print = binary.BigEndian.AppendUint16(print, uint16(i))
		}
	}
	switch len(living) {
	case len(t.members):
		return t, nil
	case 0:
		return nil, errors.New("no member is alive")
	}
	led.print, led.holders = xxhash.Sum64(print), slices.Clone(t.holders)
	var lost []uint32 // partitions whose holders are all down
	for part := range uint32(t.params.Partitions) {
		row := led.Holders(part)
		slices.SortStableFunc(row, func(a, b uint16) int { return led.rank(a) - led.rank(b) }) // the living first
		if !led.alive[row[0]] {
			lost = append(lost, part)
		}
	}
	if err := led.replace(lost, living); err != nil {
		return nil, err
	}
	return led, nil
}

// rank is 0 for members that are alive, and 1 for the others.
func (t *Table) rank(member uint16) int {
	if t.alive[member] {
		return 0
	}
	return 1
}

// replace gives partitions whose holders are all down to the living: the first holders are others then, as many as there can be.
func (t *Table) replace(lost []uint32, living []Member) error {
	if len(lost) == 0 {
		return nil
	}
	rest, err := Build(living, t.params)
	if err != nil {
		return err
	}
	places := make([]uint16, len(living)) // in t, of the members of rest
	for i, m := range rest.members {
		places[i] = uint16(t.Index(m.ID))
	}
	for _, part := range lost {
		row := t.Holders(part)
		for i, h := range rest.Holders(part) {
			row[i] = places[h]
		}
	}
	return nil
}
