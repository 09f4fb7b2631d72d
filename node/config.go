package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/memring/memring/ring"
)

// Config is everything one can choose about a node. The comments name the flag.
type Config struct {
	// Version is what "version" answers: three numbers with dots, since clients parse it.
	Version string

	// ID names this node in the cluster, the same after a restart: 1 to 64 bytes without blanks. --id; default HOSTNAME-PORT.
	ID string

	// Cluster is the cluster's name: nodes of another name are not joined. --cluster; default "memring".
	Cluster string

	// Zone and Weight are this node's place and share. --zone, --weight; default "" and 1.
	Zone   string
	Weight uint8

	// Listen are the client addresses, HOST:PORT; port 0 takes any free one. -l and -p; default 127.0.0.1:11211.
	// Gossip and peers listen on the host of the first.
	Listen []string

	// UnixSocket is the path of a client socket. -s; then nothing listens on TCP for clients unless -l says so.
	UnixSocket     string
	UnixSocketMode os.FileMode // -a; default 0700

	// PeerPort and GossipPort are for other members only. --peer-port, default the client port + 1; --gossip-port, default 7946.
	PeerPort, GossipPort int

	// Advertise is the address at which other members reach this one, when it listens on all addresses. --advertise; default the host
	// listened on, else the first private address of the machine.
	Advertise netip.Addr

	// AdminListen is the address of the admin HTTP port, "off" for none. --admin-listen; default 127.0.0.1:9150.
	AdminListen string

	// Join are members to ask for the others: HOST[:GOSSIP_PORT], a name means all its addresses. --join; default none: alone.
	Join []string

	// MaxBytes is the memory for items, their index included. -m; default 64 MiB.
	MaxBytes int64
	// MaxItemBytes is the size of the largest item, counted as memcached counts. -I; default 1 MiB.
	MaxItemBytes int
	// NoEvict refuses stores when memory is full, instead of evicting. -M.
	NoEvict bool
	// NoFlush refuses flush_all. -F.
	NoFlush bool
	// MaxConns is the number of client connections served at once. -c; default 1024.
	MaxConns int

	// PeerDeadline bounds how long a client waits for another member. --peer-timeout; default 500 ms.
	PeerDeadline time.Duration
	// LeaveGrace is how long the node goes on serving after it has told the others that it leaves, so that they have stopped sending to it.
	LeaveGrace time.Duration

	Ring ring.Params

	Log   *slog.Logger
	Level *slog.LevelVar // what "verbosity" changes; may be nil
}

// Default gives the values that hold when nothing else is said. ID and Log are left to the caller.
func Default() Config {
	return Config{
		Version:        "1.6.45",
		Cluster:        "memring",
		Weight:         1,
		Listen:         []string{"127.0.0.1:11211"},
		UnixSocketMode: 0o700,
		PeerPort:       11212,
		GossipPort:     7946,
		AdminListen:    "127.0.0.1:9150",
		MaxBytes:       64 << 20,
		MaxItemBytes:   1 << 20,
		MaxConns:       1024,
		PeerDeadline:   500 * time.Millisecond,
		LeaveGrace:     time.Second,
		Ring:           ring.DefaultParams(),
	}
}

// The item size limits are memcached's.
const (
	minItemBytes = 1 << 10
	maxItemBytes = 1 << 30
)

// Validate checks what can be checked without starting; every error names the flag to change.
func (c Config) Validate() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(c.ID == "" || len(c.ID) > 64, "--id: the node's name must have 1 to 64 bytes, not %d", len(c.ID))
	refuse(len(c.Listen) == 0 && c.UnixSocket == "", "-l: nothing to listen on")
	refuse(c.PeerPort < 0 || c.PeerPort > 65535, "--peer-port: %d is not a port", c.PeerPort)
	refuse(c.GossipPort < 0 || c.GossipPort > 65535, "--gossip-port: %d is not a port", c.GossipPort)
	refuse(c.MaxBytes <= 0, "-m: the memory limit must be above 0")
	refuse(c.MaxItemBytes < minItemBytes, "-I: item max size must be at least %d bytes", minItemBytes)
	refuse(c.MaxItemBytes > maxItemBytes, "-I: item max size must be at most %d bytes", maxItemBytes)
	refuse(c.MaxConns <= 0, "-c: maximum connections must be greater than 0")
	refuse(c.PeerDeadline <= 0, "--peer-timeout: must be above 0")
	return errors.Join(errs...)
}
