package node

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/protocol/login"
	"github.com/memring/memring/ring"
)

// Config is everything one can choose about a node. The comments name the flag.
type Config struct {
	// Live may change while the node runs; the rest may not.
	Live

	// Version is what "version" answers: three numbers with dots, since clients parse it.
	Version string

	// Build is what "cluster status" tells of the build, so that it shows when members differ. Without blanks; default "unknown".
	Build string

	// ID names this node in the cluster, the same after a restart: 1 to 64 bytes without blanks. --id; default HOSTNAME-PORT.
	ID string

	// Cluster is the cluster's name: nodes of another name are not joined. --cluster; default "memring".
	Cluster string

	// Ack is how many replicas must have a write before it is answered. --ack; default replicator.AckOne.
	Ack replicator.Ack

	// ReadNearest answers reads from a copy that is kept here, or by a member of the same Zone, instead of asking the owner in another. How old it may be: DESIGN.md,
	// "Copies". On all members, else those without it are asked in vain. --read-from; default: owner.
	ReadNearest bool

	// Zone and Weight are this node's place and share. --zone, 32 bytes at most; --weight, 1 to 32; default "" and 1.
	Zone   string
	Weight uint8

	// Listen are the client addresses. -l, -p and -B; default 127.0.0.1:11211; none: this node only serves other members.
	// Gossip and peers listen on the host of the first.
	Listen []Listener

	// UDP are client addresses for datagrams, HOST:PORT. -U; default none: whoever can send datagrams with a forged sender can make this node
	// flood that sender. So they are on loopback, unless UDPOffLoopback says that others are meant: --udp-off-loopback.
	UDP            []string
	UDPOffLoopback bool

	// Wire is what is spoken on the unix socket and over UDP. -B; default AnyWire.
	Wire Wire

	// UnixSocket is the path of a client socket. -s; then nothing listens on TCP for clients unless -l says so.
	UnixSocket     string
	UnixSocketMode os.FileMode // -a; default 0700

	// PeerPort and GossipPort are for other members only. --peer-port, default the client port + 1; --gossip-port, default 7946.
	PeerPort, GossipPort int

	// Advertise is the address at which other members reach this one, when it listens on all addresses. --advertise; default the host
	// listened on, else the first private address of the machine.
	Advertise netip.Addr

	// GiveWay tells which of these ports are nobody's wish: when taken, any free one does, so that several nodes run on a machine as several
	// memcacheds do. Default none; cmd names those without a flag.
	GiveWay GiveWay

	// AdminListen is the address of the admin HTTP port, "off" for none. --admin-listen; default 127.0.0.1:9150.
	AdminListen string

	// AdminPProf shows profiles of this process on the admin port. --admin-pprof; default not: making one takes processors.
	AdminPProf bool

	// MeasureEvery is of how many requests one is measured, on average: how long it took, and its key if that is asked for often (node/meter). What is
	// told of it is the more exact, and costs the more, the less this is. 0: none. --measure-every; default 64.
	MeasureEvery int

	// Join are members to ask for the others: HOST[:GOSSIP_PORT], a name means all its addresses. --join; default none: alone.
	Join []string

	// MaxItemBytes is the size of the largest item, counted as memcached counts. -I; default 1 MiB.
	MaxItemBytes int
	// NoEvict refuses stores when memory is full, instead of evicting. -M.
	NoEvict bool
	// NoFlush refuses flush_all. -F.
	NoFlush bool
	// NoCAS keeps no CAS uniques for clients: they see 0, and a store that names one succeeds whatever it says. -C.
	NoCAS bool
	// NoDump refuses what lists keys: stats cachedump, stats detail, lru_crawler metadump and mgdump. -X.
	NoDump bool
	// NoWatch refuses watch. -W.
	NoWatch bool
	// EnableShutdown lets clients ask for the end of this process, by the command shutdown: Shutdowns tells. -A.
	EnableShutdown bool
	// Debug lets clients move the clock, by the command debugtime: for memcached's own tests. -o relaxed_privileges.
	Debug bool
	// Delimiter ends the part of a key by which "stats detail" counts; Detail counts from the start. -D sets both; default ':' and not.
	Delimiter byte
	Detail    bool

	// Users are who may log in (NewUsers); nil: nobody need. AuthFile is the name of their file, with which one logs in in lines; SASL: one logs
	// in on the binary wire. The other wire is closed then. -Y; -S with MEMCACHED_SASL_PWDB.
	Users    *login.Users
	AuthFile string
	SASL     bool

	// TLS encrypts the connections of clients. -Z; default not.
	TLS TLS

	// Trust is how members know each other.
	Trust Trust

	// PlainOffLoopback takes passwords as they are (SASL's PLAIN) also where other machines reach an address without TLS. --plain-off-loopback;
	// default: there users log in by a mechanism that does not send them. (-Y knows no other way than to send them.)
	PlainOffLoopback bool

	// PauseAtLimit lets connections above MaxConns wait until one closes, instead of refusing them. -o no_maxconns_fast.
	PauseAtLimit bool
	// MaxBatch is the number of requests after which a connection lets others run. -R; default 20.
	MaxBatch int
	// Backlog is the number of connections that the system keeps waiting to be accepted. -b; default 1024, as memcached's.
	Backlog int
	// MaxBufferBytes bounds the read buffers of all client connections together, and as much the answers that their clients have not taken yet; 0: see
	// BufferBytes. At least what some of the largest items need. -o read_buf_mem_limit.
	MaxBufferBytes int64

	// Tuning is what has hardly an effect here, but is asked for.
	Tuning Tuning

	// GetErrors answers who asks for items whose owner cannot be reached with an error, which on the text wire stands in the place of END; default:
	// they are misses, which clients treat well. --get-errors.
	GetErrors bool
	// LeaveGrace is how long the node goes on serving after it has told the others that it leaves, so that they have stopped sending to it.
	LeaveGrace time.Duration
	// SnapshotDir is where a node that stops in order keeps its items, if no other active member takes them: alone, or when all stop at once. The next start reads them, unless somebody
	// has held their partitions since. They are not encrypted. --snapshot-dir; default "": nothing is kept.
	SnapshotDir string
	// SnapshotWait is how long a start waits at most for the members that stopped with this one; without them its snapshot is not used.
	SnapshotWait time.Duration

	// Moving, when set, is told when items may begin to move between this node and others, and when they have moved. It must not block, and is not called by two at once.
	Moving func(moving bool)

	// RebalanceDelay is how long a member that went without a word keeps its places, where there are copies to answer from meanwhile: 0 to MaxRebalanceDelay.
	// Back by then, it finds all as it was; else its partitions are copied to others. Longer spares copying after slow restarts, and leaves
	// fewer copies meanwhile. The same on all members, else they route differently until it is over. --rebalance-delay; default 20 s.
	RebalanceDelay time.Duration

	// Ring are the constants of the cluster. Of them only Copies is anybody's wish: what counts is the most that any member wants. --copies; default 1.
	Ring ring.Params

	Log   *slog.Logger
	Level *slog.LevelVar // what "verbosity" changes; may be nil
}

