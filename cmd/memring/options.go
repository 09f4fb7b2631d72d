package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/memring/memring/node"
)

// options are the flags as given, and what becomes of them: resolve makes node out of the rest.
type options struct {
	node node.Config

	port, udpPort    int
	listen           []string
	memoryMB         int
	itemSize         string
	unixMask         string
	threads          int
	verbose          int
	pidFile, user    string
	daemon           bool
	version, license bool

	advertise, zone, config string
	weight, copies          int

	firstPort int // the client port that the node is named after and the peer port stands beside; 0: any
}

const defaultPort = 11211

func newOptions() *options { return &options{node: node.Default()} }

// flags gives memcached's flags and the cluster's, which fill o.
func (o *options) flags() (memcached, cluster *pflag.FlagSet) {
	m := pflag.NewFlagSet("memcached", pflag.ContinueOnError)
	m.SortFlags = false
	m.IntVarP(&o.port, "port", "p", defaultPort, "TCP port for clients")
	m.StringSliceVarP(&o.listen, "listen", "l", []string{"127.0.0.1"}, "address for clients, `HOST[:PORT]`; repeatable, or with commas")
	m.StringVarP(&o.node.UnixSocket, "unix-socket", "s", "", "unix socket for clients, a `PATH`; then no TCP port but those of -l")
	m.StringVarP(&o.unixMask, "unix-mask", "a", "700", "access `MODE` of the unix socket, in octal")
	m.IntVarP(&o.udpPort, "udp-port", "U", 0, "UDP port for clients; not there yet, so only 0")
	m.IntVarP(&o.memoryMB, "memory-limit", "m", 64, "memory for items, in `MEGABYTES`")
	m.StringVarP(&o.itemSize, "max-item-size", "I", "1m", "`SIZE` of the largest item, 1k to 1024m and at most half of -m")
	m.BoolVarP(&o.node.NoEvict, "disable-evictions", "M", false, "when memory is full refuse stores, instead of evicting")
	m.BoolVarP(&o.node.NoFlush, "disable-flush-all", "F", false, "refuse flush_all")
	m.IntVarP(&o.node.MaxConns, "conn-limit", "c", o.node.MaxConns, "client connections served at once")
	m.IntVarP(&o.threads, "threads", "t", 0, "processors to use at once (default: all)")
	m.CountVarP(&o.verbose, "verbose", "v", "log more; -vv, -vvv: more still")
	m.BoolVarP(&o.daemon, "daemon", "d", false, "detach and run in the background")
	m.StringVarP(&o.pidFile, "pidfile", "P", "", "write the process id to a `FILE`")
	m.StringVarP(&o.user, "user", "u", "", "`NAME` of the user to become (only when run as root)")
	m.BoolP("help", "h", false, "print this help")
	m.BoolVarP(&o.version, "version", "V", false, "print the version")
	m.BoolVarP(&o.license, "license", "i", false, "print the license")

	c := pflag.NewFlagSet("cluster", pflag.ContinueOnError)
	c.SortFlags = false
	c.StringVar(&o.node.ID, "id", "", "this node's `NAME`, the same after a restart (default HOSTNAME-PORT)")
	c.StringVar(&o.node.Cluster, "cluster", o.node.Cluster, "the cluster's `NAME`; nodes of another are not joined")
	c.StringSliceVar(&o.node.Join, "join", nil, "members to ask for the others, `HOST[:GOSSIP_PORT]`; repeatable, or with commas")
	c.IntVar(&o.node.PeerPort, "peer-port", 0, "TCP port for other members' requests (default the client port plus 1)")
	c.IntVar(&o.node.GossipPort, "gossip-port", o.node.GossipPort, "TCP and UDP port for membership")
	c.StringVar(&o.advertise, "advertise", "", "`ADDRESS` at which other members reach this one (default the one listened on)")
	c.DurationVar(&o.node.PeerDeadline, "peer-timeout", o.node.PeerDeadline, "longest wait for another member's answer")
	c.StringVar(&o.node.AdminListen, "admin-listen", o.node.AdminListen, "`ADDRESS` for health and metrics over HTTP, or off")
	c.StringVar(&o.zone, "zone", "", "where the node stands; not there yet")
	c.IntVar(&o.weight, "weight", 1, "the node's share of the keys; not there yet, so only 1")
	c.IntVar(&o.copies, "copies", 1, "members that keep each item; not there yet, so only 1")
	c.StringVar(&o.config, "config", "", "a YAML `FILE` of these settings; not there yet")
	return m, c
}

