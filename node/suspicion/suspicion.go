// Package suspicion finds out within milliseconds that another member's process is gone: its port refuses connections, and a second member finds so as well.
//
//	a lane is lost       -> refused, twice -> Suspect, to all others -> one says so, too -> down
//	Suspect, from others -> refused, twice -> down here as well: all who are asked agree, so their tables and views are the same
//	down -> dialed again and again, until gossip has found out, or it answers after all
//	of whose id a later run came and left in order -> doubted: the same, without evidence
//
// Only a refusal is evidence, for only the kernel of a machine that is up gives it, at once and for a port that nobody listens on. A time-out is none: a member
// that is busy, or whose accept queue is full, does not refuse. What becomes of the rest is for gossip to say (CLUSTER.md 3.3).
package suspicion

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// Config says who there is and how they are reached. All functions but Dial must be set.
type Config struct {
	Self membership.Member

	// Members are those whom gossip believes alive.
	Members func() []membership.Member
	// Believes reports whether gossip has a run for alive, be it hidden by a later one of its id.
	Believes func(m membership.Member) bool
	// Send sends a request to a member on a copy lane.
	Send func(m membership.Member, req *protocol.Request) *protocol.Pending
	// Changed is called when Down has something new to say. It must not block.
	Changed func()

	Log *slog.Logger

	// Dial opens a connection and closes it. Default: TCP.
	Dial func(ctx context.Context, addr netip.AddrPort) error
}

const (
	// refusals in a row are evidence, lookPause apart: a process that is just taking its port gets over it.
	refusals  = 2
	lookPause = 10 * time.Millisecond
	// maxLooks bounds the dials of one look: a process that dies loses its lanes some milliseconds before its port.
	maxLooks = 5
	// dialTimeout is how long a dial is waited for; a refusal needs a round trip.
	dialTimeout = 100 * time.Millisecond
	// redialEvery is how often a member that is down is dialed, while gossip still believes it alive.
	redialEvery = 100 * time.Millisecond
	// heldFor bounds that: gossip needs four seconds at most. If it has not found out by then something else is wrong, and evidence of this kind is at an end.
	heldFor = 10 * time.Second
)

// A run is one start of a member.
type run struct {
	id   string
	boot uint64
}

func runOf(m membership.Member) run { return run{m.ID, m.Boot} }

// A verdict is what was found of a run.
type verdict uint8

const (
	open      verdict = iota // being looked into
	condemned                // down
	doubted                  // down until it answers
	spent                    // it was down for heldFor, and gossip did not find so, or has answered when it was doubted: no further look
)

// A Suspicion knows who is down although gossip does not know yet.
type Suspicion struct {
	cfg  Config
	ctx  context.Context // of all dials
	stop context.CancelFunc
	held time.Duration // heldFor, and less in tests

	running sync.WaitGroup

	mu      sync.Mutex // guards the rest, and Add on running
	stopped bool
	cases   map[run]verdict
}

