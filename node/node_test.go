package node_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/nodetest"
)

func TestWrongConfigNamesTheFlag(t *testing.T) {
	f := func(flag string, change func(*node.Config)) {
		t.Helper()
		cfg := node.Default()
		cfg.ID, cfg.Log = "n", slog.New(slog.DiscardHandler)
		cfg.Listen, cfg.PeerPort, cfg.GossipPort, cfg.AdminListen = []node.Listener{{Address: "127.0.0.1:0"}}, 0, 0, "off"
		change(&cfg)
		if _, err := node.Start(cfg); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("want an error that names %s, got: %v", flag, err)
		}
	}
	f("--id", func(c *node.Config) { c.ID = "" })
	f("--id", func(c *node.Config) { c.ID = strings.Repeat("x", 65) })
	f("-l", func(c *node.Config) { c.Listen = []node.Listener{{}} })
	f("--peer-port", func(c *node.Config) { c.PeerPort = 70_000 })
	f("--gossip-port", func(c *node.Config) { c.GossipPort = -1 })
	f("--gossip-port", func(c *node.Config) { c.PeerPort, c.GossipPort = 7000, 7000 })
	f("--peer-port", func(c *node.Config) { c.PeerPort, c.GossipPort = 7000, 7000 })
	f("-m", func(c *node.Config) { c.MaxBytes = 0 })
	f("-I", func(c *node.Config) { c.MaxItemBytes = 1000 })
	f("-I", func(c *node.Config) { c.MaxItemBytes = 2 << 30 })
	f("-c", func(c *node.Config) { c.MaxConns = 0 })
	f("--peer-timeout", func(c *node.Config) { c.PeerDeadline = 0 })
	f("--drain-timeout", func(c *node.Config) { c.DrainTimeout = -1 })
	f("--handover-rate", func(c *node.Config) { c.HandoverRate = 64<<10 - 1 })
	f("--join", func(c *node.Config) { c.Join = []string{"host:port:more"} })

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	f("-p", func(c *node.Config) { c.Listen[0].Address = taken.Addr().String() })
	f("--peer-port", func(c *node.Config) { c.PeerPort = port })
	f("--admin-listen", func(c *node.Config) { c.AdminListen = taken.Addr().String() })
}

// Several nodes run on a machine as several memcacheds do: ports that nobody has asked for give way.
func TestPortsGiveWay(t *testing.T) {
	first := nodetest.Start(t, 1).Nodes[0]
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	taken := func(c *node.Config) {
		c.PeerPort, c.GossipPort = int(first.Self().Peer.Port()), int(first.Self().Gossip.Port())
		c.AdminListen = admin.Addr().String()
		c.GiveWay = node.GiveWay{Peer: true, Gossip: true, Admin: true}
	}
	second := nodetest.Start(t, 1, taken).Nodes[0]
	if a, b := first.Self(), second.Self(); a.Peer == b.Peer || a.Gossip == b.Gossip {
		t.Errorf("the same ports: %+v, %+v", a, b)
	}
}

// A node that others reach, of which nothing says that it has others, opens no port for members to strangers; those who look for nodes to ask are told where clients reach it.
func TestANodeAloneHasNoPortsForMembers(t *testing.T) {
	open := func(c *node.Config) {
		c.Listen[0].Address = "0.0.0.0:0"
		c.GiveWay = node.GiveWay{Peer: true, Gossip: true, Admin: true}
	}
	self := nodetest.Start(t, 1, open).Nodes[0].Self()
	if !self.Peer.Addr().IsLoopback() || !self.Gossip.Addr().IsLoopback() {
		t.Errorf("members reach it at %v and %v", self.Peer, self.Gossip)
	}
	if want, err := membership.Reachable(netip.IPv4Unspecified()); err != nil || self.Client.Addr() != want {
		t.Errorf("clients reach it at %v, want %v, %v", self.Client, want, err)
	}
	self = nodetest.Start(t, 1, open, func(c *node.Config) { c.Trust.Insecure = true }).Nodes[0].Self()
	if want := self.Client.Addr(); self.Peer.Addr() != want || self.Gossip.Addr() != want {
		t.Errorf("members reach it at %v and %v, clients at %v", self.Peer, self.Gossip, want)
	}
}

