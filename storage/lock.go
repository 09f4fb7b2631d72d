package storage

import "sync"

// A stripeLock guards a stripe: all of it, for whoever changes anything, or one part, for a look-up of a hash of that part. A look-up only reads what
// it shares with those of other parts, and notes the use of its own item. So on several processors look-ups seldom wait for one another.
//
// Those who want all take the parts in their order.
type stripeLock struct {
	last  uint64 // the number of the last part in use, of all ones: a mask
	_     [64 - 8]byte
	parts [mostParts]lockPart
}

const (
	// mostParts is how many look-ups there can be at a time in a stripe, at most; each more is paid for by every change.
	mostParts = 8

	// locksEach is how many parts all stripes together should have for each processor: then one look-up in so many, about, meets another.
	locksEach = 16
)

// A lockPart has a cache line for itself.
type lockPart struct {
	sync.Mutex
	_ [64 - 8]byte
}

// divide makes the parts: with many stripes few are needed, and one processor needs one.
func (l *stripeLock) divide(stripes, processors int) {
	parts := 1
	for processors > 1 && parts < mostParts && stripes*parts < locksEach*processors {
		parts *= 2
	}
	l.last = uint64(parts - 1)
}

func (l *stripeLock) Lock() {
	for i := range l.used() {
		l.parts[i].Lock()
	}
}

func (l *stripeLock) Unlock() {
	used := l.used()
	for i := range used {
		used[len(used)-1-i].Unlock()
	}
}

func (l *stripeLock) used() []lockPart { return l.parts[:l.last+1] }

// part is what a look-up of the hash needs.
func (l *stripeLock) part(hash uint64) *sync.Mutex {
	return &l.parts[hash>>50&l.last&(mostParts-1)].Mutex
}
