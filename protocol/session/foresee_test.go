package session_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// diary notes what was foreseen, in brackets, and what was asked for.
type diary struct{ strings.Builder }

func (d *diary) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	fmt.Fprintf(d, "%s ", req.Key)
	resp.Status = protocol.NotFound
	return nil
}

func (d *diary) foresee(keys [][]byte) { fmt.Fprintf(d, "[%s] ", bytes.Join(keys, []byte(" "))) }

func TestKeysAreForeseen(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		d := new(diary)
		s := session.New(d, wires(), 1)
		s.LookAhead(d.foresee)
		if s.Answer([]byte(in)); strings.TrimSpace(d.String()) != want {
			t.Errorf("%.60q:\n got %s\nwant %s", in, d, want)
		}
	}
	f("get a\r\n", "a")
	f("get a b\r\n", "a b") // one alone has nobody to wait with
	f("get a b c\r\n", "a [b c] b c")
	f("get a b  c \nget d\r\n", "a [b c d] b c d")
	f("gets a b\r\ngat 0 c d\r\ntouch e 0\r\n", "a [b c d e] b c d e")
	f("get a\r\nset b 0 0 14\r\nget x\r\nget yyy\r\nget c\r\n", "a [b c] b c")
	f("get a\r\ncas b 0 0 5 6\r\nget x\r\nincr c 1\r\ndelete d\r\n", "a [b c d] b c d")
	f("mg a v\r\nmg b\r\nms c 7 T0\r\nmg x vv\r\nmn\r\nmd d q\r\nget e\r\n", "a [b c d e] b c  d e")
	f("get a\r\nversion\r\nget b\r\nget c\r\n", "a [b c]  b c")
	f("get a\r\nget b\r\nget c", "a b")                    // the last has not come yet, so b is alone
	f("get a\r\nget b\r\nset c 0 0 100\r\nv", "a [b c] b") // nor has all of this
	f(string(bytes.Join([][]byte{packetOf(0, "a", ""), packetOf(0x0d, "b", ""), packetOf(0x0a, "", ""), packetOf(0x04, "c", ""), packetOf(0, "d", "")[:24]}, nil)), "a [b c] b  c")
	f("get a\r\nset b 0 0 99999999999999999999\r\nget c\r\nget d\r\n", "a [b c d] c d") // what is refused may be foreseen
}

// TestManyKeysAreForeseenByParts: those of a part are asked for before the next is foreseen, and none twice.
func TestManyKeysAreForeseenByParts(t *testing.T) {
	var line strings.Builder
	for i := range 100 {
		fmt.Fprintf(&line, " k%d", i)
	}
	d := new(diary)
	s := session.New(d, wires(), 1)
	s.LookAhead(d.foresee)
	s.Answer([]byte("get" + line.String() + "\r\n"))
	asked, foreseen := 0, 0
	for i, part := range strings.Split(strings.ReplaceAll(d.String(), "] ", "["), "[") {
		keys := strings.Fields(part)
		if i%2 == 0 {
			asked += len(keys)
			continue
		}
		if foreseen += len(keys); keys[0] != fmt.Sprintf("k%d", asked) || len(keys) > 32 {
			t.Errorf("after %d keys were foreseen %v", asked, keys)
		}
	}
	if asked != 100 || foreseen != 99 {
		t.Errorf("%d asked for, %d foreseen", asked, foreseen)
	}
}

// TestNobodyOutsideIsForeseen: who is not in has nothing prepared.
func TestNobodyOutsideIsForeseen(t *testing.T) {
	d := new(diary)
	g := session.NewGate(knownUsers(t, func(answer func()) { answer() }), d, wires())
	s := session.New(g, g, 1)
	s.LookAhead(d.foresee)
	if converse(s, "get a b c\r\nget d e f\r\n", 100); d.Len() != 0 {
		t.Fatal(d)
	}
	converse(s, "set k 0 0 7\r\nfoo bar\r\nget a b c\r\n", 100)
	if got := strings.TrimSpace(d.String()); got != "[a b c] a b c" {
		t.Error(got)
	}
}

// FuzzForesee: whatever bytes come, in whatever pieces, looking ahead changes no answer.
func FuzzForesee(f *testing.F) {
	f.Add([]byte("get a b c\r\nset k 0 0 1\r\nv\r\nmg k v\r\nms k 2\r\nvv\r\ngat 0 a b\r\n"), 7)
	f.Add([]byte("get a\r\nset k 0 0 1000\r\nget"), 3)
	f.Add(append(append(packetOf(0x0d, "a", ""), packetOf(1, "k", "v")...), packetOf(0x0a, "", "")...), 24)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		play := func(look bool) string {
			s := session.New(new(cache), wires(), 1)
			if look {
				s.LookAhead(func(keys [][]byte) {
					if len(keys) < 2 || len(keys) > 32 {
						t.Fatalf("%d keys at once", len(keys))
					}
				})
			}
			return converse(s, string(in), max(step, 1+len(in)/200))
		}
		if with, without := play(true), play(false); with != without {
			t.Fatalf("with %q, without %q", with, without)
		}
	})
}
