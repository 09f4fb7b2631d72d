package peer_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/reception"
	"github.com/memring/memring/node/seating"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/session"
)

var (
	here  = peer.Self{ID: "here", Boot: 1, Cluster: "memring", Print: 7}
	there = peer.Self{ID: "there", Boot: 2, Cluster: "memring", Print: 7}
)

// deadline of most tests; slack is what a busy machine may add before a wait counts as unbounded.
const (
	deadline = 100 * time.Millisecond
	slack    = 10 * time.Second
)

// echo answers with the key and the value, and with Delta as the number.
type echo struct{}

func (echo) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status, resp.Number = protocol.OK, req.Delta
	resp.Scratch = append(append(resp.Scratch[:0], req.Key...), req.Value...)
	resp.Value = resp.Scratch
	return nil
}

// A host is a place where lanes end: every connection is served by a goroutine of its own, and all are gone after the test.
type host struct {
	addr    netip.AddrPort
	serve   func(net.Conn)
	running sync.WaitGroup

	mu       sync.Mutex // guards the rest
	listener net.Listener
	conns    map[net.Conn]bool
	accepted int
}

// newHost serves at a free port with serve.
func newHost(tb testing.TB, serve func(net.Conn)) *host {
	tb.Helper()
	h := &host{serve: serve, addr: netip.MustParseAddrPort("127.0.0.1:0")}
	h.open(tb)
	tb.Cleanup(h.close)
	return h
}

// member serves as another member would: a session over frames, behind a reception.
func member(tb testing.TB, handler protocol.Handler, name ...string) *host {
	self := there
	self.ID = cmp.Or(strings.Join(name, ""), self.ID)
	door := reception.New(reception.Config{Self: self}, handler, nil)
	return newHost(tb, func(nc net.Conn) { converse(nc, session.New(door.Door(nil), frame.NewCodec(), 1)) })
}

// converse is the engine at its simplest.
func converse(nc net.Conn, s *session.Session) {
	in, end := make([]byte, 16<<10), 0
	for !s.Ended() {
		n, err := nc.Read(in[end:])
		if end += n; err != nil {
			return
		}
		for !s.Ended() {
			answers, used := s.Answer(in[:end])
			if _, err := nc.Write(answers); err != nil {
				return
			}
			if end = copy(in, in[used:end]); used == 0 && len(answers) == 0 {
				break
			}
		}
		if end == len(in) {
			in = append(in, make([]byte, len(in))...)
		}
	}
}

// open listens, again after close at the same port.
func (h *host) open(tb testing.TB) {
	l, err := net.Listen("tcp", h.addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	h.addr = l.Addr().(*net.TCPAddr).AddrPort()
	h.listener, h.conns = l, make(map[net.Conn]bool)
	h.running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.accepted++
			h.conns[nc] = true
			h.mu.Unlock()
			h.running.Go(func() {
				h.serve(nc)
				h.mu.Lock()
				delete(h.conns, nc)
				h.mu.Unlock()
				nc.Close()
			})
		}
	})
}

// cut closes all connections, with what is under way in them.
func (h *host) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for nc := range h.conns {
		_ = nc.(*net.TCPConn).SetLinger(0)
		nc.Close()
	}
}

func (h *host) close() {
	h.listener.Close()
	h.cut()
	h.running.Wait()
}

func (h *host) lanes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accepted
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peersOf gives Peers that are stopped at the end of the test.
func peersOf(tb testing.TB, cfg peer.Config) *peer.Peers {
	tb.Helper()
	if cfg.Self.ID == "" {
		cfg.Self = here
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = deadline
	}
	p := peer.New(cfg)
	tb.Cleanup(p.Stop)
	return p
}

func get(key string) *protocol.Request {
	return &protocol.Request{Op: protocol.Get, Key: []byte(key)}
}

// ask waits for the answer to req and gives its status and value; it fails if that takes longer than any request may.
func ask(tb testing.TB, link *peer.Link, req *protocol.Request) (protocol.Status, string) {
	tb.Helper()
	return wait(tb, link.Send(req))
}

func wait(tb testing.TB, pending *protocol.Pending) (protocol.Status, string) {
	tb.Helper()
	began := time.Now()
	pending.Wait()
	if took := time.Since(began); took > deadline+slack {
		tb.Errorf("waited for %v", took)
	}
	defer pending.Release()
	return pending.Response.Status, string(pending.Response.Value)
}

