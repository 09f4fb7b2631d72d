// Package ring says which member holds which partition of the keys, in an immutable table, and what must move between two tables.
//
//	members, params -> Build -> Table      key -> Partition -> Owner, Holders
//	       who of them is alive -> Led -> Table, of the same holders
//	                            Table, Table -> Moves
//
// Everything here is a pure function of its arguments: every node that knows the same members computes the same table and needs to ask nobody.
// Why it is built this way, and what it was measured to do, stands in DESIGN.md beside this file.
package ring

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// A Member is what the ring knows of a member of the cluster.
type Member struct {
	ID     string // unique in the cluster, and the same after a restart; 1 to MaxIDBytes bytes of UTF-8 without blanks and control characters
	Zone   string // copies avoid sharing one; up to MaxZoneBytes bytes of the same kind; may be empty
	Weight uint8  // how many times the keys of a member of weight 1 it takes, 1 to MaxWeight
}

// The bounds of a Member. They keep what gossip says of a member well inside one packet.
const (
	MaxIDBytes   = 64
	MaxZoneBytes = 32
	MaxWeight    = 32 // weights are for unlike machines; a finer scale would only make more units, see DESIGN.md
)

// Validate reports what makes m unfit for a table. What comes from the network must pass it, or one bad member would stop all tables.
func (m Member) Validate() error {
	switch {
	case m.ID == "" || len(m.ID) > MaxIDBytes:
		return fmt.Errorf("member id %.80q: want 1 to %d bytes", m.ID, MaxIDBytes)
	case !printable(m.ID):
		return fmt.Errorf("member id %q: want UTF-8 without blanks and control characters", m.ID)
	case len(m.Zone) > MaxZoneBytes || !printable(m.Zone):
		return fmt.Errorf("member %s: zone %.80q: want up to %d bytes of UTF-8 without blanks and control characters", m.ID, m.Zone, MaxZoneBytes)
	case m.Weight < 1 || m.Weight > MaxWeight:
		return fmt.Errorf("member %s: weight %d: want 1 to %d", m.ID, m.Weight, MaxWeight)
	}
	return nil
}

// printable keeps out what would break a line of stats or of a log.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// A Table says who holds each partition. It never changes, so any number of goroutines may read it.
type Table struct {
	params  Params
	print   uint64
	members []Member // by ID
	copies  int      // holders of each partition: Params.Copies, or fewer when there are fewer members; 0 without members
	holders []uint16 // partition by partition, its holders as indexes of members, the owner first
	alive   []bool   // by member; nil: all of them
}

// Partition gives the partition of key. It is the one that the consistent package would give.
func (t *Table) Partition(key []byte) uint32 {
	return PartitionOf(xxhash.Sum64(key), t.params.Partitions)
}

// PartitionOf gives the partition, of so many, of the keys that have a hash (storage.Hash).
func PartitionOf(hash uint64, partitions int) uint32 { return uint32(hash % uint64(partitions)) }

// Owner gives the index in Members of the member that answers for part, or -1 when there is none: an empty table, or no such partition.
func (t *Table) Owner(part uint32) int {
	at := int(part) * t.copies
	if at >= len(t.holders) {
		return -1
	}
	return int(t.holders[at])
}

// Holders gives the indexes in Members of all who hold part, its owner first; none where Owner gives -1. The slice is the table's: only read it.
func (t *Table) Holders(part uint32) []uint16 {
	at := int(part) * t.copies
	if at >= len(t.holders) {
		return nil
	}
	return t.holders[at : at+t.copies : at+t.copies]
}

// Members gives the members by rising ID. The slice is the table's: only read it.
func (t *Table) Members() []Member { return t.members }

// Index gives the place of a member in Members, or -1.
func (t *Table) Index(id string) int {
	at, found := slices.BinarySearchFunc(t.members, id, func(m Member, id string) int { return strings.Compare(m.ID, id) })
	if !found {
		return -1
	}
	return at
}

// Owned counts the partitions that a member (an index in Members) owns. It walks the table: for reports, not for requests.
func (t *Table) Owned(member int) int {
	owned := 0
	for at := 0; at < len(t.holders); at += t.copies {
		if int(t.holders[at]) == member {
			owned++
		}
	}
	return owned
}

// Partitions is how many there are, Params.Partitions.
func (t *Table) Partitions() int { return t.params.Partitions }

// Copies is how many members were to hold each partition: Params.Copies. Where there are fewer members each of them does.
func (t *Table) Copies() int { return t.params.Copies }

// Alive reports whether a member (an index in Members) was alive when the table was made: Led.
func (t *Table) Alive(member int) bool { return t.alive == nil || t.alive[member] }

// Print is the fingerprint of the members, the parameters, and who of the members is alive. Equal prints mean equal tables.
func (t *Table) Print() uint64 { return t.print }

// A Move is a partition that gets a new holder.
type Move struct {
	Part uint32
	From int // its owner in the former table, an index in that table's Members; -1 when it had none
	To   int // who holds it now and did not before, an index in the next table's Members
}

// Moves gives what must move from t to next, by rising partition: one Move for each holder in next that did not hold the partition in t.
// With one copy that is one Move for each partition whose owner changes. Members are the same when their IDs are.
// Between tables of unlike Params (Copies apart) everything moves from nowhere.
func (t *Table) Moves(next *Table) iter.Seq[Move] {
	return func(yield func(Move) bool) {
		former := make([]int, len(next.members)) // index in next -> index in t
		for i, m := range next.members {
			former[i] = t.Index(m.ID)
		}
		alike := t.params.Print() == next.params.Print()
		for part := range uint32(next.params.Partitions) {
			from, held := -1, []uint16(nil)
			if alike {
				from, held = t.Owner(part), t.Holders(part)
			}
			for _, to := range next.Holders(part) {
				if i := former[to]; i >= 0 && slices.Contains(held, uint16(i)) {
					continue
				}
				if !yield(Move{Part: part, From: from, To: int(to)}) {
					return
				}
			}
		}
	}
}
