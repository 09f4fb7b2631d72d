// Package node wires the rooms into one running member, and stops them in order.
//
//	client port -> session -> operator -> sides -> router -> handover -> replicator -> executor -> store
//	                                        |                       |
//	                                        |                       +-> peer (copy lane) -> a replica's peer port
//	                                        +-> peer (forward lane) -> another member's peer port
//	peer port, forward lane -> session -> reception -> handover -> replicator -> executor   no door to a router: nothing is forwarded twice
//	peer port, copy lane ----> session -> reception -> handover or replicator -> store      no door to be copied from: nothing is copied twice
//
//	membership -> changes -> follow: place the members, build the table, the router adopts it
package node

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/memring/memring/node/admin"
	"github.com/memring/memring/node/crawler"
	"github.com/memring/memring/node/discovery"
	"github.com/memring/memring/node/dispatch"
	"github.com/memring/memring/node/ease"
	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/node/placement"
	"github.com/memring/memring/node/reception"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/node/seating"
	"github.com/memring/memring/node/server"
	"github.com/memring/memring/node/sides"
	"github.com/memring/memring/node/snapshot"
	"github.com/memring/memring/node/suspicion"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol/binary"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A Node is one running member.
type Node struct {
	cfg     Config
	live    atomic.Pointer[Live] // of cfg, as they are now
	log     *slog.Logger
	started time.Time
	self    membership.Member

	clock      *storage.Clock
	store      *storage.Store
	executor   *executor.Executor
	replicator *replicator.Replicator
	handover   *handover.Handover
	errands    handover.Errands
	duty       *piece.Duty // of handover and replicator
	peers      *peer.Peers // forward lanes
	copies     *peer.Peers // copy lanes
	suspicion  *suspicion.Suspicion
	reception  *reception.Reception
	crawler    *crawler.Crawler
	router     *router.Router
	sides      *sides.Sides
	graves     sync.Mutex   // held while the store is told whether deletions leave tombstones
	mourns     atomic.Int64 // until when they do, in nanoseconds since started
	dispatch   *dispatch.Dispatch
	operator   *operator.Operator
	meter      *meter.Meter
	answers    *session.Answers
	seats      *seating.Seats // for long requests of clients and long answers to them
	clients    *server.Server // the client port
	lanes      *server.Server // the peer port
	members    *membership.Membership
	admin      *admin.Admin
	snapshots  *snapshot.Keeper

	listening []string      // client addresses as bound
	datagrams []string      // and those for UDP
	origins   atomic.Uint32 // numbers the sessions

	discovery discovery.Discovery
	shutdowns chan bool // asked for by clients; holds one

	adopted   placement.Placement // what the table of now is made of; follow's
	ease      ease.Ease
	hasten    chan struct{} // another member knows a later table; holds one note
	urgent    chan struct{} // a process is gone, or is not; holds one note
	endFollow context.CancelFunc
	following sync.WaitGroup
	leaving   atomic.Bool
	drainEnd  atomic.Int64 // the Unix nanosecond at which a drain is given up; 0: there is none
	beaten    atomic.Int64 // when the node was seen to run, in nanoseconds since it was started
	placed    atomic.Bool  // a table of those whom this node has joined was adopted
	warm      atomic.Bool  // once all partitions that were ours at the start had come, with their items
}

// Start brings a node up and returns once it serves. An error names the flag to change; nothing is left running then.
func Start(cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, log: cfg.Log, started: time.Now(), shutdowns: make(chan bool, 1), hasten: make(chan struct{}, 1), urgent: make(chan struct{}, 1)}
	n.live.Store(&cfg.Live)
	if n.cfg.Moving == nil {
		n.cfg.Moving = func(bool) {}
	}
	for _, step := range []func() error{n.openStore, n.openSnapshots, n.bind, n.join, n.serve} {
		if err := step(); err != nil {
			return nil, errors.Join(err, n.release(context.Background()))
		}
	}
	return n, nil
}

