package session_test

import (
	"fmt"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// sums is a wire whose word "sum" tells how many answers before it failed.
type sums struct {
	words
	failed int
}

func (s *sums) Parse(buf []byte, req *protocol.Request) int {
	used := s.words.Parse(buf, req)
	if string(req.Key) == "sum" {
		req.Options |= protocol.AfterAll
	}
	return used
}

func (s *sums) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	if !req.Options.Has(protocol.AfterAll) {
		if resp.Status.FromPeer() {
			s.failed++
		}
		return s.words.Append(dst, req, resp)
	}
	dst = fmt.Appendf(dst, "%d failed|", s.failed)
	s.failed = 0
	return dst
}

func TestAnAnswerAfterAllKnowsThoseBefore(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		for n := 1; n <= len(in); n++ {
			if got := converse(session.New(&lane{}, &sums{}, 1), in, n); got != want {
				t.Fatalf("%q by %d bytes: got %q, want %q", in, n, got, want)
			}
		}
	}
	f("a\nsum\n", "a|0 failed|")
	f("r1lost\nsum\n", "!r1lost|1 failed|")
	f("a\nr1lost\nb\nr2\nr3lost\nsum\nsum\nr4lost\nsum\nbad\n", "a|!r1lost|b|r2=r2|!r3lost|2 failed|0 failed|!r4lost|1 failed|!bad|")
}
