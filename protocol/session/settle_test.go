package session_test

import (
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// verbs is words, but what begins with "set" writes.
type verbs struct{ words }

func (v verbs) Parse(buf []byte, req *protocol.Request) int {
	used := v.words.Parse(buf, req)
	if strings.HasPrefix(string(req.Key), "set") {
		req.Op = protocol.Set
	}
	return used
}

// A mover notes when it does what it is asked. Requests with "held" in them are done only once they are waited for, those with "sent" by the view of now.
type mover struct {
	view uint64
	done []string
}

func (m *mover) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	key := string(req.Key)
	if strings.Contains(key, "turn") {
		m.view++
	}
	if req.View != 0 && req.View != m.view {
		resp.Status = protocol.AskAgain
		return nil
	}
	held, sent := strings.Contains(key, "held"), strings.Contains(key, "sent")
	if !held && !sent {
		m.done = append(m.done, key)
		resp.Status = protocol.OK
		return nil
	}
	p := protocol.NewPending(nil)
	p.Then, p.Holds = m.then, held
	if sent {
		p.View = m.view
	}
	p.Complete()
	return p
}

// then does what was held in two steps, so that a Pending takes another's place.
func (m *mover) then(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	p := protocol.NewPending(nil)
	p.Then = func(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
		m.done = append(m.done, string(req.Key))
		resp.Status = protocol.OK
		return nil
	}
	p.Complete()
	return p
}

func TestNothingOvertakesWhatItMustNot(t *testing.T) {
	f := func(batch, done string) {
		t.Helper()
		m := &mover{view: 1}
		s := session.New(m, verbs{}, 1)
		answers, _ := s.Answer([]byte(strings.ReplaceAll(batch, " ", "\n") + "\n"))
		if got := strings.Join(m.done, " "); got != done {
			t.Errorf("%s: done in the order %s, want %s", batch, got, done)
		}
		if want := strings.ReplaceAll(batch, " ", "|") + "|"; string(answers) != want {
			t.Errorf("%s: answered %s", batch, answers)
		}
	}
	f("get1 set2 get3", "get1 set2 get3")
	f("sent1 get2 set3", "get2 set3 sent1")           // on its way already, to somebody else
	f("held1 get2 get3", "get2 get3 held1")           // reads may overtake reads
	f("held1 get2 set3 get4", "get2 held1 set3 get4") // a write may not
	f("setheld1 get2 held3", "setheld1 get2 held3")   // nor anything a write
	f("setheld1 setheld2 get3", "setheld1 setheld2 get3")
	f("sent1 sent2 turn3 get4", "sent1 sent2 turn3 get4") // what goes by another view waits for all
	f("sent1 turnsent2 sent3", "sent1 turnsent2 sent3")
	f("turnsent1 turnsent2 turnsent3", "turnsent1 turnsent2 turnsent3")
	f("setheld1 sent2 held3 set4", "setheld1 sent2 held3 set4")
}

// An asker asks somebody else, and notes when that is written.
type asker struct{ did []string }

func (a *asker) Handle(*protocol.Request, *protocol.Response) *protocol.Pending {
	var p *protocol.Pending
	p = protocol.NewPending(func() {
		a.did = append(a.did, "written")
		p.Response.Status = protocol.OK
		p.Complete()
	})
	return p
}

// Writing to other members takes processors, as reading does: it comes before the session tells that it waits.
func TestWhatIsAskedIsWrittenBeforeTheWait(t *testing.T) {
	a := &asker{}
	s := session.New(a, words{}, 1)
	s.BeforeWait(func() { a.did = append(a.did, "waits") })
	if got := converse(s, "one\n", 100); got != "one|" || strings.Join(a.did, " ") != "written waits" {
		t.Errorf("%q: %s", got, a.did)
	}
}