// movesPart is the part of the processors that moves may have, a thirty-second, and one processor at most: a move goes on one step after the other.
const movesPart = 32

// ownBytes of -m are what Go's runtime and the program take on their own: so the process is hardly larger than a memcached of the same -m.
const ownBytes = 7 << 20

// openStore opens what is below the wires.
func (n *Node) openStore() error {
	n.clock = storage.NewClock()
	store, err := storage.Open(storage.Config{
		MaxBytes:     n.cfg.MaxBytes,
		OwnBytes:     ownBytes,
		MaxItemBytes: n.cfg.MaxItemBytes,
		NoEvict:      n.cfg.NoEvict,
		Partitions:   n.cfg.Ring.Partitions,
		Clock:        n.clock,
		NodeTag:      nodeTag(n.cfg.ID),
		Evictions:    func() bool { return n.executor.Watch().Wanted(watch.Evictions) },
		Evicted:      func(it storage.Eviction) { n.executor.Evicted(it) },
	})
	if err != nil {
		return err
	}
	n.store = store
	n.executor = executor.New(executor.Config{
		Store:     n.store,
		Clock:     n.clock,
		NoFlush:   n.cfg.NoFlush,
		NoCAS:     n.cfg.NoCAS,
		Delimiter: n.cfg.Delimiter,
		Detail:    n.cfg.Detail,
	})
	n.meter = meter.New(meter.Config{Every: n.cfg.MeasureEvery})
	n.crawler = crawler.New(n.store, n.cfg.Tuning.LRUCrawler, func(r crawler.Round) { n.tell(watch.SysEvents, r) })
	n.crawler.Start()
	n.sides = sides.New(sides.Config{Self: n.cfg.ID, Policy: n.cfg.OnMinority, MinMembers: n.cfg.MinMembers, Log: n.log})
	n.duty = piece.NewDuty(min(float64(runtime.GOMAXPROCS(0))/movesPart, 1), nil)
	n.openReplicator()
	n.openHandover()
	routing := router.Config{Next: n.handover, Self: n.cfg.ID, Find: n.wayTo, Patience: n.peerDeadline, GetErrors: n.cfg.GetErrors, Zone: n.cfg.Zone}
	if n.cfg.ReadNearest {
		routing.Copy = n.replicator.Read
	}
	n.router = router.New(routing)
	n.openDispatch()
	n.operator = operator.New(n.operatorConfig(), n.sides.Before(n.router))
	return nil
}

// bind takes all addresses, so that a port in use is told before anybody hears of this node.
func (n *Node) bind() error {
	n.seats = seating.New()
	n.answers = session.NewAnswers(n.cfg.BufferBytes(), n.cfg.MaxItemBytes, n.cfg.GetErrors)
	n.clients = server.New(server.Config{
		Session:         n.speaking(n.cfg.Wire, false), // of the unix socket
		UDPSession:      n.speaking(n.cfg.Wire, true),
		Backlog:         n.cfg.Backlog,
		MaxConns:        n.cfg.MaxConns,
		PauseAtLimit:    n.cfg.PauseAtLimit,
		IdleTimeout:     n.cfg.IdleTimeout,
		MaxBatch:        n.cfg.MaxBatch,
		MaxBufferBytes:  n.cfg.BufferBytes(),
		Awake:           n.awake,
		Refusal:         "ERROR Too many open connections\r\n",
		NoMemory:        "SERVER_ERROR out of memory reading request\r\n",
		MaxRequestBytes: n.cfg.MaxItemBytes + maxLineBytes,
		Seats:           n.seats,
		Told:            func(e server.ConnEvent) { n.tell(watch.ConnEvents, e) },
		Log:             n.log,
	})
	n.openLanes()
	if err := n.bindClients(); err != nil {
		return err
	}
	client := n.clientAddr()
	bound, err := n.bindLanes(netip.AddrPortFrom(n.memberHost(), uint16(n.cfg.PeerPort)))
	if err != nil {
		return fmt.Errorf("peer port: %w (change it with --peer-port)", err)
	}
	lanes := netip.MustParseAddrPort(bound)
	switch {
	case n.cfg.alone():
		n.log.Info("a node alone: its ports for members are on loopback, as nothing would keep strangers out; --cluster-key-file on all nodes, and --join, make a cluster")
		host, err := membership.Reachable(client.Addr())
		if err != nil {
			return err
		}
		client = netip.AddrPortFrom(host, client.Port())
	case n.cfg.Advertise.IsValid():
		client, lanes = netip.AddrPortFrom(n.cfg.Advertise, client.Port()), netip.AddrPortFrom(n.cfg.Advertise, lanes.Port())
	}
	n.self = membership.Member{
		Member: ring.Member{ID: n.cfg.ID, Zone: n.cfg.Zone, Weight: n.cfg.Weight},
		Boot:   uint64(n.started.UnixNano()),
		Copies: uint8(n.cfg.Ring.Copies),
		State:  membership.Active,
		Client: client,
		Peer:   lanes,
		Former: n.snapshots.Former(),
	}
	return nil
}

