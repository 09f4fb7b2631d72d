package peer_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/reception"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/session"
)

// shelf keeps values by their key, as an owner does.
type shelf struct {
	mu     sync.Mutex // guards the rest
	values map[string][]byte
}

func (s *shelf) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	resp.Status = protocol.OK
	switch req.Op {
	case protocol.Set:
		s.values[string(req.Key)] = bytes.Clone(req.Value)
	case protocol.Append:
		s.values[string(req.Key)] = append(s.values[string(req.Key)], req.Value...)
	case protocol.Discard:
		delete(s.values, string(req.Key))
		resp.Status = req.Reason
	case protocol.Get:
		value, found := s.values[string(req.Key)]
		if !found {
			resp.Status = protocol.NotFound
			return nil
		}
		resp.Scratch = append(resp.Scratch[:0], value...)
		resp.Value, resp.Size, resp.Flags = resp.Scratch, uint32(len(value)), 9
	}
	return nil
}

// shelves gives a link to a member with a shelf, both within the bounds of cfg.
func shelves(t testing.TB, cfg peer.Config) (*peer.Link, *shelf, *host) {
	t.Helper()
	s := &shelf{values: map[string][]byte{}}
	atOwner := reception.New(reception.Config{Self: there, MaxValueBytes: cfg.MaxValueBytes, Log: cfg.Log}, s, nil)
	h := newHost(t, func(nc net.Conn) {
		door, codec := atOwner.Door(nil), frame.NewCodec()
		codec.Cut = door.Cut
		converse(nc, session.New(door, codec, 1))
	})
	return peersOf(t, cfg).Link("there", h.addr), s, h
}

// pattern gives so many bytes, each part of them different.
func pattern(n int) []byte {
	value := make([]byte, n)
	for i := range value {
		value[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return value
}

func TestLongValuesGoAndCome(t *testing.T) {
	link, _, _ := shelves(t, peer.Config{Deadline: 10 * time.Second, Lanes: 1})
	for _, size := range []int{frame.PartBytes - 1, frame.PartBytes, frame.PartBytes + 1, 2 * frame.PartBytes, 5*frame.PartBytes + 77, 3} {
		value := pattern(size)
		if status, _ := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: value}); status != protocol.OK {
			t.Fatalf("set of %d bytes: status %d", size, status)
		}
		for range 2 {
			pending := link.Send(get("k"))
			pending.Wait()
			resp := &pending.Response
			if resp.Status != protocol.OK || !bytes.Equal(resp.Value, value) {
				t.Fatalf("get of %d bytes: status %d, %d bytes", size, resp.Status, len(resp.Value))
			}
			if resp.Marks != 0 || resp.Number != 0 || resp.Flags != 9 || int(resp.Size) != size {
				t.Fatalf("get of %d bytes: marks %x, number %d, flags %d, size %d", size, resp.Marks, resp.Number, resp.Flags, resp.Size)
			}
			pending.Release()
		}
	}
}

// Many at once, over few lanes, among short ones: each has its own answer, and those of one origin their order.
func TestLongValuesAmongShortOnes(t *testing.T) {
	link, _, _ := shelves(t, peer.Config{Deadline: 20 * time.Second, Lanes: 2})
	var running sync.WaitGroup
	for origin := range uint32(4) {
		running.Go(func() {
			key := []byte{'a' + byte(origin)}
			for round := range 2 {
				value := pattern(frame.PartBytes*(1+round) + int(origin) + round)
				send := func(op protocol.Op, value []byte) *protocol.Pending {
					return link.Send(&protocol.Request{Op: op, Key: key, Value: value, Origin: origin})
				}
				waiting := []*protocol.Pending{
					send(protocol.Set, []byte("short")), send(protocol.Set, value), send(protocol.Append, []byte("!")), send(protocol.Get, nil),
					send(protocol.Append, value), send(protocol.Get, nil),
				}
				for _, pending := range waiting {
					pending.Wait()
					if pending.Response.Status != protocol.OK {
						t.Errorf("origin %d, round %d: status %d", origin, round, pending.Response.Status)
					}
				}
				want := append(bytes.Clone(value), '!')
				if !bytes.Equal(waiting[3].Response.Value, want) {
					t.Errorf("origin %d, round %d: %d bytes, want %d", origin, round, len(waiting[3].Response.Value), len(want))
				}
				if want = append(want, value...); !bytes.Equal(waiting[5].Response.Value, want) {
					t.Errorf("origin %d, round %d: %d bytes, want %d", origin, round, len(waiting[5].Response.Value), len(want))
				}
				for _, pending := range waiting {
					pending.Release()
				}
			}
		})
	}
	running.Wait()
}

