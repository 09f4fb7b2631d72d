package suspicion

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func member(id string, boot uint64) membership.Member {
	return membership.Member{Member: ring.Member{ID: id, Weight: 1}, Boot: boot, State: membership.Active, Peer: netip.MustParseAddrPort("127.0.0.1:1")}
}

// A world is some members, each with a Suspicion, and what a dial of each comes to.
type world struct {
	t       *testing.T
	mu      sync.Mutex // guards the rest
	members []membership.Member
	all     map[string]*Suspicion
	dials   map[string]func() error // by whom: "a" for all, "b>a" for b's of a
	silent  map[string]protocol.Status
	changes map[string]int
	hidden  string // the id of a member whose former run gossip still believes in
}

// begin makes members a, b, c ... that are all there.
func begin(t *testing.T, count int) *world {
	w := &world{t: t, all: map[string]*Suspicion{}, dials: map[string]func() error{}, silent: map[string]protocol.Status{}, changes: map[string]int{}}
	for i := range count {
		m := member(string(rune('a'+i)), 1)
		m.Peer = netip.AddrPortFrom(m.Peer.Addr(), uint16(i+1))
		w.members = append(w.members, m)
	}
	for _, m := range w.members {
		w.all[m.ID] = New(Config{
			Self: m,
			Members: func() []membership.Member {
				w.mu.Lock()
				defer w.mu.Unlock()
				return slices.Clone(w.members)
			},
			Believes: func(m membership.Member) bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return slices.Contains(w.members, m) || w.hidden == m.ID
			},
			Send:    w.send,
			Changed: func() { w.mu.Lock(); defer w.mu.Unlock(); w.changes[m.ID]++ },
			Dial:    func(_ context.Context, addr netip.AddrPort) error { return w.dial(m.ID, addr) },
		})
	}
	t.Cleanup(func() {
		for _, s := range w.all {
			s.Stop()
		}
	})
	return w
}

func (w *world) dial(from string, addr netip.AddrPort) error {
	to := string(rune('a' + addr.Port() - 1))
	w.mu.Lock()
	outcome := w.dials[from+">"+to]
	if outcome == nil {
		outcome = w.dials[to]
	}
	w.mu.Unlock()
	if outcome == nil {
		return nil
	}
	return outcome()
}

func (w *world) send(to membership.Member, req *protocol.Request) *protocol.Pending {
	w.mu.Lock()
	status, silent := w.silent[to.ID]
	handler := w.all[to.ID]
	w.mu.Unlock()
	if silent {
		return protocol.Answered(status)
	}
	var resp protocol.Response
	if pending := handler.Handle(req, &resp); pending != nil {
		return pending
	}
	return protocol.Answered(resp.Status)
}

// set has dials come to something.
func (w *world) set(who string, outcome func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials[who] = outcome
}

func refuse() error {
	return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}
func timeOut() error { return context.DeadlineExceeded }

// crash has a member gone: its port refuses, and so do its lanes.
func (w *world) crash(id string) {
	w.set(id, refuse)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent[id] = protocol.PeerLost
}

// down lists who takes a member for down.
func (w *world) down(id string) (by string) {
	w.mu.Lock()
	at := slices.IndexFunc(w.members, func(m membership.Member) bool { return m.ID == id })
	m := w.members[at]
	w.mu.Unlock()
	for _, s := range w.everybody() {
		if s.Down(m) {
			by += s.cfg.Self.ID
		}
	}
	sorted := []byte(by)
	slices.Sort(sorted)
	return string(sorted)
}

func (w *world) everybody() []*Suspicion {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.all))
}

