package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/certfiles"
	"github.com/memring/memring/cmd/logging"
	"github.com/memring/memring/cmd/settings"
	"github.com/memring/memring/cmd/userfiles"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/sides"
)

// options are the flags as given, and what becomes of them: resolve makes node out of the rest.
type options struct {
	node node.Config

	port, udpPort    int
	listen           []string
	listenGiven      bool // whether -l was
	memoryMB         int
	itemSize         string
	unixMask         string
	threads          int
	verbose          int
	pidFile, user    string
	daemon           bool
	version, license bool
	coreDumps        bool
	lockMemory       bool
	delimiter        string
	protocol         string
	sasl             bool
	authFile         string
	saslPasswords    string // $MEMCACHED_SASL_PWDB
	saslSettings     string // $SASL_CONF_PATH
	largePages       bool
	extended         []string
	getErrors        string
	onMinority       string
	readFrom         string
	handoverRate     string

	advertise, config   string
	logFormat, logLevel string

	chunkMaxGiven bool   // whether -o slab_chunk_max was
	slabSizes     string // -o slab_sizes
	users         *userfiles.File
	files         []*certfiles.Files // of certificates and keys
	idle          []string           // what was given and has no effect here
	firstPort     int                // the client port that the node is named after and the peer port stands beside; 0: any
	portFile      string             // where to write the client ports, once bound: $MEMCACHED_PORT_FILENAME

	set    *settings.Set // all of the above that can be set
	getenv func(string) string
}

const defaultPort = 11211

// newOptions gives the defaults. getenv reads the environment, which load looks into.
func newOptions(getenv func(string) string) *options {
	o := &options{node: node.Default(), getenv: getenv}
	o.set = settings.New(o.memcachedFlags(), o.clusterFlags(), o.idleFlags())
	return o
}

// load adds to the command line what environment and file say, and makes o.node out of all. The error has all that is wrong.
func (o *options) load() error {
	err := o.set.Load(prefix, o.getenv, os.ReadFile)
	o.saslPasswords, o.saslSettings = o.getenv("MEMCACHED_SASL_PWDB"), o.getenv("SASL_CONF_PATH")
	o.portFile = o.getenv("MEMCACHED_PORT_FILENAME")
	return errors.Join(err, o.set.Blame(o.resolve()))
}

// prefix begins the names of the variables that are settings.
const prefix = "MEMRING"

