package session_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/budget"
	"github.com/memring/memring/protocol/session"
)

// A shop answers "NAME SIZE" with so many bytes: later, as a lane would, if the name begins with "r". The first answer to a key says that it had been used
// before it, and only that one.
type shop struct {
	told  map[string]bool
	asked int
	made  int  // values, those included that there was no room for then
	gone  bool // what is asked for without a trace is there no more
}

func (s *shop) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	s.asked++
	name, digits, _ := strings.Cut(string(req.Key), " ")
	size, _ := strconv.Atoi(digits)
	var later *protocol.Pending
	if strings.HasPrefix(name, "r") {
		later = protocol.NewPending(nil)
		later.ToShare(req.Share)
		resp = &later.Response
	}
	resp.Status, resp.Size = protocol.OK, uint32(size)
	if again := req.Options.Has(protocol.NoBump); again && s.gone {
		resp.Status = protocol.NotFound
	} else if !s.told[name] {
		s.told[name], resp.Marks = true, protocol.Won
	}
	if brief := req.Options.Has(protocol.Brief) && size > protocol.BulkBytes; brief {
		resp.Marks |= protocol.Withheld
	} else {
		s.made++
	}
	switch {
	case resp.Marks.Has(protocol.Withheld):
	case later != nil && !later.MakeRoom(size):
		resp.Marks |= protocol.Withheld
	case resp.Status == protocol.OK:
		resp.Scratch = append(resp.Scratch[:0], bytes.Repeat([]byte{name[len(name)-1]}, size)...)
		resp.Value = resp.Scratch
	}
	if later != nil {
		later.Complete()
	}
	return later
}

// shown is words that show what else an answer says.
type shown struct{ words }

func (shown) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	if resp.Status != protocol.OK {
		return fmt.Appendf(dst, "%s !%d|", req.Key, resp.Status)
	}
	dst = fmt.Appendf(dst, "%s %d ", req.Key, resp.Marks)
	return append(append(dst, resp.Value...), '|')
}

// wanted is the answer to each of some requests.
func wanted(requests ...string) string {
	var all strings.Builder
	for _, r := range requests {
		name, digits, _ := strings.Cut(r, " ")
		size, _ := strconv.Atoi(digits)
		fmt.Fprintf(&all, "%s %d %s|", r, protocol.Won, strings.Repeat(name[len(name)-1:], size))
	}
	return all.String()
}

// However much is asked for at once, what is held of it stays within the bounds, and all of it comes.
func TestAnswersAreBounded(t *testing.T) {
	f := func(what string, asks int, requests ...string) {
		t.Helper()
		shop := &shop{told: map[string]bool{}}
		all := session.NewAnswers(12<<20, 1<<20, true)
		s := all.Bound(session.New(shop, shown{}, 1))
		in, want, got := []byte(strings.Join(requests, "\n")+"\n"), wanted(requests...), ""
		begin, least := all.Left(), all.Left()
		for {
			answers, used := s.Answer(in)
			if least = min(least, all.Left()); len(answers) > 1<<20+64<<10 {
				t.Errorf("%s: a piece of %d bytes", what, len(answers))
			}
			if got += string(answers); len(answers) == 0 && used == 0 {
				break
			}
			in = in[used:]
		}
		if got != want {
			t.Errorf("%s: answers of %d bytes are not those wanted, of %d", what, len(got), len(want))
		}
		if held := begin - least; held > 8<<20 {
			t.Errorf("%s: %d bytes held", what, held)
		}
		if shop.asked > asks {
			t.Errorf("%s: %d requests made of %d", what, shop.asked, len(requests))
		}
		if s.Close(); all.Left() != begin {
			t.Errorf("%s: %d bytes are not given back", what, begin-all.Left())
		}
	}
	many := func(prefix string, n, size int) (requests []string) {
		for i := range n {
			requests = append(requests, fmt.Sprintf("%s%d %d", prefix, i, size))
		}
		return requests
	}
	f("short ones, here", 300, many("h", 300, 100)...)
	f("short ones, later", 300, many("r", 300, 100)...)
	f("some KB, later", 300, many("r", 300, 10<<10)...)
	f("large ones, here", 80, many("h", 40, 1<<20)...)
	f("large ones, later", 80, many("r", 40, 1<<20)...)
	f("long ones, later", 80, many("r", 40, 100<<10)...)
	var mixed []string
	for i := range 30 {
		mixed = append(mixed, fmt.Sprintf("h%d %d", i, i*i*700), fmt.Sprintf("r%d %d", i, i*i*700), fmt.Sprintf("rs%d 3", i))
	}
	f("all sorts", 180, mixed...)
}

// Once there is no room for an answer no more of them are asked for before it is sent: each would be a copy of a megabyte, to be thrown away.
func TestAWithheldAnswerEndsItsBatch(t *testing.T) {
	f := func(what string, taken int64, request string) {
		t.Helper()
		bubble(t, func(t *testing.T) {
			all := session.NewAnswers(12<<20, 1<<20, true)
			if !all.Budget().TryTake(taken) {
				t.Fatalf("%s: there are not %d bytes", what, taken)
			}
			shop, asked := &shop{told: map[string]bool{}}, 0
			s := all.Bound(session.New(shop, shown{}, 1))
			defer s.Close()
			s.BeforeWait(func() {
				if asked == 0 {
					asked = shop.asked
				}
			})
			in := strings.Repeat(request, 30)
			switch _, used := s.Answer([]byte(in)); {
			case asked != 1:
				t.Errorf("%s: %d answers were made before the first was sent", what, asked)
			case used != len(request):
				t.Errorf("%s: %d bytes are done with, want %d", what, used, len(request))
			}
		})
	}
	f("longer than it was expected to be", 0, "h1 1000000\n")
	f("others hold all", 11<<20, "h"+strings.Repeat("1", 3000)+" 1000000\n") // such a batch is expected to be long
}