// bindClients takes the addresses for clients.
func (n *Node) bindClients() error {
	for _, l := range n.cfg.Listen {
		bound, err := n.listen(l)
		if err != nil {
			return fmt.Errorf("client port: %w (change it with -p or -l)", err)
		}
		n.listening = append(n.listening, bound)
	}
	for _, address := range n.cfg.UDP {
		bound, err := n.clients.ListenUDP(network("udp", address), address)
		if err != nil {
			return fmt.Errorf("client port: %w (change it with -U)", err)
		}
		n.datagrams = append(n.datagrams, bound)
	}
	if n.cfg.UnixSocket != "" {
		if _, err := n.clients.Listen("unix", n.cfg.UnixSocket, n.cfg.UnixSocketMode); err != nil {
			return fmt.Errorf("client socket: %w (change it with -s)", err)
		}
	}
	return nil
}

// bindLanes takes the address for other members, on any free port if the one wanted may give way.
func (n *Node) bindLanes(wanted netip.AddrPort) (bound string, err error) {
	bound, err = n.listenLanes(wanted.String())
	if errors.Is(err, syscall.EADDRINUSE) && n.cfg.GiveWay.Peer {
		bound, err = n.listenLanes(netip.AddrPortFrom(wanted.Addr(), 0).String())
		n.log.Warn("the peer port is taken: another one (choose with --peer-port)", "wanted", wanted, "bound", bound)
	}
	return bound, err
}

// network tells IPv4 from IPv6, where the address does: 0.0.0.0 is all of IPv4 and no more, as users of memcached expect.
func network(kind, address string) string {
	switch at, err := netip.ParseAddrPort(address); {
	case err != nil:
		return kind
	case at.Addr().Is4():
		return kind + "4"
	default:
		return kind + "6"
	}
}

// Listening gives the addresses for clients as bound.
func (n *Node) Listening() (tcp, udp []string) { return n.listening, n.datagrams }

// clientAddr is where clients reach this node over TCP; without such a listener, the loopback address and no port.
func (n *Node) clientAddr() netip.AddrPort {
	if len(n.listening) == 0 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	return netip.MustParseAddrPort(n.listening[0])
}

// memberHost is where other members reach this node: at the address of its clients, unless none are meant to.
func (n *Node) memberHost() netip.Addr {
	if n.cfg.alone() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return n.clientAddr().Addr()
}

