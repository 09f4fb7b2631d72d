// Package membership knows who is here: it joins the cluster, leaves it, comes back after a split, and reports changes.
//
//	seeds, the lost --> join loop --+
//	                                v            alive, left, lost
//	     other members <--gossip--> memberlist ---------------------> view --> Members, Changes
//	                                   ^                               |
//	                 what we are (meta), whom we refuse                +--> the lost: whom the join loop looks for
//
// Gossip and failure detection are memberlist's, which only this room knows. Lock order: memberlist's own, then Membership.mu. So the callbacks of memberlist
// only copy, and nothing here calls memberlist with mu held.
package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/memring/memring/node/carrier"
	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/ring"
)

// Config says who we are and how to find the others.
type Config struct {
	// Self is this node. Boot, when 0, becomes the time, and Copies 1. Gossip is found out. Client and Peer may have an unspecified address (0.0.0.0, ::):
	// then the others use the one that gossip advertises, with the port given.
	Self Member

	Params  ring.Params // members with others are refused, and refuse us
	Cluster string      // name of the cluster, up to 255 bytes; gossip of another name is dropped unread

	// Identity, with a cluster key, encrypts all gossip, and refuses others'. nil leaves it readable, and open to whoever reaches the port.
	Identity *identity.Identity

	// Bind is where gossip listens, UDP and TCP; port 0 takes any free one. Default: every address, any port.
	Bind netip.AddrPort
	// AnyPort takes any free port when Bind's is taken: the others learn it from a seed that they know.
	AnyPort bool
	// Advertise is the address that we tell the others. Default: Bind's, or if that is unspecified the one that this machine's default route uses.
	Advertise netip.Addr

	// Seeds are members to join: HOST or HOST:PORT, by default port 7946. A name stands for all its addresses and is looked up again and again.
	// Without seeds we wait to be joined.
	Seeds []string
	// JoinTimeout is how long seeds may be silent before that is worth a warning; until then they are asked in quick succession. Default 5 s.
	JoinTimeout time.Duration
	// RejoinEvery is how often the seeds and the lost are looked for, give or take a quarter. A split ends that much after it could. Default 2 s.
	RejoinEvery time.Duration

	// Mark is a number that goes along when two members exchange all they know: when one joins, and every Timings.PushPullInterval. Marked gets the other's.
	// Both are called by memberlist, and must be quick. nil: 0 is told, and nothing heard.
	Mark   func() uint64
	Marked func(mark uint64)

	Timings Timings      // default DefaultTimings
	Log     *slog.Logger // default: nothing is logged

	// Transport and Resolve replace the network and the resolver: for tests.
	Transport memberlist.Transport
	Resolve   func(ctx context.Context, host string) ([]netip.Addr, error)
}

// A Membership is this node's place in the cluster.
type Membership struct {
	cfg       Config
	log       *slog.Logger
	seeds     []seed
	own       []netip.Addr // addresses that gossip listens on: a seed there, with our port, is ourselves
	list      *memberlist.Memberlist
	changes   chan struct{} // capacity 1: one note is enough, since who takes it looks at everything
	asked     atomic.Bool   // all seeds, or some of many, once: until then who is met may know no more than we do
	joined    atomic.Bool
	heard     atomic.Uint64
	refusals  refusals // of members
	strangers refusals // whose addresses may be forged: so they have a table of their own
	metrics   Metrics

	mu   sync.Mutex // guards view
	view view

	stopJoining context.CancelFunc
	joinLoop    sync.WaitGroup

	ending  sync.Mutex // guards left, stopped; held while leaving, so that Stop waits for Leave
	left    bool
	stopped bool
}

// Metrics counts what happened. Read them at any time.
type Metrics struct {
	Joins        atomic.Uint64 // seeds and lost members that answered
	JoinFailures atomic.Uint64 // that did not
	Refused      atomic.Uint64 // messages about members that cannot be of this cluster
	Strangers    atomic.Uint64 // datagrams and streams of who has not our key, or another name of the cluster; and copies of what was recorded
	Left         atomic.Uint64 // members that said goodbye
	Lost         atomic.Uint64 // members that went without
}

