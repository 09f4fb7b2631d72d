// Package peer keeps the lanes to other members: it sends requests, matches answers in order, times out, reconnects.
//
//	session  -> Link.Send -> lane (by origin) -> conn: out | frame | frame | frame |      Send adds, nobody is woken
//	session  -> Pending.Wait: flush -> conn.write: one write for all that is in out       by whoever waits first
//	                                                     ... the peer answers in order ...
//	conn.run -> read -> the oldest seats' Pendings filled and completed                   the only one that completes
//
// A request waits for the Deadline at most, whatever the peer does: then it is answered with PeerTimeout, and its late answer is dropped. When
// a connection is lost all that waits on it is answered with PeerLost, and never sent again: whether it was done is unknown.
//
// Locks: lane.mu before conn.mu; Peers.mu before lane.mu. No lock is held while reading, writing or dialing.
package peer

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/seating"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// Config says who speaks, on which kind of lane, and within which bounds. Zero fields take their defaults.
type Config struct {
	// Self is this member, as it introduces itself.
	Self Self

	// Lane is what the lanes are for. Default frame.Forward.
	Lane frame.Lane

	// Deadline bounds each wait: for an answer, for a connection, for a write. Default 500 ms.
	Deadline time.Duration

	// Lanes is the number of connections to each peer, 1 to 64; requests of one origin share one. More lanes use more processors, and
	// send smaller batches. There are as many again for long requests (protocol.Request.Bulk), once there are some. Default GOMAXPROCS, at most 4.
	Lanes int

	// MaxWaiting and MaxWaitingBytes bound what waits on one lane for the peer's answers. More must wait for room first, and is answered
	// with PeerOverloaded when there is none within the Deadline.
	// Defaults 4096 requests and 64 MiB.
	MaxWaiting, MaxWaitingBytes int

	// MaxValueBytes is the longest value that goes to or comes from a peer. Default 1 GiB.
	MaxValueBytes int

	// Seats are for reading long answers, and for who else computes long. nil: that waits for nobody.
	Seats *seating.Seats

	Log *slog.Logger

	// Lost is told of the members a lane to whom was lost, or could not be opened. It must not block. Default: nobody is told.
	Lost func(id string)

	// Identity is what encrypts the connections, and proves who is at both ends. nil: nothing is encrypted, and nobody proves anything.
	Identity *identity.Identity

	// Dial opens a connection before ctx ends. Default: TCP.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// Self is this member, and what it must agree about with its peers.
type Self struct {
	ID      string
	Boot    uint64 // of the present run
	Cluster string // its name
	Print   uint64 // of the ring's parameters
}

// maxLanes bounds Config.Lanes: each lane has a goroutine and a connection at both ends.
const maxLanes = 64

// withDefaults fills in what was not said.
func (cfg Config) withDefaults() Config {
	cfg.Lane = cmp.Or(cfg.Lane, frame.Forward)
	cfg.Deadline = cmp.Or(cfg.Deadline, 500*time.Millisecond)
	cfg.Lanes = min(cmp.Or(cfg.Lanes, min(runtime.GOMAXPROCS(0), 4)), maxLanes)
	cfg.MaxWaiting = cmp.Or(cfg.MaxWaiting, 4096)
	cfg.MaxWaitingBytes = cmp.Or(cfg.MaxWaitingBytes, frame.MaxBytes)
	cfg.MaxValueBytes = cmp.Or(cfg.MaxValueBytes, 1<<30)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Lost == nil {
		cfg.Lost = func(string) {}
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
		}
	}
	return cfg
}

// Stats are counted since the start, over all links.
type Stats struct {
	Forwards                atomic.Int64 // requests written; those lost before that count as Lost alone
	Timeouts                atomic.Int64 // requests answered with PeerTimeout
	Lost                    atomic.Int64 // requests answered with PeerLost
	Overloaded              atomic.Int64 // requests answered with PeerOverloaded
	Withheld                atomic.Int64 // answers whose value was dropped since there was no room for it; it is asked for again
	Writes                  atomic.Int64
	Dials                   atomic.Int64
	DialErrors              atomic.Int64
	BytesRead, BytesWritten atomic.Int64
}

// Peers are the links to all other members.
type Peers struct {
	cfg   Config
	stats Stats
	began time.Time    // what the clock of all lanes counts from
	bound atomic.Int64 // Config.Deadline as it is now, in nanoseconds

	running sync.WaitGroup // the goroutines of all conns

	mu      sync.Mutex // guards the rest
	links   map[string]*Link
	retired map[*Link]*time.Timer // no longer given out, and closed when the timer fires
	stopped bool
}

// New makes Peers without a link.
func New(cfg Config) *Peers {
	p := &Peers{cfg: cfg.withDefaults(), began: time.Now(), links: make(map[string]*Link), retired: make(map[*Link]*time.Timer)}
	p.SetDeadline(p.cfg.Deadline)
	return p
}

