package session_test

import (
	"strconv"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// pieces is a stream of so many pieces, with nothing to give every other time.
type pieces struct {
	left, asked, closed int
}

func (p *pieces) Next(dst []byte) ([]byte, bool) {
	if p.asked++; p.asked%2 == 0 {
		return dst, true
	}
	p.left--
	return append(strconv.AppendInt(dst, int64(p.left), 10), ';'), p.left > 0
}

func (p *pieces) Close() { p.closed++ }

// dumps answers "dump" with a stream, and everything else at once.
type dumps struct{ stream *pieces }

func (d *dumps) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	if string(req.Key) == "dump" {
		resp.Stream = d.stream
	}
	return nil
}

func TestStreamHoldsBackWhatFollows(t *testing.T) {
	stream := &pieces{left: 3}
	s := session.New(&dumps{stream}, words{}, 1)
	in := []byte("dump\na\n")
	var got []string
	for range 7 {
		answers, used := s.Answer(in)
		in = in[used:]
		got = append(got, string(answers))
		if s.Streaming() != (len(got) < 6) {
			t.Errorf("after %q: streaming %v", got, s.Streaming())
		}
	}
	want := []string{"dump|", "2;", "", "1;", "", "0;a|", ""}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if len(in) > 0 || stream.closed != 1 {
		t.Errorf("%q is left, closed %d times", in, stream.closed)
	}
}

func TestStreamMustBeginItsBatch(t *testing.T) {
	stream := &pieces{left: 3}
	s := session.New(&dumps{stream}, words{}, 1)
	if answers, used := s.Answer([]byte("a\ndump\nb\n")); string(answers) != "a|!dump|b|" || used != 9 {
		t.Errorf("%q, used %d", answers, used)
	}
	if s.Streaming() || stream.closed != 1 || stream.asked != 0 {
		t.Errorf("the stream is under way: %+v", stream)
	}
}

func TestCloseEndsAStream(t *testing.T) {
	stream := &pieces{left: 3}
	s := session.New(&dumps{stream}, words{}, 1)
	s.Answer([]byte("dump\n"))
	s.Close()
	s.Close()
	if stream.closed != 1 || s.Streaming() || !s.Ended() {
		t.Errorf("closed %d times, streaming %v", stream.closed, s.Streaming())
	}
}