// A Listener is one client address.
type Listener struct {
	Address string     // HOST:PORT; port 0 takes any free one, host 0.0.0.0 all of IPv4, no host all there are
	Wire    Wire       // proto[...] of -l, else -B
	TLS     certs.Mode // notls:, btls: or mtls: of -l; else certs.Usual with -Z, certs.None without
}

// A Wire is what clients may speak at an address.
type Wire uint8

const (
	AnyWire    Wire = iota // a connection's first byte decides
	TextWire               // lines only: the classic commands and meta
	BinaryWire             // packets only
)

// String gives memcached's name of the wire, as "stats settings" has it.
func (w Wire) String() string { return [...]string{"auto-negotiate", "ascii", "binary"}[w] }

// GiveWay: see Config.GiveWay.
type GiveWay struct{ Peer, Gossip, Admin bool }

// Default gives the values that hold when nothing else is said. ID and Log are left to the caller.
func Default() Config {
	return Config{
		Live: Live{
			LogLevel: slog.LevelInfo, MaxBytes: 64 << 20, MaxConns: 1024, PeerDeadline: 500 * time.Millisecond, HandoverRate: 32 << 20, DrainTimeout: 30 * time.Second,
		},
		Version:        "1.6.45",
		Build:          "unknown",
		Cluster:        "memring",
		Weight:         1,
		Listen:         []Listener{{Address: "127.0.0.1:11211"}},
		UnixSocketMode: 0o700,
		PeerPort:       11212,
		GossipPort:     7946,
		AdminListen:    "127.0.0.1:9150",
		MeasureEvery:   64,
		MaxItemBytes:   1 << 20,
		Delimiter:      ':',
		MaxBatch:       20,
		Backlog:        1024,
		TLS:            DefaultTLS(),
		Tuning:         DefaultTuning(),
		LeaveGrace:     time.Second,
		SnapshotWait:   10 * time.Second,
		RebalanceDelay: 20 * time.Second,
		Ring:           ring.DefaultParams(),
	}
}

