package sides

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at gives members of these letters.
func members(ids string) (here []membership.Member) {
	for _, id := range ids {
		here = append(here, membership.Member{Member: ring.Member{ID: string(id)}, Boot: 1, State: membership.Active})
	}
	return here
}

// A story is what one node sees, in order.
type story struct {
	sides *Sides
	now   time.Duration
	lost  map[rune]membership.Lost
	gone  string
}

func newStory(self string, minMembers int) *story {
	return &story{sides: New(Config{Self: self, MinMembers: minMembers}), lost: map[rune]membership.Lost{}}
}

// sees moves the clock, and has the node see who is here and who is lost from now on.
func (s *story) sees(after time.Duration, here, lost string) (minority, apart bool) {
	s.now += after
	now := start.Add(s.now)
	var all []membership.Lost
	for _, id := range lost {
		if _, known := s.lost[id]; !known {
			s.lost[id] = membership.Lost{Member: members(string(id))[0], Since: now}
		}
		all = append(all, s.lost[id])
	}
	for id := range s.lost {
		if !strings.ContainsRune(lost, id) {
			delete(s.lost, id)
		}
	}
	apart = s.sides.Look(members(here), all, func(m membership.Member) bool { return strings.Contains(s.gone, m.ID) }, now)
	return s.sides.Minority(), apart
}

func TestTheSmallSideKnowsThatItIs(t *testing.T) {
	const second = time.Second
	f := func(self, before, here, lost string, want bool) {
		t.Helper()
		s := newStory(self, 0)
		s.sees(0, before, "")
		if got, apart := s.sees(second, here, lost); got != want || apart != (lost != "") {
			t.Errorf("of %s only %s are here: minority %v, want %v; apart %v", before, here, got, want, apart)
		}
	}
	f("a", "abc", "ab", "c", false)
	f("c", "abc", "c", "ab", true)
	f("a", "abc", "a", "bc", true)
	f("a", "abcd", "ab", "cd", false) // of two halves that with the lowest id goes on
	f("c", "abcd", "cd", "ab", true)
	f("a", "ab", "a", "b", false)
	f("b", "ab", "b", "a", true)
	f("c", "abc", "c", "", false) // both have left in order
	f("a", "a", "a", "", false)
	f("a", "abcde", "abe", "cd", false)
	f("d", "abcde", "de", "abc", true)
}

// Those who are lost one after the other have crashed one after the other.
func TestCrashesAreNoSplit(t *testing.T) {
	s := newStory("e", 0)
	s.sees(0, "abcde", "")
	f := func(after time.Duration, here, lost string, want bool) {
		t.Helper()
		if got, _ := s.sees(after, here, lost); got != want {
			t.Errorf("after %v with %s: minority %v", s.now, here, got)
		}
	}
	f(time.Second, "bcde", "a", false)
	f(window+time.Second, "cde", "ab", false)
	f(window+time.Second, "de", "abc", false)
	f(window+time.Second, "e", "abcd", true) // of two the one with the higher id cannot tell
	f(24*time.Hour, "e", "abcd", true)
	f(time.Second, "de", "abc", false)

	s = newStory("h", 0) // few on one side find the others out one after the other
	s.sees(0, "abcdefgh", "")
	f(time.Second, "bcdefgh", "a", false)
	f(window-time.Second, "cdefgh", "ab", false)
	f(window-time.Second, "defgh", "abc", false)
	f(window-time.Second, "efgh", "abcd", true)

	s = newStory("e", 0)
	s.sees(0, "abcde", "")
	f(time.Second, "cde", "ab", false)
	f(3*time.Second, "de", "abc", true) // the rest of the same cut
	f(time.Minute, "dex", "abc", true)  // newcomers to a side do not make it larger
	f(time.Minute, "dexyz", "abc", true)
	f(time.Second, "adexyz", "bc", false)
	f(time.Second, "abcdexyz", "", false)
}

