package replicator

import (
	"slices"

	"github.com/memring/memring/node/piece"
)

// Keep says that all is here of these partitions that a member has held which is gone for good, as a former run of this node. It is a copy like any other whose holder is gone: of use until it
// is found that somebody holds the partition. Keep is to be called before the first Adopt, once.
func (r *Replicator) Keep(parts piece.Set, from piece.Member) {
	if parts.Empty() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.numbered++
	c := &copying{from: from, number: r.numbered, parts: slices.Clone(parts)}
	c.heard.Store(true)
	c.whole.Store(true)
	for part := range parts.All() {
		r.copies.Store(part, c)
	}
	r.sessions[c.number] = c
}