// memcachedFlags gives those that memcached has as well, which fill o.
func (o *options) memcachedFlags() *pflag.FlagSet {
	m := pflag.NewFlagSet("memcached", pflag.ContinueOnError)
	m.SortFlags = false
	m.IntVarP(&o.port, "port", "p", defaultPort, "TCP `PORT` for clients; 0 for none, -1 for any")
	m.IntVarP(&o.udpPort, "udp-port", "U", 0, "UDP `PORT` for clients; 0 for none, -1 for any; without -p the TCP port too")
	m.StringArrayVarP(&o.listen, "listen", "l", []string{"127.0.0.1"}, "address for clients, `HOST[:PORT]`; repeatable, or with commas; before it may "+
		"stand the protocol, proto[ascii|binary|negotiating]: (tag[NAME]: is accepted); with -Z before that notls: for no TLS, btls: for TLS that asks for "+
		"no certificate, mtls: for one that must have one; host * is all addresses")
	m.StringVarP(&o.node.UnixSocket, "unix-socket", "s", "", "unix socket for clients, a `PATH`; then no ports but those of -l")
	m.StringVarP(&o.unixMask, "unix-mask", "a", "700", "access `MODE` of the unix socket, in octal")
	m.StringVarP(&o.protocol, "protocol", "B", "auto", "`PROTOCOL` for clients: ascii, binary, or auto for both")
	m.IntVarP(&o.memoryMB, "memory-limit", "m", 64, "memory for items and their index, in `MEGABYTES`; the process takes up to 16 MB more, and connections their buffers")
	m.StringVarP(&o.itemSize, "max-item-size", "I", "1m", "`SIZE` of the largest item, 1k to 1024m and at most half of -m")
	m.BoolVarP(&o.node.NoEvict, "disable-evictions", "M", false, "when memory is full refuse stores, instead of evicting")
	m.BoolVarP(&o.node.NoCAS, "disable-cas", "C", false, "keep no CAS uniques for clients")
	m.BoolVarP(&o.node.NoFlush, "disable-flush-all", "F", false, "refuse flush_all")
	m.BoolVarP(&o.node.NoDump, "disable-dumping", "X", false, "refuse what lists keys: stats cachedump, stats detail, lru_crawler metadump")
	m.BoolVarP(&o.node.NoWatch, "disable-watch", "W", false, "refuse watch")
	m.BoolVarP(&o.node.EnableShutdown, "enable-shutdown", "A", false, "let clients end the process, by the command shutdown")
	m.BoolVarP(&o.sasl, "enable-sasl", "S", false, "let only those in who log in by SASL, on the binary protocol; the users are in the file of $MEMCACHED_SASL_PWDB, or in that of -Y")
	m.StringVarP(&o.authFile, "auth-file", "Y", "", "let only those in who log in on the ASCII protocol, by a first set; the users are in a `FILE` of lines user:password")
	m.BoolVarP(&o.node.TLS.Enabled, "enable-ssl", "Z", false, "encrypt the clients' connections over TCP, by TLS; needs -o ssl_chain_cert")
	m.StringVarP(&o.delimiter, "prefix-delimiter", "D", ":", "`CHARACTER` that ends the part of a key by which stats detail counts; switches the counting on")
	m.IntVarP(&o.node.MaxConns, "conn-limit", "c", o.node.MaxConns, "client connections served at once, a `NUMBER`")
	m.IntVarP(&o.node.Backlog, "listen-backlog", "b", o.node.Backlog, "connections that wait to be accepted, a `NUMBER`")
	m.IntVarP(&o.node.MaxBatch, "max-reqs-per-event", "R", o.node.MaxBatch, "requests after which a connection lets others run, a `NUMBER`")
	m.IntVarP(&o.threads, "threads", "t", 0, "processors to use at once, a `NUMBER` (default all)")
	m.CountVarP(&o.verbose, "verbose", "v", "log more; -vv, -vvv: more still")
	m.BoolVarP(&o.daemon, "daemon", "d", false, "detach and run in the background")
	m.StringVarP(&o.pidFile, "pidfile", "P", "", "write the process id to a `FILE`")
	m.StringVarP(&o.user, "user", "u", "", "`NAME` of the user to become (only when run as root)")
	m.BoolVarP(&o.coreDumps, "enable-coredumps", "r", false, "raise the limit of core files, and leave one at a crash")
	m.BoolVarP(&o.lockMemory, "lock-memory", "k", false, "keep what is in memory from being swapped out")
	m.StringArrayVarP(&o.extended, "extended", "o", nil, "extended options, `WORD[=VALUE]`, see below; repeatable, or with commas")
	settings.Give(m, "extended", settings.Gathered)
	for _, live := range []string{"memory-limit", "conn-limit", "verbose"} {
		settings.Give(m, live, settings.Live)
	}
	return m
}

// askingFlags are those that print something, instead of running a node.
func (o *options) askingFlags() *pflag.FlagSet {
	set := pflag.NewFlagSet("asking", pflag.ContinueOnError)
	set.SortFlags = false
	set.BoolP("help", "h", false, "print this help")
	set.BoolVarP(&o.version, "version", "V", false, "print the version")
	set.BoolVarP(&o.license, "license", "i", false, "print the license")
	return set
}

