package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

const refusal = "CLIENT_ERROR permission denied\r\n"

// hits answers every get with an item, and the rest as a cache does.
type hits struct{ cache }

func (h *hits) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	pending := h.cache.Handle(req, resp)
	if req.Op == protocol.Get {
		resp.Status, resp.Value = protocol.OK, []byte("v")
	}
	return pending
}

// A line of keys is refused whole for one that is forbidden, wherever that stands; of an endless one the keys before it are answered. A data block is
// swallowed, and noreply hides this error like any other.
func TestRefusals(t *testing.T) {
	users := limited(t)
	f := func(user, in, want string) {
		t.Helper()
		for _, step := range []int{1, 7, 1000, len(in)} {
			if step > len(in) || step == 1 && len(in) > 10000 {
				continue
			}
			s, _ := gated(users, &hits{})
			enter(t, s, user, false)
			if got := converse(s, in, step); got != want {
				t.Errorf("%s: %.80q in pieces of %d: %.200q, want %.200q", user, in, step, got, want)
			}
		}
	}
	own := "VALUE own:a 0 1\r\nv\r\n"
	f("rwp", "get own:a\r\nget other\r\nget own:a\r\n", own+"END\r\n"+refusal+own+"END\r\n")
	f("rwp", "get own:a other own:a\r\nget own:a own:a\r\n", refusal+own+own+"END\r\n")
	f("rwp", "get other own:a\r\nget own:a other\r\ngets own own:\r\n", refusal+refusal+refusal)
	f("rp", "get own:a mine:b\r\n", own+"VALUE mine:b 0 1\r\nv\r\nEND\r\n")
	f("rwp", "gat 0 own:a other\r\ngat 0 own:a own:b\r\n", refusal+"VALUE own:a 0 0\r\n\r\nVALUE own:b 0 0\r\n\r\nEND\r\n")
	f("r", "get own:a other\r\ngat 0 own:a other\r\nmn\r\n", own+"VALUE other 0 1\r\nv\r\nEND\r\n"+refusal+"MN\r\n")
	f("w", "get a b c\r\nget a\r\nmn\r\n", refusal+refusal+"MN\r\n")
	f("a", "get a b c\r\nset k 0 0 7\r\nget k\r\n\r\nmn\r\n", refusal+refusal+"MN\r\n")
	f("r", "set k 0 0 1 noreply\r\nx\r\nms k 1 q\r\nx\r\nmg k v\r\n", refusal+"VA 1\r\nv\r\n")
	f("rw", "flush_all\r\nstats detail dump\r\nwatch\r\n", refusal+refusal+refusal)

	keys := strings.Repeat("own:a ", 20000)
	f("rwp", "get "+keys+"\r\nmn\r\n", strings.Repeat(own, 20000)+"END\r\nMN\r\n")
	f("rwp", "get "+keys+"other "+keys+"\r\nmn\r\n", strings.Repeat(own, 20000)+refusal+"MN\r\n")
	f("w", "get "+keys+"\r\nmn\r\n", refusal+"MN\r\n")
	f("w", "get "+keys+strings.Repeat("x", 300)+"\r\nmn\r\n", "CLIENT_ERROR bad command line format\r\nMN\r\n")

	if got := users.Stats().Denied.Load(); got == 0 {
		t.Error("nothing is counted")
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	users := limited(t)
	s, _ := gated(users, &hits{})
	enter(t, s, "r", false)
	converse(s, "get a b\r\nset k 0 0 1\r\nx\r\ngat 0 a b c\r\nwrong\r\n", 1000)
	if got := users.Stats().Denied.Load(); got != 2 {
		t.Errorf("%d are counted", got)
	}
}

// Who is taken out of the file is told so at the next command, and has to come again; so is whose password is another. Who may do less may so at once.
func TestWhoIsGone(t *testing.T) {
	users := limited(t)
	chain := &cache{}
	load := func(file string) {
		t.Helper()
		if err := users.Load([]byte(file)); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := gated(users, chain)
	packets, _ := gated(users, chain)
	enter(t, s, "rw", false)
	enter(t, packets, "all", true)
	load("rw:" + pencil + " rights=read\nall:" + pencil)
	if got := converse(s, "set k 0 0 1\r\nx\r\nmn\r\n", 100); got != refusal+"MN\r\n" {
		t.Errorf("with less rights: %q", got)
	}
	if got := converse(packets, string(packetOf(0x0a, "", "")), 100); len(got) != 24 || packets.Ended() {
		t.Errorf("%q", got)
	}
	load("rw:pencil\nother:pencil")
	chain.asked = nil
	if got := converse(s, "get k\r\nget k\r\n", 100); got != refusal || !s.Ended() {
		t.Errorf("after another password: %q", got)
	}
	if got := converse(packets, string(packetOf(0x0a, "", "")), 100); len(got) < 24 || got[7] != 0x24 || !packets.Ended() {
		t.Errorf("who is gone is told %q", got)
	}
	if len(chain.asked) > 0 {
		t.Errorf("%v has reached the chain", chain.asked)
	}
}

// A dump or a watch ends with the right to it.
func TestStreamsEndWithTheRight(t *testing.T) {
	users := limited(t)
	stream := &pieces{left: 1000}
	g := session.NewGate(users, streams{stream}, wires())
	s := session.New(g, g, 1)
	enter(t, s, "a", false)
	if s.Answer([]byte("watch\r\n")); !s.Streaming() {
		t.Fatal("nothing is streamed")
	}
	if got, _ := s.Answer(nil); len(got) == 0 {
		t.Error("nothing has come")
	}
	if err := users.Load([]byte("a:" + pencil + " rights=read,write")); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Answer(nil); len(got) > 0 || s.Streaming() || stream.closed != 1 {
		t.Errorf("%q, streaming %v, closed %d times", got, s.Streaming(), stream.closed)
	}
	if got := converse(s, "version\r\n", 100); got == refusal {
		t.Error("it is nobody's conversation any more")
	}
}

// streams answers everything by one.
type streams struct{ *pieces }

func (s streams) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status, resp.Stream = protocol.OK, s.pieces
	return nil
}

// held fails if something gets through that its user may not ask.
type held struct {
	cache
	t    *testing.T
	gate *session.Gate
}

func (h *held) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	user := h.gate.User()
	key := string(req.Key)
	if user == nil && req.Op != protocol.Version || user != nil && !may(user.Name, needs()[req.Op.String()], key) {
		h.t.Fatalf("%v of %q is through", req.Op, key)
	}
	return h.cache.Handle(req, resp)
}

