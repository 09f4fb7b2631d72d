package warm

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/benchmarks/trace"
)

// A ledger is the database, and what clients know of the cache: for each key the newest version there is, and the newest one whose set
// was acknowledged. Whoever asks notes the latter first; what comes may be newer, not older.
//
// A key is set by one client at a time, so the order of its versions is the order of its sets. A set that was not acknowledged may
// still be done later, even after the next one: its version is in doubt, and reading it is then late, not stale.
type ledger struct {
	values        trace.Values
	least, most   int
	setting       []atomic.Bool
	issued, acked []atomic.Uint32

	mu      sync.Mutex         // guards doubted
	doubted map[[2]uint32]bool // keys and versions, as many as there were sets without an answer
}

func newLedger(c Config) *ledger {
	return &ledger{
		values: trace.NewValues(), least: c.LeastBytes, most: c.MostBytes,
		setting: make([]atomic.Bool, c.Keys), issued: make([]atomic.Uint32, c.Keys), acked: make([]atomic.Uint32, c.Keys), doubted: map[[2]uint32]bool{},
	}
}

func (l *ledger) keys() uint32 { return uint32(len(l.issued)) }

// headBytes of a value are its key's number and its version; the rest is made of both.
const headBytes = 8

// begin claims a key and gives the version to set, or false while another client is at it. The claim must be ended.
func (l *ledger) begin(key uint32) (version uint32, ok bool) {
	if !l.setting[key].CompareAndSwap(false, true) {
		return 0, false
	}
	return l.issued[key].Add(1), true
}

// end tells what came of a set: acknowledged, and whether an attempt of it was left without an answer.
func (l *ledger) end(key, version uint32, acked, doubted bool) {
	if doubted {
		l.mu.Lock()
		l.doubted[[2]uint32{key, version}] = true
		l.mu.Unlock()
	}
	if acked {
		l.acked[key].Store(version)
	}
	l.setting[key].Store(false)
}

// appendValue appends a key's value of a version.
func (l *ledger) appendValue(dst []byte, key, version uint32) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, key)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	return append(dst, l.values.Of(pattern(key, version), uint32(l.valueBytes(key)-headBytes+trace.KeyBytes))...)
}

func (l *ledger) valueBytes(key uint32) int { return int(trace.Between(key, l.least, l.most)) }

// pattern tells versions of a key apart as well as keys.
func pattern(key, version uint32) uint32 { return key*0x9e3779b1 ^ version*0x85ebca6b }

// A standing is what a value that was read is worth.
type standing uint8

const (
	right standing = iota
	wrong          // never set for this key
	stale          // older than a set that was acknowledged before the read began
	late           // likewise, but its own set was never answered
)

// judge compares a value with what may be read, given what acked was before it was asked for.
func (l *ledger) judge(key, acked uint32, value []byte) standing {
	if key >= l.keys() || len(value) != l.valueBytes(key) || binary.LittleEndian.Uint32(value) != key {
		return wrong
	}
	version := binary.LittleEndian.Uint32(value[4:])
	switch {
	case version == 0 || version > l.issued[key].Load() || !l.values.IsPart(pattern(key, version), 0, value[headBytes:]):
		return wrong
	case version >= acked:
		return right
	case l.inDoubt(key, version):
		return late
	}
	return stale
}

func (l *ledger) inDoubt(key, version uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.doubted[[2]uint32{key, version}]
}
