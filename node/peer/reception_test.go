package peer_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// named answers with its name.
type named string

func (n named) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status, resp.Value = protocol.OK, []byte(n)
	return nil
}

// knock says a Hello at a new door and then asks for a key; it gives both answers.
func knock(r *peer.Reception, hello []byte) (welcome, answer protocol.Response) {
	door := r.Door()
	door.Handle(&protocol.Request{Op: protocol.Hello, Value: hello}, &welcome)
	door.Handle(get("k"), &answer)
	return welcome, answer
}

func TestReceptionLetsInWhoBelongs(t *testing.T) {
	var log bytes.Buffer
	r := peer.NewReception(peer.Config{Self: there, Log: slog.New(slog.NewTextHandler(&log, nil))}, named("forward"), named("copy"))
	proper := frame.Hello{Version: frame.Version, Lane: frame.Forward, Boot: 1, Print: 7, Sender: "here", Receiver: "there", Cluster: "memring"}
	in := func(lane frame.Lane, want string) {
		t.Helper()
		h := proper
		h.Lane = lane
		if welcome, answer := knock(r, frame.AppendHello(nil, &h)); welcome.Status != protocol.OK || string(answer.Value) != want {
			t.Errorf("%s lane: %q, then %q", lane, welcome.Value, answer.Value)
		}
	}
	in(frame.Forward, "forward")
	in(frame.Copy, "copy")

	out := func(want string, change func(h *frame.Hello)) {
		t.Helper()
		h := proper
		change(&h)
		welcome, answer := knock(r, frame.AppendHello(nil, &h))
		if welcome.Status != protocol.ServerError || !strings.Contains(string(welcome.Value), want) || answer.Status != protocol.ServerError {
			t.Errorf("answered %d %q, want %q; then %d %q", welcome.Status, welcome.Value, want, answer.Status, answer.Value)
		}
	}
	out("version 1 is spoken here, not 2", func(h *frame.Hello) { h.Version = 2 })
	out(`cluster "memring", not "other"`, func(h *frame.Hello) { h.Cluster = "other" })
	out("parameters differ: print 7 here, 8 there", func(h *frame.Hello) { h.Print = 8 })
	out(`member "there", not "elsewhere"`, func(h *frame.Hello) { h.Receiver = "elsewhere" })
	out("is this one", func(h *frame.Hello) { h.Sender, h.Boot = "there", there.Boot })
	out("not a hello", func(h *frame.Hello) { h.Lane = 9 })

	if n := r.Refused(); n != 6 {
		t.Errorf("%d refusals counted, want 6", n)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines logged within a second, want 1:\n%s", lines, &log)
	}
}

func TestReceptionWithoutCopies(t *testing.T) {
	r := peer.NewReception(peer.Config{Self: there}, named("forward"), nil)
	h := frame.Hello{Version: frame.Version, Lane: frame.Copy, Print: 7, Sender: "here", Receiver: "there", Cluster: "memring"}
	if welcome, _ := knock(r, frame.AppendHello(nil, &h)); !strings.Contains(string(welcome.Value), "no copy lanes") {
		t.Fatalf("answered %q", welcome.Value)
	}
}

func TestDoorOpensOnce(t *testing.T) {
	r := peer.NewReception(peer.Config{Self: there}, named("forward"), nil)
	door, resp := r.Door(), protocol.Response{}
	if door.Handle(get("k"), &resp); resp.Status != protocol.ServerError {
		t.Fatalf("before the hello: status %d", resp.Status)
	}
	h := frame.Hello{Version: frame.Version, Lane: frame.Forward, Print: 7, Sender: "here", Receiver: "there", Cluster: "memring"}
	hello := protocol.Request{Op: protocol.Hello, Value: frame.AppendHello(nil, &h)}
	resp.Reset()
	if door.Handle(&hello, &resp); resp.Status != protocol.OK {
		t.Fatalf("hello: status %d", resp.Status)
	}
	resp.Reset()
	if door.Handle(&hello, &resp); resp.Status != protocol.ServerError {
		t.Fatalf("second hello: status %d", resp.Status)
	}
}

// A notebook is a log that may be read while it is written.
type notebook struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notebook) says(words ...string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, word := range words {
		if !bytes.Contains(n.text.Bytes(), []byte(word)) {
			return false
		}
	}
	return true
}

// Whoever is not of the cluster gets no answer but the refusal, and its requests fail.
func TestWrongMemberIsNotTalkedTo(t *testing.T) {
	var log notebook
	h := member(t, echo{})
	p := peersOf(t, peer.Config{Self: peer.Self{ID: "here", Cluster: "other", Print: 7}, Lanes: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if status, _ := ask(t, p.Link("there", h.addr), get("k")); status != protocol.PeerLost {
		t.Fatalf("status %d", status)
	}
	until(t, "the reason is logged", func() bool { return log.says("peer refuses us", "memring", "other") })
}