// unserved gives the flags of memcached that do nothing here yet: they are known, so that they are refused for what they are.
func unserved() *pflag.FlagSet {
	set := pflag.NewFlagSet("unserved", pflag.ContinueOnError)
	for _, f := range []struct{ short, long string }{
		{"A", "enable-shutdown"},
		{"r", "enable-coredumps"},
		{"k", "lock-memory"},
		{"L", "enable-largepages"},
		{"C", "disable-cas"},
		{"S", "enable-sasl"},
		{"X", "disable-dumping"},
		{"W", "disable-watch"},
		{"Z", "enable-ssl"},
	} {
		set.BoolP(f.long, f.short, false, "")
	}
	for _, f := range []struct{ short, long string }{
		{"f", "slab-growth-factor"},
		{"n", "slab-min-size"},
		{"D", "prefix-delimiter"}, // memcached has no long name for it
		{"R", "max-reqs-per-event"},
		{"b", "listen-backlog"},
		{"B", "protocol"},
		{"Y", "auth-file"},
		{"e", "memory-file"},
		{"N", "napi-ids"},
		{"o", "extended"},
	} {
		set.StringP(f.long, f.short, "", "")
	}
	set.VisitAll(func(f *pflag.Flag) { f.Hidden = true })
	return set
}

// fromEnvironment sets the flags that were not given from MEMRING_*.
func fromEnvironment(flags *pflag.FlagSet, getenv func(string) string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "MEMRING_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := getenv(name)
		if f.Changed || value == "" || f.Name == "help" || f.Name == "version" || f.Name == "license" {
			return
		}
		if name == "MEMRING_PORT" && strings.Contains(value, "://") {
			return // Kubernetes describes a Service named memring to every container: tcp://10.0.0.1:11211
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	})
	return errors.Join(errs...)
}

// resolve makes o.node out of the flags given, and refuses what cannot be served. Whatever node.Config can tell by itself, its Validate does.
func (o *options) resolve(flags *pflag.FlagSet) error {
	if err := o.refuseUnserved(flags); err != nil {
		return err
	}
	if err := o.resolveListen(flags); err != nil {
		return err
	}
	if err := o.resolveLimits(flags); err != nil {
		return err
	}
	if err := o.resolveNames(); err != nil {
		return err
	}
	o.node.Level = new(slog.LevelVar)
	o.node.Level.Set(slog.LevelInfo - slog.Level(4*o.verbose))
	o.node.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.node.Level}))
	return o.node.Validate()
}

func (o *options) refuseUnserved(flags *pflag.FlagSet) (err error) {
	unserved().VisitAll(func(f *pflag.Flag) {
		if given := flags.Lookup(f.Name); given != nil && given.Changed && err == nil {
			err = fmt.Errorf("-%s (--%s): memcached's, but not yet memring's: leave it out", f.Shorthand, f.Name)
		}
	})
	switch {
	case err != nil:
		return err
	case o.udpPort != 0:
		return fmt.Errorf("-U %d: UDP is not there yet: only 0", o.udpPort)
	case o.zone != "":
		return fmt.Errorf("--zone %s: zones are not there yet: leave it out", o.zone)
	case o.weight != 1:
		return fmt.Errorf("--weight %d: weights are not there yet: only 1", o.weight)
	case o.copies != 1:
		return fmt.Errorf("--copies %d: more than one copy is not there yet: only 1", o.copies)
	case o.config != "":
		return fmt.Errorf("--config %s: a file of settings is not there yet: use flags or MEMRING_*", o.config)
	}
	return nil
}