// clusterFlags gives those that memcached has not, which fill o.
func (o *options) clusterFlags() *pflag.FlagSet {
	c := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	c.SortFlags = false
	c.StringVar(&o.node.ID, "id", "", "this node's `NAME`, the same after a restart (default HOSTNAME-PORT)")
	c.StringVar(&o.node.Cluster, "cluster", o.node.Cluster, "the cluster's `NAME`; nodes of another are not joined")
	c.StringSliceVar(&o.node.Join, "join", nil, "members to ask for the others, `HOST[:GOSSIP_PORT]`, where a name means all its addresses; repeatable, or with commas")
	c.IntVar(&o.node.PeerPort, "peer-port", 0, "TCP `PORT` for other members' requests (default the client port plus 1; without one, any)")
	c.IntVar(&o.node.GossipPort, "gossip-port", o.node.GossipPort, "TCP and UDP `PORT` for membership")
	c.StringVar(&o.advertise, "advertise", "", "`ADDRESS` at which other members reach this one (default the one listened on)")
	c.DurationVar(&o.node.PeerDeadline, "peer-timeout", o.node.PeerDeadline, "longest wait for another member's answer")
	c.DurationVar(&o.node.IdleTimeout, "idle-timeout", 0, "close client connections without a request for so long, a `DURATION`; 0 never (-o idle_timeout=SECONDS)")
	c.DurationVar(&o.node.DrainTimeout, "drain-timeout", o.node.DrainTimeout, "longest that a stop waits for the others to take over this node's items, a `DURATION`; "+
		"0 leaves at once")
	c.StringVar(&o.node.SnapshotDir, "snapshot-dir", "", "`DIR` where a node that stops in order keeps its items for the next start, if no other member takes them: it is alone, "+
		"or all stop at once")
	c.StringVar(&o.handoverRate, "handover-rate", "32m", "bytes of items to take over from other members in a second, a `SIZE`, 64k at least")
	c.StringVar(&o.getErrors, "get-errors", "miss", "what get answers for keys whose owner cannot be reached: `miss`, or error")
	c.BoolVar(&o.node.UDPOffLoopback, "udp-off-loopback", false, "let -U listen where other machines reach it: with forged senders it can flood others")
	c.BoolVar(&o.node.PlainOffLoopback, "plain-off-loopback", false, "let users of -S log in by PLAIN where others may hear the password: without TLS, off loopback")
	c.StringVar(&o.node.AdminListen, "admin-listen", o.node.AdminListen, "`ADDRESS` for health and metrics over HTTP, or off")
	c.BoolVar(&o.node.AdminPProf, "admin-pprof", false, "show profiles of this process on the admin port, under /debug/pprof/")
	c.IntVar(&o.node.MeasureEvery, "measure-every", o.node.MeasureEvery, "of so many requests one is measured, for latencies and hot keys, a `NUMBER`; 0 measures none")
	c.IntVar(&o.node.Ring.Copies, "copies", o.node.Ring.Copies, "members that are to keep each item, a `NUMBER` from 1 to 8; the most that any member says counts")
	c.TextVar(&o.node.Ack, "ack", o.node.Ack, "other members that must have a write before it is answered, with --copies of 2 or more: `one`, none, or all")
	c.StringVar(&o.readFrom, "read-from", "owner", "who answers a get of a key whose owner is another member: its `owner`, or the nearest: the copy here, else in this --zone; on all members")
	c.StringVar(&o.node.Zone, "zone", "", "`NAME` of where the node stands; copies of an item avoid sharing one")
	c.Uint8Var(&o.node.Weight, "weight", o.node.Weight, "the node's share of the keys, a `NUMBER` from 1 to 32: one of 2 takes twice as many as one of 1, and wants twice the -m")
	c.DurationVar(&o.node.RebalanceDelay, "rebalance-delay", o.node.RebalanceDelay, "how long a member that went without a word keeps its place, a `DURATION` "+
		"up to 10m: back by then, nothing has moved; with --copies of 2 or more")
	c.StringVar(&o.onMinority, "on-minority", "serve", "what clients are told on the small side of a split: `serve`, they get what is here; miss, reads find nothing and "+
		"writes get an error; refuse, all get an error")
	c.IntVar(&o.node.MinMembers, "min-members", 0, "fewer active members than this `NUMBER` are a minority, too; with --on-minority")
	trustFlags(&o.node.Trust, c)
	c.StringVar(&o.logFormat, "log-format", "auto", "how the log is written to standard error: text, json, or `auto`: text on a terminal, else json")
	c.StringVar(&o.logLevel, "log-level", "info", "what is logged: `info` and what is worse, or debug, warn, error; -v is debug")
	c.StringVar(&o.config, "config", "", "a YAML `FILE` of settings: each long flag is a key there (port: 11211); read again on SIGHUP")
	settings.Give(c, "config", settings.Apart)
	for _, live := range []string{"idle-timeout", "peer-timeout", "handover-rate", "drain-timeout", "on-minority", "min-members", "log-level"} {
		settings.Give(c, live, settings.Live)
	}
	return c
}

// idleFlags gives the flags of memcached that are accepted, and have no effect: here are neither slabs, nor a way to choose where memory is.
func (o *options) idleFlags() *pflag.FlagSet {
	set, t := pflag.NewFlagSet("idle", pflag.ContinueOnError), &o.node.Tuning
	set.SortFlags = false
	set.Float64VarP(&t.GrowthFactor, "slab-growth-factor", "f", t.GrowthFactor, "growth of slab classes, a `FACTOR`")
	set.IntVarP(&t.ChunkBytes, "slab-min-size", "n", t.ChunkBytes, "smallest slab class, in `BYTES`")
	set.BoolVarP(&o.largePages, "enable-largepages", "L", false, "large pages: the system decides")
	set.StringVarP(&t.MemoryFile, "memory-file", "e", "", "a `FILE` for items over a restart: nothing is kept there")
	set.IntVarP(&t.NAPIIDs, "napi-ids", "N", 0, "threads by network queue, a `NUMBER`")
	return set
}

