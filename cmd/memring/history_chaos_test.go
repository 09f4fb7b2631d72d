//go:build chaos

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// An op is one request on one key, and what was answered; or what a fault may do to the item.
type op struct {
	client int // who asked
	node   int // whom
	kind   opKind
	key    string
	arg    string // what to store, append or add
	cas    uint64 // of opCAS

	call, ret time.Duration // since the round began; ret is never while it is not known whether it was done
	outcome   outcome
	value     string        // of a get that hit, or of a count
	unique    uint64        // the item's, as answered; 0 when not told
	said      string        // the answer, when it is none of an item's
	lost      time.Duration // when it was clear that the end is not known
}

type opKind uint8

const (
	opGet opKind = iota
	opSet
	opAdd
	opReplace
	opAppend
	opCAS
	opDelete
	opIncr
	opTouch
	opFlush
	opVanish // a fault that takes the item, or does not
)

func (k opKind) String() string {
	return [...]string{"get", "set", "add", "replace", "append", "cas", "delete", "incr", "touch", "flush_all", "fault"}[k]
}

type outcome uint8

const (
	unknown   outcome = iota // no answer, or one that does not tell whether it was done
	notDone                  // certainly not
	done                     // and it found the item, stored, counted
	missed                   // done: there was no item
	notStored                // done: there was one
	exists                   // done: the CAS unique was another one
)

func (o outcome) String() string {
	return [...]string{"UNKNOWN", "not done", "ok", "miss", "not stored", "exists"}[o]
}

// never is when an op returns that nobody knows the end of.
const never = time.Duration(math.MaxInt64)

func (o *op) String() string {
	ret := "never"
	if o.ret != never {
		ret = fmt.Sprintf("%.6f", o.ret.Seconds())
	}
	line := fmt.Sprintf("%.6f-%s client %d at node-%d: %v %s", o.call.Seconds(), ret, o.client, o.node+1, o.kind, o.arg)
	if o.cas != 0 {
		line += fmt.Sprintf(" unique %d", o.cas)
	}
	return line + fmt.Sprintf(" -> %v %s %d %s", o.outcome, o.value, o.unique, o.said)
}

// An image is what an item is, to those who asked for it.
type image struct {
	there  bool
	value  string
	unique uint64 // 0: not known
	last   uint64 // the greatest that was told of the key
}

// after gives what an item may be when an op was done to it: nothing, if the answer is none that it could have had.
func (now image) after(o *op) []image {
	switch o.outcome {
	case unknown:
		applied := *o
		applied.outcome = done
		applied.unique = 0
		return append(now.apply(&applied), now)
	case notDone:
		return []image{now}
	}
	return now.apply(o)
}

// apply is after, of an op that was done; with unique 0 in the answer of a write the item's is not known then.
func (now image) apply(o *op) []image {
	next, gone := now, image{last: now.last}
	only := func(right bool, next image) []image {
		if right {
			return []image{next}
		}
		return nil
	}
	write := func(right bool, value string) []image {
		next = image{there: true, value: value, unique: o.unique, last: max(now.last, o.unique)}
		return only(right && o.outcome == done && (o.unique == 0 || o.unique > now.last), next)
	}
	same := now.unique == 0 || now.unique == o.cas
	switch o.kind {
	case opVanish:
		return []image{now, {}}
	case opFlush:
		return []image{gone}
	case opGet:
		if o.outcome == missed {
			return only(!now.there, now)
		}
		next.unique, next.last = cmp.Or(o.unique, now.unique), max(now.last, o.unique)
		return only(now.there && now.value == o.value && (o.unique == 0 || o.unique == now.unique || now.unique == 0 && o.unique > now.last), next)
	case opSet:
		return write(true, o.arg)
	case opAdd:
		if o.outcome == notStored {
			return only(now.there, now)
		}
		return write(!now.there, o.arg)
	case opReplace, opAppend:
		if o.outcome == notStored {
			return only(!now.there, now)
		}
		if o.kind == opReplace {
			return write(now.there, o.arg)
		}
		return write(now.there, now.value+o.arg)
	case opCAS:
		switch o.outcome {
		case missed:
			return only(!now.there, now)
		case exists:
			return only(now.there && now.unique != o.cas, now)
		}
		return write(now.there && same, o.arg)
	case opDelete:
		return only((o.outcome == missed) == !now.there, gone)
	case opIncr:
		if o.outcome == missed {
			return only(!now.there, now)
		}
		before, err := strconv.ParseUint(now.value, 10, 64)
		count := strconv.FormatUint(before+1, 10)
		return write(now.there && err == nil && (o.value == "" || o.value == count), count)
	default: // opTouch
		return only((o.outcome == missed) == !now.there, now)
	}
}

// checkBound is how long the search for an order may take for one key: many writes of unknown end make it long.
const checkBound = 4 * time.Second

