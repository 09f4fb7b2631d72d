//go:build interop || chaos

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/node"
)

// A process is a server that can be ended and started again, with the same arguments.
type process struct {
	name    string
	args    []string
	address string // for clients
	admin   string // for operators
	killed  bool   // ends with an error when told to end: that is its way

	running *exec.Cmd    // nil once ended
	logged  bytes.Buffer // of all its lives
}

// start starts it, again perhaps.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.running = exec.Command(p.name, p.args...)
	p.running.Env = append(os.Environ(), "MEMRING_LOG_FORMAT=text")
	p.running.Stdout, p.running.Stderr = &p.logged, &p.logged
	if err := p.running.Start(); err != nil {
		t.Fatal(err)
	}
}

// end sends a signal and waits for the process to end, which it must do in time.
func (p *process) end(signal syscall.Signal) error {
	if p.running == nil {
		return nil
	}
	ended := p.running
	p.running = nil
	if err := ended.Process.Signal(signal); err != nil {
		return err
	}
	cut := time.AfterFunc(2*stopBound+node.Default().DrainTimeout, func() { _ = ended.Process.Kill() })
	defer cut.Stop()
	return ended.Wait()
}

// keep runs a process for the length of the test.
func keep(t *testing.T, p *process) {
	p.start(t)
	t.Cleanup(func() {
		if err := p.end(syscall.SIGTERM); err != nil && !p.killed {
			t.Errorf("%s: %v", p.name, err)
		}
		if t.Failed() {
			t.Logf("%s %s logged:\n%s", p.name, strings.Join(p.args, " "), p.logged.Bytes())
		}
	})
}

// startCluster starts n nodes of the real binary on loopback, each with these flags, and returns them once they agree on the owners of keys.
func startCluster(t *testing.T, n int, flags ...string) (nodes []*process) {
	binary := filepath.Join(t.TempDir(), "memring")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, printed)
	}
	ports, seeds := freePorts(t, 4*n), ""
	for i := range n {
		seeds += ",127.0.0.1:" + ports[4*i+2]
	}
	for i := range n {
		node := memberAt(binary, fmt.Sprintf("node-%d", i+1), ports[4*i:], seeds[1:], flags...)
		keep(t, node)
		nodes = append(nodes, node)
	}
	waitFor(t, "the nodes agree on the owners of keys", func() error { return agree(nodes) })
	return nodes
}

// memberAt is a node that takes the first four of the ports: for clients, other members, gossip and operators.
func memberAt(binary, id string, ports []string, seeds string, flags ...string) *process {
	local := func(port string) string { return net.JoinHostPort("127.0.0.1", port) }
	return &process{name: binary, address: local(ports[0]), admin: local(ports[3]), args: append([]string{
		"-u", "root", "--id", id, "-l", "127.0.0.1", "-p", ports[0], "--peer-port", ports[1],
		"--gossip-port", ports[2], "--admin-listen", local(ports[3]), "--join", seeds,
	}, flags...)}
}

// agree says why the nodes do not yet place keys alike, each of them owning some and nobody else any.
func agree(nodes []*process) error {
	owners := map[string]bool{}
	for n := range 60 {
		question, first := fmt.Sprintf("cluster owner key-%d", n), ""
		for i, node := range nodes {
			lines, err := cluster.Ask(&dial.Node{}, node.address, question)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", node.address, err)
			case len(lines) != 1:
				return fmt.Errorf("%s: %d lines for %s", node.address, len(lines), question)
			case i == 0:
				first = lines[0].ID
				owners[first] = true
			case lines[0].ID != first:
				return fmt.Errorf("%s: %s says %s, %s says %s", question, nodes[0].address, first, node.address, lines[0].ID)
			}
		}
	}
	if len(owners) != len(nodes) {
		return fmt.Errorf("%d owners of %d", len(owners), len(nodes))
	}
	return nil
}

// Ports for servers lie below those that Linux gives to whoever does not choose (32768 and more): so no connection, and nobody who listens on port 0, takes one before its server
// does, or while that is down. Those below firstPort have services, or are such as a browser does not ask (10080).
const firstPort, lastPort = 12000, 32000

// freePorts gives ports that are free now for TCP and UDP.
func freePorts(t *testing.T, n int) (ports []string) {
	for tries := 0; len(ports) < n; tries++ {
		port := strconv.Itoa(firstPort + rand.IntN(lastPort-firstPort))
		address := net.JoinHostPort("127.0.0.1", port)
		tcp, err := net.Listen("tcp", address)
		if err == nil {
			defer tcp.Close() // after all are found: no port is given twice
			var udp net.PacketConn
			if udp, err = net.ListenPacket("udp", address); err == nil {
				defer udp.Close()
				ports = append(ports, port)
			}
		}
		if tries > 100*n {
			t.Fatalf("no free ports: %v", err)
		}
	}
	return ports
}