// Who hears nobody for some seconds is alone, whatever gossip still believes, and is not once he hears somebody.
func TestWhoHearsNobodyIsAlone(t *testing.T) {
	f := func(self, here, gone string, want bool) {
		t.Helper()
		s := newStory(self, 0)
		s.gone = gone
		s.sees(0, here, "")
		beat := func(heard uint64) bool {
			s.now += BeatEvery
			return s.sides.Beat(heard, start.Add(s.now))
		}
		for heard := range uint64(200) { // all is well
			if beat(heard + 1); beat(heard + 1) {
				t.Fatal("something has changed")
			}
		}
		for beats := 1; !beat(200); beats++ {
			if minority, _ := s.sees(0, here, ""); minority || beats > int(aloneTime/BeatEvery) {
				t.Fatalf("after %d beats: minority %v", beats, minority)
			}
		}
		if got, _ := s.sees(0, here, ""); got != want {
			t.Errorf("%s of %s, without %s, hears nobody: minority %v", self, here, gone, got)
		}
		for range 1000 { // it is told once
			if beat(200) {
				t.Fatal("told again")
			}
		}
		if got, _ := s.sees(0, here, ""); got != want {
			t.Errorf("%s of %s, later: minority %v", self, here, got)
		}
		if !beat(201) {
			t.Fatal("somebody is heard, and nobody is told")
		}
		if minority, apart := s.sees(0, here, ""); minority || apart {
			t.Errorf("%s of %s hears others: minority %v, apart %v", self, here, minority, apart)
		}
	}
	f("c", "abcde", "", true)
	f("a", "abcde", "", true)
	f("z", "abcdefghijklmnopqrstuvwxyz", "", true)
	f("b", "ab", "", true)
	f("a", "ab", "", false)
	f("a", "a", "", false)
	f("c", "abc", "ab", false) // their processes are gone: they are on no other side
}

// Whose process is known to be gone is on no other side.
func TestAProcessThatIsGoneIsNoSplit(t *testing.T) {
	s := newStory("c", 0)
	s.sees(0, "abc", "")
	s.gone = "ab"
	if minority, apart := s.sees(time.Second, "abc", ""); minority || apart {
		t.Error("refusals are taken for a split")
	}
	s.gone = ""
	if minority, apart := s.sees(4*time.Second, "c", "ab"); minority || apart {
		t.Error("forgotten that they refused connections")
	}
	s.sees(time.Second, "abc", "")
	if minority, apart := s.sees(time.Minute, "c", "ab"); !minority || !apart {
		t.Error("they were back, and are lost again, but nothing is thought of it")
	}
	if _, apart := s.sees(2*time.Hour, "c", "ab"); apart {
		t.Error("who is away for hours is still reckoned with")
	}
}

func TestTooFewAreAMinority(t *testing.T) {
	s := newStory("a", 2)
	f := func(here, lost string, want bool) {
		t.Helper()
		if got, _ := s.sees(time.Second, here, lost); got != want {
			t.Errorf("%s: minority %v", here, got)
		}
	}
	f("a", "", true) // just started
	f("ab", "", false)
	f("a", "", true) // b left in order
	f("abc", "", false)
	f("ab", "c", false)
}

// Who joins the small side finds it as it is.
func TestANewcomerTakesTheSidesAsTheyAre(t *testing.T) {
	s := newStory("x", 0)
	s.lost['b'] = membership.Lost{Member: members("b")[0], Since: start.Add(-time.Minute)}
	s.lost['a'] = membership.Lost{Member: members("a")[0], Since: start.Add(-time.Minute + time.Second)}
	if minority, _ := s.sees(0, "cx", "ab"); !minority {
		t.Error("two of three are missed by the others")
	}
}

// An echo answers all.
type echo struct{}

func (echo) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	return nil
}