// wait waits until holds.
func (w *world) wait(what string, holds func() bool) {
	w.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !holds(); <-tick.C {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// quiet waits until nobody looks into anything.
func (w *world) quiet() {
	w.t.Helper()
	w.wait("all looks to end", func() bool {
		for _, s := range w.everybody() {
			s.mu.Lock()
			busy := slices.Contains(slices.Collect(maps.Values(s.cases)), open)
			s.mu.Unlock()
			if busy {
				return false
			}
		}
		return true
	})
}

func TestWhoIsTakenForDown(t *testing.T) {
	// f has a lose a lane to b, and wants b down at these.
	f := func(what string, count int, want string, set func(w *world)) {
		t.Helper()
		w := begin(t, count)
		set(w)
		w.all["a"].Lost("b")
		if want != "" {
			w.wait(what, func() bool { return w.down("b") == want })
		}
		w.quiet()
		if got := w.down("b"); got != want {
			t.Errorf("%s: down at %q, want %q", what, got, want)
		}
	}
	f("a process that is gone", 4, "acd", func(w *world) { w.crash("b") })
	f("of two members", 2, "a", func(w *world) { w.crash("b") })
	f("all others are gone as well", 4, "a", func(w *world) { w.crash("b"); w.crash("c"); w.crash("d") })
	f("it answers", 3, "", func(*world) {})
	f("nobody answers", 3, "", func(w *world) { w.set("b", timeOut) })
	f("of two members one does not answer", 2, "", func(w *world) { w.set("b", timeOut) })
	f("another error", 3, "", func(w *world) { w.set("b", func() error { return errors.New("no route to host") }) })
	f("only we are refused", 3, "", func(w *world) { w.set("a>b", refuse) })
	f("two are refused, one is not", 4, "ac", func(w *world) { w.set("a>b", refuse); w.set("c>b", refuse) })
	f("we are refused, another waits in vain", 3, "", func(w *world) { w.set("a>b", refuse); w.set("c>b", timeOut) })
	f("the other does not answer us", 3, "", func(w *world) { w.crash("b"); w.silent["c"] = protocol.PeerTimeout })
	f("the other cannot be reached, and does not refuse", 3, "", func(w *world) { w.crash("b"); w.silent["c"] = protocol.PeerLost })
	f("refused at first only", 3, "", func(w *world) { w.set("b", turns(refuse, nil)) })
	f("its lanes go before its port", 3, "ac", func(w *world) { w.set("b", turns(nil, nil, refuse)) })
}

// turns gives outcomes one after the other, for each that dials, the last for ever; nil is a connection.
func turns(outcomes ...func() error) func() error {
	var mu sync.Mutex
	at := 0
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		outcome := outcomes[at]
		if at < len(outcomes)-1 {
			at++
		}
		if outcome == nil {
			return nil
		}
		return outcome()
	}
}

func TestEndsOfAVerdict(t *testing.T) {
	f := func(what string, end func(w *world)) {
		t.Helper()
		w := begin(t, 3)
		w.crash("b")
		w.all["a"].Lost("b")
		w.wait("b to be down", func() bool { return w.down("b") == "ac" })
		end(w)
		w.wait(what, func() bool { return w.down("b") == "" })
		w.wait("its end to be told", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.changes["a"] >= 2 })
	}
	f("it answers after all", func(w *world) {
		w.set("b", nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.silent, "b")
	})
	f("gossip knows", func(w *world) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.members[1].Boot = 2 // it has been restarted; f looks for the later
	})
}

// Another process on the same port is not the one that is gone.
func TestALaterRunOnTheSamePortIsNotTheOneThatIsGone(t *testing.T) {
	w := begin(t, 3)
	w.crash("b")
	w.all["a"].Lost("b")
	w.wait("b to be down", func() bool { return w.down("b") == "ac" })
	asked := make(chan struct{}, 100)
	w.all["b"].Stop()
	later := New(Config{
		Self: member("b", 2), Members: w.all["a"].cfg.Members, Believes: w.all["a"].cfg.Believes, Send: w.send, Changed: func() {},
		Dial: func(context.Context, netip.AddrPort) error { return nil },
	})
	w.mu.Lock()
	w.all["b"] = later
	delete(w.silent, "b")
	w.mu.Unlock()
	w.set("b", func() error { asked <- struct{}{}; return nil })
	<-asked
	<-asked
	<-asked // the answer to the first is in by now
	if got := w.down("b"); got != "ac" {
		t.Errorf("down at %q", got)
	}
}

// What gossip does not confirm in time is given up, and not looked into again.
func TestAVerdictHasABound(t *testing.T) {
	w := begin(t, 3)
	for _, s := range w.all {
		s.held = 200 * time.Millisecond
	}
	w.crash("b")
	w.all["a"].Lost("b")
	w.wait("both to be told of it and of its end", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.changes["a"] >= 2 && w.changes["c"] >= 2 })
	w.wait("the end of it", func() bool { return w.down("b") == "" })
	w.all["a"].Lost("b")
	w.all["c"].Lost("b")
	w.quiet()
	if got := w.down("b"); got != "" {
		t.Errorf("down at %q again", got)
	}
}

