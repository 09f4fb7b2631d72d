//go:build chaos

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/benchmarks/warm"
	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/dial"
)

const (
	// upgradeFrom names a binary to upgrade from; without it that is this code, which calls itself another build (make upgrade).
	upgradeFrom = "MEMRING_UPGRADE_FROM"

	// upgradePoints is how far the hit ratio may fall while all nodes are replaced, in hundreds.
	upgradePoints = 0.5
)

// TestChaosRollingUpgrade replaces the nodes of a cluster one after the other by those of another build, as deploy/README.md has it, while clients that know all
// three addresses read and write. None sees an error, or an old value, and as many of what they ask for is there as before.
func TestChaosRollingUpgrade(t *testing.T) {
	quiet := 10 * time.Second
	if testing.Short() {
		quiet = 3 * time.Second
	}
	later := buildAs(t, "later")
	former := os.Getenv(upgradeFrom)
	if former == "" {
		former = buildAs(t, "former")
	}
	ports, seeds := freePorts(t, 12), []string{}
	for i := range 3 {
		seeds = append(seeds, "127.0.0.1:"+ports[4*i+2])
	}
	var nodes []*process
	var servers []*warm.Server
	for i := range 3 {
		// A machine that stands still is no fault of an upgrade.
		node := memberAt(former, fmt.Sprintf("node-%d", i+1), ports[4*i:], strings.Join(seeds, ","), "--peer-timeout", "10s")
		keep(t, node)
		nodes = append(nodes, node)
		servers = append(servers, &warm.Server{Addr: node.address, Number: uint8(i)})
	}
	waitFor(t, "the nodes agree on the owners of keys", func() error { return agree(nodes) })

	fleet, err := warm.NewFleet(warm.Config{
		Clients: 12, Rate: 1000, Keys: 20_000, Zipf: 1, Absent: 3, Updates: 2, Patience: 30 * time.Second, LeastBytes: 100, MostBytes: 1000, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	all := warm.NewServers(false, servers...)
	if _, _, err := fleet.Warm(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	load := fleet.Start(all)
	defer load.Stop()
	began := load.Now()
	<-time.After(quiet)
	changes := load.Now()
	for i, node := range nodes {
		before := load.Now()
		upgrade(t, node, servers[i], later, nodes[(i+1)%3])
		t.Logf("%s is upgraded after %v", node.address, (load.Now() - before).Round(100*time.Millisecond))
	}
	<-time.After(quiet / 2)
	ended := load.Now()
	said := load.Stop()

	steady, meanwhile := said.Over(began, changes), said.Over(changes, ended)
	t.Logf("hit ratio before %.2f %% (%d gets), while all were upgraded, and after, %.2f %% (%d gets); %d times a client went to another node",
		steady.Ratio(), steady.Gets, meanwhile.Ratio(), meanwhile.Gets, said.Tally.Moved)
	for _, text := range said.Tally.ErrorTexts() {
		t.Errorf("%d times a client saw %q", said.Tally.Errors[text], text)
	}
	switch {
	case said.Tally.Wrong+said.Tally.Stale > 0:
		t.Errorf("%d values were another key's, %d were old", said.Tally.Wrong, said.Tally.Stale)
	case steady.Gets == 0 || steady.Ratio() < 90 || meanwhile.Gets == 0:
		t.Errorf("the load is none: %+v, %+v", steady, meanwhile)
	case meanwhile.Ratio() < steady.Ratio()-upgradePoints:
		t.Errorf("the hit ratio fell from %.2f to %.2f %%", steady.Ratio(), meanwhile.Ratio())
	}
	if said.Tally.Moved == 0 {
		t.Error("no client lost its node: nothing was upgraded under load")
	}
	waitFor(t, "nothing is wrong at the end", func() error {
		if problems := problemsAt(t, nodes[0]); len(problems) > 0 {
			return fmt.Errorf("%v", problems)
		}
		return nil
	})
}

// buildAs builds this code under a name of a build.
func buildAs(t *testing.T, name string, flags ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "memring-"+name)
	build := exec.Command("go", append(append([]string{"build", "-trimpath", "-ldflags", "-X main.build=" + name, "-o", path}, flags...), ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, printed)
	}
	return path
}

// upgrade goes through the steps of deploy/README.md with one node; other is one that stays.
func upgrade(t *testing.T, node *process, server *warm.Server, binary string, other *process) {
	t.Helper()
	waitFor(t, "nothing is wrong but that builds differ", func() error {
		for _, problem := range problemsAt(t, other) {
			if problem.Get("what") != "build" {
				return fmt.Errorf("%v", problem)
			}
		}
		return nil
	})
	server.Stopping()
	if err := node.end(syscall.SIGTERM); err != nil {
		t.Fatalf("%s: %v", node.address, err)
	}
	node.name = binary
	node.start(t)
	waitFor(t, node.address+" is ready", func() error {
		answer, err := http.Get("http://" + node.admin + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s", answer.Status)
		}
		return nil
	})
	server.Started()
}

// problemsAt gives what "cluster status" finds wrong, by its lines, and a line if something moves.
func problemsAt(t *testing.T, node *process) (problems []cluster.Line) {
	t.Helper()
	lines, err := cluster.Ask(&dial.Node{}, node.address, "cluster status")
	if err != nil {
		return []cluster.Line{{Label: "PROBLEM", ID: err.Error()}}
	}
	for _, l := range lines {
		switch {
		case l.Label == "PROBLEM", l.Label == "CLUSTER" && l.Get("moving") != "0":
			problems = append(problems, l)
		}
	}
	return problems
}