// Start listens, and joins the others in the background: Joined tells when it has reached one. An error names what is wrong in cfg, or why it cannot listen.
func Start(cfg Config) (*Membership, error) {
	seeds, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	m := &Membership{cfg: cfg, log: cfg.Log, seeds: seeds, changes: make(chan struct{}, 1), view: newView(cfg.Self)}
	m.joined.Store(len(seeds) == 0)
	if cfg.Transport == nil {
		if m.own, err = listenedAddrs(cfg.Bind.Addr()); err != nil {
			return nil, err
		}
	}
	gossip, err := m.gossipConfig()
	if err != nil {
		return nil, err
	}
	if m.list, err = memberlist.Create(gossip); err != nil {
		return nil, errors.Join(fmt.Errorf("begin to gossip: %w", err), gossip.Transport.Shutdown())
	}
	if !m.Addr().IsValid() { // memberlist has refused its own node, and would not live without it
		_ = m.list.Shutdown()
		return nil, fmt.Errorf("advertise %v: no address that others could use: give one with --advertise", cfg.Advertise)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stopJoining = cancel
	m.joinLoop.Go(func() { m.keepJoining(ctx) })
	return m, nil
}

// complete fills in the defaults and reports what cannot be.
func (c *Config) complete() ([]seed, error) {
	if c.Self.Boot == 0 {
		c.Self.Boot = uint64(time.Now().UnixNano())
	}
	c.Self.Copies = cmp.Or(c.Self.Copies, 1)
	c.JoinTimeout = cmp.Or(c.JoinTimeout, 5*time.Second)
	c.RejoinEvery = cmp.Or(c.RejoinEvery, 2*time.Second)
	c.Timings = cmp.Or(c.Timings, DefaultTimings())
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Resolve == nil {
		c.Resolve = resolve
	}
	if !c.Bind.Addr().IsValid() {
		c.Bind = netip.AddrPortFrom(netip.IPv4Unspecified(), c.Bind.Port())
	}
	if err := c.Self.Validate(); err != nil {
		return nil, err
	}
	if err := c.Params.Validate(); err != nil {
		return nil, err
	}
	if len(c.Cluster) > memberlist.LabelMaxSize {
		return nil, fmt.Errorf("name of the cluster: %d bytes, want up to %d", len(c.Cluster), memberlist.LabelMaxSize)
	}
	return parseSeeds(c.Seeds)
}

// Members gives who is here now, by rising ID: ourselves, and all that gossip believes alive. Of two boots of one id only the later is a member, even if the
// other is ourselves.
func (m *Membership) Members() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view.members()
}

// Everybody gives, as of one moment, the Members, and those who went without a word and have not come back.
func (m *Membership) Everybody() (here []Member, lost []Lost) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view.members(), m.view.everyLost()
}

// Believes reports whether gossip has a run for alive, and whether one may still miss it: not if a later run of its id was here and has left in order.
func (m *Membership) Believes(run Member) (alive, missed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, alive = m.view.alive[gossipName(run)]
	return alive, !m.view.superseded(run)
}

// Forget takes a member that went without a word for one that has left: no place is kept for it, and no split is reckoned with. boot tells which run of it, 0: the last.
// It gives that run; false if it is not missed. Others hear of it with the next full exchanges. If it is not gone after all it is found again, and joins as ever.
func (m *Membership) Forget(id string, boot uint64) (uint64, bool) {
	m.mu.Lock()
	run, missed := m.view.forget(id, boot, time.Now())
	m.mu.Unlock()
	if missed {
		m.log.Info("member forgotten: no place is kept for it", "member", id)
		m.note()
	}
	return run, missed
}

// Changes holds a note whenever Members or Joined (or Everybody) may have something new to say since the last note was taken.
func (m *Membership) Changes() <-chan struct{} { return m.changes }

// Joined reports whether we have our place: there is nobody to look for, or we have reached somebody. It does not become false again.
func (m *Membership) Joined() bool { return m.joined.Load() }

// Addr is where the others reach our gossip.
func (m *Membership) Addr() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view.self.Gossip
}

// Heard counts the pings that have come from others, and the answers to ours: with others who hear us, as a rule six in a second.
func (m *Membership) Heard() uint64 { return m.heard.Load() }

// Health is how badly we keep up with gossip: 0 is well, and it is below AwarenessMaxMultiplier.
func (m *Membership) Health() int { return m.list.GetHealthScore() }

// Metrics gives the counters.
func (m *Membership) Metrics() *Metrics { return &m.metrics }

// updateTimeout bounds the wait of SetState. Gossip needs 0.3 s; whom it has not reached learns of the new state with the next full exchange.
const updateTimeout = 400 * time.Millisecond

// SetState tells everybody what we are now, and returns when gossip has told it on, or after updateTimeout.
func (m *Membership) SetState(state State) error {
	m.ending.Lock()
	defer m.ending.Unlock()
	if m.left || m.stopped {
		return errors.New("set state: this node has left the cluster")
	}
	return m.setState(state, updateTimeout)
}

func (m *Membership) setState(state State, timeout time.Duration) error {
	m.mu.Lock()
	same := m.view.self.State == state
	m.view.self.State = state
	m.mu.Unlock()
	if same {
		return nil
	}
	m.note()
	if err := m.list.UpdateNode(timeout); err != nil {
		return fmt.Errorf("tell the others that this node is %s: %w", state, err)
	}
	return nil
}

// Leave says goodbye: first that we are Draining, so that nobody counts on us or looks for us later, then that we are gone. It returns when that has been
// told on, or after timeout. Afterwards only Stop is of use.
func (m *Membership) Leave(timeout time.Duration) error {
	m.ending.Lock()
	defer m.ending.Unlock()
	if m.left || m.stopped {
		return nil
	}
	m.left = true
	m.stopJoining()
	deadline := time.Now().Add(timeout)
	err := m.setState(Draining, timeout/2)
	// memberlist takes 0 for no limit at all.
	if leaveErr := m.list.Leave(max(time.Until(deadline), time.Millisecond)); leaveErr != nil {
		err = errors.Join(err, fmt.Errorf("leave the cluster: %w", leaveErr))
	}
	return err
}

