package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
)

// run gives the options that serve would get for a command line, what was printed, and the error.
func run(env map[string]string, args ...string) (served *options, printed string, err error) {
	var out strings.Builder
	cmd := command(func(name string) string { return env[name] }, func(o *options) error {
		served = o
		return nil
	})
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = cmd.Execute()
	return served, out.String(), err
}

// TestFlags sets one thing at a time and compares the whole Config, so that no flag touches what is not its own.
func TestFlags(t *testing.T) {
	f := func(line string, change func(*node.Config)) {
		t.Helper()
		want := node.Default()
		want.ID = hostname(t) + "-11211"
		if change != nil {
			change(&want)
		}
		o, _, err := run(nil, strings.Fields(line)...)
		if err != nil || o == nil {
			t.Errorf("%q: %v", line, err)
			return
		}
		got := o.node
		got.Log, got.Level = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", line, got, want)
		}
	}
	port := func(c *node.Config) {
		c.Listen, c.PeerPort, c.ID = []string{"127.0.0.1:11300"}, 11301, hostname(t)+"-11300"
	}
	f("", nil)
	f("-p 11300", port)
	f("-p11300", port)
	f("--port=11300", port)
	f("--port 11300 -U 0", port)
	f("-l 127.0.0.1:11300", port)
	f("-p 11300 --peer-port 12000", func(c *node.Config) { port(c); c.PeerPort = 12000 })
	f("-p 11300 --peer-port 0", func(c *node.Config) { port(c); c.PeerPort = 0 })
	f("-l 0.0.0.0", func(c *node.Config) { c.Listen = []string{"0.0.0.0:11211"} })
	f("-l 10.0.0.1,[::1]:1 -l ::1 -l cache.local", func(c *node.Config) {
		c.Listen = []string{"10.0.0.1:11211", "[::1]:1", "[::1]:11211", "cache.local:11211"}
	})
	f("-s /run/m.sock -a 770", func(c *node.Config) { c.Listen, c.UnixSocket, c.UnixSocketMode = nil, "/run/m.sock", 0o770 })
	f("-s /run/m.sock -l 127.0.0.1", func(c *node.Config) { c.UnixSocket = "/run/m.sock" })
	f("-m 1024", func(c *node.Config) { c.MaxBytes = 1 << 30 })
	f("-I 2048", func(c *node.Config) { c.MaxItemBytes = 2048 })
	f("-I 512k", func(c *node.Config) { c.MaxItemBytes = 512 << 10 })
	f("-m 256 -I 32M", func(c *node.Config) { c.MaxBytes, c.MaxItemBytes = 256<<20, 32<<20 })
	f("-MF", func(c *node.Config) { c.NoEvict, c.NoFlush = true, true })
	f("-c 10 -t 2 -u nobody -P /run/m.pid -vv", func(c *node.Config) { c.MaxConns = 10 })
	f("--id a --cluster b --gossip-port 1 --peer-port 2", func(c *node.Config) { c.ID, c.Cluster, c.GossipPort, c.PeerPort = "a", "b", 1, 2 })
	f("--join a,b:7 --join c", func(c *node.Config) { c.Join = []string{"a", "b:7", "c"} })
	f("--admin-listen off --peer-timeout 2s", func(c *node.Config) { c.AdminListen, c.PeerDeadline = "off", 2*time.Second })
	f("--weight 1 --copies 1", nil)
}

func TestProcessFlags(t *testing.T) {
	o, _, err := run(nil, "-d", "-t", "2", "-u", "nobody", "-P", "/run/m.pid", "-vv")
	if err != nil {
		t.Fatal(err)
	}
	if !o.daemon || o.threads != 2 || o.user != "nobody" || o.pidFile != "/run/m.pid" {
		t.Errorf("got %+v", o)
	}
	if level := o.node.Level.Level(); level != slog.LevelInfo-8 {
		t.Errorf("-vv: level %v", level)
	}
}

func TestRefusals(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		o, _, err := run(nil, strings.Fields(line)...)
		if o != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: served %v, error %v, want %q", line, o != nil, err, want)
		}
	}
	// What memcached refuses, in its words.
	f("-c 0", "maximum connections must be greater than 0")
	f("-c -1", "maximum connections must be greater than 0")
	f("-t 0", "number of threads must be greater than 0")
	f("-I 1000", "item max size cannot be less than 1024 bytes")
	f("-I 33m", "cannot set item size limit higher than 1/2 of memory max")
	f("-m 4096 -I 1025m", "cannot set item size limit higher than a gigabyte")
	f("-I large", "not a size")
	f("-I 18446744073709551615m", "not a size")
	f("-m 0", "memory limit must be at least 1 megabyte")

	// Addresses.
	f("-p 65536", "-p 65536: not a port")
	f("-p 65535", "--peer-port: 65536 is not a port")
	f("-p x", `invalid argument "x" for "-p, --port"`)
	f("-l 127.0.0.1:70000", "-l 127.0.0.1:70000: not HOST")
	f("-l :11211", "not HOST")
	f("-l notls:127.0.0.1:11211", "not HOST")
	f("-l notls:127.0.0.1", "not HOST")
	f("-l proto[ascii]:127.0.0.1", "not HOST")
	f("-a 999", "not an access mode")
	f("--advertise here", "not an IP address")

	// Not yet.
	for _, flag := range strings.Fields("-A -r -k -L -C -S -X -W -Z") {
		f(flag, flag+" (--")
	}
	for _, flag := range strings.Fields("-f -n -D -R -b -B -Y -e -N -o") {
		f(flag+" 1", flag+" (--")
	}
	f("--enable-ssl", "not yet memring's")
	f("-p 0", "not there yet")
	f("-p -1", "not there yet")
	f("-U 11211", "UDP is not there yet")
	f("--zone a", "--zone a")
	f("--weight 2", "only 1")
	f("--copies 2", "only 1")
	f("--config memring.yaml", "--config memring.yaml")

	// Never heard of.
	f("--fast", "unknown flag: --fast")
	f("-x", "unknown shorthand flag: 'x'")
	f("serve", `unknown command "serve"`)
	f("cluster owner", "accepts 1 arg")
}

