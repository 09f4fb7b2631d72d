package node

// flushedElsewhere obeys the mark of a flush_all that another member tells of when they exchange all they know: it may not have reached this one
// (CLUSTER.md 4.2, 10). Not at once, since every item may have to be looked at.
func (n *Node) flushedElsewhere(mark uint64) {
	if mark > n.store.Flushed() {
		n.errands.Go(func() { n.store.FlushBefore(mark) })
	}
}
