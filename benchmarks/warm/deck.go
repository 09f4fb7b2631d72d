package warm

import (
	"math/rand/v2"

	"github.com/memring/memring/benchmarks/trace"
)

// An Op is what a request does.
type Op uint8

const (
	Get    Op = iota // of a key that the database has
	Absent           // a get of one that it has not
	Update           // a set of a new version
	Fill             // a set of what a get has missed
)

// opOf says what the n-th request of all clients does. Any hundred in a row have the same number of each op, and those of an op lie far from one
// another: the multiplier is near a hundred times the golden ratio (Knuth: "Sorting and searching", 6.4), and no divisor of a hundred.
func (c Config) opOf(n uint64) Op {
	const golden = 61
	switch place := int(n % hundred * golden % hundred); {
	case place < c.Absent:
		return Absent
	case place < c.Absent+c.Updates:
		return Update
	}
	return Get
}

// A deck says for which key a client asks next.
type deck struct {
	zipf *trace.Zipf
	keys uint32
}

func newDeck(c Config, client int) *deck {
	return &deck{zipf: trace.NewZipf(rand.New(rand.NewPCG(c.Seed, uint64(client))), c.Zipf, c.Keys), keys: uint32(c.Keys)}
}

// key draws one by popularity. Those of absent ones are numbered above the others.
func (d *deck) key(op Op) uint32 {
	key := uint32(d.zipf.Rank())
	if op == Absent {
		key += d.keys
	}
	return key
}
