package replicator

import (
	"github.com/memring/memring/node/piece"
)

// A deletion leaves no tombstone while nobody is missed: when all replicas have it, nobody can bring the item back. But if one of them does not acknowledge it there may be a cut that nobody has noticed, and
// on its other side that one goes on with what was deleted. So it leaves a tombstone after all, of the version that it had, here and with all replicas.
//
//	delete --Copy--> replica -> ?   tombstone here --Copy--> all replicas; then what becomes of any copy that is not acknowledged

// graveSeconds is for how long it is kept: as long as node.Node has others kept.
const graveSeconds = 3600

// unburied reports whether a write that is not acknowledged was a deletion that has no tombstone yet and should have one.
func (r *Replicator) unburied(w *write) bool {
	return w.gone.Load() != 0 && r.cfg.Place(w.part) >= piece.Arriving && !r.ended.Load()
}

// bury leaves the tombstone of a deletion, and sends it to all replicas.
func (r *Replicator) bury(w *write) {
	s := w.shard
	s.sending.Lock()
	defer s.sending.Unlock()
	if !r.entomb(w) {
		return
	}
	if feeds := r.feeds.Load(int(w.part)); feeds != nil {
		told := &write{shard: s, part: w.part, hash: w.hash, key: w.key, flying: len(*feeds)}
		s.begin(told)
		r.copy(told, *feeds, 0)
	}
}

// entomb leaves the tombstone of a deletion, once, unless the key has been written since.
func (r *Replicator) entomb(w *write) bool {
	version := w.gone.Load()
	if version == 0 {
		return false
	}
	defer w.gone.Store(0) // not before: who finds it so goes on
	held := r.cfg.Store.Hold(w.key)
	defer held.Release()
	return held.Entomb(version, graveSeconds)
}

// buryOpen leaves the tombstones of deletions in partitions that are given away, which not all replicas have acknowledged. They go along with the items.
func (r *Replicator) buryOpen(parts piece.Set) {
	var open []*write
	r.eachOpen(func(w *write) {
		if parts.Has(int(w.part)) && w.gone.Load() != 0 {
			open = append(open, w)
		}
	})
	for _, w := range open {
		r.entomb(w)
	}
}
