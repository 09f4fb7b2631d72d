package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// members makes cache-0, cache-1, ... in as many zones, taken in turn; zones 0 leaves the zone empty.
func members(count, zones int) []Member {
	list := make([]Member, count)
	for i := range list {
		list[i] = Member{ID: fmt.Sprintf("cache-%d", i), Weight: 1}
		if zones > 0 {
			list[i].Zone = fmt.Sprintf("zone-%d", i%zones)
		}
	}
	return list
}

func params(partitions, copies int) Params {
	p := DefaultParams()
	p.Partitions, p.Copies = partitions, copies
	return p
}

func build(t testing.TB, list []Member, p Params) *Table {
	t.Helper()
	table, err := Build(list, p)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// packageRing is what the consistent package makes of members of weight 1.
func packageRing(list []Member, p Params) *consistent.Consistent {
	var units []consistent.Member
	for _, m := range list {
		units = append(units, unit{name: m.ID + "/00"})
	}
	return consistent.New(units, consistent.Config{Hasher: &hasher{rest: func() {}}, PartitionCount: p.Partitions, ReplicationFactor: p.VNodes, Load: p.Load})
}

func TestPartitionAndOwnerAreThePackages(t *testing.T) {
	for _, count := range []int{1, 2, 3, 12, 40} {
		p := params(4093, 1)
		list := members(count, 0)
		table, ring := build(t, list, p), packageRing(list, p)
		for i := range 5000 {
			key := fmt.Appendf(nil, "user:%d", i)
			part := table.Partition(key)
			if want := ring.FindPartitionID(key); int(part) != want {
				t.Fatalf("partition of %s: %d, want %d", key, part, want)
			}
			if got, want := table.Members()[table.Owner(part)].ID+"/00", ring.LocateKey(key).String(); got != want {
				t.Fatalf("%d members: owner of %s: %s, want %s", count, key, got, want)
			}
		}
	}
}

func TestEmptyTableHasNoOwners(t *testing.T) {
	table := build(t, nil, DefaultParams())
	part := table.Partition([]byte("key"))
	if table.Owner(part) != -1 || table.Holders(part) != nil || len(table.Members()) != 0 || table.Index("a") != -1 {
		t.Errorf("owner %d, holders %v, members %v", table.Owner(part), table.Holders(part), table.Members())
	}
}

func TestPartitionOutsideTheTableHasNoOwner(t *testing.T) {
	table := build(t, members(3, 0), params(271, 2))
	for _, part := range []uint32{271, 272, math.MaxUint32} {
		if table.Owner(part) != -1 || table.Holders(part) != nil {
			t.Errorf("partition %d: owner %d, holders %v", part, table.Owner(part), table.Holders(part))
		}
	}
}

func TestIndex(t *testing.T) {
	table := build(t, members(12, 0), params(271, 1))
	for i, m := range table.Members() {
		if got := table.Index(m.ID); got != i {
			t.Errorf("index of %s: %d, want %d", m.ID, got, i)
		}
	}
	if got := table.Index("cache-99"); got != -1 {
		t.Errorf("index of a stranger: %d", got)
	}
}

// shares is the largest and the smallest share of partitions owned, as multiples of the fair one.
func shares(table *Table) (most, least float64) {
	weights := 0
	for _, m := range table.Members() {
		weights += int(m.Weight)
	}
	least = math.Inf(1)
	for i, m := range table.Members() {
		fair := float64(table.Partitions()) * float64(m.Weight) / float64(weights)
		share := float64(table.Owned(i)) / fair
		most, least = max(most, share), min(least, share)
	}
	return most, least
}

func TestNoMemberOwnsMoreThanItsBound(t *testing.T) {
	for _, count := range []int{1, 2, 3, 5, 10, 20, 50, 100} {
		table := build(t, members(count, 0), DefaultParams())
		bound := int(math.Ceil(1.15 * float64(table.Partitions()) / float64(count)))
		total := 0
		for i := range count {
			owned := table.Owned(i)
			total += owned
			if owned > bound {
				t.Errorf("%d members: %s owns %d partitions, bound %d", count, table.Members()[i].ID, owned, bound)
			}
		}
		if total != table.Partitions() {
			t.Errorf("%d members: %d partitions have an owner, want %d", count, total, table.Partitions())
		}
		most, least := shares(table)
		t.Logf("%d members: %.2f to %.2f of the fair share", count, least, most)
		if least < 0.65 {
			t.Errorf("%d members: the least has %.2f of its share", count, least)
		}
	}
}

func TestWeightsShareThePartitions(t *testing.T) {
	list := members(20, 0)
	for i := range list {
		list[i].Weight = []uint8{1, 2, 4, 8}[i%4]
	}
	most, least := shares(build(t, list, DefaultParams()))
	if most > 1.16 || least < 0.65 {
		t.Errorf("shares %.2f to %.2f of the fair one", least, most)
	}
}

func TestOrderOfMembersDoesNotMatter(t *testing.T) {
	for _, count := range []int{3, 10, 25} {
		list := members(count, 3)
		list[1].Weight = 3
		p := params(1021, 3)
		p.VNodes = 20 // names such as cache-1 and cache-11 made earlier versions of the package depend on order at this number
		want := build(t, list, p)
		random := rand.New(rand.NewPCG(1, uint64(count)))
		for range 20 {
			given := slices.Clone(list)
			random.Shuffle(len(given), func(i, j int) { given[i], given[j] = given[j], given[i] })
			before := slices.Clone(given)
			got := build(t, given, p)
			if got.Print() != want.Print() || !slices.Equal(got.holders, want.holders) || !slices.Equal(got.Members(), want.Members()) {
				t.Fatalf("%d members: the table depends on their order", count)
			}
			if !slices.Equal(given, before) {
				t.Fatal("Build changed its argument")
			}
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	f := func(name string, want string, change func(list []Member, p *Params) []Member) {
		t.Helper()
		p := DefaultParams()
		list := change(members(3, 0), &p)
		table, err := Build(list, p)
		if err == nil || table != nil {
			t.Errorf("%s: accepted", name)
		} else if err.Error() != want {
			t.Errorf("%s: %q, want %q", name, err, want)
		}
	}
	member := func(change func(m *Member)) func([]Member, *Params) []Member {
		return func(list []Member, _ *Params) []Member { change(&list[1]); return list }
	}
	f("empty id", `member id "": want 1 to 64 bytes`, member(func(m *Member) { m.ID = "" }))
	f("blank", `member id "a b": want UTF-8 without blanks and control characters`, member(func(m *Member) { m.ID = "a b" }))
	f("control", `member id "a\n": want UTF-8 without blanks and control characters`, member(func(m *Member) { m.ID = "a\n" }))
	f("no UTF-8", `member id "a\xff": want UTF-8 without blanks and control characters`, member(func(m *Member) { m.ID = "a\xff" }))
	f("zone", `member cache-1: zone "z z": want up to 32 bytes of UTF-8 without blanks and control characters`, member(func(m *Member) { m.Zone = "z z" }))
	f("no weight", "member cache-1: weight 0: want 1 to 32", member(func(m *Member) { m.Weight = 0 }))
	f("much weight", "member cache-1: weight 33: want 1 to 32", member(func(m *Member) { m.Weight = 33 }))
	f("twice", "member id cache-0: given twice", member(func(m *Member) { m.ID = "cache-0" }))
	f("units", "weights add up to 34: 271 partitions carry up to 33", func(list []Member, p *Params) []Member {
		p.Partitions, list[1].Weight = 271, 32
		return list
	})
	param := func(change func(p *Params)) func([]Member, *Params) []Member {
		return func(list []Member, p *Params) []Member { change(p); return list }
	}
	f("algorithm", "placement algorithm 2: this build knows only 1", param(func(p *Params) { p.Algorithm = 2 }))
	f("partitions", "partitions 7: want 8 to 262144", param(func(p *Params) { p.Partitions = 7 }))
	f("vnodes", "vnodes 0: want 1 to 1000", param(func(p *Params) { p.VNodes = 0 }))
	f("copies", "copies 9: want 1 to 8", param(func(p *Params) { p.Copies = 9 }))
	f("load", "load NaN: want 1.05 to 4", param(func(p *Params) { p.Load = math.NaN() }))
	f("copy load", "copy load 1: want 1.05 to 4", param(func(p *Params) { p.CopyLoad = 1 }))
}

func TestPrintTellsTablesApart(t *testing.T) {
	seen := map[uint64]string{}
	f := func(name string, list []Member, p Params) {
		t.Helper()
		print := build(t, list, p).Print()
		if other, dup := seen[print]; dup {
			t.Errorf("%s has the print of %s", name, other)
		}
		seen[print] = name
	}
	p := params(271, 1)
	f("empty", nil, p)
	f("two", members(2, 0), p)
	f("three", members(3, 0), p)
	f("zones", members(3, 2), p)
	f("weight", []Member{{ID: "cache-0", Weight: 2}, {ID: "cache-1", Weight: 1}}, p)
	f("id then zone", []Member{{ID: "ab", Zone: "c", Weight: 1}}, p)
	f("id with zone", []Member{{ID: "a", Zone: "bc", Weight: 1}}, p)
	whole := build(t, members(3, 0), p)
	for down := range 3 {
		led := leadWithout(t, whole, down)
		if other, dup := seen[led.Print()]; dup {
			t.Errorf("three without %d has the print of %s", down, other)
		}
		seen[led.Print()] = fmt.Sprintf("three without %d", down)
	}
	for i, change := range []func(p *Params){
		func(p *Params) { p.Partitions = 277 }, func(p *Params) { p.VNodes = 99 }, func(p *Params) { p.Copies = 2 },
		func(p *Params) { p.Load = 1.2 }, func(p *Params) { p.CopyLoad = 1.2 },
	} {
		p := p
		change(&p)
		f(fmt.Sprintf("parameter %d", i), members(3, 0), p)
	}
}

// Members of two builds must agree on every table, so what algorithm 1 means may never change. If this fails, a new number is due.
func TestAlgorithmOneStaysAsItIs(t *testing.T) {
	list := members(7, 3)
	list[2].Weight = 4
	table := build(t, list, params(4093, 3))
	var b []byte
	for _, h := range table.holders {
		b = append(b, byte(h))
	}
	if got, want := fmt.Sprintf("%016x %016x %016x", table.params.Print(), table.Print(), xxhash.Sum64(b)), algorithmOne; got != want {
		t.Errorf("prints of parameters, table and holders:\n got %s\nwant %s", got, want)
	}
}

const algorithmOne = "43b402b2326fe5a5 feb2dfea095d9cf5 48db3325f05906a6"

// moved counts the moves.
func moved(from, to *Table) (count int) {
	for range from.Moves(to) {
		count++
	}
	return count
}

func TestJoinAndLeaveMoveLittleMoreThanTheyMust(t *testing.T) {
	f := func(count int, joinBound, leaveBound float64) {
		t.Helper()
		small, large := build(t, members(count, 0), DefaultParams()), build(t, members(count+1, 0), DefaultParams())
		newcomer := large.Index(fmt.Sprintf("cache-%d", count))
		must := float64(large.Owned(newcomer))
		join, leave := float64(moved(small, large))/must, float64(moved(large, small))/must
		t.Logf("%d members: a join moved %.2f times what it must, a leave %.2f", count+1, join, leave)
		if join > joinBound || leave > leaveBound {
			t.Errorf("more than %v, %v", joinBound, leaveBound)
		}
	}
	f(1, 1, 1)
	f(2, 1.05, 1.05)
	f(4, 1.1, 1.1)
	f(9, 1.15, 1.15)
	f(30, 1.3, 1.3)
}

func TestMovesAreTheChangedOwners(t *testing.T) {
	p := params(271, 1)
	before, after := build(t, members(3, 0), p), build(t, members(4, 0)[1:], p)
	moves := map[uint32]Move{}
	last := -1
	for m := range before.Moves(after) {
		if int(m.Part) <= last {
			t.Fatalf("partition %d after %d", m.Part, last)
		}
		last = int(m.Part)
		moves[m.Part] = m
	}
	for part := range uint32(p.Partitions) {
		from, to := before.Owner(part), after.Owner(part)
		m, moved := moves[part]
		if same := before.Members()[from] == after.Members()[to]; same == moved {
			t.Fatalf("partition %d from %s to %s: moved %v", part, before.Members()[from].ID, after.Members()[to].ID, moved)
		}
		if moved && (m.From != from || m.To != to) {
			t.Fatalf("partition %d: %+v, want from %d to %d", part, m, from, to)
		}
	}
}

func TestMovesFromAndToNothing(t *testing.T) {
	p := params(271, 2)
	empty, full := build(t, nil, p), build(t, members(3, 0), p)
	count := 0
	for m := range empty.Moves(full) {
		count++
		if m.From != -1 {
			t.Fatalf("%+v comes from somewhere", m)
		}
	}
	if want := 2 * p.Partitions; count != want {
		t.Errorf("%d moves into an empty cluster, want %d", count, want)
	}
	if got := moved(full, empty); got != 0 {
		t.Errorf("%d moves into nowhere", got)
	}
	if got := moved(full, full); got != 0 {
		t.Errorf("%d moves without a change", got)
	}
	if got, want := moved(full, build(t, members(3, 0), params(277, 2))), 2*277; got != want {
		t.Errorf("%d moves between unlike parameters, want %d", got, want)
	}
}

func TestLookUpsDoNotAllocate(t *testing.T) {
	table := build(t, members(5, 0), params(4093, 2))
	key := []byte("user:12345678")
	sum := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		part := table.Partition(key)
		sum += table.Owner(part) + len(table.Holders(part)) + table.Index("cache-3")
	}); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkOwner(b *testing.B) {
	table := build(b, members(30, 0), DefaultParams())
	key := []byte("user:12345678")
	sum := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key[len(key)-1] = byte(i)
		sum += table.Owner(table.Partition(key))
	}
	_ = sum
}

func BenchmarkMoves(b *testing.B) {
	before, after := build(b, members(30, 0), DefaultParams()), build(b, members(31, 0), DefaultParams())
	for b.Loop() {
		moved(before, after)
	}
}

// Who builds at ease gets the same table, and is let rest again and again, with copies as well.
func TestBuildAtEase(t *testing.T) {
	list := members(5, 2)
	for copies := 1; copies <= 3; copies++ {
		p := params(16381, copies)
		rests := 0
		table, err := BuildAtEase(list, p, func() { rests++ })
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(table.holders, build(t, list, p).holders) {
			t.Errorf("%d copies: another table", copies)
		}
		if want := (1 + copies) * p.Partitions / restEvery; rests < want {
			t.Errorf("%d copies: %d rests, want %d at least", copies, rests, want)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, count := range []int{3, 30, 100, 400} {
		for _, copies := range []int{1, 2, 3} {
			b.Run(fmt.Sprintf("%d members, %d copies", count, copies), func(b *testing.B) {
				list := members(count, 3)
				for b.Loop() {
					build(b, list, params(16381, copies))
				}
			})
		}
	}
}