// resolveListen makes addresses of -l, -p and -s, and gives the peer port its default.
func (o *options) resolveListen(flags *pflag.FlagSet) error {
	if o.port < 1 || o.port > 65535 {
		return fmt.Errorf("-p %d: not a port from 1 to 65535 (memcached's 0 and -1 are not there yet)", o.port)
	}
	o.node.Listen = nil
	for _, address := range o.listen {
		listen, err := clientAddress(address, o.port)
		if err != nil {
			return err
		}
		o.node.Listen = append(o.node.Listen, listen)
	}
	if o.node.UnixSocket != "" && !flags.Changed("listen") {
		o.node.Listen = nil
	}
	mode, err := strconv.ParseUint(o.unixMask, 8, 9)
	if err != nil {
		return fmt.Errorf("-a %s: not an access mode in octal, such as 700", o.unixMask)
	}
	o.node.UnixSocketMode = os.FileMode(mode)

	o.firstPort = o.port
	if len(o.node.Listen) > 0 {
		_, port, _ := net.SplitHostPort(o.node.Listen[0])
		o.firstPort, _ = strconv.Atoi(port)
	}
	if !flags.Changed("peer-port") && o.firstPort != 0 { // beside any free port, any free one
		o.node.PeerPort = o.firstPort + 1
	}
	return nil
}

// clientAddress completes what -l gives, HOST, HOST:PORT, [V6]:PORT or V6, to HOST:PORT.
func clientAddress(listen string, port int) (string, error) {
	if _, err := netip.ParseAddr(listen); err == nil {
		return net.JoinHostPort(listen, strconv.Itoa(port)), nil
	}
	host, given := listen, strconv.Itoa(port)
	if strings.Contains(listen, ":") {
		host, given, _ = net.SplitHostPort(listen) // both empty if that fails
	}
	if _, err := strconv.ParseUint(given, 10, 16); err != nil || host == "" || strings.ContainsAny(host, " /[]") {
		return "", fmt.Errorf("-l %s: not HOST, HOST:PORT or [V6]:PORT (memcached's prefixes are not there yet)", listen)
	}
	return net.JoinHostPort(host, given), nil
}

// resolveLimits makes bytes of -m and -I, and checks -c and -t. It refuses what memcached refuses, in words that its users know.
func (o *options) resolveLimits(flags *pflag.FlagSet) error {
	if o.memoryMB < 1 || o.memoryMB > math.MaxInt64>>20 {
		return fmt.Errorf("-m %d: the memory limit must be at least 1 megabyte", o.memoryMB)
	}
	o.node.MaxBytes = int64(o.memoryMB) << 20
	size, err := parseSize(o.itemSize)
	switch {
	case err != nil:
		return fmt.Errorf("-I %s: not a size, such as 1048576, 512k or 1m", o.itemSize)
	case size < 1<<10:
		return fmt.Errorf("-I %s: item max size cannot be less than 1024 bytes", o.itemSize)
	case size > 1<<30:
		return fmt.Errorf("-I %s: cannot set item size limit higher than a gigabyte", o.itemSize)
	case size > o.node.MaxBytes/2:
		return fmt.Errorf("-I %s: cannot set item size limit higher than 1/2 of memory max (-m %d)", o.itemSize, o.memoryMB)
	case o.node.MaxConns < 1:
		return fmt.Errorf("-c %d: maximum connections must be greater than 0", o.node.MaxConns)
	case flags.Changed("threads") && o.threads < 1:
		return fmt.Errorf("-t %d: number of threads must be greater than 0", o.threads)
	}
	o.node.MaxItemBytes = int(size)
	return nil
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
func (o *options) resolveNames() (err error) {
	if o.node.ID == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("--id: needed, since the machine does not know its name: %w", err)
		}
		o.node.ID = fmt.Sprintf("%s-%d", host, o.firstPort)
		if o.firstPort == 0 {
			o.node.ID = fmt.Sprintf("%s-%d", host, os.Getpid())
		}
	}
	if o.advertise != "" {
		if o.node.Advertise, err = netip.ParseAddr(o.advertise); err != nil {
			return fmt.Errorf("--advertise %s: not an IP address", o.advertise)
		}
	}
	return nil
}