// linear reports whether some order of the ops, each at one moment between its call and its return, explains all the answers. It is found sooner without the
// writes of unknown end whose value nobody has seen: they need not have been done.
func linear(ops []*op) porcupine.CheckResult {
	var seen, told []*op
	for _, o := range ops {
		if o.outcome == unknown && (o.kind == opGet || o.kind == opTouch) || o.outcome == notDone {
			continue // it tells nothing, and did nothing
		}
		told = append(told, o)
		if o.outcome != unknown || o.arg == "" || slices.ContainsFunc(ops, func(p *op) bool { return strings.Contains(p.value, o.arg) }) {
			seen = append(seen, o)
		}
	}
	if result := ordered(seen); result == porcupine.Ok || len(seen) == len(told) {
		return result
	}
	return ordered(told)
}

// ordered is the search.
func ordered(ops []*op) porcupine.CheckResult {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{image{}} },
		Step: func(state, input, _ any) (next []any) {
			for _, now := range state.(image).after(input.(*op)) {
				next = append(next, now)
			}
			return next
		},
	}
	history := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		history = append(history, porcupine.Operation{ClientId: max(o.client, 0), Input: o, Call: int64(o.call), Return: int64(o.ret)})
	}
	return porcupine.CheckOperationsTimeout(model.ToModel(), history, checkBound)
}

// shortest gives the shortest beginning of a history that no order explains: its last op is the one that was too much.
func shortest(ops []*op) []*op {
	ends := make([]time.Duration, 0, len(ops))
	for _, o := range ops {
		if o.ret != never {
			ends = append(ends, o.ret)
		}
	}
	slices.Sort(ends)
	n, _ := slices.BinarySearchFunc(ends, true, func(end time.Duration, _ bool) int {
		if linear(until(ops, end)) == porcupine.Illegal {
			return 1
		}
		return -1
	})
	return until(ops, ends[min(n, len(ends)-1)])
}

// until gives what had been called by then, as far as was known then.
func until(ops []*op, end time.Duration) (early []*op) {
	for _, o := range ops {
		switch {
		case o.call > end:
		case o.ret > end && o.kind != opVanish:
			open := *o
			open.outcome, open.ret = unknown, never
			early = append(early, &open)
		default:
			early = append(early, o)
		}
	}
	return early
}

// growing says which reads of a key with one writer, who stores growing numbers, saw a smaller one than was acknowledged before they were called.
func growing(ops []*op) (wrong []string) {
	type ack struct {
		at    time.Duration
		value int
	}
	var acks []ack // by time: there is one writer
	late := map[string]bool{}
	for _, o := range ops {
		if o.kind == opSet && o.outcome == done {
			value, _ := strconv.Atoi(o.arg)
			acks = append(acks, ack{o.ret, value})
		} else if o.kind == opSet && o.outcome == unknown {
			late[o.arg] = true // may be done at any time
		}
	}
	for _, o := range ops {
		if o.kind != opGet || o.outcome != done || late[o.value] {
			continue
		}
		n, _ := slices.BinarySearchFunc(acks, o.call, func(a ack, call time.Duration) int { return cmp.Compare(a.at, call) })
		if value, err := strconv.Atoi(o.value); err != nil || n > 0 && value < acks[n-1].value {
			wrong = append(wrong, fmt.Sprintf("%v, and %d was acknowledged before", o, acks[max(n-1, 0)].value))
		}
	}
	return wrong
}

// counted says what is wrong with a counter in the end: it must be what was acknowledged, or up to as much more as nobody knows the end of.
func counted(ops []*op) string {
	acked, open, last := 0, 0, ""
	for _, o := range ops {
		switch {
		case o.kind == opIncr && o.outcome == done:
			acked++
		case o.kind == opIncr && o.outcome == unknown:
			open++
		case o.kind == opGet && o.outcome == done:
			last = o.value
		case o.kind == opGet && o.outcome == missed:
			last = ""
		}
	}
	if count, err := strconv.Atoi(last); err != nil || count < acked || count > acked+open {
		return fmt.Sprintf("the counter is %q in the end, %d counts were acknowledged and of %d more the end is not known", last, acked, open)
	}
	return ""
}