// until waits for a condition.
func until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !holds(); <-tick.C {
		if time.Since(began) > time.Minute {
			tb.Fatal("waited in vain: " + what)
		}
	}
}

func TestAnswersComeBack(t *testing.T) {
	link := peersOf(t, peer.Config{Deadline: 10 * time.Second, MaxValueBytes: 6 << 20}).Link("there", member(t, echo{}).addr)
	if status, value := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("key"), Value: []byte("+value")}); status != protocol.OK || value != "key+value" {
		t.Fatalf("status %d, %q", status, value)
	}
	// Large ones, and small ones after them.
	for _, size := range []int{1 << 20, 3, 5 << 20, 0, 100 << 10} {
		sent := bytes.Repeat([]byte("v"), size)
		status, value := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: sent})
		if status != protocol.OK || value != "k"+string(sent) {
			t.Fatalf("%d bytes: status %d, %d bytes", size, status, len(value))
		}
	}
	// Over the longest value: what is there must go with a set, and stays with anything else. (This peer answers whatever it is asked.)
	large := make([]byte, 6<<20+1)
	if status, value := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: large}); status != protocol.OK || value != "k" {
		t.Fatalf("a set over the longest value: status %d, %d bytes; want a discard", status, len(value))
	}
	if status, _ := ask(t, link, &protocol.Request{Op: protocol.Add, Key: []byte("k"), Value: large}); status != protocol.TooLarge {
		t.Fatalf("an add over the longest value: status %d", status)
	}
}

// Long answers are read in turn with who else computes long; who has the seats may wait for just these, so in the end they are read without.
func TestLongAnswersWaitForASeat(t *testing.T) {
	seats, now := seating.New(), make(chan struct{})
	close(now)
	takeAll := func() (taken int) {
		for seats.Take(seating.Clients, now, 0) {
			taken++
		}
		return taken
	}
	all := takeAll()
	link := peersOf(t, peer.Config{Deadline: 10 * time.Second, Seats: seats}).Link("there", member(t, echo{}).addr)
	long := func() {
		t.Helper()
		value := strings.Repeat("v", 1<<20)
		if status, got := ask(t, link, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: []byte(value), Bulk: true}); status != protocol.OK || got != "k"+value {
			t.Fatalf("status %d, %d bytes", status, len(got))
		}
	}
	began := time.Now()
	if long(); time.Since(began) < 10*time.Millisecond {
		t.Errorf("it was read after %v, without a seat", time.Since(began))
	}
	for range all {
		seats.Leave()
	}
	long()
	until(t, "the seats are left", func() bool {
		taken := takeAll()
		for range taken {
			seats.Leave()
		}
		return taken == all
	})
}

// recorder notes the order in which requests of each origin arrive.
type recorder struct {
	echo
	mu   sync.Mutex // guards seen
	seen map[uint32][]uint64
}

func (r *recorder) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	r.mu.Lock()
	r.seen[req.Flags] = append(r.seen[req.Flags], req.Delta)
	r.mu.Unlock()
	return r.echo.Handle(req, resp)
}

func TestRequestsOfOneOriginKeepTheirOrder(t *testing.T) {
	const origins, each = 10, 500
	r := &recorder{seen: make(map[uint32][]uint64)}
	link := peersOf(t, peer.Config{Lanes: 3, Deadline: 5 * time.Second}).Link("there", member(t, r).addr)
	var callers sync.WaitGroup
	for origin := range uint32(origins) {
		callers.Go(func() {
			var waiting []*protocol.Pending
			for i := range uint64(each) {
				waiting = append(waiting, link.Send(&protocol.Request{Op: protocol.Incr, Key: []byte("k"), Origin: origin, Flags: origin, Delta: i}))
				if i%7 == 6 {
					waiting[i].Flush()
				}
			}
			for i, pending := range waiting {
				if pending.Wait(); pending.Response.Status != protocol.OK || pending.Response.Number != uint64(i) {
					t.Errorf("request %d: status %d, number %d", i, pending.Response.Status, pending.Response.Number)
				}
				pending.Release()
			}
		})
	}
	callers.Wait()
	for origin, seen := range r.seen {
		for i, delta := range seen {
			if delta != uint64(i) {
				t.Fatalf("origin %d: request %d came as number %d", origin, delta, i)
			}
		}
		if len(seen) != each {
			t.Fatalf("origin %d: %d requests came, want %d", origin, len(seen), each)
		}
	}
}

