package session_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// heard keeps the keys of what it is asked, and counts each as a hit, but those that begin with "m" as a miss; the words "some" and "gone" are no keys.
type heard struct{ keys []string }

func (h *heard) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	h.keys = append(h.keys, string(req.Key))
	if resp.Status = protocol.OK; req.Tally != nil {
		req.Tally.Count(req.Key[0] != 'm')
	}
	return nil
}

// unkeyed is words whose "stats" is of no key.
type unkeyed struct{ words }

func (unkeyed) Parse(buf []byte, req *protocol.Request) int {
	used := words{}.Parse(buf, req)
	if string(req.Key) == "stats" {
		req.Op = protocol.Stats
	}
	return used
}

// What is drawn, and no other request, goes through the other handler; what never comes to a handler does not count.
func TestSample(t *testing.T) {
	usual, sample := new(heard), new(heard)
	s := session.New(usual, words{}, 1)
	draws := []int{2, 1, 3}
	s.Sample(func() int {
		next := draws[0]
		draws = append(draws[1:], 100)
		return next
	}, sample)
	converse(s, "a\nbad\nskip\nb\nc\nd\ne\nf\ng\n", 100)
	if !slices.Equal(sample.keys, []string{"b", "c", "f"}) || !slices.Equal(usual.keys, []string{"a", "d", "e", "g"}) {
		t.Errorf("samples %v, others %v", sample.keys, usual.keys)
	}
}

// Whoever counts gets is told of them before their answers are given, a batch at a time, and before somebody may ask how many there were.
func TestGetsAreCountedByTheBatch(t *testing.T) {
	f := func(in string, want ...protocol.Tally) {
		t.Helper()
		var told []protocol.Tally
		s := session.New(new(heard), unkeyed{}, 1)
		s.CountTo(func(gets protocol.Tally) { told = append(told, gets) })
		s.Answer([]byte(in))
		if !slices.Equal(told, want) {
			t.Errorf("%q: told of %v, want %v", in, told, want)
		}
	}
	f("")
	f("bad\n")
	f("a\n", protocol.Tally{Hits: 1})
	f("a\nb\nm\n", protocol.Tally{Hits: 2, Misses: 1})
	f("a\nm\nstats\n", protocol.Tally{Hits: 1, Misses: 1}, protocol.Tally{Hits: 1})

	h := new(heard) // nobody is told, so whoever answers counts
	session.New(h, words{}, 1).Answer([]byte(strings.Repeat("a\n", 3)))
	if len(h.keys) != 3 {
		t.Errorf("got %v", h.keys)
	}
}