// The checkers find what they are for: a checker that cannot fail guards nothing.
func TestChaosCheckersFindWhatIsWrong(t *testing.T) {
	history := func(lines string) (ops []*op) { // "call-ret kind arg -> outcome value unique"
		for line := range strings.SplitSeq(lines, "; ") {
			o := &op{}
			words := strings.Fields(line)
			for i, word := range words {
				for k := opGet; k <= opVanish; k++ {
					if word == k.String() {
						o.kind = k
					}
				}
				for out := unknown; out <= exists; out++ {
					if word == out.String() {
						o.outcome = out
					}
				}
				switch name, value, _ := strings.Cut(word, "="); {
				case i == 0:
					_, err := fmt.Sscanf(word, "%d-%d", &o.call, &o.ret)
					if err != nil {
						t.Fatal(err)
					}
				case name == "arg":
					o.arg = value
				case name == "value":
					o.value = value
				case name == "unique":
					o.unique, _ = strconv.ParseUint(value, 10, 64)
				case name == "cas":
					o.cas, _ = strconv.ParseUint(value, 10, 64)
				}
			}
			if o.kind == opVanish || o.outcome == unknown {
				o.ret = never
			}
			ops = append(ops, o)
		}
		return ops
	}
	f := func(want porcupine.CheckResult, lines string) {
		t.Helper()
		ops := history(lines)
		if got := linear(ops); got != want {
			t.Errorf("%s: %v", lines, got)
		}
		if want == porcupine.Illegal && len(shortest(ops)) == 0 {
			t.Errorf("%s: no part of it is wrong", lines)
		}
	}
	const ok, wrong = porcupine.Ok, porcupine.Illegal
	f(ok, "1-2 set arg=a ok unique=5; 3-4 get ok value=a unique=5")
	f(wrong, "1-2 set arg=a ok unique=5; 3-4 get miss")
	f(ok, "1-2 set arg=a ok unique=5; 2-9 fault; 5-6 get miss")
	f(wrong, "1-2 set arg=a ok unique=5; 3-9 fault; 4-5 get miss; 6-7 set arg=b ok unique=6; 8-9 get miss")
	f(wrong, "1-2 set arg=a ok unique=5; 3-4 set arg=b ok unique=6; 5-6 get ok value=a unique=5")
	f(wrong, "1-2 set arg=a ok unique=5; 3-4 set arg=b ok unique=5")
	f(ok, "1-2 set arg=a ok unique=5; 2-4 set arg=b ok unique=6; 3-6 get ok value=a unique=5")
	f(ok, "1-2 set arg=a ok unique=5; 3-0 set arg=b UNKNOWN; 4-6 get ok value=a unique=5; 7-8 get ok value=b unique=7")
	f(wrong, "1-2 set arg=a ok unique=5; 3-0 set arg=b UNKNOWN; 4-6 get ok value=b unique=7; 7-8 get ok value=a unique=5")
	f(wrong, "1-2 set arg=a ok unique=5; 3-4 delete ok; 5-6 get ok value=a unique=5")
	f(wrong, "1-2 set arg=1 ok unique=5; 3-0 incr UNKNOWN; 5-6 get ok value=3 unique=6")
	f(ok, "1-2 set arg=1 ok unique=5; 3-0 incr UNKNOWN; 5-6 get ok value=2 unique=6")
	f(wrong, "1-2 set arg=a ok unique=5; 3-6 cas arg=b cas=5 ok unique=6; 3-6 cas arg=c cas=5 ok unique=7")
	f(wrong, "1-2 set arg=a ok unique=5; 3-0 append arg=b UNKNOWN; 4-6 get ok value=abb unique=6")
	f(wrong, "1-2 add arg=a ok unique=5; 3-4 add arg=b ok unique=6")
	f(wrong, "1-2 set arg=a ok unique=5; 3-4 flush_all ok; 5-6 get ok value=a unique=5")
	f(wrong, "1-2 set arg=a ok unique=5; 3-4 touch miss")

	g := func(want int, lines string) {
		t.Helper()
		if got := growing(history(lines)); len(got) != want {
			t.Errorf("%s: %q", lines, got)
		}
	}
	g(0, "1-2 set arg=1 ok; 3-4 get ok value=1; 3-6 set arg=2 ok; 5-6 get ok value=1; 7-8 get miss")
	g(1, "1-2 set arg=1 ok; 3-4 set arg=2 ok; 5-6 get ok value=1")
	g(0, "1-0 set arg=1 UNKNOWN; 3-4 set arg=2 ok; 5-6 get ok value=1")

	h := func(right bool, lines string) {
		t.Helper()
		if got := counted(history(lines)); (got == "") != right {
			t.Errorf("%s: %s", lines, got)
		}
	}
	h(true, "1-2 incr ok; 3-0 incr UNKNOWN; 5-6 get ok value=2")
	h(false, "1-2 incr ok; 3-0 incr UNKNOWN; 5-6 get ok value=3")
	h(false, "1-2 incr ok; 3-4 incr ok; 5-6 get ok value=1")

	i := func(want porcupine.CheckResult, isApart bool, lines string) {
		t.Helper()
		ops := history(lines)
		for _, o := range ops {
			o.node, _ = strconv.Atoi(o.arg)
			o.arg = "1"
		}
		s := &split{apart: []int{1}, from: 10, done: 12}
		if got := linear(s.side(ops, isApart)); got != want {
			t.Errorf("%s: among those apart %t: %v", lines, isApart, got)
		}
	}
	const before = "1-2 set arg=2 ok unique=5; "
	i(ok, true, before+"13-14 incr arg=1 ok value=2 unique=6; 11-15 incr arg=1 ok value=3 unique=7")
	i(ok, false, before+"13-14 incr arg=1 ok value=2 unique=6; 11-15 incr arg=1 ok value=3 unique=7; 16-17 get arg=2 ok value=1 unique=5")
	i(ok, false, before+"11-15 incr arg=1 ok value=2 unique=7; 16-17 get arg=2 ok value=2 unique=7")
	i(wrong, true, before+"11-15 incr arg=1 ok value=3 unique=7")
	i(wrong, false, before+"8-9 incr arg=1 ok value=3 unique=7")
	i(wrong, false, before+"13-14 incr arg=1 ok value=2 unique=6; 16-17 get arg=2 ok value=2 unique=6")
}