// What the owner refuses for its size is refused, and what was there is gone, as with every set.
func TestLongValueOverTheBound(t *testing.T) {
	link, s, h := shelves(t, peer.Config{Deadline: 10 * time.Second, MaxValueBytes: 2 << 20})
	if status, _ := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: []byte("old")}); status != protocol.OK {
		t.Fatalf("status %d", status)
	}
	wide := peersOf(t, peer.Config{Deadline: 10 * time.Second}).Link("there", h.addr)
	if status, _ := ask(t, wide, &protocol.Request{Op: protocol.Add, Key: []byte("k"), Value: pattern(3 << 20)}); status != protocol.TooLarge {
		t.Fatalf("add: status %d", status)
	}
	if status, value := ask(t, wide, get("k")); status != protocol.OK || value != "old" {
		t.Fatalf("after the add: status %d, %q", status, value)
	}
	if status, _ := ask(t, wide, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: pattern(3 << 20)}); status != protocol.TooLarge {
		t.Fatalf("set: status %d", status)
	}
	if status, _ := ask(t, wide, get("k")); status != protocol.NotFound {
		t.Fatalf("after the set: status %d", status)
	}
	// And who asks takes no more than his own bound.
	s.values["k"] = pattern(3 << 20)
	if status, _ := ask(t, link, get("k")); status != protocol.PeerLost {
		t.Fatalf("an answer over the bound: status %d", status)
	}
	if status, _ := ask(t, link, get("absent")); status != protocol.NotFound {
		t.Fatalf("after it: status %d", status)
	}
}

// A connection that breaks within a value loses that request only: the next goes, whole.
func TestLongValueOnABrokenLane(t *testing.T) {
	link, s, h := shelves(t, peer.Config{Deadline: 2 * time.Second, Lanes: 1})
	value := pattern(4 << 20)
	var running sync.WaitGroup
	done := make(chan struct{})
	running.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			select {
			case <-done:
				tick.Stop()
				return
			default:
				h.cut()
			}
		}
	})
	for range 10 {
		pending := link.Send(&protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: value})
		pending.Wait()
		if status := pending.Response.Status; status != protocol.OK && status != protocol.PeerLost {
			t.Errorf("status %d", status)
		}
		pending.Release()
		pending = link.Send(get("k"))
		pending.Wait()
		if resp := &pending.Response; resp.Status == protocol.OK && !bytes.Equal(resp.Value, value) {
			t.Errorf("got %d bytes that were never set", len(resp.Value))
		}
		pending.Release()
	}
	close(done)
	running.Wait()
	s.mu.Lock()
	if kept, found := s.values["k"]; found && !bytes.Equal(kept, value) {
		t.Errorf("%d bytes are kept that were never set", len(kept))
	}
	s.mu.Unlock()
	until(t, "the lane is there again", func() bool {
		status, _ := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: value})
		return status == protocol.OK
	})
}

// A warden stands at a door: it answers the second part of a value too late, and hears what is given up.
type warden struct {
	next  protocol.Handler
	parts int
	late  chan struct{} // closed when the part may be answered
	heard chan uint64   // numbers of what was given up
}

func (w *warden) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if req.Op == protocol.Deliver {
		if w.parts++; w.parts == 2 {
			<-w.late
		}
		if req.Initial > 1<<62 {
			w.heard <- req.Delta
		}
	}
	return w.next.Handle(req, resp)
}

// What is not sent to its end is given up, so that it does not take the others' room.
func TestLongValueIsGivenUp(t *testing.T) {
	atOwner := reception.New(reception.Config{Self: there}, &shelf{values: map[string][]byte{}}, nil)
	w := &warden{late: make(chan struct{}), heard: make(chan uint64, 10)}
	h := newHost(t, func(nc net.Conn) {
		w.next = atOwner.Door(nil)
		converse(nc, session.New(w, frame.NewCodec(), 1))
	})
	link := peersOf(t, peer.Config{Lanes: 1, Deadline: time.Second}).Link("there", h.addr)
	status, _ := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: pattern(8 << 20)})
	close(w.late)
	if status != protocol.PeerTimeout {
		t.Errorf("status %d", status)
	}
	if number := <-w.heard; number != 1 {
		t.Errorf("number %d is given up", number)
	}
}
