package storage

import (
	"math/rand/v2"
	"testing"
)

// TestPlaces holds what is computed without a division against what is meant: the partition is hash modulo partitions, and the tables are dealt their
// shares of the hashes in order.
func TestPlaces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	f := func(partitions, tables int) {
		t.Helper()
		l := layout{tables: tables, partitions: partitions, spread: spreadOf(partitions, tables)}
		l.byParts, l.bySpread = divisorOf(partitions), divisorOf(l.spread)
		if l.spread%partitions != 0 || l.spread < leastShares*tables {
			t.Fatalf("%d partitions, %d tables: %d shares", partitions, tables, l.spread)
		}
		check := func(hash uint64) {
			share := int(hash % uint64(l.spread))
			if got, want := l.partOf(hash), int(hash%uint64(partitions)); got != want {
				t.Fatalf("hash %x is of partition %d of %d, want %d", hash, got, partitions, want)
			}
			table := l.tableOf(hash)
			if want := share * tables / l.spread; table != want {
				t.Fatalf("%d partitions: hash %x is of table %d of %d, want %d", partitions, hash, table, tables, want)
			}
			if !l.has(table, func(part int) bool { return part == int(hash%uint64(partitions)) }) {
				t.Fatalf("%d partitions: table %d of %d has a hash of a partition that it has not", partitions, table, tables)
			}
		}
		most := uint64(1<<64-1) / uint64(l.spread) * uint64(l.spread) // the greatest multiple
		for range 300 {
			check(rnd.Uint64())
			check(most - rnd.Uint64N(1000)*uint64(l.spread)) // whose share is the first, and the last
			check(most - rnd.Uint64N(1000)*uint64(l.spread) - 1)
			first := uint64(l.firstShare(rnd.IntN(tables))) // of a table
			check(most - uint64(l.spread) + first)
			check(first)
		}
		some := 0
		for table := range tables {
			if l.has(table, func(part int) bool { return part == partitions/2 }) {
				some++
			}
		}
		if most := 2 * l.spread / partitions; some == 0 || some > most {
			t.Errorf("%d partitions: %d of %d tables have some of one, at most %d may", partitions, some, tables, most)
		}
	}
	for _, partitions := range []int{1, 2, 8, 67, 1 << 12, manyPartitions, 1 << 14, mostPartitions - 1, mostPartitions} {
		for _, tables := range []int{4, 16, 448, 512, 5000, 1 << 14} {
			f(partitions, tables)
		}
	}
}

// TestTablesAreEven: all tables have about as many items, and these differ in what tells them apart there, even where the number of partitions is a power of two
// and so the last bits of a hash are those of its partition.
func TestTablesAreEven(t *testing.T) {
	const items = 100_000
	f := func(partitions int) {
		t.Helper()
		s := openStore(t, Config{MaxBytes: 16 << 20, Partitions: partitions})
		fill(t, s, items, 10)
		mean := items / s.tables
		for i := range s.stripe[0].tables {
			table := &s.stripe[0].tables[i]
			if table.used < mean*2/3 || table.used > mean*3/2 {
				t.Errorf("%d partitions: table %d has %d items, the mean is %d", partitions, i, table.used, mean)
			}
			tags := map[uint32]bool{}
			past := 0
			for _, g := range table.groups {
				past += int(g.past)
				for _, ref := range g.refs {
					tags[ref>>(32-tagBits)] = true
				}
			}
			if len(tags) < 1<<tagBits*3/4 {
				t.Errorf("%d partitions: the items of table %d have but %d tags", partitions, i, len(tags))
			}
			if past > table.used/3 {
				t.Errorf("%d partitions: %d of %d items of table %d are not where a search begins", partitions, past, table.used, i)
			}
		}
	}
	f(1)
	f(1 << 10)
	f(1 << 14)
	f(mostPartitions)
	f(manyPartitions)
}