// misbehave is what a host does after it has read the Hello, answered it if greets, and read the first request.
type misbehave func(nc net.Conn)

// rogue reads the Hello and, if it greets, answers it; then does what it does, and is silent until it is cut.
func rogue(greets bool, then misbehave) func(net.Conn) {
	return func(nc net.Conn) {
		buf := make([]byte, 64<<10)
		if n, _ := nc.Read(buf); n == 0 {
			return
		}
		if greets {
			_, _ = nc.Write(frame.AppendResponse(nil, 0, &protocol.Response{Status: protocol.OK}))
		}
		if then != nil {
			then(nc)
			return
		}
		for { // reads on, says nothing
			if _, err := nc.Read(buf); err != nil {
				return
			}
		}
	}
}

func TestWhateverThePeerDoesRequestsEnd(t *testing.T) {
	ok := protocol.Response{Status: protocol.OK, Value: []byte("v")}
	f := func(name string, serve func(net.Conn), want protocol.Status) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			cfg := peer.Config{Lanes: 1}
			if want == protocol.PeerLost {
				cfg.Deadline = slack // on a busy machine it may take the peer longer than the other to do what it does
			}
			p := peersOf(t, cfg)
			h := newHost(t, serve)
			link := p.Link("there", h.addr)
			began := time.Now()
			var waiting []*protocol.Pending
			for range 20 {
				waiting = append(waiting, link.Send(get("key")))
			}
			for i, pending := range waiting {
				if status, _ := wait(t, pending); status != want {
					t.Fatalf("request %d: status %d, want %d", i, status, want)
				}
			}
			if took := time.Since(began); took > deadline+slack {
				t.Fatalf("all took %v", took)
			}
		})
	}
	silently := func(nc net.Conn) {
		_, _ = nc.Read(make([]byte, 1))
		_, _ = nc.Read(make([]byte, 1<<20))
		_, _ = nc.Read(make([]byte, 1))
	}
	say := func(what []byte, then misbehave) misbehave {
		return func(nc net.Conn) {
			_, _ = nc.Write(what)
			then(nc)
		}
	}
	half := frame.AppendResponse(nil, 1, &ok)[:20]
	hangup := func(net.Conn) {}

	f("says nothing", rogue(false, nil), protocol.PeerTimeout)
	f("says hello only", rogue(true, nil), protocol.PeerTimeout)
	f("closes at once", hangup, protocol.PeerLost)
	f("closes after the hello", rogue(true, hangup), protocol.PeerLost)
	f("half an answer, then nothing", rogue(true, say(half, silently)), protocol.PeerTimeout)
	f("half an answer, then closes", rogue(true, say(half, hangup)), protocol.PeerLost)
	f("garbage", rogue(true, say(bytes.Repeat([]byte{0xee}, 100), silently)), protocol.PeerLost)
	f("garbage for a hello", rogue(false, say([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), silently)), protocol.PeerLost)
	f("an unknown status", rogue(true, say(frame.AppendResponse(nil, 1, &protocol.Response{Status: 200}), silently)), protocol.PeerLost)
	f("an answer out of its order", rogue(true, say(frame.AppendResponse(nil, 2, &ok), silently)), protocol.PeerLost)
	f("refuses the hello", rogue(false, say(frame.AppendResponse(nil, 0, &protocol.Response{Status: protocol.ServerError}), silently)), protocol.PeerLost)
}

func TestRefusedConnectionFailsAtOnce(t *testing.T) {
	h := newHost(t, nil)
	h.close()
	p := peersOf(t, peer.Config{Lanes: 1})
	link := p.Link("there", h.addr)
	if status, _ := ask(t, link, get("k")); status != protocol.PeerLost {
		t.Fatalf("status %d", status)
	}
	// During the pause nobody dials, nor waits.
	dials, began := p.Stats().Dials.Load(), time.Now()
	for range 1000 {
		if status, _ := ask(t, link, get("k")); status != protocol.PeerLost {
			t.Fatalf("status %d", status)
		}
	}
	if more, took := p.Stats().Dials.Load()-dials, time.Since(began); more > 5+int64(took/(500*time.Millisecond)) {
		t.Fatalf("dialed %d times in %v", more, took)
	}
	if p.Stats().DialErrors.Load() == 0 || p.Stats().Lost.Load() < 1001 {
		t.Fatalf("%d dial errors, %d lost", p.Stats().DialErrors.Load(), p.Stats().Lost.Load())
	}
	h.serve = member(t, echo{}).serve
	h.open(t)
	until(t, "the member is found again", func() bool {
		status, _ := ask(t, link, get("k"))
		return status == protocol.OK
	})
}