// join makes this node known, and known to itself: gossip, links, the first table.
func (n *Node) join() error {
	var err error
	n.members, err = membership.Start(membership.Config{
		Self:      n.self,
		Params:    n.cfg.Ring,
		Cluster:   n.cfg.Cluster,
		Identity:  n.cfg.Trust.gossip(),
		Bind:      netip.AddrPortFrom(n.memberHost(), uint16(n.cfg.GossipPort)),
		Advertise: n.cfg.Advertise,
		AnyPort:   n.cfg.GiveWay.Gossip,
		Seeds:     n.cfg.Join,
		Mark:      n.store.Flushed,
		Marked:    n.flushedElsewhere,
		Log:       n.log,
	})
	if err != nil {
		return err
	}
	lanes := peer.Config{
		Self:          peer.Self{ID: n.self.ID, Boot: n.self.Boot, Cluster: n.cfg.Cluster, Print: n.cfg.Ring.Print()},
		Deadline:      n.laneDeadline(),
		MaxValueBytes: n.cfg.MaxItemBytes,
		Identity:      n.cfg.Trust.lanes(),
		Seats:         n.seats,
		Log:           n.log,
	}
	n.openSuspicion()
	lanes.Lost = n.suspicion.Lost
	n.peers = peer.New(lanes)
	n.reception = reception.New(reception.Config{Self: lanes.Self, MaxValueBytes: lanes.MaxValueBytes, ParcelBytes: n.cfg.BufferBytes(), Log: n.log},
		n.figures().Before(n.dispatch.Lane(n.sides.Lane(n.replicator.Before(n.handover.Lane())))), n.copyDoor())
	lanes.Lane = frame.Copy
	n.copies = peer.New(lanes)
	n.waitJoined()
	n.keepSnapshot()
	if err := n.adopt(); err != nil {
		return err
	}
	n.startFollow()
	return nil
}

// waitJoined waits a little for the first other member: a node that served before would hold all partitions, and what others have of them would have to be merged.
func (n *Node) waitJoined() {
	limit := time.NewTimer(joinWait)
	defer limit.Stop()
	for !n.members.Joined() {
		select {
		case <-n.members.Changes():
		case <-limit.C:
			return // it serves alone, and goes on trying
		}
	}
}

// serve opens the doors: other members first, since the table may send them here at once.
func (n *Node) serve() error {
	if err := n.snapshots.Begin(); err != nil {
		return err
	}
	n.lanes.Start()
	n.clients.Start()
	if n.cfg.AdminListen == "" || n.cfg.AdminListen == "off" {
		return nil
	}
	var err error
	n.admin, err = admin.Start(n.cfg.AdminListen, n.adminConfig())
	if errors.Is(err, syscall.EADDRINUSE) && n.cfg.GiveWay.Admin {
		n.log.Warn("no admin port: another process has it (choose with --admin-listen)", "wanted", n.cfg.AdminListen)
		return nil
	}
	return err
}

// speaking gives what begins conversations on a wire.
func (n *Node) speaking(wire Wire, overheard bool) func() *session.Session {
	return func() *session.Session { return n.clientSession(wire, overheard) }
}

// clientWires are what a client may speak.
func (n *Node) clientWires(wire Wire) *session.Wires {
	var (
		classic, modern session.LineCodec
		packets         session.Codec
	)
	if wire != BinaryWire {
		classic = text.New(text.Config{MaxItemBytes: n.cfg.MaxItemBytes, GetErrors: n.cfg.GetErrors})
		modern = meta.New(meta.Config{MaxItemBytes: n.cfg.MaxItemBytes})
	}
	if wire != TextWire {
		packets = binary.New(binary.Config{MaxItemBytes: n.cfg.MaxItemBytes, Login: n.cfg.Users != nil})
	}
	return session.NewWires(classic, modern, meta.Speaks, packets)
}

// itemTime is how long a member may be busy with one item of that size, and answer nobody else on the lane: it is copied some times, at 100 MB a
// second on a machine with other things to do.
func itemTime(bytes int) time.Duration { return time.Duration(bytes) * time.Second / (100 << 20) }

