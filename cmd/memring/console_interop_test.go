//go:build interop

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// TestInteropConsole opens the console in Chromium while three nodes are under load, and again while a fourth joins. What it shows is what /cluster says, it
// complains of nothing and asks nobody else. Screenshots are left in bin.
func TestInteropConsole(t *testing.T) {
	modules := npmInstall(t, "playwright-core@1.64.1")
	shots, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	nodes := startCluster(t, 3, "--peer-timeout", "10s", "--copies", "2", "--drain-timeout", "0")
	keepAsking(t, nodes)
	look := func(name, wants string) {
		script := filepath.Join("testdata", "interop", "console_talk.js")
		printed := execute(t, "env", "NODE_PATH="+modules, "node", script, "http://"+nodes[0].admin+"/", filepath.Join(shots, name), wants)
		t.Logf("%s: %s", name, printed)
	}
	look("console", "settled")

	// It takes its share of some 30 MB slowly enough for somebody to look on: in two minutes, the first of which a busy machine may need to start a browser.
	late := memberAt(nodes[0].name, "node-4", freePorts(t, 4), gossipOf(nodes[0]), "--copies", "2", "--drain-timeout", "0", "--handover-rate", "64k")
	keep(t, late)
	look("console-join", "moving")
}

// gossipOf gives the address at which a node is joined.
func gossipOf(p *process) string {
	for i, arg := range p.args {
		if arg == "--gossip-port" {
			return "127.0.0.1:" + p.args[i+1]
		}
	}
	return ""
}

// keepAsking has a few clients ask for keys, and set those that are missing, until the test ends.
func keepAsking(t *testing.T, nodes []*process) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	t.Cleanup(func() { cancel(); asking.Wait() })
	for _, node := range nodes {
		client := memcache.New(node.address)
		client.Timeout = 10 * time.Second
		asking.Go(func() {
			defer client.Close()
			for ctx.Err() == nil {
				key := fmt.Sprintf("key-%d", rand.IntN(8000))
				if rand.IntN(10) == 0 {
					key = "hot"
				}
				if _, err := client.Get(key); err != nil {
					_ = client.Set(&memcache.Item{Key: key, Value: make([]byte, 4000)}) // a node that joins may have it fail, which is not the matter here
				}
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	waitFor(t, "the cache is warm", func() error {
		items := 0
		for _, node := range nodes {
			lines := numbers(t, node.address, "stats", []string{"curr_items"})
			n := 0
			_, _ = fmt.Sscan(lines["curr_items"], &n)
			items += n
		}
		if items < 6000 {
			return fmt.Errorf("%d items", items)
		}
		return nil
	})
}