func TestDialThatNeverEnds(t *testing.T) {
	p := peersOf(t, peer.Config{Lanes: 1, Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	var waiting []*protocol.Pending
	for range 10 {
		waiting = append(waiting, p.Link("there", netip.AddrPort{}).Send(get("k")))
	}
	for _, pending := range waiting {
		if status, _ := wait(t, pending); status != protocol.PeerLost {
			t.Fatalf("status %d", status)
		}
	}
}

func TestTooManyAnswersBreakTheLane(t *testing.T) {
	// The one answer too many comes with the right ones, when nothing else is owed.
	ok := protocol.Response{Status: protocol.OK}
	h := newHost(t, func(nc net.Conn) {
		buf, end := make([]byte, 4096), 0
		for !bytes.HasSuffix(buf[:end], []byte("the-key")) {
			n, err := nc.Read(buf[end:])
			if end += n; err != nil {
				return
			}
		}
		var answers []byte
		for sequence := range uint32(3) {
			answers = frame.AppendResponse(answers, sequence, &ok)
		}
		_, _ = nc.Write(answers)
		_, _ = nc.Read(buf)
	})
	link := peersOf(t, peer.Config{Lanes: 1, Deadline: 5 * time.Second}).Link("there", h.addr)
	if status, _ := ask(t, link, get("the-key")); status != protocol.OK {
		t.Fatalf("status %d", status)
	}
	until(t, "a new lane", func() bool {
		ask(t, link, get("the-key"))
		return h.lanes() > 1
	})
}

// gate answers when told to.
type gate struct {
	echo
	open chan struct{}
}

func (g *gate) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if strings.HasPrefix(string(req.Key), "late") {
		<-g.open
	}
	return g.echo.Handle(req, resp)
}

func TestLateAnswersAreDropped(t *testing.T) {
	g := &gate{open: make(chan struct{}, 100)}
	h := member(t, g)
	t.Cleanup(func() { close(g.open) })
	p := peersOf(t, peer.Config{Lanes: 1})
	link := p.Link("there", h.addr)
	ask(t, link, get("warm"))
	for round := range 3 {
		var waiting []*protocol.Pending
		for i := range 5 {
			waiting = append(waiting, link.Send(get(fmt.Sprint("late", round, i))))
		}
		for _, pending := range waiting {
			if status, _ := wait(t, pending); status != protocol.PeerTimeout {
				t.Fatalf("status %d", status)
			}
		}
		for range 5 {
			g.open <- struct{}{}
		}
		until(t, "the right answer again", func() bool {
			key := fmt.Sprint("next", round)
			status, value := ask(t, link, get(key))
			if status == protocol.OK && value != key {
				t.Fatalf("asked %q, answered %q", key, value)
			}
			return status == protocol.OK
		})
		for len(g.open) > 0 {
			<-g.open // of one that was overdue before it was sent: nobody waits for it
		}
	}
	if p.Stats().Timeouts.Load() < 15 {
		t.Fatalf("%d time-outs counted", p.Stats().Timeouts.Load())
	}
}

func TestSilentLaneIsGivenUp(t *testing.T) {
	var silent atomic.Bool
	silent.Store(true)
	alive := member(t, echo{})
	h := newHost(t, func(nc net.Conn) {
		if silent.Load() {
			rogue(true, nil)(nc)
			return
		}
		alive.serve(nc)
	})
	link := peersOf(t, peer.Config{Lanes: 1}).Link("there", h.addr)
	if status, _ := ask(t, link, get("k")); status != protocol.PeerTimeout {
		t.Fatalf("status %d", status)
	}
	silent.Store(false)
	// Nothing more is asked, and still the lane ends: its host sees it.
	until(t, "the lane is closed", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.conns) == 0
	})
	until(t, "an answer on a new lane", func() bool {
		status, _ := ask(t, link, get("k"))
		return status == protocol.OK
	})
}