// Stop closes the port and ends what Start began. Without Leave the others take it for a crash. It may take twice Timings.TCP if a seed is being
// asked that is silent.
func (m *Membership) Stop() {
	m.ending.Lock()
	defer m.ending.Unlock()
	if m.stopped {
		return
	}
	m.stopped = true
	m.stopJoining()
	if err := m.list.Shutdown(); err != nil {
		m.log.Warn("close the gossip port", "error", err)
	}
	m.joinLoop.Wait()
}

// note leaves a note in changes, unless there is one already.
func (m *Membership) note() {
	select {
	case m.changes <- struct{}{}:
	default:
	}
}

// settle records that we have our place.
func (m *Membership) settle() {
	m.asked.Store(true)
	if !m.joined.Swap(true) {
		m.note()
	}
}

// Timings are those of gossip and failure detection. A silent crash is seen by all after about a ProbeInterval, plus
// SuspicionMult * max(1, log10 members) * ProbeInterval, or up to SuspicionMaxTimeoutMult times that where few can confirm it.
type Timings struct {
	ProbeInterval           time.Duration
	ProbeTimeout            time.Duration // above the round trip of nearly all probes
	SuspicionMult           int
	SuspicionMaxTimeoutMult int
	GossipInterval          time.Duration
	GossipNodes             int           // whom each round of gossip goes to
	PushPullInterval        time.Duration // full exchange with one member, which repairs what gossip lost
	TCP                     time.Duration // the longest a dial, read or write of an exchange may take
}

// DefaultTimings see a silent crash in 2.2 to 3.9 s with 3 to 30 members, take pauses of a second, and cost about 0.15 % of a core (CLUSTER.md 3.1, 3.2:
// shorter ones condemned members that were only busy).
func DefaultTimings() Timings {
	return Timings{
		ProbeInterval: 300 * time.Millisecond, ProbeTimeout: 150 * time.Millisecond,
		SuspicionMult: 5, SuspicionMaxTimeoutMult: 3,
		GossipInterval: 100 * time.Millisecond, GossipNodes: 3,
		PushPullInterval: 10 * time.Second, TCP: 2 * time.Second,
	}
}

// gossipConfig is memberlist's view of ours. It opens the port.
func (m *Membership) gossipConfig() (*memberlist.Config, error) {
	c := memberlist.DefaultLANConfig()
	c.Name = gossipName(m.cfg.Self)
	c.Label = m.cfg.Cluster
	c.Logger = log.New(&gossipLog{log: m.log, strangers: &m.metrics.Strangers}, "", 0)
	c.UDPBufferSize = 1400 // one packet of an Ethernet, with room for tunnels
	if c.Transport = m.cfg.Transport; c.Transport == nil {
		advertise := m.cfg.Advertise
		if !advertise.IsValid() {
			var err error
			if advertise, err = Reachable(m.cfg.Bind.Addr()); err != nil {
				return nil, err
			}
		}
		network, err := carrier.Listen(m.cfg.Bind, m.cfg.AnyPort, c.Logger)
		if err != nil {
			return nil, fmt.Errorf("listen for gossip on %v: %w (change it with --gossip-port)", m.cfg.Bind, err)
		}
		if c.Transport, c.BindPort = network, network.GetAutoBindPort(); c.BindPort != int(m.cfg.Bind.Port()) && m.cfg.Bind.Port() != 0 {
			m.log.Warn("cannot gossip on the port wanted: on another one (choose with --gossip-port)", "wanted", m.cfg.Bind, "bound", c.BindPort)
		}
		c.AdvertiseAddr, c.AdvertisePort = advertise.String(), c.BindPort
	}
	if m.cfg.Identity != nil {
		c.UDPBufferSize -= carrier.Overhead
		c.Transport = carrier.New(carrier.Config{Under: c.Transport, Identity: m.cfg.Identity, Timeout: m.cfg.Timings.TCP, Refused: m.refuseStranger})
	}
	t := m.cfg.Timings
	c.ProbeInterval, c.ProbeTimeout = t.ProbeInterval, t.ProbeTimeout
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = t.SuspicionMult, t.SuspicionMaxTimeoutMult
	c.GossipInterval, c.GossipNodes = t.GossipInterval, t.GossipNodes
	c.PushPullInterval, c.TCPTimeout = t.PushPullInterval, t.TCP
	c.RetransmitMult = 16        // with 8, one silence of a second in 250 ended in a verdict, for the news had not reached who was silent; with 16, one in 1400
	c.HandoffQueueDepth = 4096   // messages that may wait for a busy node before the oldest news is dropped
	c.AwarenessMaxMultiplier = 8 // how much slower an overloaded node probes, before it blames others
	c.GossipToTheDeadTime = 30 * time.Second
	c.DeadNodeReclaimTime = time.Second // of no effect on us, whose names are new at each start
	callbacks := callbacks{m}
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict, c.Ping = callbacks, callbacks, callbacks, callbacks, callbacks, callbacks
	return c, nil
}
