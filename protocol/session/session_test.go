package session_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// words is a wire of one request a line; the answer is the word the handler gave, with a bar.
type words struct{}

func (words) Parse(buf []byte, req *protocol.Request) int {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		return -(len(buf) + 1)
	}
	req.Op, req.Key = protocol.Get, buf[:end]
	switch word := string(req.Key); {
	case word == "quit":
		req.Op = protocol.Quit
	case word == "skip":
		req.Op = protocol.None
	case word == "bad":
		req.Op, req.Reason = protocol.Reject, protocol.BadFormat
	case word == "fatal":
		req.Op, req.Reason, req.Options = protocol.Reject, protocol.BadFormat, protocol.Hangup
	}
	return end + 1
}

func (words) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	if resp.Status != protocol.OK {
		return fmt.Appendf(dst, "!%s|", req.Key)
	}
	return append(append(append(dst, req.Key...), resp.Value...), '|')
}

// lane answers keys that begin with "r" later, when flushed, in the order they were asked; all others at once.
type lane struct {
	mu      sync.Mutex
	queued  []*protocol.Pending
	values  []string
	flushes int
}

func (l *lane) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if !bytes.HasPrefix(req.Key, []byte("r")) {
		resp.Status = protocol.OK
		return nil
	}
	p := protocol.NewPending(l.flush)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued = append(l.queued, p)
	l.values = append(l.values, "="+string(req.Key))
	return p
}

func (l *lane) flush() {
	l.mu.Lock()
	queued, values := l.queued, l.values
	l.queued, l.values = nil, nil
	l.mu.Unlock()
	if len(queued) == 0 {
		return
	}
	l.flushes++
	go func() {
		for i, p := range queued {
			p.Response.Status = protocol.OK
			p.Response.Value = []byte(values[i])
			if strings.HasSuffix(values[i], "lost") {
				p.Response.Status = protocol.PeerLost
			}
			p.Complete()
		}
	}()
}

// converse answers all of in, as an engine would, with n bytes arriving at a time.
func converse(s *session.Session, in string, n int) string {
	var out, buf []byte
	for len(in) > 0 && !s.Ended() {
		n = min(n, len(in))
		buf, in = append(buf, in[:n]...), in[n:]
		for !s.Ended() {
			answers, used := s.Answer(buf)
			out, buf = append(out, answers...), buf[used:]
			if used == 0 && len(answers) == 0 {
				break
			}
		}
	}
	return string(out)
}

func TestAnswersKeepTheirOrder(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		for n := 1; n <= len(in); n++ {
			s := session.New(&lane{}, words{}, 1)
			if got := converse(s, in, n); got != want {
				t.Fatalf("%q by %d bytes: got %q, want %q", in, n, got, want)
			}
		}
	}
	f("a\nb\n", "a|b|")
	f("r1\na\n", "r1=r1|a|")
	f("a\nr1\nb\nr2\nr3\nc\n", "a|r1=r1|b|r2=r2|r3=r3|c|")
	f("a\nskip\nbad\nr1\n", "a|!bad|r1=r1|")
	f("rlost\na\n", "!rlost|a|")
	f("r1\nquit\na\n", "r1=r1|quit|")
	f("r1\nfatal\na\n", "r1=r1|!fatal|")
}

func TestOneFlushPerBatch(t *testing.T) {
	l := &lane{}
	converse(session.New(l, words{}, 1), "r1\nr2\nr3\nr4\n", 100)
	if l.flushes != 1 {
		t.Fatalf("%d flushes for one batch, want 1", l.flushes)
	}
}

func TestMissingBytesAreNamed(t *testing.T) {
	s := session.New(&lane{}, words{}, 1)
	if _, used := s.Answer([]byte("abc")); used != 0 || s.Missing() != 4 {
		t.Fatalf("used %d, missing %d; want 0, 4", used, s.Missing())
	}
	if _, used := s.Answer([]byte("abc\n")); used != 4 || s.Missing() != 0 {
		t.Fatalf("used %d, missing %d; want 4, 0", used, s.Missing())
	}
}

func TestRequestsAreCounted(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		s := session.New(&lane{}, words{}, 1)
		s.Answer([]byte("a\n"))
		if s.Answer([]byte(in)); s.Requests() != want {
			t.Fatalf("%q: %d requests, want %d", in, s.Requests(), want)
		}
	}
	f("", 0)
	f("half", 0)
	f("a\nr1\nbad\n", 3)
	f("skip\na\nskip\nhalf", 1)
	f("a\nquit\na\n", 2)
}

// large answers each request with a megabyte.
type large struct{ value []byte }

func (l large) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status, resp.Value = protocol.OK, l.value
	return nil
}

func TestLargeAnswersEndABatchEarly(t *testing.T) {
	s := session.New(large{make([]byte, 1<<20)}, words{}, 1)
	in := []byte(strings.Repeat("a\n", 100))
	answered := 0
	for len(in) > 0 {
		answers, used := s.Answer(in)
		if used == 0 || len(answers) > 2<<20 {
			t.Fatalf("used %d bytes for %d bytes of answers", used, len(answers))
		}
		answered += len(answers)
		in = in[used:]
	}
	if want := 100 * (1<<20 + 2); answered != want {
		t.Fatalf("answered %d bytes, want %d", answered, want)
	}
}

// How many answers are waited for at a time follows their size: their memory is bounded, and small ones travel together.
func TestGapsFollowTheSizeOfAnswers(t *testing.T) {
	f := func(key string, requests, wantLast int) {
		t.Helper()
		s := session.New(&lane{}, words{}, 1)
		in := []byte(strings.Repeat(key+"\n", requests))
		var last, most int
		for len(in) > 0 {
			answers, used := s.Answer(in)
			if len(in) > requests/2*(len(key)+1) {
				last = used / (len(key) + 1)
			}
			most, in = max(most, len(answers)), in[used:]
		}
		if last != wantLast {
			t.Errorf("keys of %d bytes: %d answers at a time, want %d", len(key), last, wantLast)
		}
		if limit := 32 * 2 * (len(key) + 2); most > max(512<<10, limit) {
			t.Errorf("keys of %d bytes: %d bytes of answers at a time", len(key), most)
		}
	}
	f("r", 5000, 128)
	f("r"+strings.Repeat("x", 200_000), 100, 1)
}

// echo answers at once, out of its scratch memory.
type echo struct{}

func (echo) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Scratch = append(resp.Scratch[:0], req.Key...)
	resp.Status, resp.Value = protocol.OK, resp.Scratch
	return nil
}

// later answers when flushed, on the same goroutine.
type later struct{ pending *protocol.Pending }

func (l *later) Handle(req *protocol.Request, _ *protocol.Response) *protocol.Pending {
	l.pending = protocol.NewPending(nil)
	l.pending.Response.Scratch = append(l.pending.Response.Scratch[:0], req.Key...)
	l.pending.Response.Status, l.pending.Response.Value = protocol.OK, l.pending.Response.Scratch
	l.pending.Complete()
	return l.pending
}

func BenchmarkAnswer(b *testing.B) {
	f := func(name string, h protocol.Handler) {
		b.Run(name, func(b *testing.B) {
			s := session.New(h, words{}, 1)
			in := []byte(strings.Repeat("key\n", 16))
			b.ReportAllocs()
			for b.Loop() {
				s.Answer(in)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(16*b.N), "ns/request")
		})
	}
	f("at-once", echo{})
	f("later", &later{})
}
