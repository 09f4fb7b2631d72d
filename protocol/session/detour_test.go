package session_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// A wanderer answers every request with PeerMoved, and has it follow for some steps; then it is done, or still moved once its patience is over.
type wanderer struct {
	steps    int
	patience time.Duration
	done     []string
}

const stride = 10 * time.Millisecond

func (w *wanderer) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	p := protocol.Answered(protocol.PeerMoved)
	if !req.Op.Writes() {
		p.OnLoss = protocol.NotFound
	}
	p.Moved = func(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
		return w.step(0, time.Now().Add(w.patience))(req, resp)
	}
	return p
}

func (w *wanderer) step(taken int, until time.Time) func(*protocol.Request, *protocol.Response) *protocol.Pending {
	return func(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
		if !time.Now().Before(until) {
			resp.Status = protocol.PeerMoved
			return nil
		}
		if taken++; taken > w.steps || strings.HasPrefix(string(req.Key), "set") && taken > 2*w.steps {
			w.done = append(w.done, string(req.Key))
			resp.Status = protocol.OK
			return nil
		}
		pause := protocol.NewPending(nil)
		time.AfterFunc(stride, pause.Complete)
		pause.Then = w.step(taken, until)
		return pause
	}
}

// line is verbs on the text wire, where what begins with "get" is one of a line of keys, and "last" its last.
type line struct{ verbs }

func (l line) Parse(buf []byte, req *protocol.Request) int {
	used := l.verbs.Parse(buf, req)
	if req.Wire = 1; strings.HasPrefix(string(req.Key), "last") {
		req.Options = protocol.Last
	}
	return used
}

// bubble is synctest.Test without Pendings of outside, nor are its own used there: their channels belong to where they were made.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	emptyPools := func() {
		for range 2 { // what a pool holds survives one collection
			runtime.GC()
		}
	}
	emptyPools()
	defer emptyPools()
	synctest.Test(t, f)
}

// Those on a detour share its time: however many keys a line has, it is over after one patience.
func TestDetoursShareOnePatience(t *testing.T) {
	f := func(what string, steps int, patience time.Duration, keys []string, codec session.Codec, want time.Duration, lost bool) {
		t.Helper()
		bubble(t, func(t *testing.T) {
			w := &wanderer{steps: steps, patience: patience}
			s := session.New(w, codec, 1)
			defer s.Close()
			start, in := time.Now(), strings.Join(keys, "\n")+"\n"
			got := converse(s, in, len(in))
			if took := time.Since(start); took != want {
				t.Errorf("%s: took %v, want %v", what, took, want)
			}
			for i, answer := range strings.Split(strings.TrimSuffix(got, "|"), "|") {
				if (answer[0] == '!') != lost || strings.TrimPrefix(answer, "!") != keys[i] {
					t.Fatalf("%s: answer %d is %q", what, i, answer)
				}
			}
		})
	}
	many := func(n int, last string) (keys []string) {
		for i := range n {
			keys = append(keys, fmt.Sprintf("get%d", i))
		}
		return append(keys, last)
	}
	const patience = 50 * stride
	f("found in the end", 5, patience, many(30, "last"), line{}, 5*stride, false)
	f("never found", 1000, patience, many(30, "last"), line{}, patience, true)
	f("a line of more than a batch", 1000, patience, many(500, "last"), line{}, patience, true)
	f("the next line has its own", 1000, patience, append(many(100, "last1"), many(100, "last2")...), line{}, 2*patience, true)
	f("one key", 1000, patience, []string{"last"}, line{}, patience, true)
	f("batches that are no line", 1000, patience, many(31+64, "last"), verbs{}, 2*patience, true)
	f("writes of several keys", 5, patience, []string{"set1", "set2", "set3", "set4"}, verbs{}, 5*stride, false)
}

// What concerns one key stays in order, on a detour as well.
func TestDetoursKeepTheOrderOfAKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &wanderer{steps: 3, patience: time.Minute}
		s := session.New(w, verbs{}, 1)
		defer s.Close()
		in := "set1\nget2\nset1\nset1\nget2\n"
		start := time.Now()
		converse(s, in, len(in))
		if got, want := strings.Join(w.done, " "), "set1 get2 get2 set1 set1"; got != want || time.Since(start) != 9*stride {
			t.Fatalf("done in the order %s after %v, want %s", got, time.Since(start), want)
		}
	})
}