// Stop leaves the cluster in order: the others are told and stop sending, requests under way are answered, and all that was started ends.
// What is still open when ctx is done is cut.
func (n *Node) Stop(ctx context.Context) error {
	n.leaving.Store(true)
	others := n.others() > 0
	if others && n.live.Load().DrainTimeout > 0 {
		n.drain(ctx)
	}
	n.planSnapshot()
	if others {
		if err := n.members.Leave(leaveTimeout); err != nil {
			// They find out by themselves, a few seconds later. It is so when all members stop at once.
			n.log.Warn("not all members heard that this one leaves", "err", err)
		}
		n.handover.Left()
		// The others have heard; what they had sent before arrives within this time.
		select {
		case <-time.After(n.cfg.LeaveGrace):
		case <-ctx.Done():
		}
	}
	return n.release(ctx)
}

// Abort ends everything at once and tells nobody: to the others it is a crash.
func (n *Node) Abort() {
	n.leaving.Store(true)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.release(now)
}

// release ends what Start has started, as far as it came: first what brings requests, last what they need.
func (n *Node) release(ctx context.Context) error {
	var errs []error
	grace := batchGrace
	if end, bounded := ctx.Deadline(); bounded {
		grace = min(grace, time.Until(end)/3) // for clients, then for lanes, and a rest
	}
	if ctx.Err() != nil {
		grace = 0
	}
	if n.admin != nil {
		errs = append(errs, n.admin.Stop(ctx))
	}
	if n.endFollow != nil {
		n.endFollow()
		n.following.Wait()
	}
	if n.clients != nil {
		errs = append(errs, n.clients.Stop(grace))
	}
	if n.handover != nil {
		n.handover.Stop()
		n.replicator.Stop()
	}
	if n.peers != nil {
		n.peers.Stop()
	}
	if n.copies != nil {
		n.copies.Stop()
	}
	n.errands.Stop()
	if n.suspicion != nil {
		n.suspicion.Stop()
	}
	if n.lanes != nil {
		errs = append(errs, n.lanes.Stop(grace))
	}
	if n.members != nil {
		n.members.Stop()
	}
	if n.store != nil {
		n.crawler.Stop()
		if n.snapshots != nil {
			n.snapshots.Write(ctx, func(part uint32) bool { return n.handover.Held(part) != 0 })
		}
		n.store.Close()
	}
	if n.clock != nil {
		n.clock.Stop()
	}
	return errors.Join(errs...)
}

const (
	// joinWait bounds how long a node that is to join others waits for them before it serves: they answer in milliseconds.
	joinWait = time.Second
	// leaveTimeout bounds how long telling the others may take: some rounds of gossip.
	leaveTimeout = 1500 * time.Millisecond
	// batchGrace is how long connections have at the end to finish the batch they are answering.
	batchGrace = 2 * time.Second
	// maxLineBytes is more than the longest command line that a wire reads whole.
	maxLineBytes = 128 << 10
)

// Self is this node as the others see it.
func (n *Node) Self() membership.Member {
	for _, m := range n.members.Members() {
		if n.isSelf(m) {
			return m
		}
	}
	return n.self
}

// ClientStats are the live counters of the client port.
func (n *Node) ClientStats() *server.Stats { return n.clients.Stats() }

// AdminAddr is the address of the admin port as bound; empty without one.
func (n *Node) AdminAddr() string {
	if n.admin == nil {
		return ""
	}
	return n.admin.Addr()
}

// Table is what this node routes by.
func (n *Node) Table() *ring.Table { return n.router.Table() }

// others counts the other members.
func (n *Node) others() int { return len(n.members.Members()) - 1 }

// nodeTag tells the CAS uniques of this node from those that others give in the same millisecond.
func nodeTag(id string) uint16 {
	tag := fnv.New32a()
	_, _ = io.WriteString(tag, id)
	return uint16(tag.Sum32() % (1 << tagBits))
}

// tagBits is the width of a CAS unique's node tag.
const tagBits = 9