func TestPeerThatStopsReading(t *testing.T) {
	var ends []net.Conn
	var mu sync.Mutex
	p := peersOf(t, peer.Config{Lanes: 1, Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
		near, far := net.Pipe() // has no buffer: a write waits for the reader
		mu.Lock()
		defer mu.Unlock()
		ends = append(ends, far)
		return near, nil
	}})
	link := p.Link("there", netip.AddrPort{})
	var callers sync.WaitGroup
	for origin := range uint32(20) {
		callers.Go(func() {
			for range 5 {
				req := get("k")
				req.Origin = origin
				if status, _ := ask(t, link, req); !status.FromPeer() {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	callers.Wait()
	mu.Lock()
	defer mu.Unlock()
	for _, far := range ends {
		far.Close()
	}
}

// Another deadline is that of the requests to come.
func TestSetDeadline(t *testing.T) {
	h := newHost(t, rogue(true, nil))
	p := peersOf(t, peer.Config{Lanes: 1, Deadline: time.Hour})
	p.SetDeadline(deadline)
	if status, _ := ask(t, p.Link("there", h.addr), get("k")); status != protocol.PeerTimeout {
		t.Fatalf("status %d", status)
	}
}

// A real socket takes some megabytes before it is full; then writes wait, and give up at the deadline.
func TestSocketThatIsFull(t *testing.T) {
	over := make(chan struct{})
	h := newHost(t, func(net.Conn) { <-over })
	t.Cleanup(func() { close(over) })
	p := peersOf(t, peer.Config{Lanes: 1})
	link := p.Link("there", h.addr)
	var waiting []*protocol.Pending
	for range 30 {
		waiting = append(waiting, link.Send(&protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: make([]byte, 1<<20)}))
	}
	for _, pending := range waiting {
		if status, _ := wait(t, pending); !status.FromPeer() {
			t.Fatalf("status %d", status)
		}
	}
}

// Nor does a peer that does not read hold up what is sent to another: neither the session that has requests for both, nor a long value.
func TestFullSocketHoldsUpNobody(t *testing.T) {
	over := make(chan struct{})
	full := newHost(t, rogue(true, func(net.Conn) { <-over }))
	t.Cleanup(func() { close(over) })
	const patience = 20 * time.Second
	p := peersOf(t, peer.Config{Lanes: 1, Deadline: patience})
	stuck, well := p.Link("there", full.addr), p.Link("well", member(t, echo{}, "well").addr)
	ask(t, well, get("k")) // it is dialed
	began := time.Now()
	var waiting []*protocol.Pending
	for range 20 {
		waiting = append(waiting, stuck.Send(&protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: make([]byte, 1<<20)}))
		waiting[len(waiting)-1].Flush()
	}
	for range 5 {
		waiting[0].Flush()
		if status, _ := ask(t, well, get("k")); status != protocol.OK {
			t.Errorf("status %d", status)
		}
		if status, _ := ask(t, well, &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: make([]byte, 3<<20)}); status != protocol.OK {
			t.Errorf("a long value: status %d", status)
		}
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("took %v, with a patience of %v", took, patience)
	}
	p.Stop()
	for _, pending := range waiting {
		if status, _ := wait(t, pending); status != protocol.PeerLost {
			t.Fatalf("status %d", status)
		}
	}
}

func TestOverload(t *testing.T) {
	h := newHost(t, rogue(false, nil))
	f := func(name string, cfg peer.Config, fit int) {
		t.Helper()
		cfg.Deadline = time.Second // all are sent before the first is overdue
		p := peersOf(t, cfg)
		link := p.Link("there", h.addr)
		set := &protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: make([]byte, 1000)}
		var waiting []*protocol.Pending
		for range fit {
			waiting = append(waiting, link.Send(set))
		}
		var above sync.WaitGroup
		for range 10 {
			above.Go(func() {
				if status, _ := wait(t, link.Send(set)); status != protocol.PeerOverloaded {
					t.Errorf("%s: status %d above the bound, want %d", name, status, protocol.PeerOverloaded)
				}
			})
		}
		for i, pending := range waiting {
			if status, _ := wait(t, pending); status != protocol.PeerTimeout {
				t.Errorf("%s: request %d has status %d, want %d", name, i, status, protocol.PeerTimeout)
			}
		}
		above.Wait()
		if n := p.Stats().Overloaded.Load(); n != 10 {
			t.Errorf("%s: %d counted", name, n)
		}
	}
	f("by number", peer.Config{Lanes: 1, MaxWaiting: 30}, 29)                 // and the hello
	f("by size", peer.Config{Lanes: 1, MaxWaitingBytes: 10 * (1000 + 77)}, 9) // and the hello
}