func TestEnvironment(t *testing.T) {
	f := func(env, line string, get func(*options) any, want any) {
		t.Helper()
		name, value, _ := strings.Cut(env, "=")
		o, _, err := run(map[string]string{name: value}, strings.Fields(line)...)
		if err != nil {
			t.Errorf("%s memring %s: %v", env, line, err)
		} else if got := get(o); !reflect.DeepEqual(got, want) {
			t.Errorf("%s memring %s: got %v, want %v", env, line, got, want)
		}
	}
	peerPort := func(o *options) any { return o.node.PeerPort }
	join := func(o *options) any { return o.node.Join }
	f("MEMRING_PEER_PORT=7000", "", peerPort, 7000)
	f("MEMRING_PEER_PORT=7000", "--peer-port 8000", peerPort, 8000)
	f("MEMRING_PEER_PORT=", "", peerPort, 11212)
	f("MEMRING_PORT=7000", "", peerPort, 7001)
	f("MEMRING_PORT=7000", "-p 8000", peerPort, 8001)
	f("MEMRING_JOIN=a,b", "", join, []string{"a", "b"})
	f("MEMRING_JOIN=a,b", "--join c", join, []string{"c"})
	f("MEMRING_DISABLE_EVICTIONS=true", "", func(o *options) any { return o.node.NoEvict }, true)
	f("MEMRING_VERBOSE=2", "", func(o *options) any { return o.verbose }, 2)

	// Kubernetes sets this one for a Service of the name memring.
	f("MEMRING_PORT=tcp://10.0.0.1:11211", "", peerPort, 11212)

	for env, want := range map[string]string{
		"MEMRING_PEER_PORT=x": "MEMRING_PEER_PORT: ",
		"MEMRING_COPIES=2":    "only 1",
		"MEMRING_PROTOCOL=x":  "not yet memring's",
	} {
		name, value, _ := strings.Cut(env, "=")
		if _, _, err := run(map[string]string{name: value}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", env, err, want)
		}
	}
}

// TestHelp holds the help to what scripts look for in memcached's, and to telling every flag that does something.
func TestHelp(t *testing.T) {
	o, help, err := run(nil, "-h")
	if o != nil || err != nil {
		t.Fatalf("-h: served %v, error %v", o != nil, err)
	}
	for _, want := range []string{"unix-socket", "--port", "--memory-limit", "--join", "MEMRING_PEER_PORT", "cluster members"} {
		if !strings.Contains(help, want) {
			t.Errorf("help lacks %q", want)
		}
	}
	for _, not := range []string{"enable-ssl", "sasl", "ext_path", "proxy_config", "no_drop_privileges", "memcached 1.1."} {
		if strings.Contains(strings.ToLower(help), not) {
			t.Errorf("help promises %q", not)
		}
	}
	if lines := strings.Split(help, "\n"); slices.ContainsFunc(lines, func(l string) bool { return len(l) > helpColumns+10 }) {
		t.Error("help has lines too long to read")
	}
}

func TestVersion(t *testing.T) {
	for _, line := range []string{"version", "-V", "--version"} {
		o, printed, err := run(nil, line)
		if o != nil || err != nil || !strings.HasPrefix(printed, "memring ") {
			t.Errorf("%s: served %v, error %v, printed %q", line, o != nil, err, printed)
		}
	}
}

func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memring.pid")
	remove, err := writePIDFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	remove()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}

	// A successor's file is left alone.
	if remove, err = writePIDFile(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	remove()
	if left, err := os.ReadFile(path); err != nil || string(left) != "1\n" {
		t.Errorf("the successor's file: %q, %v", left, err)
	}

	if _, err := writePIDFile(filepath.Join(path, "in", "a", "file")); err == nil || !strings.HasPrefix(err.Error(), "-P ") {
		t.Errorf("a pid file that cannot be: %v", err)
	}
}

func hostname(t *testing.T) string {
	name, err := os.Hostname()
	if err != nil {
		t.Skip("this machine does not know its name")
	}
	return name
}
