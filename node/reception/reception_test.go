package reception_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/reception"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

var there = peer.Self{ID: "there", Boot: 2, Cluster: "memring", Print: 7}

func get(key string) *protocol.Request {
	return &protocol.Request{Op: protocol.Get, Key: []byte(key)}
}

// named answers with its name.
type named string

func (n named) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status, resp.Value = protocol.OK, []byte(n)
	return nil
}

// knock says a Hello at a new door and then asks for a key; it gives both answers.
func knock(r *reception.Reception, hello []byte) (welcome, answer protocol.Response) {
	door := r.Door(nil)
	door.Handle(&protocol.Request{Op: protocol.Hello, Value: hello}, &welcome)
	door.Handle(get("k"), &answer)
	return welcome, answer
}

func TestReceptionLetsInWhoBelongs(t *testing.T) {
	var log bytes.Buffer
	r := reception.New(reception.Config{Self: there, Log: slog.New(slog.NewTextHandler(&log, nil))}, named("forward"), named("copy"))
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
	out("version 1 of the frames is spoken here, not 2: run builds that are not as far apart", func(h *frame.Hello) { h.Version = 2 })
	out(`cluster "memring", not "other"`, func(h *frame.Hello) { h.Cluster = "other" })
	out("parameters differ: print 7 here, 8 there", func(h *frame.Hello) { h.Print = 8 })
	out(`member "there", not "elsewhere"`, func(h *frame.Hello) { h.Receiver = "elsewhere" })
	out("is this one", func(h *frame.Hello) { h.Sender, h.Boot = "there", there.Boot })
	out("not a hello", func(h *frame.Hello) { h.Lane = 9 })

	if n := r.Refused(); n != 6 {
		t.Errorf("%d refusals counted, want 6", n)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 {
		t.Errorf("%d lines logged within ten seconds, want 1:\n%s", lines, &log)
	}
}

func TestReceptionWithoutCopies(t *testing.T) {
	r := reception.New(reception.Config{Self: there}, named("forward"), nil)
	h := frame.Hello{Version: frame.Version, Lane: frame.Copy, Print: 7, Sender: "here", Receiver: "there", Cluster: "memring"}
	if welcome, _ := knock(r, frame.AppendHello(nil, &h)); !strings.Contains(string(welcome.Value), "no copy lanes") {
		t.Fatalf("answered %q", welcome.Value)
	}
}

func TestDoorOpensOnce(t *testing.T) {
	r := reception.New(reception.Config{Self: there}, named("forward"), nil)
	door, resp := r.Door(nil), protocol.Response{}
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

// What is announced takes room, until it is given up or its lane has ended; what there is no room for is counted.
func TestParcelsOfALaneEndWithIt(t *testing.T) {
	r := reception.New(reception.Config{Self: there, MaxValueBytes: 32 << 20, ParcelBytes: 8 * 32 << 20}, named("forward"), nil)
	open := func() *reception.Door {
		door, resp := r.Door(nil), protocol.Response{}
		h := frame.Hello{Version: frame.Version, Lane: frame.Forward, Print: 7, Sender: "here", Receiver: "there", Cluster: "memring"}
		if door.Handle(&protocol.Request{Op: protocol.Hello, Value: frame.AppendHello(nil, &h)}, &resp); resp.Status != protocol.OK {
			t.Fatalf("hello: status %d", resp.Status)
		}
		return door
	}
	deliver := func(door *reception.Door, number, at uint64, want protocol.Status) {
		t.Helper()
		var resp protocol.Response
		door.Handle(&protocol.Request{Op: protocol.Deliver, Delta: number, Initial: at, CAS: 32 << 20, Value: make([]byte, 10)}, &resp)
		if resp.Status != want {
			t.Errorf("value %d, part at %d: status %d, want %d", number, at, resp.Status, want)
		}
	}
	one, other := open(), open()
	for number := range uint64(8) {
		deliver(one, number, 0, protocol.OK)
	}
	deliver(other, 1, 0, protocol.PeerOverloaded)
	deliver(one, 3, 1<<63, protocol.PeerLost) // given up
	deliver(other, 1, 0, protocol.OK)
	deliver(other, 2, 0, protocol.PeerOverloaded)
	one.Close()
	for number := range uint64(7) {
		deliver(other, 2+number, 0, protocol.OK)
	}
	deliver(other, 1, 10, protocol.OK)
	if n := r.RefusedParcels(); n != 2 {
		t.Errorf("%d refused, want 2", n)
	}
}