// A full lane of a healthy peer makes senders wait; it loses nothing.
func TestFullLaneMakesRoom(t *testing.T) {
	link := peersOf(t, peer.Config{Lanes: 1, MaxWaiting: 8, Deadline: 10 * time.Second}).Link("there", member(t, echo{}).addr)
	var running sync.WaitGroup
	for range 20 {
		running.Go(func() {
			var waiting []*protocol.Pending
			for range 100 {
				waiting = append(waiting, link.Send(get("k")))
			}
			for _, pending := range waiting {
				if status, _ := wait(t, pending); status != protocol.OK {
					t.Errorf("status %d", status)
				}
			}
		})
	}
	running.Wait()
}

// While a peer owes answers that are overdue, nobody else waits for it; once it answers, all is well again.
func TestOverdueAnswersFailTheNextAtOnce(t *testing.T) {
	const deadline = 200 * time.Millisecond
	answerNow := make(chan struct{})
	h := newHost(t, rogue(true, func(nc net.Conn) {
		<-answerNow
		ok := protocol.Response{Status: protocol.OK}
		_, _ = nc.Write(frame.AppendResponse(nil, 1, &ok))
		_, _ = nc.Read(make([]byte, 1000))
		<-answerNow
	}))
	defer close(answerNow)
	link := peersOf(t, peer.Config{Lanes: 1, Deadline: deadline}).Link("there", h.addr)
	ask(t, link, get("a"))
	least := time.Hour // of some times, for a machine may be busy
	for range 10 {
		began := time.Now()
		if status, _ := ask(t, link, get("b")); status != protocol.PeerTimeout {
			t.Fatalf("status %d", status)
		}
		least = min(least, time.Since(began))
	}
	if least > deadline/2 {
		t.Fatalf("failed only after %v", least)
	}
	answerNow <- struct{}{}
	until(t, "a request is waited for again", func() bool {
		began := time.Now()
		ask(t, link, get("c"))
		return time.Since(began) >= deadline
	})
}

func TestLinks(t *testing.T) {
	a, b := member(t, echo{}), member(t, echo{})
	p := peersOf(t, peer.Config{Deadline: time.Second})
	link := p.Link("there", a.addr)
	if p.Link("there", a.addr) != link {
		t.Fatal("another link to the same member")
	}
	ask(t, link, get("k"))
	moved := p.Link("there", b.addr)
	if moved == link {
		t.Fatal("the same link to another address")
	}
	if status, _ := ask(t, link, get("k")); status != protocol.OK {
		t.Fatalf("old address, at once: status %d, want an answer to what was on its way", status)
	}
	closed := func(link *peer.Link) func() bool {
		return func() bool { status, _ := ask(t, link, get("k")); return status == protocol.PeerLost }
	}
	until(t, "the link to the old address is closed", closed(link))
	if status, _ := ask(t, moved, get("k")); status != protocol.OK {
		t.Fatalf("new address: status %d", status)
	}
	p.Keep("there", "else")
	if status, _ := ask(t, moved, get("k")); status != protocol.OK {
		t.Fatalf("kept: status %d", status)
	}
	p.Keep("else")
	until(t, "the link that is not kept is closed", closed(moved))
	again := p.Link("there", b.addr)
	if status, _ := ask(t, again, get("k")); status != protocol.OK {
		t.Fatalf("back again: status %d", status)
	}
	p.Stop()
	if status, _ := ask(t, again, get("k")); status != protocol.PeerLost {
		t.Fatalf("stopped: status %d", status)
	}
	if status, _ := ask(t, p.Link("new", a.addr), get("k")); status != protocol.PeerLost {
		t.Fatalf("new one after the stop: status %d", status)
	}
}