func TestGate(t *testing.T) {
	f := func(policy Policy, want map[protocol.Op]protocol.Status) {
		t.Helper()
		var log bytes.Buffer
		side := New(Config{Self: "a", Policy: policy, MinMembers: 2, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for _, minority := range []bool{false, true, true, false} {
			here := "ab"
			if minority {
				here = "a"
			}
			side.Look(members(here), nil, func(membership.Member) bool { return false }, start)
			for op, status := range want {
				var resp protocol.Response
				req := protocol.Request{Op: op, Key: []byte("k")}
				if !minority {
					status = protocol.OK
				}
				if side.Before(echo{}).Handle(&req, &resp); resp.Status != status {
					t.Errorf("%v %v, minority %v: %v, want %v", policy, op, minority, resp.Status, status)
				}
				if op == protocol.Flush {
					status = protocol.OK
				}
				if side.Lane(echo{}).Handle(&req, &resp); resp.Status != status {
					t.Errorf("%v %v on a lane, minority %v: %v, want %v", policy, op, minority, resp.Status, status)
				}
			}
		}
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("%d lines logged for one beginning and one end: %s", got, log.String())
		}
	}
	const ok, miss, fails = protocol.OK, protocol.NotFound, protocol.ServerError
	f(Serve, map[protocol.Op]protocol.Status{protocol.Get: ok, protocol.Set: ok, protocol.Flush: ok, protocol.Stats: ok})
	f(Miss, map[protocol.Op]protocol.Status{
		protocol.Get: miss, protocol.Gat: miss, protocol.Inspect: miss, protocol.Set: fails, protocol.Delete: fails, protocol.Incr: fails,
		protocol.Add: fails, protocol.Touch: fails, protocol.Discard: fails, protocol.Flush: fails, protocol.Stats: ok, protocol.Noop: ok,
	})
	f(Refuse, map[protocol.Op]protocol.Status{protocol.Get: fails, protocol.Gat: fails, protocol.Set: fails, protocol.Flush: fails, protocol.Stats: ok})
}

// The policy changes at once, and the number with the next look.
func TestJudge(t *testing.T) {
	side := New(Config{Self: "a"})
	gate := side.Before(echo{})
	look := func(policy Policy, minMembers int, before, after protocol.Status) {
		t.Helper()
		asked := func(want protocol.Status) {
			t.Helper()
			var resp protocol.Response
			if gate.Handle(&protocol.Request{Op: protocol.Get, Key: []byte("k")}, &resp); resp.Status != want {
				t.Errorf("%v, at least %d: %v, want %v", policy, minMembers, resp.Status, want)
			}
		}
		side.Judge(policy, minMembers)
		asked(before)
		side.Look(members("a"), nil, func(membership.Member) bool { return false }, start)
		asked(after)
	}
	ok, miss, fails := protocol.OK, protocol.NotFound, protocol.ServerError
	look(Refuse, 1, ok, ok)
	look(Refuse, 2, ok, fails)
	look(Miss, 2, miss, miss)
	look(Serve, 2, ok, ok)
	look(Miss, 0, miss, ok)
}

func TestGateAllocatesNothing(t *testing.T) {
	side := New(Config{Self: "a", Policy: Miss, MinMembers: 2})
	gate, req, resp := side.Before(echo{}), protocol.Request{Op: protocol.Set, Key: []byte("k")}, protocol.Response{}
	f := func() {
		t.Helper()
		if got := testing.AllocsPerRun(100, func() { resp.Reset(); gate.Handle(&req, &resp) }); got != 0 {
			t.Errorf("%v allocations", got)
		}
	}
	f()
	side.Look(members("a"), nil, func(membership.Member) bool { return false }, start)
	f()
}

func BenchmarkGate(b *testing.B) {
	gate, req, resp := New(Config{Self: "a"}).Before(echo{}), protocol.Request{Op: protocol.Get, Key: []byte("k")}, protocol.Response{}
	for b.Loop() {
		gate.Handle(&req, &resp)
	}
}
