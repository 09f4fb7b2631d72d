package session

import (
	"sync"

	"github.com/memring/memring/protocol/foresee"
)

// A Foreseer is a Codec that tells keys of requests before it reads them.
type Foreseer interface {
	// Foresee puts keys that the next requests at the head of buf are for into keys, as many as it has room for, and says how much of buf it has looked at.
	// It is a guess: some may be missing, and what is malformed, refused or of an unknown command may look like one. What is parsed does not depend on it.
	Foresee(buf []byte, keys [][]byte) (found, used int)
}

// foreseenKeys is how many keys are told of at a time: enough for what one look-up waits for to be hidden behind the others, and few enough to be still in the
// processor's cache when their requests come.
const foreseenKeys = 32

// foreseen lends memory for keys: what is passed to a Foreseer could not stay on the stack, and a session that rests is to be small.
var foreseen = sync.Pool{New: func() any { return new([foreseenKeys][]byte) }}

// LookAhead has f called with keys that requests behind the one that is handled are for, some at a time, if the codec is a Foreseer. The memory of keys is f's
// until it returns.
func (s *Session) LookAhead(f func(keys [][]byte)) {
	if foreseer, is := s.codec.(Foreseer); is {
		s.foreseer, s.ahead = foreseer, f
	}
}

// lookAhead tells of the keys at the head of in, and says how much of it has been looked at. A single one is not worth it.
func (s *Session) lookAhead(in []byte) (used int) {
	keys := foreseen.Get().(*[foreseenKeys][]byte)
	found, used := s.foreseer.Foresee(in, keys[:])
	if found > 1 {
		s.ahead(keys[:found])
	}
	clear(keys[:found])
	foreseen.Put(keys)
	return max(used, 1)
}

// Foresee implements Foreseer.
func (w *Wires) Foresee(buf []byte, keys [][]byte) (found, used int) {
	if w.on == onBinary {
		return foresee.Packets(buf, keys)
	}
	return foresee.Lines(buf, w.on == onText && !w.text.Between(), keys)
}

// Foresee implements Foreseer. Who is not in is not foreseen.
func (g *Gate) Foresee(buf []byte, keys [][]byte) (found, used int) {
	if g.user == nil {
		return 0, len(buf)
	}
	return g.wires.Foresee(buf, keys)
}