// Whatever a user says who may do little, in whatever pieces: nothing more gets through, and the answers are the same.
func FuzzGranted(f *testing.F) {
	f.Add("rp", []byte("get own:a other\r\nset k 0 0 1\r\nx\r\nget own:a\r\nflush_all\r\nmn\r\n"), 3)
	f.Add("rwp", []byte("gat 0 own:a own:b\r\nms own:a 1 T0\r\nx\r\nms bw== 2 b\r\nxy\r\nmg own:a k v\r\ncas x 0 0 1 1\r\nx\r\n"), 5)
	f.Add("w", []byte("set k 0 0 99999999\r\nincr k 1\r\nstats\r\nstats det\r\ndelete k\r\n"), 1)
	f.Add("r", append(packetOf(0x00, "k", ""), packetOf(0x04, "k", "")...), 7)
	f.Add("rwp", append(packetOf(0x0d, "own:k", ""), packetOf(0x0e, "other", "x")...), 25)
	users := limited(f)
	f.Fuzz(func(t *testing.T, user string, in []byte, step int) {
		if limitedUsers()[user] == "" || len(in) == 0 {
			t.Skip("nobody's, or nothing")
		}
		play := func(step int) (answers, asked string) {
			chain := &held{t: t}
			g := session.NewGate(users, chain, wires())
			chain.gate = g
			s := session.New(g, g, 1)
			enter(t, s, user, in[0] == 0x80)
			answers = converse(s, string(in), step)
			return answers, fmt.Sprint(slices.Clone(chain.asked))
		}
		a, askedA := play(len(in))
		b, askedB := play(max(step, 1+len(in)/200))
		if a != b || askedA != askedB {
			t.Fatalf("in one piece %q %s, in pieces of %d %q %s", a, askedA, step, b, askedB)
		}
	})
}

// The grant costs a request nothing on the heap, whoever asks.
func TestAllocGranted(t *testing.T) {
	users := limited(t)
	for user := range limitedUsers() {
		g := session.NewGate(users, echo{}, wires())
		s := session.New(g, g, 1)
		enter(t, s, user, false)
		in := []byte("get own:a own:b\r\nmg own:a v\r\n")
		if n := testing.AllocsPerRun(100, func() {
			for rest := in; len(rest) > 0; {
				_, used := s.Answer(rest)
				rest = rest[used:]
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", user, n)
		}
	}
}