// resolve makes o.node out of the settings, and refuses what cannot be served, with all that is wrong. Whatever node.Config can tell by itself, its Validate does.
func (o *options) resolve() error {
	var wrong complaints
	o.resolveWires(&wrong)
	o.resolveListen(&wrong)
	o.resolveLimits(&wrong)
	o.resolveTuning(&wrong)
	o.resolveExtended(&wrong)
	o.resolveRest(&wrong)
	o.resolveNames(&wrong)
	o.resolveLog(&wrong)
	wrong.refuse(o.node.TLS.Enabled && o.node.TLS.ChainFile == "", "-Z: TLS needs a certificate: -o ssl_chain_cert=FILE, and its private key: -o ssl_key=FILE")
	o.set.Group("idle").VisitAll(func(f *pflag.Flag) {
		if o.set.Changed(f.Name) {
			o.idle = append(o.idle, "-"+f.Shorthand)
		}
	})
	o.node.Build = revision()
	wrong.add(o.node.Validate())
	return errors.Join(wrong...)
}

// complaints are all that is wrong with some settings.
type complaints []error

// refuse adds an error, if there is one.
func (c *complaints) refuse(wrong bool, format string, args ...any) {
	if wrong {
		c.add(fmt.Errorf(format, args...))
	}
}

// add adds an error, unless it is nil.
func (c *complaints) add(err error) {
	if err != nil {
		*c = append(*c, err)
	}
}

// resolveWires reads -B, and refuses what does not go together: users log in by SASL on the binary wire, by -Y in lines, and never by UDP. With both (which memcached
// does not take) they log in on either: so a node whose clients do so by SASL can be asked by our own commands, which speak lines.
func (o *options) resolveWires(wrong *complaints) {
	wire, err := parseWire(o.protocol)
	wrong.refuse(err != nil || o.protocol == "negotiating", "-B %s: one of auto, binary or ascii", o.protocol)
	given := o.set.Changed("protocol")
	both := o.sasl && o.authFile != ""
	wrong.refuse(o.sasl && !both && given && wire != node.BinaryWire, "-B %s: the ASCII protocol cannot be allowed while using -S", o.protocol)
	wrong.refuse(o.sasl && o.udpPort != 0, "-U %d: UDP cannot be used with -S", o.udpPort)
	wrong.refuse(o.authFile != "" && !both && given && wire != node.TextWire, "-B %s: the binary protocol cannot be allowed while using -Y", o.protocol)
	wrong.refuse(o.authFile != "" && o.udpPort != 0, "-U %d: UDP cannot be used with -Y", o.udpPort)
	wrong.refuse(o.node.TLS.Enabled && o.set.Changed("port") && o.port == 0, "-Z: TLS needs a TCP port, not -p 0")
	switch {
	case both:
	case o.sasl:
		wire = node.BinaryWire
	case o.authFile != "":
		wire = node.TextWire
	}
	o.node.Wire, o.node.SASL, o.node.AuthFile = wire, o.sasl, o.authFile
}

// resolveRest reads what the cluster's flags say in words.
func (o *options) resolveRest(wrong *complaints) {
	wrong.refuse(o.getErrors != "miss" && o.getErrors != "error", "--get-errors %s: miss or error", o.getErrors)
	wrong.refuse(o.readFrom != "owner" && o.readFrom != "nearest", "--read-from %s: owner or nearest", o.readFrom)
	if rate, err := parseSize(o.handoverRate); err == nil {
		o.node.HandoverRate = rate
	} else {
		wrong.refuse(true, "--handover-rate %s: not a size, such as 65536, 512k or 32m", o.handoverRate)
	}
	o.node.ReadNearest = o.readFrom == "nearest"
	o.node.GetErrors = o.getErrors == "error"
	policy := slices.Index([]string{sides.Serve.String(), sides.Miss.String(), sides.Refuse.String()}, o.onMinority)
	wrong.refuse(policy < 0, "--on-minority %s: serve, miss or refuse", o.onMinority)
	o.node.OnMinority = sides.Policy(max(policy, 0))
	o.node.UDPOffLoopback = o.node.UDPOffLoopback || o.node.Debug // memcached's own tests ask for it
}