func TestHandle(t *testing.T) {
	w := begin(t, 2)
	s := w.all["a"]
	f := func(id string, boot uint64, want protocol.Status) {
		t.Helper()
		var resp protocol.Response
		pending := s.Handle(&protocol.Request{Op: protocol.Suspect, Key: []byte(id), Delta: boot}, &resp)
		got := resp.Status
		if pending != nil {
			pending.Wait()
			got = pending.Response.Status
			pending.Release()
		}
		if got != want {
			t.Errorf("%s started as %d: %v, want %v", id, boot, got, want)
		}
	}
	f("a", 1, protocol.NotFound) // ourselves
	f("a", 2, protocol.OK)
	f("b", 1, protocol.NotFound)
	f("b", 9, protocol.OK) // no such run is known here
	f("nobody", 1, protocol.OK)
	w.crash("b")
	f("b", 1, protocol.OK)
	f("b", 1, protocol.OK)
	s.Stop()
	f("b", 1, protocol.OK)
	f("a", 1, protocol.NotFound)
}

// Real ports: one that nobody listens on refuses, one that is not accepted from does not, even when no more connection fits into its queue.
func TestAFullQueueDoesNotRefuse(t *testing.T) {
	w := begin(t, 2)
	s := w.all["a"]
	s.cfg.Dial = dial
	port, closeListener := listenWithoutAccepting(t)
	m := member("b", 1)
	m.Peer = port
	conns := fillQueue(t, port)
	if s.refuses(m) {
		t.Error("a full queue is taken for the end of a process")
	}
	for _, conn := range conns {
		conn.Close()
	}
	closeListener()
	if !s.refuses(m) {
		t.Error("a closed port is not noticed")
	}
}

// listenWithoutAccepting gives a port whose queue holds one connection.
func listenWithoutAccepting(t *testing.T) (port netip.AddrPort, closeListener func()) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0))
	}
	name, nameErr := syscall.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		t.Fatal(err)
	}
	at := name.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)), func() { _ = syscall.Close(fd) }
}

// fillQueue connects until that takes too long.
func fillQueue(t *testing.T, port netip.AddrPort) (conns []net.Conn) {
	t.Helper()
	for range 100 {
		conn, err := net.DialTimeout("tcp", port.String(), 200*time.Millisecond)
		if err != nil {
			var failure net.Error
			if !errors.As(err, &failure) || !failure.Timeout() {
				t.Fatal(fmt.Errorf("fill the queue: %w", err))
			}
			return conns
		}
		conns = append(conns, conn)
	}
	t.Fatal("the queue does not fill")
	return nil
}

// A run that is hidden by a later one stays down for as long as gossip believes in it: the later may leave before.
func TestAFormerRunStaysDown(t *testing.T) {
	w := begin(t, 3)
	w.crash("b")
	w.all["a"].Lost("b")
	w.wait("b to be down", func() bool { return w.down("b") == "ac" })
	first := member("b", 1)
	first.Peer = netip.AddrPortFrom(first.Peer.Addr(), 2)
	dials := make(chan struct{}, 100)
	w.set("b", func() error { dials <- struct{}{}; return refuse() })
	w.mu.Lock()
	w.hidden, w.members[1].Boot = "b", 2
	w.mu.Unlock()
	for range 6 {
		<-dials // of a and c, three each at the least
	}
	if a := w.all["a"]; !a.Down(first) {
		t.Error("the former run is there again")
	}
	w.mu.Lock()
	w.hidden = ""
	w.mu.Unlock()
	w.wait("gossip to end it", func() bool { return !w.all["a"].Down(first) && !w.all["c"].Down(first) })
}

// A run that is doubted is not counted on until it answers, or gossip does not believe in it any more; then it is not doubted again.
func TestWhoIsDoubted(t *testing.T) {
	w := begin(t, 2)
	s, b := w.all["a"], w.members[1]
	w.set("b", timeOut)
	for range 2 {
		if !s.Doubts(b) || s.Down(b) {
			t.Error("a run that is silent is counted on, or taken for dead")
		}
	}
	w.set("b", nil)
	w.wait("b to be counted on", func() bool { return !s.Doubts(b) })
	w.crash("b")
	if s.Doubts(b) {
		t.Error("it is doubted again")
	}
	later := member("b", 2)
	w.mu.Lock()
	w.hidden, later.Peer = "b", b.Peer
	w.mu.Unlock()
	if !s.Doubts(later) {
		t.Error("another run of its id is not doubted")
	}
	w.mu.Lock()
	w.hidden = ""
	w.mu.Unlock()
	w.wait("gossip to end it", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, known := s.cases[runOf(later)]
		return !known
	})
}
