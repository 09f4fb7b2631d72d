package ring

import (
	"fmt"
	"slices"
	"testing"
)

// leadWithout gives the table while some members are down.
func leadWithout(t testing.TB, table *Table, down ...int) *Table {
	t.Helper()
	led, err := table.Led(func(member int) bool { return !slices.Contains(down, member) })
	if err != nil {
		t.Fatal(err)
	}
	return led
}

// checkLed holds the table that is left of t, while only those of alive are, to what Led promises.
func checkLed(t *testing.T, table *Table, alive func(int) bool) {
	t.Helper()
	var living []Member
	for i, m := range table.members {
		if alive(i) {
			living = append(living, m)
		}
	}
	before := slices.Clone(table.holders)
	led, err := table.Led(alive)
	switch {
	case len(living) == len(table.members):
		if led != table || err != nil {
			t.Fatalf("nobody is down, and the table is another one (%v)", err)
		}
		return
	case len(living) == 0:
		if led != nil || err == nil {
			t.Fatal("a table that nobody leads")
		}
		return
	case err != nil:
		t.Fatal(err)
	}
	if !slices.Equal(before, table.holders) || !slices.Equal(table.members, led.members) || led.print == table.print || led.Copies() != table.Copies() {
		t.Fatal("the table itself was changed, or the members, or not the print")
	}
	rest := build(t, living, table.params)
	for part := range uint32(table.Partitions()) {
		checkRow(t, table, led, rest, part)
	}
}

// checkRow checks who leads a partition.
func checkRow(t *testing.T, table, led, rest *Table, part uint32) {
	t.Helper()
	full, row := table.Holders(part), led.Holders(part)
	var want []uint16
	for _, alive := range []bool{true, false} {
		for _, h := range full {
			if led.Alive(int(h)) == alive {
				want = append(want, h)
			}
		}
	}
	if led.Alive(int(want[0])) {
		if !slices.Equal(row, want) {
			t.Fatalf("partition %d: held by %v, led as %v, want %v", part, full, row, want)
		}
		return
	}
	for i, h := range rest.Holders(part) {
		if got, want := led.members[row[i]].ID, rest.members[h].ID; got != want {
			t.Fatalf("partition %d, which nobody alive holds: holder %d is %s, want %s as without the others", part, i, got, want)
		}
	}
	for i, h := range row {
		if slices.Contains(row[:i], h) {
			t.Fatalf("partition %d: %v holds a member twice", part, row)
		}
		if alive := led.Alive(int(h)); alive != (i < len(rest.Holders(part))) {
			t.Fatalf("partition %d: holder %d of %v is alive: %v", part, i, row, alive)
		}
	}
}

func TestLedByTheLiving(t *testing.T) {
	f := func(count, zones, copies int, down ...int) {
		t.Helper()
		checkLed(t, build(t, members(count, zones), params(271, copies)), func(member int) bool { return !slices.Contains(down, member) })
	}
	f(3, 0, 1)
	f(3, 0, 1, 1)
	f(3, 0, 2, 0)
	f(3, 0, 2, 0, 2)
	f(3, 0, 3, 1, 2)
	f(3, 0, 8, 1)
	f(3, 0, 2, 0, 1, 2)
	f(1, 0, 1, 0)
	f(9, 3, 2, 0, 3, 6) // a zone
	f(9, 3, 3, 8, 1, 2, 5)
	f(0, 0, 1)
}

func TestNothingMovesBetweenTheLivingWhileAMemberIsDown(t *testing.T) {
	whole := build(t, members(5, 0), params(4093, 2))
	led := leadWithout(t, whole, 2)
	if got := moved(whole, led) + moved(led, whole); got != 0 {
		t.Errorf("%d moves", got)
	}
	leads := 0
	for part := range uint32(whole.Partitions()) {
		if whole.Owner(part) != led.Owner(part) {
			leads++
		}
	}
	if owned := whole.Owned(2); leads != owned || led.Owned(2) != 0 {
		t.Errorf("%d partitions are led by another, of %d that the one that is down owned", leads, owned)
	}
}

// What two members that are down have held alone is given to others, the rest stays.
func TestMovesWhereAllHoldersAreDown(t *testing.T) {
	whole := build(t, members(4, 0), params(4093, 2))
	led := leadWithout(t, whole, 0, 1)
	orphans := map[uint32]bool{}
	for part := range uint32(whole.Partitions()) {
		row := whole.Holders(part)
		if slices.Max(row) <= 1 {
			orphans[part] = true
		}
	}
	for m := range whole.Moves(led) {
		if !orphans[m.Part] || !led.Alive(m.To) || m.From > 1 {
			t.Fatalf("%+v", m)
		}
	}
	if got, want := moved(whole, led), 2*len(orphans); got != want || want == 0 {
		t.Errorf("%d moves, want %d", got, want)
	}
}

// Members agree on copies while they run: another number only adds holders, or takes some away.
func TestMoreCopiesMoveNoOwner(t *testing.T) {
	one, two := build(t, members(5, 0), params(4093, 1)), build(t, members(5, 0), params(4093, 2))
	for m := range one.Moves(two) {
		if m.From != one.Owner(m.Part) || m.To != int(two.Holders(m.Part)[1]) {
			t.Fatalf("%+v", m)
		}
	}
	if got := moved(one, two); got != 4093 {
		t.Errorf("%d moves to the second copies", got)
	}
	if got := moved(two, one); got != 0 {
		t.Errorf("%d moves to fewer copies", got)
	}
	if params(271, 1).Print() != params(271, 2).Print() {
		t.Error("members of other copies would be refused")
	}
}

func BenchmarkLed(b *testing.B) {
	for _, count := range []int{3, 30, 100} {
		table := build(b, members(count, 3), params(16381, 2))
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			for b.Loop() {
				leadWithout(b, table, 1)
			}
		})
	}
}
