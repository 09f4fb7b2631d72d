package storage

// A Trace is what a Store knows of a key, for an operator who asks why it is there or not.
type Trace struct {
	Found      bool
	Item       Item // without its value, which is not read
	ValueBytes int
	Stored     int64 // the Unix second in which it was given its version, by the clock of whoever did

	// If nothing is found: why, and in which Unix second it went, 0 if that is not known.
	Fate Fate
	At   int64
	// Since is the Unix second from which on all ends are known that happened here, but those by a flush; Flushed that of the last flush, 0 if there was none. What
	// ended before a flush may have been stored again, and flushed: its Fate is Unknown.
	Since, Flushed int64
}

// A Fate is why there is no item under a key.
type Fate uint8

// The fates.
const (
	Unknown Fate = iota // never stored here, or too long gone to be remembered, or handed over, or flushed
	Never               // never stored since the Store was opened
	Deleted
	Expired
	Evicted
	Refused        // replaced by one that could not be stored: too large, or no room
	Buried         // deleted, or expired: a tombstone stands for it
	PerhapsEvicted // the ghost remembers something like it, by some bits of its hash: one in 4096 other keys looks as if it were remembered, too
)

// Trace tells what is known of a key. It is no use of its item, and nothing is counted.
func (s *Store) Trace(key []byte) (t Trace) {
	hash := Hash(key)
	st := s.stripe[s.stripeOf(hash)]
	st.mu.Lock()
	defer st.mu.Unlock()
	defer st.moving.release()
	now := st.settle()
	t.Since = max(st.fates.since, st.fates.dropped)
	if mark := s.Flushed(); mark != 0 {
		t.Flushed = min(secondOf(mark), now)
	}
	if st.find(&st.tables[s.tableOf(hash)], hash) != nil && st.traceItem(&t, hash, key, now) {
		return t
	}
	if fate, at, known := st.fates.of(hash); known && at > max(t.Flushed, st.fates.dropped) {
		t.Fate, t.At = fate, at
		return t
	}
	switch {
	case t.Fate != Unknown:
	case st.tables[s.tableOf(hash)].remembers(hash) >= 0:
		t.Fate = PerhapsEvicted
	case st.fates.whole && max(t.Flushed, st.fates.dropped) == 0:
		t.Fate = Never
	}
	return t
}

// traceItem tells of what the index has under the hash; final is false if there may be more to say.
func (st *stripe) traceItem(t *Trace, hash uint64, key []byte, now int64) (final bool) {
	g, n := st.locate(*st.find(&st.tables[st.store.tableOf(hash)], hash))
	m := g.meta(n)
	found, ok := st.tail(g, n, &t.Item)
	switch {
	case !ok:
		return false
	case m.has(tombstone):
		t.Fate, t.At = Buried, min(secondOf(t.Item.Version), now)
	case string(found) != string(key): // another key of the same hash has taken its place, as if it had evicted it
		return false
	case m.expired(now):
		t.Fate, t.At = Expired, int64(m.expiry)
		return true
	default:
		m.tell(&t.Item)
		t.Found, t.ValueBytes = true, m.valueBytes(st.itemLength(g, n), len(key))
		t.Stored = secondOf(t.Item.Version)
		return true
	}
	return false
}

// secondOf is the Unix second in which a version was given.
func secondOf(version uint64) int64 {
	return (int64(version>>(tagOfNodeBits+countBits)) + epochMilli) / 1000
}

// fates remember how the latest items of a stripe ended: a ring of words, 32 bits of the hash, 29 of the second since 2024, 3 of the Fate.
type fates struct {
	ring    []uint64
	next    int
	whole   bool  // all since the start are in the ring
	since   int64 // all since this second are
	dropped int64 // the last second in which items went that are not remembered one by one, since their partition is another member's; 0: none
}

const (
	fateBits     = 3
	fateTimeBits = 29
	// fateBytes of the limit pay for one word: 1,024 for a stripe of 32 MB.
	fateBytes             = 32 << 10
	leastFates, mostFates = 64, 8192
)

func newFates(limit int, now int64) fates {
	return fates{ring: make([]uint64, min(max(limit/fateBytes, leastFates), mostFates)), whole: true, since: now}
}

// bytes is the memory of the ring.
func (f *fates) bytes() int { return len(f.ring) * 8 }

// note remembers an end.
func (f *fates) note(hash uint64, fate Fate, at int64) {
	if lost := f.ring[f.next]; lost != 0 {
		f.whole, f.since = false, max(f.since, timeOf(lost)+1)
	}
	f.ring[f.next] = hash&(1<<32-1)<<32 | uint64(at-epochMilli/1000)&(1<<fateTimeBits-1)<<fateBits | uint64(fate)
	if f.next++; f.next == len(f.ring) {
		f.next = 0
	}
}

// of gives the last end that is remembered of a hash.
func (f *fates) of(hash uint64) (fate Fate, at int64, known bool) {
	for i := range f.ring {
		word := f.ring[(f.next-1-i+2*len(f.ring))%len(f.ring)]
		if word == 0 {
			break
		}
		if word>>32 == hash&(1<<32-1) {
			return Fate(word & (1<<fateBits - 1)), timeOf(word), true
		}
	}
	return Unknown, 0, false
}

func timeOf(word uint64) int64 { return int64(word>>fateBits&(1<<fateTimeBits-1)) + epochMilli/1000 }
