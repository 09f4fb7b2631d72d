package session_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/memring/memring/protocol"
	packets "github.com/memring/memring/protocol/binary"
	"github.com/memring/memring/protocol/login"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/protocol/transcript"
)

// cache is a chain behind a gate: one item at most, and an account of what has reached it.
type cache struct {
	asked []protocol.Op
	value []byte
}

func (c *cache) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	c.asked = append(c.asked, req.Op)
	resp.Status = protocol.OK
	switch req.Op {
	case protocol.Set:
		c.value, resp.CAS = append(c.value[:0], req.Value...), 1
	case protocol.Get:
		if resp.Value, resp.CAS = c.value, 1; c.value == nil || strings.HasPrefix(string(req.Key), "transcript") {
			resp.Status = protocol.NotFound
		}
	case protocol.Version:
		resp.Value = []byte("1.6.45")
	}
	return nil
}

func knownUsers(t testing.TB, hold func(func())) *login.Users {
	t.Helper()
	users, err := login.New(login.Config{Mechanisms: []string{login.Plain, login.Scram, login.Cram}, Hold: hold})
	if err != nil {
		t.Fatal(err)
	}
	if err := users.Load([]byte("foo:bar\nbaaaz:quux")); err != nil {
		t.Fatal(err)
	}
	return users
}

func wires() *session.Wires {
	const itemBytes = 1 << 20
	return session.NewWires(text.New(text.Config{MaxItemBytes: itemBytes}), meta.New(meta.Config{MaxItemBytes: itemBytes}), meta.Speaks,
		packets.New(packets.Config{MaxItemBytes: itemBytes, Login: true}))
}

func gated(users *login.Users, h protocol.Handler) (*session.Session, *session.Gate) {
	g := session.NewGate(users, h, wires())
	return session.New(g, g, 1), g
}

// emptied answers itself what a conversation begins with, that the cache be emptied: nobody is in yet.
type emptied struct {
	transcript.Conn
	spoken bool
	left   int // bytes of it to come
	answer []byte
}

func (e *emptied) Write(p []byte) (int, error) {
	if !e.spoken {
		e.spoken, e.left, e.answer = true, len("flush_all\r\n"), []byte("OK\r\n")
		if p[0] == 0x80 {
			e.left = 24
			e.answer = append([]byte{0x81, 0x08}, make([]byte, 22)...)
			copy(e.answer[12:], opaqueOfConversations)
		}
	}
	n := min(e.left, len(p))
	if e.left -= n; n == len(p) {
		return n, nil
	}
	return e.Conn.Write(p[n:])
}

// opaqueOfConversations is what a packet bears that says nothing else.
const opaqueOfConversations = "\x01\x02\x03\x04"

func (e *emptied) Read(p []byte) (int, error) {
	if len(e.answer) > 0 {
		n := copy(p, e.answer)
		e.answer = e.answer[n:]
		return n, nil
	}
	return e.Conn.Read(p)
}

func TestLoginConversations(t *testing.T) {
	all, err := transcript.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 29 {
		t.Errorf("%d conversations; there were more", len(all))
	}
	users := knownUsers(t, nil)
	for i := range all {
		c := &all[i]
		t.Run(c.Name, func(t *testing.T) {
			for _, cut := range []int{0, 1, 3, 7} {
				first := true
				chain := &cache{}
				err := c.Play(func() (transcript.Conn, error) {
					s, _ := gated(users, chain)
					conn := transcript.Alone(s.Answer, s.Ended)
					if first {
						first, conn = false, &emptied{Conn: conn}
					}
					return conn, nil
				}, transcript.Options{Version: "memring", Cut: cut})
				if err != nil {
					t.Fatalf("in pieces of %d: %v", cut, err)
				}
			}
		})
	}
}

