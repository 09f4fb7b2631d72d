package session_test

import (
	"bytes"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// named is a wire of lines whose answers bear its name. A line "+n" is followed by n lines that belong to it.
type named struct {
	name string
	left int
}

func (n *named) Between() bool { return n.left == 0 }

func (n *named) Parse(buf []byte, req *protocol.Request) int {
	end := bytes.IndexByte(buf, '\n')
	switch {
	case end < 0:
		return 0
	case n.left > 0:
		n.left--
	case bytes.HasSuffix(buf[:end], []byte("+2")):
		n.left = 2
	}
	req.Op, req.Key = protocol.Get, buf[:end]
	return end + 1
}

func (n *named) Append(dst []byte, req *protocol.Request, _ *protocol.Response) []byte {
	return append(append(append(dst, n.name...), req.Key...), '|')
}

func TestWiresAreChosenByFirstBytes(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		for n := 1; n <= len(in); n++ {
			w := session.NewWires(&named{name: "t:"}, &named{name: "m:"}, func(head []byte) bool { return bytes.HasPrefix(head, []byte("mg ")) }, &named{name: "b:"})
			if got := converse(session.New(echo{}, w, 1), in, n); got != want {
				t.Fatalf("%q by %d bytes: got %q, want %q", in, n, got, want)
			}
		}
	}
	f("get a\nmg a\nm\nmg\nmgx\nget b\n", "t:get a|m:mg a|t:m|t:mg|t:mgx|t:get b|")
	f("mg a+2\nget b\nget c\nget d\n", "m:mg a+2|m:get b|m:get c|t:get d|")
	f("get a+2\nmg b\nmg c\nmg d\n", "t:get a+2|t:mg b|t:mg c|m:mg d|")
	f("\x80a\nmg b\nget c\n", "b:\x80a|b:mg b|b:get c|")
	f("get a\n\x80b\n", "t:get a|t:\x80b|")
}

func TestMissingWiresHangUp(t *testing.T) {
	f := func(w *session.Wires, in string) {
		t.Helper()
		s := session.New(echo{}, w, 1)
		if got := converse(s, in, len(in)); got != "" || !s.Ended() {
			t.Fatalf("got %q, ended %v", got, s.Ended())
		}
	}
	never := func([]byte) bool { return false }
	f(session.NewWires(nil, nil, never, &named{}), "get a\n")
	f(session.NewWires(&named{}, &named{}, never, nil), "\x80a\n")
}
