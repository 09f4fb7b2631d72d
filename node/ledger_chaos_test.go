//go:build chaos

package node_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
)

// A ledger is the model of some keys, each written by one client alone, one request after the other: what each may be by now. 0 is that there is no item.
type ledger struct {
	is   []uint64         // by key, if that is certain
	may  map[int][]uint64 // all it may be, if a write is of unknown end
	name func(key int) string
}

func newLedger(keys int, name func(int) string) *ledger {
	return &ledger{is: make([]uint64, keys), may: map[int][]uint64{}, name: name}
}

// A verb is what a client asks for.
type verb uint8

const (
	toGet verb = iota
	toSet
	toAdd
	toDelete
	toIncr
)

func (v verb) String() string { return [...]string{"get", "set", "add", "delete", "incr"}[v] }

// possible lists what a key may be.
func (l *ledger) possible(key int) []uint64 {
	if may := l.may[key]; may != nil {
		return may
	}
	return l.is[key : key+1]
}

// after gives what an item may be once a request was done to it, and what is answered then: of get and incr the number, else whether the item was there.
func (v verb) after(now, arg uint64) (next, answer uint64) {
	there := min(now, 1)
	switch {
	case v == toGet:
		return now, now
	case v == toSet:
		return arg, 1
	case v == toDelete:
		return 0, there
	case v == toAdd && now == 0:
		return arg, 1
	case v == toAdd:
		return now, 0
	case now == 0: // toIncr
		return 0, 0
	default:
		return now + arg, now + arg
	}
}

// done takes in an answered request, and says what is wrong with the answer: nothing that the key might have been explains it.
func (l *ledger) done(key int, v verb, arg, answer uint64) error {
	var next []uint64
	for _, now := range l.possible(key) {
		if then, told := v.after(now, arg); told == answer && !slices.Contains(next, then) {
			next = append(next, then)
		}
	}
	if len(next) == 0 {
		return fmt.Errorf("%v %s %d was answered %d, and it was %v", v, l.name(key), arg, answer, l.possible(key))
	}
	l.become(key, next)
	return nil
}

// open takes in a request of unknown end: it was done, is done later, or never.
func (l *ledger) open(key int, v verb, arg uint64) {
	next := slices.Clone(l.possible(key))
	for _, now := range l.possible(key) {
		if then, _ := v.after(now, arg); !slices.Contains(next, then) {
			next = append(next, then)
		}
	}
	l.become(key, next)
}

func (l *ledger) become(key int, next []uint64) {
	delete(l.may, key)
	if l.is[key] = next[0]; len(next) > 1 {
		l.may[key] = next
	}
}

// present counts the items that are there; all must be certain.
func (l *ledger) present() (count int) {
	for _, value := range l.is {
		count += int(min(value, 1))
	}
	return count
}

// The ledger finds what it is for.
func TestChaosLedger(t *testing.T) {
	type step struct {
		v      verb
		arg    uint64
		answer string // "?" is none
	}
	f := func(right bool, steps ...step) {
		t.Helper()
		l := newLedger(1, strconv.Itoa)
		for i, s := range steps {
			if s.answer == "?" {
				l.open(0, s.v, s.arg)
				continue
			}
			answer, _ := strconv.ParseUint(s.answer, 10, 64)
			if err := l.done(0, s.v, s.arg, answer); (err == nil) != (right || i < len(steps)-1) {
				t.Errorf("%v: %v", steps, err)
			}
		}
	}
	f(true, step{toSet, 10, "1"}, step{toIncr, 1, "11"}, step{toGet, 0, "11"}, step{toAdd, 20, "0"}, step{toDelete, 0, "1"}, step{toGet, 0, "0"}, step{toDelete, 0, "0"}, step{toIncr, 1, "0"})
	f(false, step{toSet, 10, "1"}, step{toGet, 0, "0"})
	f(false, step{toSet, 10, "1"}, step{toSet, 20, "1"}, step{toGet, 0, "10"})
	f(false, step{toSet, 10, "1"}, step{toDelete, 0, "1"}, step{toGet, 0, "10"})
	f(false, step{toSet, 10, "1"}, step{toIncr, 1, "12"})
	f(false, step{toSet, 10, "1"}, step{toAdd, 20, "1"})
	f(true, step{toSet, 10, "1"}, step{toSet, 20, "?"}, step{toGet, 0, "10"})
	f(true, step{toSet, 10, "1"}, step{toSet, 20, "?"}, step{toIncr, 1, "21"}, step{toGet, 0, "21"})
	f(true, step{toSet, 10, "1"}, step{toDelete, 0, "?"}, step{toGet, 0, "0"})
	f(true, step{toSet, 10, "1"}, step{toIncr, 1, "?"}, step{toIncr, 1, "12"})
	f(false, step{toSet, 10, "1"}, step{toIncr, 1, "?"}, step{toIncr, 1, "13"})
	f(false, step{toSet, 10, "1"}, step{toSet, 20, "?"}, step{toGet, 0, "20"}, step{toGet, 0, "10"})
	f(false, step{toSet, 10, "1"}, step{toGet, 0, "?"}, step{toGet, 0, "0"})
}
