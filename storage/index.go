package storage

import "slices"

// A table is a piece of a stripe's index, from hashes to references, with the ghost of what it has lost. There are many, each for its share of
// the partitions, and each grows on its own, so that no growth takes long. An item stays in its table for life, wherever its records go: who has
// visited all tables has met all items, and who has visited those of a partition has met all of that (places.go).
//
// The references lie in groups of the size of a cache line; whatever finds its group full goes to the next one:
//
//	group:  | ref | ref | ... 15 ... | how many refs of this or earlier groups went past it |
//
// That count ends a search: no refs went past means none to look for behind. It makes deletion exact, with nothing left in the place.
type table struct {
	groups []group
	used   int
	ghost  []ghostSet // two for each group; nil until the first eviction
}

const groupRefs = 15

type group struct {
	refs [groupRefs]uint32 // 0: empty
	past uint32
}

// A ghostSet remembers keys that were evicted before they were used, the latest first: 15 bits of the hash, and one that says there is a key.
type ghostSet [8]uint16

const (
	groupBytes    = 64
	ghostSetBytes = 16
	ghostSets     = 2 // for each group: about as many keys as the group has items

	// fullPercent is how many of a table's places may be taken before it grows; growPercent is by how much.
	// More taken means longer searches: at 85 % one look-up in six goes on to a second group.
	fullPercent = 85
	growPercent = 30
)

// home is the group where a search for the hash begins.
func (t *table) home(hash uint64) int {
	return int((hash >> homeShift & (1<<homeBits - 1)) * uint64(len(t.groups)) >> homeBits)
}

// find gives the place of the hash's reference; nil if there is none.
func (st *stripe) find(t *table, hash uint64) *uint32 {
	if t.used == 0 {
		return nil
	}
	tag, at := tagOf(hash), t.home(hash)
	for range t.groups { // in a small table refs may have gone past all groups
		g := &t.groups[at]
		for i := range g.refs {
			if ref := g.refs[i]; ref>>(32-tagBits) == tag && ref != 0 && st.meta(ref).key() == hash {
				return &g.refs[i]
			}
		}
		if g.past == 0 {
			return nil
		}
		if at++; at == len(t.groups) {
			at = 0
		}
	}
	return nil
}

// prepareLink sees to it that the table can take one more reference: it grows, or, if there is no memory for that, is filled to the last place.
// false if that is taken. It may give up free segments, so room is made after it.
func (st *stripe) prepareLink(t *table) bool {
	if (t.used+1)*100 <= len(t.groups)*groupRefs*fullPercent {
		return true
	}
	need := t.grown() * groupBytes
	if t.ghost != nil {
		need += t.grown() * ghostSets * ghostSetBytes
	}
	if !st.giveUp(need) {
		return t.used < len(t.groups)*groupRefs
	}
	st.grow(t)
	return true
}

// grown is how many groups the table gets when it grows.
func (t *table) grown() int { return 1 + len(t.groups)*growPercent/100 }

// add puts ref into the first group with an empty place; prepareLink has seen to it that there is one. The hash must not be there yet.
func (t *table) add(hash uint64, ref uint32) {
	t.used++
	for at := t.home(hash); ; {
		g := &t.groups[at]
		for i := range g.refs {
			if g.refs[i] == 0 {
				g.refs[i] = ref
				return
			}
		}
		g.past++
		if at++; at == len(t.groups) {
			at = 0
		}
	}
}

// unlink takes the hash's reference out; it must be there.
func (t *table) unlink(hash uint64, ref uint32) {
	t.used--
	for at := t.home(hash); ; {
		g := &t.groups[at]
		for i := range g.refs {
			if g.refs[i] == ref {
				g.refs[i] = 0
				return
			}
		}
		g.past--
		if at++; at == len(t.groups) {
			at = 0
		}
	}
}

// grow gives the table more groups and finds every reference its new place.
func (st *stripe) grow(t *table) {
	old := t.groups
	t.groups = make([]group, len(old)+t.grown())
	t.used = 0
	for i := range old {
		for _, ref := range old[i].refs {
			if ref != 0 {
				t.add(st.meta(ref).key(), ref)
			}
		}
	}
	st.chargeHeap((len(t.groups) - len(old)) * groupBytes)
	if t.ghost != nil {
		st.growGhost(t, len(old))
	}
}

// growGhost stretches the ghost to the table's new groups. What is kept of a hash is too little to find its new place, so each set is taken
// over by the sets that have its place now.
func (st *stripe) growGhost(t *table, oldGroups int) {
	old := t.ghost
	t.ghost = make([]ghostSet, len(t.groups)*ghostSets)
	for i := range t.ghost {
		from := i / ghostSets * oldGroups / len(t.groups)
		if len(old) > 0 {
			t.ghost[i] = old[from*ghostSets+i%ghostSets]
		}
	}
	st.chargeHeap((len(t.ghost) - len(old)) * ghostSetBytes)
}

// remember notes that the key of this hash was evicted, unless there is no memory for the first such note.
func (st *stripe) remember(t *table, hash uint64) {
	if t.ghost == nil {
		if !st.affords(len(t.groups) * ghostSets * ghostSetBytes) {
			return
		}
		st.growGhost(t, 0)
	}
	set := t.ghostOf(hash)
	copy(set[1:], set[:len(set)-1])
	set[0] = fingerprint(hash)
}

// recall reports whether the key of this hash was evicted not long ago, and forgets it.
func (t *table) recall(hash uint64) bool {
	i := t.remembers(hash)
	if i < 0 {
		return false
	}
	set := t.ghostOf(hash)
	copy(set[i:], set[i+1:])
	set[len(set)-1] = 0
	return true
}

// remembers gives the place in its set of what the ghost knows of a hash; -1: nothing.
func (t *table) remembers(hash uint64) int {
	if t.ghost == nil {
		return -1
	}
	return slices.Index(t.ghostOf(hash)[:], fingerprint(hash))
}

func (t *table) ghostOf(hash uint64) *ghostSet {
	return &t.ghost[t.home(hash)*ghostSets+int(hash>>ghostShift&1)]
}
