//go:build chaos && linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A network is a few hosts, each a network namespace of its own, and a hub between them, one more, where the clients are. So nothing of it is seen in the
// namespace that the test runs in, and all of it goes with the namespaces.
//
//	host 1  members 10.77.0.1 --+                          host 1  clients 10.78.0.1 --+
//	host 2  members 10.77.0.2 --+-- bridge members (hub)   host 2  clients 10.78.0.2 --+-- bridge clients (hub), 10.78.0.254
//	host 3  members 10.77.0.3 ----- bridge apart (hub), while it is split from the rest
//
// What members say to each other goes over one bridge, what clients ask over the other: so both sides of a split can be asked.
type network struct {
	t     *testing.T
	hub   string
	hosts []string
	netem bool // tc can delay and lose packets; else it can only be made slow
}

// namespacePrefix and the id of the process begin the names of all namespaces, so that what is left of a test that was killed can be told from one that runs.
const namespacePrefix = "memring-chaos-"

// newNetwork makes n hosts. It skips the test, and says why, where that is not allowed.
func newNetwork(t *testing.T, n int) *network {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("SKIPPED: no network namespaces, so no faults on real links: %v (Debian: iproute2)", err)
	}
	w := &network{t: t, hub: fmt.Sprintf("%s%d-hub", namespacePrefix, os.Getpid())}
	if printed, err := ip("netns", "add", w.hub); err != nil {
		t.Skipf("SKIPPED: network namespaces are not allowed here, so no faults on real links: %v: %s", err, printed)
	}
	t.Cleanup(func() { remove(t, w.hub) })
	sweep(t)
	w.must("-n", w.hub, "link", "set", "lo", "up")
	for _, bridge := range []string{"members", "apart", "clients"} {
		w.must("-n", w.hub, "link", "add", bridge, "type", "bridge")
		w.must("-n", w.hub, "link", "set", bridge, "up")
	}
	w.must("-n", w.hub, "addr", "add", "10.78.0.254/24", "dev", "clients")
	for i := range n {
		host := fmt.Sprintf("%s%d-%d", namespacePrefix, os.Getpid(), i+1)
		w.hosts = append(w.hosts, host)
		w.must("netns", "add", host)
		t.Cleanup(func() { remove(t, host) })
		w.must("-n", host, "link", "set", "lo", "up")
		for kind, subnet := range map[string]int{"members": 77, "clients": 78} {
			port := fmt.Sprintf("%s%d", kind, i+1)
			w.must("-n", w.hub, "link", "add", port, "type", "veth", "peer", "name", kind, "netns", host)
			w.must("-n", w.hub, "link", "set", port, "master", kind, "up")
			w.must("-n", host, "addr", "add", fmt.Sprintf("10.%d.0.%d/24", subnet, i+1), "dev", kind)
			w.must("-n", host, "link", "set", kind, "up")
		}
	}
	w.netem = exec.Command("tc", "-n", w.hub, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms").Run() == nil
	return w
}

// ip runs the program of that name.
func ip(args ...string) (printed string, err error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (w *network) must(args ...string) {
	w.t.Helper()
	if printed, err := ip(args...); err != nil {
		w.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, printed)
	}
}

// remove ends what runs in a namespace, and then it.
func remove(t *testing.T, namespace string) {
	pids, err := ip("netns", "pids", namespace)
	if err != nil {
		t.Errorf("who runs in %s: %v: %s", namespace, err, pids)
	}
	for _, pid := range strings.Fields(pids) {
		if n, err := strconv.Atoi(pid); err == nil {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
	if printed, err := ip("netns", "del", namespace); err != nil {
		t.Errorf("remove namespace %s: %v: %s", namespace, err, printed)
	}
}

// sweep removes what tests have left that were killed before they could.
func sweep(t *testing.T) {
	listed, err := ip("netns", "list")
	if err != nil {
		t.Fatalf("ip netns list: %v", err)
	}
	for _, found := range regexp.MustCompile(`(?m)^`+namespacePrefix+`(\d+)-\S+`).FindAllStringSubmatch(listed, -1) {
		if _, err := os.Stat("/proc/" + found[1]); err != nil {
			t.Logf("removing %s, left by a test that was killed", found[0])
			remove(t, found[0])
		}
	}
}

// dial connects from the hub to a host's port for clients.
func (w *network) dial(host int, timeout time.Duration) (conn net.Conn, err error) {
	inHub := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", fmt.Sprintf("10.78.0.%d:11211", host+1)) // one address: it is dialed by this goroutine
		return err
	}
	return conn, inNamespace(w.hub, inHub)
}

// inNamespace does something as if in a namespace: what it opens stays there, but the thread comes back.
func inNamespace(name string, do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := os.Open("/run/netns/" + name)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", name, err)
	}
	defer func() {
		if err := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("come back from %s: %v", name, err)) // whatever runs on this thread next would be in the wrong network
		}
	}()
	return do()
}

// A cut is a way to take a host off the others.
type cut uint8

const (
	cutAtHub  cut = iota // the cable: no carrier at the host
	cutAtHost            // the host's own interface: it has no route any more
	cutApart             // on another bridge, with all others that are there
	cutMute              // one way: what it says is not heard
	cutDeaf              // one way: it hears nothing
	cuts
)

func (c cut) String() string {
	return [...]string{"at the hub", "at the host", "apart", "mute", "deaf"}[c]
}

// oneWay reports whether half of what is said still comes through: what one side asks may be done on the other, and never answered.
func (c cut) oneWay() bool { return c == cutMute || c == cutDeaf }

// split takes a host off the other members; heal gives it back. Clients reach it all the time.
func (w *network) split(host int, how cut) {
	port := fmt.Sprintf("members%d", host+1)
	switch how {
	case cutAtHub:
		w.must("-n", w.hub, "link", "set", port, "down")
	case cutAtHost:
		w.must("-n", w.hosts[host], "link", "set", "members", "down")
	case cutApart:
		w.must("-n", w.hub, "link", "set", port, "master", "apart")
	case cutMute:
		w.tc("-n", w.hosts[host], "qdisc", "replace", "dev", "members", "root", "blackhole")
	case cutDeaf:
		w.tc("-n", w.hub, "qdisc", "replace", "dev", port, "root", "blackhole")
	}
}

func (w *network) heal(host int) {
	port := fmt.Sprintf("members%d", host+1)
	w.must("-n", w.hub, "link", "set", port, "master", "members", "up")
	w.must("-n", w.hosts[host], "link", "set", "members", "up")
	w.quick(host)
	_ = exec.Command("tc", "-n", w.hub, "qdisc", "del", "dev", port, "root").Run() // it fails when there is none
}

// slow makes what a host sends to others late, and loses some of it, until quick.
func (w *network) slow(host int) {
	how := []string{"tbf", "rate", "512kbit", "burst", "4kb", "latency", "100ms"} // a queue that is nearly always there, and often full
	if w.netem {
		how = []string{"netem", "delay", "20ms", "15ms", "loss", "3%"}
	}
	w.tc(append([]string{"-n", w.hosts[host], "qdisc", "replace", "dev", "members", "root"}, how...)...)
}

func (w *network) quick(host int) {
	_ = exec.Command("tc", "-n", w.hosts[host], "qdisc", "del", "dev", "members", "root").Run() // it fails when there is none
}

func (w *network) tc(args ...string) {
	w.t.Helper()
	if printed, err := exec.Command("tc", args...).CombinedOutput(); err != nil {
		w.t.Fatalf("tc %s: %v: %s", strings.Join(args, " "), err, printed)
	}
}
