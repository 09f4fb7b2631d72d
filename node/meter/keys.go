package meter

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"
)

const (
	// window is the time over which keys are counted: what HotKeys tells is of the last whole one.
	window = 10 * time.Second

	// A stripe counts rows times ways keys at a time. A key's hash says in which row it is counted; one that takes more than one in ways of the row's requests is
	// among them, so one that takes a hundredth of all surely is: others bring a row about a thirty-second of them. A row is two neighbouring cache lines, and a key is
	// kept from its second request on, which few have: what is measured costs mostly the memory that it touches, for by then others have had the cache.
	rows = 32
	ways = 8

	// hotShare is the part of a node's requests from which on a key is hot, and hotSamples are as many measured ones as make that no accident.
	hotShare   = 0.01
	hotSamples = 8
)

// keys are the keys of a stripe that are asked for most: Space-Saving (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in
// data streams, 2005), in windows.
type keys struct {
	now, last *sketch       // of the window of now, and of the one before; nil while no key was ever counted
	until     time.Duration // when that of now ends
}

func (k *keys) add(key []byte, at time.Duration) {
	k.turn(at)
	if k.now == nil {
		k.now, k.last = newSketch(), newSketch()
	}
	k.now.add(key)
}

// turn begins a new window if it is time.
func (k *keys) turn(at time.Duration) {
	if at < k.until || k.now == nil {
		if k.now == nil {
			k.until = at - at%window + window
		}
		return
	}
	k.now, k.last = k.last, k.now
	if at >= k.until+window {
		k.last.clear() // nothing was counted in the last one
	}
	k.now.clear()
	k.until = at - at%window + window
}

// A sketch counts keys. Of one that it has had no counter for all the time, it may have counted others' requests: excess says how many at most.
type sketch struct {
	rows  [rows][ways]count
	keys  [rows][ways][]byte
	seed  maphash.Seed
	total uint64
}

type count struct {
	hash         uint32 // of the key, without the part that chooses the row
	seen, excess uint32 // none seen: this counter is free
	named        bool   // the key is kept
}

func newSketch() *sketch { return &sketch{seed: maphash.MakeSeed()} }

func (s *sketch) clear() {
	s.total = 0
	clear(s.rows[:])
}

func (s *sketch) add(key []byte) {
	s.total++
	sum := maphash.Bytes(s.seed, key)
	at, hash := sum%rows, uint32(sum>>32)
	row, least := &s.rows[at], 0
	for way := range row {
		c := &row[way]
		if c.seen > 0 && c.hash == hash {
			if c.seen++; !c.named {
				s.keys[at][way], c.named = append(s.keys[at][way][:0], key...), true
			}
			return
		}
		if c.seen < row[least].seen {
			least = way
		}
	}
	row[least] = count{hash: hash, seen: row[least].seen + 1, excess: row[least].seen}
}

// each visits the keys that were asked for twice, and how many requests were for them at least.
func (s *sketch) each(visit func(key []byte, seen uint64)) {
	for row := range s.rows {
		for way, c := range s.rows[row] {
			if c.named {
				visit(s.keys[row][way], uint64(c.seen-c.excess))
			}
		}
	}
}

// A HotKey is a key that takes more than a hundredth of the requests of this node.
type HotKey struct {
	Key   string
	Share float64 // of this node's requests, from 0 to 1; at least
	Rate  float64 // requests a second; at least
}

// HotKeys gives those of the last whole window, the hottest first; limit at most.
func (m *Meter) HotKeys(limit int) (hot []HotKey) {
	seen, total := make(map[string]uint64), uint64(0)
	now := m.cfg.Now()
	for i := range m.stripes {
		s := &m.stripes[i]
		s.mu.Lock()
		if s.keys.now != nil {
			s.keys.turn(now)
			total += s.keys.last.total
			s.keys.last.each(func(key []byte, n uint64) { seen[string(key)] += n })
		}
		s.mu.Unlock()
	}
	for key, n := range seen {
		if share := float64(n) / float64(total); n >= hotSamples && share >= hotShare {
			hot = append(hot, HotKey{Key: key, Share: share, Rate: float64(n) * float64(m.cfg.Every) / window.Seconds()})
		}
	}
	slices.SortFunc(hot, func(a, b HotKey) int { return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Key, b.Key)) })
	return hot[:min(limit, len(hot))]
}
