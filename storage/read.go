package storage

import "sync"

// A reading copies an item that is too long for a glance out of the arena, without the stripe's lock.
//
//	lock: where are the first records, and in which lap?   unlock
//	copy them; are their segments still in that lap?
//	if there are more: lock, find the next few, unlock ...
//
// A segment's lap ends before anything of it is overwritten, so what was copied while the lap lasted is what was looked up. That the item itself
// was overwritten or evicted meanwhile does no harm: its old records stay.
type reading struct {
	part   *sync.Mutex // of the stripe, that is needed to look records up
	bits   metaBits    // of the first record
	bytes  int         // of all records together, if there are several; else 0
	head   uint32      // the reference to the first
	first  place       // of the first
	next   uint32      // how many records were looked up
	places [readAhead]place
	count  int  // of places
	more   bool // records behind the last place
}

// A place is where a record lies, in which lap.
type place struct {
	segment *segment
	number  uint32
	epoch   uint32
	record  uint32 // of the arena, in which it lies
	offset  uint16 // there
	length  uint16
}

// A look is how an item is to be read.
type look struct {
	most int  // a longer value is not
	use  bool // it counts as a use
}

// readAhead is how many records are looked up at a time: 512 KB of a large value.
const readAhead = 8

type readState uint8

const (
	copied   readState = iota
	missing            // there is no such item, or it is another key's of the same hash
	lapEnded           // the records were overwritten meanwhile
	overdue            // the item has expired, or a flush is due: that is to be done first
	tooLong            // not to be read at a glance
)

// read looks the item up and appends its value to dst, as l says. It needs no lock.
func (st *stripe) read(dst, key []byte, hash uint64, it *Item, l look) (valueBytes int, out []byte, state readState) {
	part := st.mu.part(hash)
	part.Lock()
	now := st.store.clock.Now()
	ref, state := st.lookUp(hash, now)
	if state != copied {
		part.Unlock()
		return 0, dst, state
	}
	if out, state = st.glance(dst, key, ref, now, it, l.use); state != tooLong {
		part.Unlock()
		return len(it.Value), out, state
	}
	r := reading{part: part}
	r.start(st, ref, now, it, l.use)
	part.Unlock()
	return r.copyOut(dst, key, it, l.most)
}

// lookUp gives the reference of the item of this hash. It needs the hash's part of the lock.
func (st *stripe) lookUp(hash uint64, now int64) (ref uint32, state readState) {
	if st.due(now) != nil {
		return 0, overdue
	}
	p := st.find(&st.tables[st.store.tableOf(hash)], hash)
	if p == nil {
		return 0, missing
	}
	switch m := st.meta(*p); {
	case m.has(tombstone):
		return 0, missing
	case m.expired(now):
		return 0, overdue
	}
	return *p, copied
}

// tidy does the flush that is due, and removes the item of this hash if it has expired. It needs no lock.
func (st *stripe) tidy(hash uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.there(hash, st.settle())
}

// glance appends the value of a small item to dst and notes its use, if it is one. The hash's part of the lock is held: its record is looked at where it lies.
func (st *stripe) glance(dst, key []byte, ref uint32, now int64, it *Item, use bool) ([]byte, readState) {
	g, n := st.locate(ref)
	m := g.meta(n)
	if m.has(continued) || m.length > splitBytes {
		return dst, tooLong
	}
	value, found, ok := cutTail(g.look(n), m.bits, it)
	if !ok {
		return dst, tooLong
	}
	if string(found) != string(key) {
		return dst, missing
	}
	m.tell(it)
	if use {
		m.use(now)
	}
	out := append(dst, value...)
	it.Value = out[len(dst):]
	return out, copied
}

// start notes where the item is, and its use, if it is one. it gets what the meta tells. The part is held.
func (r *reading) start(st *stripe, ref uint32, now int64, it *Item, use bool) {
	g, n := st.locate(ref)
	m := g.meta(n)
	r.bits = m.bits
	m.tell(it)
	if use {
		m.use(now)
	}
	if m.has(continued) {
		r.bytes = st.itemLength(g, n)
	}
	r.head, r.first = ref&(1<<(32-tagBits)-1), g.placeOf(n)
	if m.has(continued) {
		r.look(g, n)
	}
}

// look notes places from record n of g on. false if the item does not go on there: if it was moved, segments of it may have left the log.
func (r *reading) look(g *segment, n uint32) bool {
	r.count = 0
	for {
		if g == nil {
			return false
		}
		m := g.meta(n)
		if r.next > 0 && !m.continues(r.head, r.next) {
			return false
		}
		r.places[r.count] = g.placeOf(n)
		r.count++
		r.next++
		r.more = m.has(continued)
		if !r.more || r.count == readAhead {
			return true
		}
		g, n = g.after(n)
	}
}

// lookOn notes the places behind the last. false if they are gone.
func (r *reading) lookOn() bool {
	r.part.Lock()
	defer r.part.Unlock()
	last := &r.places[r.count-1]
	if r.first.ended() || last.ended() {
		return false
	}
	return r.look(last.segment.after(last.number))
}

// ended reports whether the record may have been overwritten since.
func (p *place) ended() bool { return p.segment.epoch.Load() != p.epoch }

// copyOut appends the value to dst, unless it is of more than most bytes.
func (r *reading) copyOut(dst, key []byte, it *Item, most int) (valueBytes int, out []byte, state readState) {
	start := len(dst)
	if room := r.room(most); room > cap(dst)-start {
		dst = append(make([]byte, 0, start+room), dst...)
	}
	out = r.first.append(dst)
	value, found, ok := cutTail(out[start:], r.bits, it)
	if !ok || r.first.ended() {
		return 0, dst, lapEnded
	}
	if string(found) != string(key) {
		return 0, dst, missing
	}
	end := start + r.bytes - (len(out) - start - len(value))
	if out = out[:start+len(value)]; r.bytes > 0 && end-start > most {
		it.Value = nil
		return end - start, dst, copied
	}
	for i := 1; ; i = 0 {
		for ; i < r.count; i++ {
			p := &r.places[i]
			out = p.append(out)
			if p.ended() {
				return 0, dst, lapEnded
			}
		}
		if !r.more {
			break
		}
		if !r.lookOn() {
			return 0, dst, lapEnded
		}
	}
	if r.bytes > 0 && len(out) != end {
		return 0, dst, lapEnded
	}
	it.Value = out[start:]
	return len(it.Value), out, copied
}

// room is what is to be had at once for records of which no value of more than most bytes is read; 0: whatever append takes.
func (r *reading) room(most int) int {
	if r.bytes > most+maxTail {
		return int(r.first.length)
	}
	return r.bytes
}
