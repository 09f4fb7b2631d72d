package storage

import "sync"

// A stripeLock guards a stripe: all of it, for whoever changes anything, or one part, for a look-up of a hash of that part. A look-up only reads what
// it shares with those of other parts, and notes the use of its own item. So on several processors look-ups seldom wait for one another.
//
// Those who want all take the parts in their order.
type stripeLock struct {
	parts [lockParts]lockPart
}

// lockParts is how many look-ups there can be at a time in a stripe; each more is paid for by every change.
const lockParts = 8

// A lockPart has a cache line for itself.
type lockPart struct {
	sync.Mutex
	_ [64 - 8]byte
}

func (l *stripeLock) Lock() {
	for i := range l.parts {
		l.parts[i].Lock()
	}
}

func (l *stripeLock) Unlock() {
	for i := range l.parts {
		l.parts[lockParts-1-i].Unlock()
	}
}

// part is what a look-up of the hash needs.
func (l *stripeLock) part(hash uint64) *sync.Mutex { return &l.parts[hash>>50&(lockParts-1)].Mutex }
