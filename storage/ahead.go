package storage

import (
	"sync"
	"unsafe"

	"github.com/memring/memring/storage/arena"
	"github.com/memring/memring/storage/prefetch"
)

// A look-up waits for memory again and again, since each step says where the next one reads. Those of several keys can wait together: before the first is
// looked up, every step is prepared for all of them.
//
//	key -> table -> group -> metas -> record
//	       fetch    fetch    fetch    fetch     for each key in turn; then Get, for which all is near
//
// Nothing is kept of it: what is looked up later is looked up as ever, and what has changed since was fetched in vain.
const (
	// maxProspects is how many keys are prepared together: what was fetched for them must still be in the nearest cache when they are looked up.
	maxProspects = 32

	// fetchedBytes is how much of a record is fetched at most. Of longer ones the processor sees by itself what comes next.
	fetchedBytes = 640

	// A drain prepares for the record that is so many behind the one it examines, and for the first step of that which is twice as many behind.
	drainedAhead = 8
)

// A prospect is a key that will be looked up.
type prospect struct {
	hash  uint64
	st    *stripe
	part  *sync.Mutex // of the stripe, that is needed to look it up
	table *table
}

// LookAhead prepares for look-ups of these keys, the first 32 of them: Gets that follow soon find near what they read. It changes nothing, and is no use of an
// item.
func (s *Store) LookAhead(keys [][]byte) {
	if !prefetch.Works {
		return
	}
	var memory [maxProspects]prospect
	ahead := memory[:min(len(keys), maxProspects)]
	for i := range ahead {
		p := &ahead[i]
		p.hash = Hash(keys[i])
		p.st = s.stripe[s.stripeOf(p.hash)]
		p.part = p.st.mu.part(p.hash)
		p.table = &p.st.tables[s.tableOf(p.hash)]
		prefetch.Lines(unsafe.Pointer(p.table), 1)
	}
	for i := range ahead {
		ahead[i].fetchGroup()
	}
	for i := range ahead {
		ahead[i].fetchMetas()
	}
	for i := range ahead {
		ahead[i].fetchRecord()
	}
}

// Expect prepares for a look-up that is about to come: what its first step reads is fetched while the request is on its way. It changes nothing.
func (s *Store) Expect(hash uint64) {
	if prefetch.Works {
		prefetch.Lines(unsafe.Pointer(&s.stripe[s.stripeOf(hash)].tables[s.tableOf(hash)]), 1)
	}
}

func (p *prospect) fetchGroup() {
	p.part.Lock()
	defer p.part.Unlock()
	if t := p.table; t.used > 0 {
		prefetch.Lines(unsafe.Pointer(&t.groups[t.home(p.hash)]), groupBytes)
	}
}

// fetchMetas fetches what find will compare in the first group; few references are in another.
func (p *prospect) fetchMetas() {
	p.part.Lock()
	defer p.part.Unlock()
	t := p.table
	if t.used == 0 {
		return
	}
	tag, refs := tagOf(p.hash), &t.groups[t.home(p.hash)].refs
	for i := range refs {
		if ref := refs[i]; ref>>(32-tagBits) == tag && ref != 0 {
			g, n := p.st.locate(ref)
			g.fetchMeta(n)
		}
	}
}

func (p *prospect) fetchRecord() {
	p.part.Lock()
	defer p.part.Unlock()
	if ref := p.st.find(p.table, p.hash); ref != nil {
		g, n := p.st.locate(*ref)
		g.fetchRecord(n)
	}
}

func (g *segment) fetchMeta(n uint32) {
	prefetch.Lines(unsafe.Pointer(g.extent(n)), 1)
	prefetch.Lines(unsafe.Pointer(g.identity(n)), int(unsafe.Sizeof(identity{})))
}

func (g *segment) fetchRecord(n uint32) {
	if number, first, offset, length := g.lies(n); !g.packs(number) {
		g.fetch(first, offset, length)
	}
}

// fetch asks for what lies in the arena's record that begins at position first: its head, and length bytes from offset on.
func (g *segment) fetch(first, offset, length int) {
	if head := g.records.Head(first); head != nil {
		prefetch.Lines(head, 1)
		prefetch.Lines(unsafe.Add(head, arena.OverheadBytes+offset), min(length, fetchedBytes))
	}
}

// drainAhead prepares for what a drain, which examines record n of g now, will soon look up: each item is in another table, but for its metas, which lie
// side by side.
func (st *stripe) drainAhead(g *segment, n uint32) {
	if !prefetch.Works {
		return
	}
	if t, _ := st.tableOfRecord(g, n+2*drainedAhead); t != nil {
		prefetch.Lines(unsafe.Pointer(t), 1)
	}
	t, hash := st.tableOfRecord(g, n+drainedAhead)
	if t == nil {
		return
	}
	prefetch.Lines(unsafe.Pointer(&t.groups[t.home(hash)]), groupBytes)
	if t.ghost != nil {
		prefetch.Lines(unsafe.Pointer(t.ghostOf(hash)), 1)
	}
}

// tableOfRecord is where the item of record n of g is looked up; nil if there is no such record, or it is dead or not an item's first.
func (st *stripe) tableOfRecord(g *segment, n uint32) (t *table, hash uint64) {
	if int(n) > g.count || g.extent(n).has(dead|continuation) {
		return nil, 0
	}
	hash = g.identity(n).key()
	return &st.tables[st.store.tableOf(hash)], hash
}
