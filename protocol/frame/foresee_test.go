package frame_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// TestKeysAreForeseen: all of whole frames, those of the last as far as it has come, and nothing before the Hello was answered or of what is no frame.
func TestKeysAreForeseen(t *testing.T) {
	var wire []byte
	for i, req := range []protocol.Request{
		{Op: protocol.Get, Key: []byte("a")}, {Op: protocol.Set, Key: []byte("b"), Value: bytes.Repeat([]byte("v"), 200)}, {Op: protocol.Noop}, {Op: protocol.Get, Key: []byte("ccc")},
	} {
		wire = frame.AppendRequest(wire, uint32(i), &req)
	}
	f := func(c *frame.Codec, in []byte, room int, want string, used int) {
		t.Helper()
		keys := make([][]byte, room)
		found, got := c.Foresee(in, keys)
		if told := strings.Join(strings.Fields(string(bytes.Join(keys[:found], []byte(" ")))), " "); told != want || got != used {
			t.Errorf("%q, %d bytes used; want %q, %d", told, got, want, used)
		}
	}
	f(opened(t), wire, 8, "a b ccc", len(wire))
	f(opened(t), wire, 1, "a", frame.RequestBytes(&protocol.Request{Key: []byte("a")}))
	f(opened(t), wire[:len(wire)-1], 8, "a b", len(wire)-1)
	f(opened(t), []byte(strings.Repeat("\xff", 200)), 8, "", 200)
	f(frame.NewCodec(), wire, 8, "", len(wire))
}