// Every command of every wire is refused before a login, and nothing but version reaches the chain.
func TestNothingPassesBeforeLogin(t *testing.T) {
	users := knownUsers(t, nil)
	f := func(in, want string) {
		t.Helper()
		chain := &cache{}
		s, g := gated(users, chain)
		if got := converse(s, in, len(in)); !strings.HasPrefix(got, want) || len(got) > 0 && want == "" {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		for _, op := range chain.asked {
			if op != protocol.Version {
				t.Errorf("%q: %v has reached the chain", in, op)
			}
		}
		if g.User() != nil {
			t.Errorf("%q: somebody is in", in)
		}
	}
	for _, command := range []string{
		"get k", "gets k k", "gat 0 k", "gats 0 k", "set k 0 0 x", "add k 0 0 1", "replace k 0 0 1", "append k 0 0 1", "prepend k 0 0 1", "cas k 0 0 1 1",
		"delete k", "incr k 1", "decr k 1", "touch k 0", "flush_all", "version", "verbosity 1", "stats", "stats reset", "cluster members", "cluster moves",
		"cluster owner k", "cluster status", "cluster drain n", "cluster forget n", "explain k", "config get cluster", "shutdown", "watch", "lru_crawler metadump all", "cache_memlimit 64", "debugtime 1", "lru tune",
		"slabs automove 1", "refresh_certs", "mg k v", "ms k 1", "md key", "ma key", "me key", "unknown", "POST / HTTP/1.1", "get " + strings.Repeat("k ", 900),
		"set k 0 0 2 noreply x", "setx k 0 0 7", "\x80get k", "\x00\x00\x00\x00\x00\x00",
	} {
		if command[0] != 0x80 {
			want := "CLIENT_ERROR unauthenticated\r\n"
			if command == "set k 0 0 2 noreply x" {
				want = "" // waits for the data, which may be a login
			}
			f(command+"\r\n", want)
		}
	}
	f("mn\r\n", "")
	f("get\r\n", "")
	for verb := range 256 {
		packet := make([]byte, 24)
		packet[0], packet[1] = 0x80, byte(verb)
		switch verb {
		case 0x0b, 0x20: // version and the list: answered
			f(string(packet), "\x81"+string(rune(verb))+"\x00\x00\x00\x00\x00\x00")
		case 0x21, 0x22: // no mechanism
			f(string(packet), "\x81"+string(rune(verb))+"\x00\x00\x00\x00\x00\x04")
		default:
			for _, body := range []uint32{0, 1, 1 << 29, 1<<32 - 1} {
				binary.BigEndian.PutUint32(packet[8:], body)
				f(string(packet), string([]byte{0x81, byte(verb), 0, 0, 0, 0, 0, 0x20}))
			}
		}
	}
}

// However many guesses come at once, few are heard; and each that was wrong is answered late.
func TestFailuresEndTheConversation(t *testing.T) {
	var held []func()
	users := knownUsers(t, func(answer func()) {
		held = append(held, answer)
		answer()
	})
	chain := &cache{}
	s, _ := gated(users, chain)
	in := strings.Repeat("set foo 0 0 7\r\nfoo bab\r\n", 20) + "set foo 0 0 7\r\nfoo bar\r\nget k\r\n"
	got := converse(s, in, len(in))
	if want := strings.Repeat("CLIENT_ERROR authentication failure\r\n", 8); got != want || !s.Ended() || len(chain.asked) > 0 {
		t.Errorf("got %q, ended %v, asked %v", got, s.Ended(), chain.asked)
	}
	if len(held) != 8 || users.Stats().Cmds.Load() != 8 || users.Stats().Errors.Load() != 8 || users.Stats().Lockouts.Load() != 1 {
		t.Errorf("%d held, %d counted, %d locked out", len(held), users.Stats().Cmds.Load(), users.Stats().Lockouts.Load())
	}
}

// The binary wire's own answer without a gate: there is nothing to log in to.
func TestWithoutGate(t *testing.T) {
	chain := &cache{}
	codec := packets.New(packets.Config{MaxItemBytes: 1 << 20})
	s := session.New(chain, codec, 1)
	in := make([]byte, 24)
	in[0], in[1] = 0x80, 0x20
	if got := converse(s, string(in), len(in)); !strings.Contains(got, "Unknown command") || len(chain.asked) > 0 {
		t.Errorf("got %q", got)
	}
}

// A conversation that begins with one wire's login goes on with that wire.
func TestLoginDecidesTheWire(t *testing.T) {
	users := knownUsers(t, nil)
	chain := &cache{}
	s, g := gated(users, chain)
	converse(s, "set foo 0 0 7\r\nfoo bar\r\n", 100)
	if g.User() == nil || g.User().Name != "foo" {
		t.Fatalf("%v is in", g.User())
	}
	if got := converse(s, "\x80\x0b unknown\r\nmn\r\n", 100); got != "ERROR\r\nMN\r\n" {
		t.Errorf("%q", got)
	}
}

func TestMissingWiresHangUpBeforeLogin(t *testing.T) {
	users := knownUsers(t, nil)
	f := func(w *session.Wires, in string) {
		t.Helper()
		g := session.NewGate(users, &cache{}, w)
		s := session.New(g, g, 1)
		if got := converse(s, in, len(in)); got != "" || !s.Ended() {
			t.Errorf("%q: got %q, ended %v", in, got, s.Ended())
		}
	}
	never := func([]byte) bool { return false }
	f(session.NewWires(nil, nil, never, packets.New(packets.Config{Login: true})), "set foo 0 0 7\r\nfoo bar\r\n")
	f(session.NewWires(text.New(text.Config{}), nil, never, nil), string(packetOf(0x21, "PLAIN", "\x00foo\x00bar")))
}

func packetOf(verb byte, key, value string) []byte {
	p := make([]byte, 24, 24+len(key)+len(value))
	p[0], p[1] = 0x80, verb
	binary.BigEndian.PutUint16(p[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(p[8:], uint32(len(key)+len(value)))
	return append(append(p, key...), value...)
}

// SCRAM as a client of another's making speaks it, through the session.
func TestScramOnTheBinaryWire(t *testing.T) {
	f := func(password string, want uint16) {
		t.Helper()
		s, g := gated(knownUsers(t, nil), &cache{})
		client, err := scram.SHA256.NewClient("foo", password, "")
		if err != nil {
			t.Fatal(err)
		}
		c, verb, answer := client.NewConversation(), byte(0x21), []byte(nil)
		status := uint16(0x21)
		for status == 0x21 {
			data, err := c.Step(string(answer))
			if err != nil {
				t.Fatal(err)
			}
			answers, _ := s.Answer(packetOf(verb, login.Scram, data))
			if len(answers) < 24 {
				t.Fatalf("%q", answers)
			}
			verb, status, answer = 0x22, binary.BigEndian.Uint16(answers[6:]), bytes.Clone(answers[24:])
			if c.Done() {
				break
			}
		}
		if status != want || (g.User() != nil) != (want == 0) {
			t.Errorf("%s: %04x, %v is in", password, status, g.User())
		}
	}
	f("bar", 0)
	f("baz", 0x20)
}

// Whatever bytes come, in whatever pieces: the same answers, and nothing but Version and logins before somebody is in.
func FuzzGate(f *testing.F) {
	f.Add([]byte("get k\r\nset foo 0 0 7\r\nfoo bar\r\nset k 0 0 1\r\nv\r\nmg k v\r\n"), 3)
	f.Add([]byte("set foo 0 0 7\r\nfoo bab\r\nset foo 0 0 2147483646\r\n"), 1)
	f.Add(append(packetOf(0x21, "PLAIN", "\x00foo\x00bar"), packetOf(0, "k", "")...), 5)
	f.Add(append(packetOf(0x21, "PLAIN", "\x00foo\x00baz"), packetOf(0x22, "PLAIN", "x")...), 24)
	f.Add(append(packetOf(0x20, "", ""), packetOf(0x0b, "", "")...), 7)
	users := knownUsers(f, nil)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		if bytes.Contains(bytes.ToUpper(in), []byte("CRAM")) {
			t.Skip("its challenges differ from one time to the next")
		}
		play := func(step int) (answers string, isIn bool, asked string) {
			chain := &guard{t: t}
			s, g := gated(users, chain)
			chain.gate = g
			answers = converse(s, string(in), step)
			return answers, g.User() != nil, fmt.Sprint(chain.asked)
		}
		step = max(step, 1+len(in)/200)
		a, inA, askedA := play(max(len(in), 1))
		b, inB, askedB := play(step)
		if a != b || inA != inB || askedA != askedB {
			t.Fatalf("in one piece %q %v %s, in pieces of %d %q %v %s", a, inA, askedA, step, b, inB, askedB)
		}
		if inA && !bytes.Contains(in, []byte("bar")) && !bytes.Contains(in, []byte("quux")) {
			t.Fatal("in without a password")
		}
	})
}

// guard fails if a request gets through that should not.
type guard struct {
	cache
	t    *testing.T
	gate *session.Gate
}

func (g *guard) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if g.gate.User() == nil && req.Op != protocol.Version {
		g.t.Fatalf("%v is through, and nobody is in", req.Op)
	}
	return g.cache.Handle(req, resp)
}

func BenchmarkGate(b *testing.B) {
	f := func(name string, s *session.Session) {
		b.Run(name, func(b *testing.B) {
			in := []byte("get own:some:key:of:usual:length\r\n")
			b.ReportAllocs()
			for b.Loop() {
				s.Answer(in)
			}
		})
	}
	f("none", session.New(echo{}, wires(), 1))
	g := session.NewGate(knownUsers(b, nil), echo{}, wires())
	s := session.New(g, g, 1)
	converse(s, "set foo 0 0 7\r\nfoo bar\r\n", 100)
	f("passed", s)
	for _, user := range []string{"rw", "rwp"} {
		g := session.NewGate(limited(b), echo{}, wires())
		s := session.New(g, g, 1)
		enter(b, s, user, false)
		f("granted "+user, s)
	}
}