func TestStopEndsWhatWaits(t *testing.T) {
	h := newHost(t, rogue(true, nil))
	p := peersOf(t, peer.Config{Deadline: time.Minute})
	link := p.Link("there", h.addr)
	pending := link.Send(get("k"))
	pending.Flush()
	until(t, "it is on its way", func() bool { return h.lanes() > 0 })
	p.Stop()
	if status, _ := wait(t, pending); status != protocol.PeerLost {
		t.Fatalf("status %d", status)
	}
}

// Many sessions, while lanes are cut and answers come too late: every Pending is completed once (a second time panics, none hangs), and
// no answer goes to another request.
func TestEveryPendingIsCompletedOnce(t *testing.T) {
	var asked, answered, failed atomic.Int64
	slow := &sluggish{deadline: 20 * time.Millisecond}
	h := member(t, slow)
	p := peersOf(t, peer.Config{Lanes: 2, Deadline: slow.deadline, MaxWaiting: 200})
	link := p.Link("there", h.addr)
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	var callers sync.WaitGroup
	for origin := range uint32(30) {
		callers.Go(func() {
			var waiting []*protocol.Pending
			for round := 0; ctx.Err() == nil; round++ {
				waiting = waiting[:0]
				for i := range 1 + round%20 {
					req := get(fmt.Sprintf("%d-%d-%d", origin, round, i))
					req.Origin = origin
					waiting = append(waiting, link.Send(req))
					asked.Add(1)
				}
				for i := len(waiting) - 1; i >= 0; i-- {
					waiting[i].Wait()
				}
				if waiting[0].Response.Status == protocol.PeerLost {
					<-time.After(time.Millisecond) // the lane pauses: asking on would only count failures
				}
				for i, pending := range waiting {
					want := fmt.Sprintf("%d-%d-%d", origin, round, i)
					switch resp := &pending.Response; {
					case resp.Status == protocol.OK && string(resp.Value) == want:
						answered.Add(1)
					case resp.Status.FromPeer():
						failed.Add(1)
					default:
						t.Errorf("asked %q, answered %q with status %d", want, resp.Value, resp.Status)
					}
					pending.Release()
				}
			}
		})
	}
	callers.Go(func() {
		cuts := time.NewTicker(100 * time.Millisecond)
		defer cuts.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-cuts.C: // more often than a lane is proven: pauses are part of it
				h.cut()
			}
		}
	})
	callers.Wait()
	if asked.Load() != answered.Load()+failed.Load() || answered.Load() == 0 || failed.Load() == 0 {
		t.Fatalf("asked %d, answered %d, failed %d", asked.Load(), answered.Load(), failed.Load())
	}
	t.Logf("asked %d, answered %d, failed %d; %d time-outs, %d lost, %d overloaded, %d dials", asked.Load(), answered.Load(), failed.Load(),
		p.Stats().Timeouts.Load(), p.Stats().Lost.Load(), p.Stats().Overloaded.Load(), p.Stats().Dials.Load())
}

// sluggish answers one request in 500 just about too late.
type sluggish struct {
	echo
	deadline time.Duration
	n        atomic.Int64
}

func (s *sluggish) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if s.n.Add(1)%500 == 0 {
		<-time.After(s.deadline)
	}
	return s.echo.Handle(req, resp)
}

// What was told to be lost is not sent later, when its sender may have asked for something newer elsewhere: not by the system either.
func TestWhatIsLostIsNotSentLater(t *testing.T) {
	over, end := make(chan struct{}), make(chan error, 30)
	h := newHost(t, func(nc net.Conn) {
		<-over // as if its link were down
		_, err := io.Copy(io.Discard, nc)
		end <- err
	})
	p := peersOf(t, peer.Config{Lanes: 1, Deadline: time.Second}) // all are sent before the lane is given up, and no other is opened
	link := p.Link("there", h.addr)
	var waiting []*protocol.Pending
	for range 30 { // more than the sockets hold
		waiting = append(waiting, link.Send(&protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: make([]byte, 1<<20)}))
	}
	for _, pending := range waiting {
		if status, _ := wait(t, pending); !status.FromPeer() {
			t.Fatalf("status %d", status)
		}
	}
	p.Stop()
	close(over)
	if err := <-end; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the link is up again, and all was sent on: %v", err)
	}
}