// A long answer that there may be no room for is not sent by its owner to be dropped.
func TestNoLongAnswerIsMadeInVain(t *testing.T) {
	const requests, size = 60, 1_000_000
	all := session.NewAnswers(12<<20, 1<<20, true)
	shop, got := &shop{told: map[string]bool{}}, 0
	s := all.Bound(session.New(shop, shown{}, 1))
	defer s.Close()
	taken := int64(0) // by others, whenever it asks for the next; they give it back as soon as it waits
	s.BeforeWait(func() {
		all.Budget().Give(taken)
		taken = 0
	})
	for in := []byte(strings.Repeat("r1 "+strconv.Itoa(size)+"\n", requests)); ; {
		if left := all.Left(); taken == 0 && all.Budget().TryTake(left) {
			taken = left
		}
		answers, used := s.Answer(in)
		if got += bytes.Count(answers, []byte("|")); len(answers) == 0 && used == 0 {
			break
		}
		in = in[used:]
	}
	if got != requests || shop.made != requests {
		t.Errorf("%d values made for %d answers to %d requests", shop.made, got, requests)
	}
}

// A client that goes half-way leaves nothing behind.
func TestCloseGivesBack(t *testing.T) {
	all := session.NewAnswers(12<<20, 1<<20, true)
	begin := all.Left()
	s := all.Bound(session.New(&shop{told: map[string]bool{}}, shown{}, 1))
	in := []byte("r1 1000000\nr2 1000000\nr3 1000000\nr4 2000\nh5 500000\n")
	for !s.Unsent() {
		s.Answer(in)
	}
	if held, _ := s.Holds(); !held || all.Left() == begin {
		t.Fatal("nothing is held")
	}
	if s.Close(); all.Left() != begin {
		t.Fatalf("%d bytes are not given back", begin-all.Left())
	}
}

// When others hold all, an answer is waited for, and then refused; short ones go on.
func TestNoRoomForAnAnswer(t *testing.T) {
	f := func(errors, gone bool, in, want string, wait time.Duration) {
		t.Helper()
		bubble(t, func(t *testing.T) {
			all := session.NewAnswers(12<<20, 1<<20, errors)
			other := all.Bound(session.New(&shop{told: map[string]bool{}}, shown{}, 2))
			others := []*session.Session{other}
			for all.Left() > 3<<20-1 {
				one := all.Bound(session.New(&shop{told: map[string]bool{}}, shown{}, 3))
				one.Answer([]byte("r1 1000000\n"))
				others = append(others, one)
			}
			if !gone {
				defer func() {
					for _, one := range others {
						one.Close()
					}
				}()
			} else {
				time.AfterFunc(wait, others[1].Close)
			}
			s := all.Bound(session.New(&shop{told: map[string]bool{}}, shown{}, 1))
			defer s.Close()
			start, got := time.Now(), converse(s, in, len(in))
			if got != want || time.Since(start) != wait {
				t.Errorf("%q: after %v %.60q, want %.60q", in, time.Since(start), got, want)
			}
			if _, wanted := others[1].Holds(); wanted {
				t.Error("it is wanted by nobody any more")
			}
		})
	}
	f(true, false, "r1 1000000\n", fmt.Sprintf("r1 1000000 !%d|", protocol.PeerOverloaded), budget.Patience)
	f(false, false, "r1 1000000\n", fmt.Sprintf("r1 1000000 !%d|", protocol.NotFound), budget.Patience)
	f(true, false, "h1 1000000\n", fmt.Sprintf("h1 1000000 !%d|", protocol.PeerOverloaded), budget.Patience)
	f(true, false, "r1 1000\nh2 14000\n", wanted("r1 1000", "h2 14000"), 0)
	f(true, true, "r1 1000000\n", wanted("r1 1000000"), budget.Patience/2)
	f(true, true, "h1 1000000\n", wanted("h1 1000000"), budget.Patience/2)
}

// What is asked for again may be gone, and is a miss then.
func TestGoneWhenAskedAgain(t *testing.T) {
	all := session.NewAnswers(12<<20, 1<<20, true)
	s := all.Bound(session.New(&shop{told: map[string]bool{}, gone: true}, shown{}, 1))
	defer s.Close()
	in := "r1 1000000\nr2 1000000\nr3 1000000\nr4 10\n"
	want := ""
	for _, request := range []string{"r1 1000000", "r2 1000000", "r3 1000000"} {
		want += fmt.Sprintf("%s !%d|", request, protocol.NotFound)
	}
	want += wanted("r4 10")
	if got := converse(s, in, len(in)); got != want {
		t.Fatalf("%d bytes, want %d", len(got), len(want))
	}
}