// SetDeadline changes Config.Deadline for the waits to come. What is waited for already, and on its lanes what is asked before that is answered, may still take the old one.
func (p *Peers) SetDeadline(d time.Duration) { p.bound.Store(int64(d)) }

func (p *Peers) deadline() time.Duration { return time.Duration(p.bound.Load()) }

// Link gives the link to the member id at addr: always the same one, until the address changes or Keep drops it.
func (p *Peers) Link(id string, addr netip.AddrPort) *Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	link := p.links[id]
	if link != nil && link.addr == addr {
		return link
	}
	if link != nil {
		p.retireLocked(link)
	}
	link = newLink(p, id, addr)
	if p.stopped {
		link.close()
	}
	p.links[id] = link
	return link
}

// Known gives the link to a member that there is; nil if there is none.
func (p *Peers) Known(id string) *Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.links[id]
}

// Keep gives up the links to members other than these.
//
// They are closed only after two Deadlines: a session may have chosen one just before, and a member that leaves in order still answers what is on
// its way to it.
func (p *Peers) Keep(ids ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, link := range p.links {
		if !slices.Contains(ids, id) {
			p.retireLocked(link)
			delete(p.links, id)
		}
	}
}

func (p *Peers) retireLocked(link *Link) {
	link.retired.Store(true)
	p.retired[link] = time.AfterFunc(2*p.deadline(), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		link.close()
		delete(p.retired, link)
	})
}

// Stop closes all links and returns when no goroutine of p is left. What is sent afterwards is answered with PeerLost.
func (p *Peers) Stop() {
	p.mu.Lock()
	p.stopped = true
	for _, link := range p.links {
		link.close()
	}
	for link, timer := range p.retired {
		timer.Stop()
		link.close()
	}
	clear(p.retired)
	p.mu.Unlock()
	p.running.Wait()
}

// Stats gives the live counters.
func (p *Peers) Stats() *Stats { return &p.stats }

// now is the time on the clock of all lanes; it only moves forward.
func (p *Peers) now() time.Duration { return time.Since(p.began) }

// A Link is the way to one member.
type Link struct {
	peers *Peers
	id    string
	addr  netip.AddrPort
	lanes []lane

	retired atomic.Bool // no longer given out
}

func newLink(p *Peers, id string, addr netip.AddrPort) *Link {
	l := &Link{peers: p, id: id, addr: addr, lanes: make([]lane, 2*p.cfg.Lanes)}
	for i := range l.lanes {
		l.lanes[i].link, l.lanes[i].ships = l, make(chan struct{}, 1)
	}
	return l
}

// Send queues req, of which it keeps a copy, and gives its answer to come; what cannot be sent is answered already. It blocks only while the lane is
// full, and no longer than the Deadline; or while a value longer than frame.PartBytes is on its way.
// Nothing is written before somebody flushes or waits, for any request of the lane. Requests of one origin are sent in their order.
func (l *Link) Send(req *protocol.Request) *protocol.Pending {
	lane := l.lane(req)
	if len(req.Value) <= frame.PartBytes {
		if !frame.Fits(req) {
			return protocol.Answered(protocol.TooLarge)
		}
		return lane.send(req)
	}
	l.peers.flush() // what this session has queued elsewhere must not wait for so long
	status := protocol.TooLarge
	if len(req.Value) <= l.peers.cfg.MaxValueBytes {
		var pending *protocol.Pending
		if pending, status = lane.ship(req); pending != nil {
			return pending
		}
	}
	if req.Op != protocol.Set || req.Options.Has(protocol.Compare) || status != protocol.TooLarge && status != protocol.PeerOverloaded {
		return protocol.Answered(status)
	}
	// As with every set that is refused, the old value is out of date and goes.
	return lane.send(&protocol.Request{Op: protocol.Discard, Reason: status, Key: req.Key, Origin: req.Origin})
}

// lane gives the lane of a request: long ones have lanes of their own, as many as the others.
func (l *Link) lane(req *protocol.Request) *lane {
	n := uint32(len(l.lanes) / 2)
	if req.Bulk {
		return &l.lanes[n+req.Origin%n]
	}
	return &l.lanes[req.Origin%n]
}

// flush writes what is queued on any lane.
func (p *Peers) flush() {
	var conns []*conn
	p.mu.Lock()
	for _, link := range p.links {
		for i := range link.lanes {
			if c := link.lanes[i].conn.Load(); c != nil {
				conns = append(conns, c)
			}
		}
	}
	p.mu.Unlock()
	for _, c := range conns {
		c.write()
	}
}

func (l *Link) close() {
	for i := range l.lanes {
		l.lanes[i].close()
	}
}
