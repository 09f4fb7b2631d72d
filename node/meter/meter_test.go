package meter_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// A chain answers with what it is told to: at once, or later.
type chain struct {
	status protocol.Status
	later  *protocol.Pending
	handle func()
}

func (c *chain) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if c.handle != nil {
		c.handle()
	}
	resp.Status = c.status
	return c.later
}

// A conversation is a session in which one request is asked at a time, as it is.
type conversation struct {
	*session.Session
	asked *protocol.Request
}

// Parse implements session.Codec.
func (c *conversation) Parse(buf []byte, req *protocol.Request) int {
	req.Op, req.Key, req.Options = c.asked.Op, c.asked.Key, c.asked.Options
	return len(buf)
}

// Append implements session.Codec.
func (c *conversation) Append(dst []byte, _ *protocol.Request, _ *protocol.Response) []byte {
	return dst
}

func (c *conversation) ask(req *protocol.Request) {
	c.asked = req
	c.Answer([]byte{0})
}

func newClient(m *meter.Meter, end protocol.Handler, origin uint32) *conversation {
	c := new(conversation)
	c.Session = session.New(end, c, origin)
	m.Client(c.Session, end)
	return c
}

func newLane(m *meter.Meter, end protocol.Handler, origin uint32) *conversation {
	c := new(conversation)
	c.Session = session.New(end, c, origin)
	m.Lane(c.Session, end)
	return c
}

// A watch is a clock that tests move.
type watch struct{ at time.Duration }

func (w *watch) now() time.Duration { return w.at }

func request(op protocol.Op, key string) *protocol.Request {
	return &protocol.Request{Op: op, Key: []byte(key)}
}

func count(h *meter.Histogram) (sum uint64) {
	if h == nil {
		return 0
	}
	for _, n := range h.Counts {
		sum += n
	}
	return sum
}

func TestTimes(t *testing.T) {
	var clock watch
	m := meter.New(meter.Config{Every: 1, Now: clock.now})
	end := &chain{}
	client := newClient(m, end, 1)
	f := func(op protocol.Op, status protocol.Status, took time.Duration, want meter.Series, bucket int) {
		t.Helper()
		before := count(m.Times()[want])
		end.status, end.handle = status, func() { clock.at += took }
		client.ask(request(op, "k"))
		h := m.Times()[want]
		if count(h) != before+1 || h.Counts[bucket] == 0 {
			t.Errorf("%v with %v after %v: not one more of %v in bucket %d: %+v", op, status, took, want, bucket, m.Times())
		}
	}
	last := len(meter.Buckets)
	f(protocol.Get, protocol.OK, time.Microsecond, meter.Series{Op: protocol.Get, Result: meter.Hit}, 0)
	f(protocol.Get, protocol.OK, time.Microsecond+1, meter.Series{Op: protocol.Get, Result: meter.Hit}, 1)
	f(protocol.Get, protocol.NotFound, time.Hour, meter.Series{Op: protocol.Get, Result: meter.Miss}, last)
	f(protocol.Set, protocol.OK, 0, meter.Series{Op: protocol.Set, Result: meter.Stored}, 0)
	f(protocol.Add, protocol.NotStored, 0, meter.Series{Op: protocol.Add, Result: meter.NotStored}, 0)
	f(protocol.Set, protocol.Exists, 0, meter.Series{Op: protocol.Set, Result: meter.Exists}, 0)
	f(protocol.Delete, protocol.OK, 0, meter.Series{Op: protocol.Delete, Result: meter.Hit}, 0)
	f(protocol.Incr, protocol.PeerTimeout, 0, meter.Series{Op: protocol.Incr, Result: meter.Error}, 0)

	all := len(m.Times())
	end.status = protocol.OK
	for _, op := range []protocol.Op{protocol.Noop, protocol.Stats, protocol.Fetch} {
		client.ask(request(op, "k"))
	}
	again := request(protocol.Get, "k")
	again.Options = protocol.Again
	client.ask(again)
	if got := m.Times(); len(got) != all || got[meter.Series{Op: protocol.Get, Result: meter.Hit}].Sum != 2*time.Microsecond+1 {
		t.Errorf("what is no client's request for an item is measured: %v", got)
	}
}

