//go:build chaos && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// mostTold is how many lines of a key's history a failure shows.
const mostTold = 60

// mostAccused is how many keys a round accuses: to find where an order ends takes long, and the rest has the same reason.
const mostAccused = 4

// judge holds what was told against what the kind of round promises.
func (r *trial) judge(told []*op, tally *tally) {
	began := time.Now()
	told = append(told, r.more...)
	byKey, open := map[string][]*op{}, 0
	for _, o := range told {
		byKey[o.key] = append(byKey[o.key], o)
		if o.outcome == unknown {
			open++
		} else if r.kind.strict {
			tally.slowest = max(tally.slowest, o.ret-o.call)
		}
	}
	condemned, wrongly := r.condemned()
	switch {
	case wrongly:
		tally.void++
		r.t.Logf("void: a member was condemned that nothing was done to")
		return
	case condemned && r.kind.brief:
		tally.condemned++
		r.t.Logf("a member was condemned: that changes nothing")
	}
	for _, o := range told {
		if o.outcome == unknown && (r.kind.strict || strings.Contains(o.said, "answered")) && !r.hungUp(o) {
			r.t.Errorf("a request failed: %s %v", o.key, o)
		}
	}
	for _, key := range allKeys() {
		ops := append(byKey[key], r.taken[key]...)
		slices.SortStableFunc(ops, func(a, b *op) int { return int(a.call - b.call) })
		switch {
		case r.split != nil:
			r.judgeSides(key, ops, tally)
			r.judgeSilence(key, ops)
			r.judgeHeal(key, ops)
		default:
			r.judgeKey(key, "", ops, tally)
			if wrong := counted(ops); strings.HasPrefix(key, "counter") && len(r.taken[key]) == 0 && r.kind.name != "flush" && wrong != "" {
				r.accuse(key, ops, []string{wrong})
			}
		}
	}
	r.t.Logf("%s: %d requests, %d of unknown end; %v, judged in %v", r.kind.cells, len(told), open,
		r.now().Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	tally.asked, tally.failed = tally.asked+len(told), tally.failed+open
}

// hungUp reports whether a request was lost since its node had been told to stop.
func (r *trial) hungUp(o *op) bool {
	told := time.Duration(r.nodes[o.node].told.Load())
	return strings.HasPrefix(o.said, "lost") && told > 0 && told < o.lost
}

// accuse tells what is wrong with a key.
func (r *trial) accuse(key string, ops []*op, wrong []string) {
	r.t.Helper()
	if len(wrong) == 0 || r.accused == mostAccused {
		return
	}
	r.accused++
	var story strings.Builder
	for _, o := range ops[max(0, len(ops)-mostTold):] {
		fmt.Fprintf(&story, "    %v\n", o)
	}
	r.t.Errorf("seed %d: %s: %s\n%s", r.seed, key, strings.Join(wrong[:min(3, len(wrong))], "\n  "), story.String())
}

// judgeKey looks for one order of the ops that explains all answers, and that numbers grow.
func (r *trial) judgeKey(key, where string, ops []*op, tally *tally) {
	if strings.HasPrefix(key, "growing") {
		r.accuse(key, ops, growing(ops))
	}
	if r.accused == mostAccused {
		return
	}
	switch linear(ops) {
	case porcupine.Unknown:
		tally.undecided++
	case porcupine.Illegal:
		r.accuse(key, shortest(ops), []string{where + "no order explains this, up to the last answer"})
	}
}

// judgeSides looks at each side alone, as long as there were two.
func (r *trial) judgeSides(key string, ops []*op, tally *tally) {
	s := r.split
	for _, isApart := range []bool{true, false} {
		side := s.side(until(ops, s.healed), isApart)
		where := fmt.Sprintf("among %v before the heal: ", map[bool]string{true: "those apart", false: "the rest"}[isApart])
		if slices.Contains(s.apart, s.owner[key]) != isApart { // the owner is on the other side: here its items are not
			side = append(side, &op{client: -1, kind: opVanish, key: key, call: s.from, ret: never, outcome: done})
		}
		r.judgeKey(key, where, side, tally)
	}
}

// side gives the ops that those apart, or the rest, may have to do with. What was asked of the others before the cut was complete, and answered when it had begun, may have been done by either: on this side nobody
// knows the end of it, and what it was answered is the others' concern.
func (s *split) side(ops []*op, isApart bool) (side []*op) {
	for _, o := range ops {
		late := s.how.oneWay() && o.outcome == unknown
		switch {
		case s.silenced && isApart && o.call > s.done && o.outcome == missed && o.kind == opGet: // it need not be so
		case slices.Contains(s.apart, o.node) == isApart || late || o.ret <= s.from:
			side = append(side, o)
		case o.call <= s.done:
			open := *o
			open.outcome, open.ret, open.value, open.unique = unknown, never, "", 0
			side = append(side, &open)
		}
	}
	return side
}

// judgeSilence holds those who were apart to having told nothing, and taken nothing, at the end of the split.
func (r *trial) judgeSilence(key string, ops []*op) {
	const end = time.Second
	s := r.split
	for _, o := range ops {
		if s.silenced && o.call > s.healed-end && o.ret < s.healed && slices.Contains(s.apart, o.node) && o.outcome == done {
			r.accuse(key, ops, []string{fmt.Sprintf("answered by a minority: %v", o)})
			return
		}
	}
}

// judgeHeal holds what is there after a split against the newest that was acknowledged on either side: that, or what may have come later. Not yet promised is
// that a deletion stays one.
func (r *trial) judgeHeal(key string, ops []*op) {
	var finals []*op
	ops = slices.DeleteFunc(slices.Clone(ops), func(o *op) bool {
		if o.client == talkers {
			finals = append(finals, o)
		}
		return o.client == talkers
	})
	if len(finals) == 0 {
		return
	}
	// All nodes tell the same, but for what may be done late: nobody knows the end of it.
	last := []*op{{client: -1, kind: opSet, key: key, arg: finals[0].value, unique: finals[0].unique, outcome: done}}
	if finals[0].outcome == missed {
		last[0].kind, last[0].arg = opDelete, ""
		last[0].outcome = missed
	}
	for _, o := range ops {
		if o.outcome == unknown && o.kind.writes() {
			last = append(last, o)
		}
	}
	if last = append(last, finals...); linear(last) == porcupine.Illegal {
		r.accuse(key, last, []string{"the nodes do not tell the same"})
		return
	}
	if wrong := notNewest(ops, finals[0]); wrong != "" {
		r.accuse(key, append(ops, finals...), []string{wrong})
	}
}

// notNewest says if what is there in the end is neither the newest of the acknowledged writes, nor what one of unknown end may have made of it.
func notNewest(ops []*op, final *op) string {
	var newest *op
	for _, o := range ops {
		if o.outcome == done && o.kind.writes() && o.kind != opDelete && o.kind != opFlush && (newest == nil || o.unique > newest.unique) {
			newest = o
		}
	}
	if newest == nil || final.outcome == done && final.unique == newest.unique {
		return ""
	}
	for _, o := range ops {
		switch {
		case o.outcome == done && (o.kind == opDelete || o.kind == opFlush) && o.ret > newest.call:
			return "" // it may have come after it
		case o.outcome != unknown || !o.kind.writes():
		case o.arg == "" || final.outcome == done && strings.Contains(final.value, o.arg):
			return "" // a deletion or count that nobody knows the end of, or the write that is there
		}
	}
	return fmt.Sprintf("the newest write of either side is not there in the end: %v", newest)
}

func (k opKind) writes() bool { return k != opGet && k != opTouch && k != opVanish }

// lost is how a node tells that it has taken another one for dead.
var lost = regexp.MustCompile(`member lost.*\bmember"?[:=]"?node-(\d+)`)

// condemned reports whether some node has taken another one for dead; wrongly, if nothing was done that would explain it.
func (r *trial) condemned() (ever, wrongly bool) {
	gone := func(i int) bool { return r.dead[i] || !r.kind.strict && r.nodes[i].told.Load() > 0 }
	for _, m := range r.nodes {
		log, err := os.ReadFile(m.log.Name())
		if err != nil {
			r.t.Error(err)
		}
		if bytes.Count(log, []byte("member lost")) != len(lost.FindAll(log, -1)) {
			r.t.Errorf("node-%d tells in other words who is lost", m.number+1)
		}
		for _, found := range lost.FindAllSubmatch(log, -1) {
			number, _ := strconv.Atoi(string(found[1]))
			ever, wrongly = true, wrongly || !r.cut && !gone(m.number) && !gone(number-1)
		}
	}
	return ever, wrongly
}