// The item size limits are memcached's.
const (
	minItemBytes = 1 << 10
	maxItemBytes = 1 << 30

	// minHandoverRate is a piece of a hand-over a second (node/handover).
	minHandoverRate = 64 << 10

	// MaxRebalanceDelay: others are told of who is lost for no longer (node/membership).
	MaxRebalanceDelay = 10 * time.Minute
)

const (
	// bufferPart of MaxBytes is what large requests may take, and large answers as much: a small node is not to be one that takes many times its -m.
	bufferPart     = 4
	minBufferBytes = 16 << 20  // a dozen uploads, or five answers, of the largest item by default
	maxBufferBytes = 256 << 20 // some 250 uploads
)

// BufferBytes is MaxBufferBytes, or the default for this MaxBytes: a quarter of it, 16 MB at least and 256 MB at most.
func (c Config) BufferBytes() int64 {
	return cmp.Or(c.MaxBufferBytes, min(max(c.MaxBytes/bufferPart, minBufferBytes), maxBufferBytes))
}

// Validate checks what can be checked without starting; every error names the flag to change.
func (c Config) Validate() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(c.ID == "" || len(c.ID) > 64, "--id: the node's name must have 1 to 64 bytes, not %d", len(c.ID))
	refuse(c.Weight < 1 || c.Weight > ring.MaxWeight, "--weight: %d is not between 1 and %d", c.Weight, ring.MaxWeight)
	refuse((ring.Member{ID: "n", Zone: c.Zone, Weight: 1}).Validate() != nil, "--zone: %.80q: up to %d bytes without blanks", c.Zone, ring.MaxZoneBytes)
	refuse(c.Ring.Copies < 1 || c.Ring.Copies > ring.MaxCopies, "--copies: %d is not between 1 and %d", c.Ring.Copies, ring.MaxCopies)
	refuse(c.RebalanceDelay < 0 || c.RebalanceDelay > MaxRebalanceDelay, "--rebalance-delay: %v is not between 0 and %v", c.RebalanceDelay, MaxRebalanceDelay)
	refuse(c.MinMembers < 0, "--min-members: must not be negative")
	for _, l := range c.Listen {
		refuse(l.Address == "", "-l: an empty address")
	}
	for _, address := range c.UDP {
		refuse(!c.UDPOffLoopback && !onLoopback(address), "-U: UDP on %s is open to other machines, and whoever forges a sender's address can have that one "+
			"flooded with answers: -l 127.0.0.1, or --udp-off-loopback if that is meant and a firewall stands before it", address)
	}
	refuse(c.PeerPort < 0 || c.PeerPort > 65535, "--peer-port: %d is not a port", c.PeerPort)
	refuse(c.GossipPort < 0 || c.GossipPort > 65535, "--gossip-port: %d is not a port", c.GossipPort)
	refuse(c.MeasureEvery < 0, "--measure-every: must not be negative; 0 measures nothing")
	refuse(c.PeerPort != 0 && c.PeerPort == c.GossipPort && !c.GiveWay.Gossip, "--gossip-port: %d is the peer port already (--peer-port, by default the client port plus 1); "+
		"both listen on TCP: choose another one for either, with --gossip-port or --peer-port", c.GossipPort)
	refuse(c.MaxBytes <= 0, "-m: the memory limit must be above 0")
	refuse(c.MaxItemBytes < minItemBytes, "-I: item max size must be at least %d bytes", minItemBytes)
	refuse(c.MaxItemBytes > maxItemBytes, "-I: item max size must be at most %d bytes", maxItemBytes)
	refuse(c.MaxConns <= 0, "-c %d: maximum connections must be greater than 0", c.MaxConns)
	refuse(c.MaxBatch <= 0, "-R: number of requests per event must be greater than 0")
	refuse(c.Backlog < 0, "-b: %d is not a length of a queue", c.Backlog)
	refuse(c.IdleTimeout < 0, "--idle-timeout: must not be negative")
	refuse(c.MaxBufferBytes < 0, "-o read_buf_mem_limit: must not be negative")
	refuse(c.PeerDeadline <= 0, "--peer-timeout: must be above 0")
	refuse(c.DrainTimeout < 0, "--drain-timeout: must not be negative; 0 leaves at once")
	refuse(c.HandoverRate < minHandoverRate, "--handover-rate: must be at least 64k (bytes a second)")
	return errors.Join(append(errs, c.validateLogin(), c.validateTLS(), c.validateTrust())...)
}

// onLoopback reports whether no other machine can reach an address. A name may mean any machine, but localhost.
func onLoopback(address string) bool {
	if at, err := netip.ParseAddrPort(address); err == nil {
		return at.Addr().IsLoopback()
	}
	return strings.HasPrefix(address, "localhost:")
}