// resolveLimits makes bytes of -m and -I, and checks -t. It refuses what memcached refuses, in words that its users know.
func (o *options) resolveLimits(wrong *complaints) {
	if o.memoryMB < 1 || o.memoryMB > math.MaxInt64>>20 {
		wrong.refuse(true, "-m %d: the memory limit must be at least 1 megabyte", o.memoryMB)
	} else {
		o.node.MaxBytes = int64(o.memoryMB) << 20
	}
	size, err := parseSize(o.itemSize)
	switch {
	case err != nil:
		wrong.refuse(true, "-I %s: not a size, such as 1048576, 512k or 1m (k and m are the only units, as in memcached: a gigabyte, the most, is 1024m)", o.itemSize)
	case size < 1<<10:
		wrong.refuse(true, "-I %s: item max size cannot be less than 1024 bytes", o.itemSize)
	case size > 1<<30:
		wrong.refuse(true, "-I %s: cannot set item size limit higher than a gigabyte", o.itemSize)
	case size > o.node.MaxBytes/2:
		wrong.refuse(true, "-I %s: cannot set item size limit higher than 1/2 of memory max (-m %d)", o.itemSize, o.memoryMB)
	default:
		o.node.MaxItemBytes = int(size)
	}
	wrong.refuse(o.set.Changed("threads") && o.threads < 1, "-t %d: number of threads must be greater than 0", o.threads)
	wrong.refuse(o.delimiter == "", "-D: no delimiter specified")
	if o.delimiter != "" {
		o.node.Delimiter, o.node.Detail = o.delimiter[0], o.set.Changed("prefix-delimiter")
	}
}

// resolveTuning refuses of what has no effect here what memcached refuses.
func (o *options) resolveTuning(wrong *complaints) {
	t := o.node.Tuning
	wrong.refuse(t.GrowthFactor <= 1, "-f %g: factor must be greater than 1", t.GrowthFactor)
	wrong.refuse(t.ChunkBytes < 1, "-n %d: chunk size must be greater than 0", t.ChunkBytes)
	wrong.refuse(o.set.Changed("napi-ids") && t.NAPIIDs < 1, "-N %d: number of napi ids must be greater than 0", t.NAPIIDs)
	wrong.refuse(o.threads > 0 && t.NAPIIDs > o.threads, "-N %d: cannot be greater than the number of threads (-t %d)", t.NAPIIDs, o.threads)
}

// resolveLog makes the log.
func (o *options) resolveLog(wrong *complaints) {
	level, err := logging.ParseLevel(o.logLevel)
	wrong.refuse(err != nil, "--log-level %s: debug, info, warn or error", o.logLevel)
	if o.verbose > 0 {
		level = min(level, slog.LevelInfo-slog.Level(4*o.verbose))
	}
	format, err := logging.ParseFormat(o.logFormat)
	wrong.refuse(err != nil, "--log-format %s: auto, text or json", o.logFormat)
	o.node.LogLevel, o.node.Level = level, new(slog.LevelVar)
	o.node.Level.Set(level)
	o.node.Log = logging.New(os.Stderr, format, o.node.Level)
}

// parseSize reads a number of bytes, with k or m for units of 1024 and 1024 times that.
func parseSize(text string) (int64, error) {
	shift := 0
	switch {
	case strings.HasSuffix(text, "k"), strings.HasSuffix(text, "K"):
		shift = 10
	case strings.HasSuffix(text, "m"), strings.HasSuffix(text, "M"):
		shift = 20
	}
	if shift > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 63-shift)
	return int64(n) << shift, err
}

// resolveNames gives the node its name and its address for others.
func (o *options) resolveNames(wrong *complaints) {
	if o.node.ID == "" {
		host, err := os.Hostname()
		wrong.refuse(err != nil, "--id: needed, since the machine does not know its name: %w", err)
		o.node.ID = fmt.Sprintf("%s-%d", host, o.firstPort)
		if o.firstPort == 0 {
			o.node.ID = fmt.Sprintf("%s-%d", host, os.Getpid())
		}
	}
	if o.advertise != "" {
		address, err := netip.ParseAddr(o.advertise)
		wrong.refuse(err != nil, "--advertise %s: not an IP address", o.advertise)
		o.node.Advertise = address
	}
}