// What an address speaks is told by its listener: another wire is hung up on.
func TestWires(t *testing.T) {
	const (
		classic = "version\r\n"
		packet  = "\x80\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // version
	)
	n := nodetest.Start(t, 1, func(c *node.Config) {
		c.Listen = nil
		for _, wire := range []node.Wire{node.AnyWire, node.TextWire, node.BinaryWire} {
			c.Listen = append(c.Listen, node.Listener{Address: "127.0.0.1:0", Wire: wire})
		}
	}).Nodes[0]
	addresses, _ := n.Listening()
	f := func(wire node.Wire, request string, answers bool) {
		t.Helper()
		conn, err := net.Dial("tcp", addresses[wire])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
		got, err := io.ReadAll(conn)
		if err != nil || (len(got) > 0) != answers {
			t.Errorf("%v: %.3q is answered %q, %v", wire, request, got, err)
		}
	}
	f(node.AnyWire, classic, true)
	f(node.AnyWire, packet, true)
	f(node.TextWire, classic, true)
	f(node.TextWire, packet, false)
	f(node.BinaryWire, classic, false)
	f(node.BinaryWire, packet, true)
}

func TestReadiness(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // somebody who takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c := nodetest.Start(t, 1, func(cfg *node.Config) {
		cfg.Join, cfg.AdminListen = []string{silent.Addr().String()}, "127.0.0.1:0"
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Get("http://" + c.Nodes[0].AdminAddr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "--join") {
		t.Errorf("not joined: %d %q", resp.StatusCode, body)
	}
	// It serves all the same: a cache that waits for others serves nobody.
	if got := talk(t, c.Dial(0), "set k 0 0 1\r\nx\r\nquit\r\n"); got != "STORED\r\n" {
		t.Errorf("got %q", got)
	}
}

// Of two processes with one id the later holds the partitions; clients of either are served.
func TestSameIDStartedTwice(t *testing.T) {
	c := nodetest.Start(t, 2)
	early := c.Addr(0)
	c.Launch(func(cfg *node.Config) { cfg.ID = c.Nodes[0].Self().ID })
	late := c.Addr(2)
	if early == late {
		t.Fatal("the test talks to one process only")
	}
	dial := func(address netip.AddrPort) net.Conn {
		conn, err := net.Dial("tcp", address.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	c.Wait("what is stored through one is found through the other", func() bool {
		for k := range 40 {
			key := fmt.Sprint("key", k)
			from, to := early, late
			if k%2 == 1 {
				from, to = late, early
			}
			if got := talk(t, dial(from), "set "+key+" 0 0 1\r\nx\r\nquit\r\n"); got != "STORED\r\n" {
				return false
			}
			if got := talk(t, dial(to), "get "+key+"\r\nquit\r\n"); got != "VALUE "+key+" 0 1\r\nx\r\nEND\r\n" {
				return false
			}
		}
		return true
	})
}

// All members leaving at once must not trip over each other, whoever still asks.
func TestAllStopAtOnceUnderLoad(t *testing.T) {
	c := nodetest.Start(t, 3)
	stop := load(c, []int{0, 1, 2}, func(error) {}) // their nodes go away: errors are right
	var running sync.WaitGroup
	for i := range c.Nodes {
		running.Go(func() { c.Stop(i) })
	}
	running.Wait()
	stop()
}

// CLUSTER.md 4.3: what was replaced or deleted never comes back. A partition that comes home finds nothing of its former items.
func TestNothingOldComesBackAfterJoinAndLeave(t *testing.T) {
	c := nodetest.Start(t, 1) // what is noreply must not fail unseen
	const keys = 200
	conn := c.Dial(0)
	for k := range keys {
		fmt.Fprintf(conn, "set key%d 0 0 3 noreply\r\nold\r\n", k)
	}
	if got := talk(t, conn, "quit\r\n"); got != "" {
		t.Fatal(got)
	}
	c.Launch()
	c.WaitAgreed()
	conn = c.Dial(1)
	for k := range keys {
		if k%2 == 0 {
			fmt.Fprintf(conn, "delete key%d noreply\r\n", k)
		} else {
			fmt.Fprintf(conn, "set key%d 0 0 3 noreply\r\nnew\r\n", k)
		}
	}
	if got := talk(t, conn, "quit\r\n"); got != "" {
		t.Fatal(got)
	}
	c.Stop(1)
	c.WaitAgreed()
	for k := range keys {
		got := talk(t, c.Dial(0), fmt.Sprintf("get key%d\r\nquit\r\n", k))
		if strings.Contains(got, "old") || k%2 == 0 && got != "END\r\n" {
			t.Fatalf("key%d: %q", k, got)
		}
	}
}