// The time of an answer that comes later ends when it is what the client gets, and its route is where it came from in the end.
func TestTimesOfWhatComesLater(t *testing.T) {
	var clock watch
	m := meter.New(meter.Config{Every: 1, Now: clock.now})
	sent := protocol.NewPending(nil)
	sent.OnLoss, sent.Forwarded = protocol.NotFound, true
	first := protocol.NewPending(nil)
	first.Then = func(*protocol.Request, *protocol.Response) *protocol.Pending {
		clock.at += 3 * time.Second
		return sent
	}
	first.Complete()
	sent.Response.Status = protocol.PeerLost
	sent.Complete()
	newClient(m, &chain{later: first}, 1).ask(request(protocol.Get, "k"))
	h := m.Times()[meter.Series{Op: protocol.Get, Result: meter.Miss, Route: meter.Forwarded}]
	if len(m.Times()) != 1 || count(h) != 1 || h.Sum != 3*time.Second {
		t.Errorf("got %+v", m.Times())
	}
	if hot := m.HotKeys(1); hot != nil {
		t.Errorf("the key of a forwarded request is counted here: %v", hot)
	}
}

// Each request has the same chance, whatever is between it and the last that was measured, and of conversations of one request as many are.
func TestOneOfSome(t *testing.T) {
	const every, requests = 16, 160_000
	ask := func(conversations int) uint64 {
		m := meter.New(meter.Config{Every: every})
		for i := range conversations {
			client := newClient(m, &chain{status: protocol.OK}, uint32(i))
			for range requests / conversations {
				client.ask(request(protocol.Get, "k"))
			}
		}
		return count(m.Times()[meter.Series{Op: protocol.Get, Result: meter.Hit}])
	}
	for _, conversations := range []int{1, 20, requests} {
		if n := ask(conversations); n < requests/every*9/10 || n > requests/every*11/10 { // ten standard deviations
			t.Errorf("%d conversations: %d of %d requests were measured, want about one of %d", conversations, n, requests, every)
		}
	}
}

func TestHotKeys(t *testing.T) {
	const (
		second = 1000 // requests
		window = 10 * time.Second
	)
	clock := watch{at: time.Hour}
	m := meter.New(meter.Config{Every: 1, Now: clock.now})
	lane, client := newLane(m, &chain{status: protocol.OK}, 1), newClient(m, &chain{status: protocol.OK}, 2)
	random := rand.New(rand.NewPCG(1, 2))
	load := func(shares map[string]int) { // of a hundred
		for i := range 10 * second {
			key, n := fmt.Sprintf("cold%d", i), random.IntN(100)
			for hot, share := range shares {
				if n -= share; n < 0 {
					key = hot
					break
				}
			}
			asked := lane
			if i%2 == 0 {
				asked = client
			}
			asked.ask(request(protocol.Get, key))
			clock.at += window / (10 * second)
		}
	}
	load(map[string]int{"a": 30, "b": 10, "c": 3})
	hot := m.HotKeys(20)
	if len(hot) != 3 || hot[0].Key != "a" || hot[1].Key != "b" || hot[2].Key != "c" {
		t.Fatalf("got %v, want a, b and c", hot)
	}
	if a := hot[0]; a.Share < 0.25 || a.Share > 0.35 || a.Rate < 0.25*second || a.Rate > 0.35*second {
		t.Errorf("got %+v, want some 30 of a hundred, and so many a second", a)
	}
	if hot := m.HotKeys(1); len(hot) != 1 || hot[0].Key != "a" {
		t.Errorf("limited: %v", hot)
	}
	load(map[string]int{"d": 20})
	if hot := m.HotKeys(20); len(hot) != 1 || hot[0].Key != "d" {
		t.Errorf("a window later: %v, want d alone", hot)
	}
	load(nil)
	if hot := m.HotKeys(20); hot != nil {
		t.Errorf("nothing is hot: %v", hot)
	}
	load(map[string]int{"e": 20})
	clock.at += 2 * window
	if hot := m.HotKeys(20); hot != nil {
		t.Errorf("after a pause: %v", hot)
	}
}

func TestNothingIsMeasured(t *testing.T) {
	m := meter.New(meter.Config{})
	for range 100 {
		newClient(m, &chain{}, 1).ask(request(protocol.Get, "k"))
		newLane(m, &chain{}, 1).ask(request(protocol.Get, "k"))
	}
	if n, hot := m.Times(), m.HotKeys(1); len(n) > 0 || hot != nil {
		t.Errorf("something is measured all the same: %v, %v", n, hot)
	}
}
