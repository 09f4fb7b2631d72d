//go:build chaos && linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/ring"
)

const (
	// hostileBytes is what a node may take for those who are no members: some hundred handshakes at a time, and what is garbage at the time.
	hostileBytes = 48 << 20

	hostileTime, hostileShort = time.Minute, 10 * time.Second
)

// clusterKey writes a file with these cluster keys.
func clusterKey(t *testing.T, path string, keys ...string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// portsOf gives where a node listens for members.
func portsOf(p *process) membership.Member {
	flag := func(name string) string { return p.args[slices.Index(p.args, name)+1] }
	at := func(port string) netip.AddrPort { return netip.MustParseAddrPort(net.JoinHostPort("127.0.0.1", port)) }
	return membership.Member{Member: ring.Member{ID: flag("--id")}, Peer: at(flag("--peer-port")), Gossip: at(flag("--gossip-port"))}
}

// figureOf gives one line of a group of statistics.
func figureOf(p *process, group, name string) (value int, err error) {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "stats %s\r\n", group); err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != "END"; {
		if n, _ := fmt.Sscanf(lines.Text(), "STAT "+name+" %d", &value); n == 1 {
			return value, nil
		}
	}
	return 0, fmt.Errorf("stats %s has no %s", group, name)
}

// atLeast says that a count is not so high yet.
func atLeast(count *atomic.Int64, want int64) error {
	if n := count.Load(); n < want {
		return fmt.Errorf("%d of %d", n, want)
	}
	return nil
}

// TestChaosHostiles has strangers at the ports for members of a cluster under load: nothing of theirs is accepted, no client is failed, and the memory of the node that is
// attacked stays what it was.
func TestChaosHostiles(t *testing.T) {
	file, key := filepath.Join(t.TempDir(), "key"), strings.Repeat("the key of this cluster ", 2)
	clusterKey(t, file, key)
	nodes := startCluster(t, 3, "--cluster-key-file", file, "--peer-timeout", "20s")
	load := startLoad(t, nodes, true)
	waitFor(t, "some answers", func() error { return atLeast(&load.answered, 2000) })
	before := resident(t, nodes[0])

	last := hostileTime
	if testing.Short() {
		last = hostileShort
	}
	h := nodetest.Attack(t, portsOf(nodes[0]), "memring", strings.TrimSpace(key))
	most := before
	for end := time.Now().Add(last); time.Now().Before(end); {
		most = max(most, resident(t, nodes[0]))
		if err := agree(nodes); err != nil {
			t.Fatalf("under attack: %v", err)
		}
	}
	h.Stop()
	load.stop()
	refused, err := figureOf(nodes[0], "cluster", "cluster_peers_refused")
	if err != nil || refused == 0 {
		t.Errorf("%d peers refused, %v", refused, err)
	}
	if load.failed.Load() > 0 {
		t.Errorf("clients: %s", load)
	}
	if most > before+hostileBytes {
		t.Errorf("took %d MB, %d MB before", most>>20, before>>20)
	}
	t.Logf("%d tries in %v, %d peers refused; %d MB, of %d MB before; clients: %s", h.Tries.Load(), last, refused, most>>20, before>>20, load)
}

// TestChaosKeyRotation replaces the cluster key under load, by its file and by SIGHUP: no client sees it.
func TestChaosKeyRotation(t *testing.T) {
	dir := t.TempDir()
	file, first, second := filepath.Join(dir, "key"), strings.Repeat("the first key ", 3), strings.Repeat("the second key ", 3)
	clusterKey(t, file, first)
	nodes := startCluster(t, 3, "--cluster-key-file", file, "--copies", "2", "--peer-timeout", "20s")
	load := startLoad(t, nodes, true)
	loads := func(node *process) (n int) {
		n, err := figureOf(node, "tls", "tls_cluster_key_loads")
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for step, keys := range [][]string{{first, second}, {second, first}, {second}} {
		before := []int{loads(nodes[0]), loads(nodes[1]), loads(nodes[2])}
		clusterKey(t, file, keys...)
		for i, node := range nodes {
			if step > 0 || i > 0 { // the file alone would do, in ten seconds: the first node is left to it once
				if err := node.running.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, node := range nodes {
			waitFor(t, "the keys are loaded", func() error { // twice, perhaps, if the file is looked at in the same moment
				if n := loads(node); n == before[i] {
					return fmt.Errorf("%d loads", n)
				}
				return nil
			})
		}
		answered := load.answered.Load()
		waitFor(t, "some answers", func() error { return atLeast(&load.answered, answered+1000) })
		if err := agree(nodes); err != nil {
			t.Error(err)
		}
	}
	load.stop()
	if load.failed.Load() > 0 {
		t.Errorf("clients: %s", load)
	}
	for _, node := range nodes {
		if refused, err := figureOf(node, "cluster", "cluster_peers_refused"); err != nil || refused > 0 {
			t.Errorf("%s: %d members refused, %v", node.address, refused, err)
		}
		if err := node.end(syscall.SIGTERM); err != nil { // and its log is whole
			t.Errorf("%s: %v", node.address, err)
		}
		if strings.Contains(node.logged.String(), strings.TrimSpace(first)) || strings.Contains(node.logged.String(), strings.TrimSpace(second)) {
			t.Errorf("%s: its log has a key", node.address)
		}
	}
	t.Logf("clients: %s", load)
}