// New makes a Suspicion of nobody.
func New(cfg Config) *Suspicion {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Dial == nil {
		cfg.Dial = dial
	}
	s := &Suspicion{cfg: cfg, held: heldFor, cases: map[run]verdict{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

func dial(ctx context.Context, addr netip.AddrPort) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

// Stop ends all looks. Lanes must have been stopped before, so that who was asked has answered.
func (s *Suspicion) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.stop()
	s.mu.Unlock()
	s.running.Wait()
}

// Doubts reports whether nobody is to count on a run although gossip believes in it: a later one of its id was here and has left in order, so most likely this one has died before without
// anybody's noticing. It is dialed from the first time on that this is called; once it has answered, or was silent for heldFor, it is counted on.
func (s *Suspicion) Doubts(m membership.Member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, known := s.cases[runOf(m)]
	if s.stopped || known && v != open {
		return v == condemned || v == doubted
	}
	s.cases[runOf(m)] = doubted
	s.running.Go(func() { s.watch(m) })
	return true
}

// Down reports whether a member is known to be gone.
func (s *Suspicion) Down(m membership.Member) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cases[runOf(m)] == condemned
}

// Lost is told that a lane to a member was lost, or could not be opened. It does not block.
func (s *Suspicion) Lost(id string) {
	m, alive := s.member(id)
	if !alive || runOf(m) == runOf(s.cfg.Self) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.cases[runOf(m)]; known || s.stopped {
		return
	}
	s.cases[runOf(m)] = open
	s.running.Go(func() {
		if s.refuses(m) && s.confirmed(m) {
			s.condemn(m)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cases[runOf(m)] == open { // else another member has convinced us meanwhile
			delete(s.cases, runOf(m))
		}
	})
}

// member gives the present run of a member.
func (s *Suspicion) member(id string) (m membership.Member, alive bool) {
	for _, m := range s.cfg.Members() {
		if m.ID == id {
			return m, true
		}
	}
	return m, false
}

// refuses reports whether a member's port refuses connections, or does so soon.
func (s *Suspicion) refuses(m membership.Member) bool {
	row := 0
	for look := range maxLooks {
		if look > 0 && !s.pause(lookPause) {
			return false
		}
		switch err := s.dial(m); {
		case errors.Is(err, syscall.ECONNREFUSED):
			if row++; row == refusals {
				return true
			}
		case err != nil:
			return false // whatever that is, it is no evidence
		default:
			row = 0
		}
	}
	return false
}

func (s *Suspicion) dial(m membership.Member) error {
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	defer cancel()
	return s.cfg.Dial(ctx, m.Peer)
}

// pause waits; it is false when all ends meanwhile.
func (s *Suspicion) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// confirmed asks all others, and reports whether one of them is refused as well. Where there is nobody else, or everybody else refuses us too, our own evidence
// is enough; where somebody is silent, or reached it, it is not.
func (s *Suspicion) confirmed(m membership.Member) bool {
	var others []membership.Member
	for _, other := range s.cfg.Members() {
		if other.ID != m.ID && other.ID != s.cfg.Self.ID && !s.Down(other) {
			others = append(others, other)
		}
	}
	answers := make(chan answer, len(others))
	for _, other := range others {
		s.running.Go(func() { answers <- answer{other, s.ask(other, m)} }) // not the first of running: our caller is
	}
	var unheard []membership.Member
	denied := false
	for range others {
		switch a := <-answers; a.status {
		case protocol.OK:
			return true
		case protocol.PeerLost:
			unheard = append(unheard, a.from)
		default:
			denied = true
		}
	}
	return !denied && !slices.ContainsFunc(unheard, func(other membership.Member) bool { return !s.refuses(other) })
}

type answer struct {
	from   membership.Member
	status protocol.Status
}

// ask asks a member whether another one refuses it.
func (s *Suspicion) ask(other, about membership.Member) protocol.Status {
	pending := s.cfg.Send(other, &protocol.Request{Op: protocol.Suspect, Key: []byte(about.ID), Delta: about.Boot})
	defer pending.Release()
	pending.Wait()
	return pending.Response.Status
}

// Handle implements protocol.Handler for Suspect: OK says that we find the run gone as well, NotFound that we do not.
func (s *Suspicion) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	r := run{string(req.Key), req.Delta}
	m, alive := s.member(r.id)
	resp.Status = protocol.NotFound
	switch {
	case r == runOf(s.cfg.Self):
		return nil
	case !alive || r.id == s.cfg.Self.ID || m.Boot != r.boot || s.Down(m): // of our own id: who asks has found us on its port
		resp.Status = protocol.OK
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.cases[r] == spent {
		return nil
	}
	pending := protocol.NewPending(nil)
	s.running.Go(func() {
		pending.Response.Status = protocol.NotFound
		if s.refuses(m) {
			s.condemn(m)
			pending.Response.Status = protocol.OK
		}
		pending.Complete()
	})
	return pending
}

// condemn takes a member for down, and watches it from then on.
func (s *Suspicion) condemn(m membership.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, known := s.cases[runOf(m)]; s.stopped || known && v != open {
		return
	}
	s.cases[runOf(m)] = condemned
	s.running.Go(func() { s.watch(m) })
	s.cfg.Log.Warn("member's process is gone: its port refuses us and others", "member", m.ID, "peer", m.Peer)
	s.cfg.Changed()
}

// watch ends a verdict: when gossip knows, when the member answers after all, or in the end.
func (s *Suspicion) watch(m membership.Member) {
	defer s.cfg.Changed()
	for end := time.Now().Add(s.held); time.Now().Before(end); {
		if !s.pause(redialEvery) {
			return
		}
		back := s.dial(m) == nil && s.ask(m, m) == protocol.NotFound // a later run on the same port says OK: this one is gone
		if believed := s.cfg.Believes(m); back || !believed {
			s.mu.Lock()
			if s.cases[runOf(m)] == doubted && believed {
				s.cases[runOf(m)] = spent // it would be doubted again
			} else {
				delete(s.cases, runOf(m))
			}
			s.mu.Unlock()
			if believed {
				s.cfg.Log.Warn("member's process is there after all", "member", m.ID)
			}
			return
		}
	}
	s.mu.Lock()
	maps.DeleteFunc(s.cases, func(r run, v verdict) bool { // of others that were spent: they may be gone for good
		return v == spent && !s.cfg.Believes(membership.Member{Member: ring.Member{ID: r.id}, Boot: r.boot})
	})
	s.cases[runOf(m)] = spent
	s.mu.Unlock()
	s.cfg.Log.Warn("member refuses us, and gossip believes in it: so do we again", "member", m.ID)
}
