package node_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

func nearest(cfg *node.Config) { cfg.ReadNearest = true }

// counted gives a counter of node i.
func counted(t *testing.T, c *nodetest.Cluster, i int, name string) int {
	t.Helper()
	_, values := stats(t, c, i, "nodes")
	n, err := strconv.Atoi(values[c.Nodes[i].Self().ID+":"+name])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// rank gives the place of node i among the holders of a key: 0 is its owner, -1 none.
func rank(c *nodetest.Cluster, i int, key string) int {
	table := c.Nodes[i].Table()
	for at, h := range table.Holders(table.Partition([]byte(key))) {
		if table.Members()[h].ID == c.Nodes[i].Self().ID {
			return at
		}
	}
	return -1
}

// keysOf gives some keys for which condition holds.
func keysOf(prefix string, count int, condition func(key string) bool) (keys []string) {
	for n := 0; len(keys) < count; n++ {
		if key := fmt.Sprintf("%s%d", prefix, n); condition(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// waitForReads waits until node i answers gets of a key from a copy, its own or that of another node.
func waitForReads(t *testing.T, c *nodetest.Cluster, i, keeper int, key string) {
	t.Helper()
	k := newAsker(t, c.Dial(i))
	c.Wait("a copy may be read", func() bool {
		before := counted(t, c, keeper, "cluster_reads_from_copies")
		k.get(key)
		return counted(t, c, keeper, "cluster_reads_from_copies") > before
	})
}

// With --read-from nearest a node answers from the copies that it keeps, and asks nobody; without it the owner is asked.
func TestReadsFromTheCopyHere(t *testing.T) {
	f := func(near bool) {
		t.Helper()
		c := copied(t, 3, func(cfg *node.Config) { cfg.ReadNearest = near })
		kept := keysOf("kept", 50, func(key string) bool { return rank(c, 0, key) == 1 })
		k := newAsker(t, c.Dial(1))
		for _, key := range kept {
			if got := k.line("set %s 7 0 %d\r\n%s", key, len(key), key); got != "STORED" {
				t.Fatal(got)
			}
		}
		if near {
			waitForReads(t, c, 0, 0, kept[0])
		}
		wantForwards, wantReads := 0, 2*len(kept)
		if !near {
			wantForwards, wantReads = wantReads, wantForwards
		}
		var asked, want strings.Builder
		for _, key := range kept {
			fmt.Fprintf(&asked, "get %s\r\nmg %s v f\r\n", key, key)
			fmt.Fprintf(&want, "VALUE %s 7 %d\r\n%s\r\nEND\r\nVA %d f7\r\n%s\r\n", key, len(key), key, len(key), key)
		}
		c.Wait("all to be read where they should be", func() bool { // not at once, nor while this machine has something else to do: each owner has to confirm in time
			forwards, reads := counted(t, c, 0, "cluster_forwards"), counted(t, c, 0, "cluster_reads_from_copies")
			if got := talk(t, c.Dial(0), asked.String()+"quit\r\n"); got != want.String() {
				t.Errorf("%q, want %q", got, want.String())
			}
			forwards, reads = counted(t, c, 0, "cluster_forwards")-forwards-2*2, counted(t, c, 0, "cluster_reads_from_copies")-reads // stats nodes asks two others, twice
			if !near && reads > 0 {
				t.Errorf("%d reads from copies", reads)
			}
			return t.Failed() || reads == wantReads && (forwards == wantForwards || forwards == wantForwards+2) // two more, if the node has compared its clock with the others' meanwhile
		})
		if newAsker(t, c.Dial(0)).line("get absent-%s", kept[0]) != "END" {
			t.Error("what is nowhere is found")
		}
	}
	f(true)
	f(false)
}

// A member of the same zone that keeps a copy is asked before an owner in another.
func TestReadsFromTheCopyInTheZone(t *testing.T) {
	zones := map[string]string{"n0": "a", "n1": "a", "n2": "b", "n3": "b"}
	c := copied(t, 4, nearest, func(cfg *node.Config) { cfg.Zone = zones[cfg.ID] })
	keys := keysOf("z", 30, func(key string) bool {
		return rank(c, 1, key) == 1 && rank(c, 0, key) < 0 && (rank(c, 2, key) == 0 || rank(c, 3, key) == 0)
	})
	k := newAsker(t, c.Dial(0))
	for _, key := range keys {
		if got := k.line("set %s 0 0 1\r\nx", key); got != "STORED" {
			t.Fatal(got)
		}
	}
	waitForReads(t, c, 0, 1, keys[0])
	c.Wait("no get goes to the other zone", func() bool { // not at once, nor while this machine has something else to do: each owner has to confirm in time
		hits := counted(t, c, 2, "get_hits") + counted(t, c, 3, "get_hits")
		for _, key := range keys {
			if value, found := k.get(key); !found || value != "x" {
				t.Errorf("%s: %q, %v", key, value, found)
			}
		}
		if got := talk(t, c.Dial(0), "get "+strings.Join(keys, " ")+"\r\nquit\r\n"); strings.Count(got, "VALUE ") != len(keys) {
			t.Errorf("all at once: %q", got)
		}
		return counted(t, c, 2, "get_hits")+counted(t, c, 3, "get_hits") == hits
	})
	if got := k.line("get absent-%s", keys[0]); got != "END" {
		t.Errorf("what is nowhere: %q", got)
	}
}

// With two copies nobody reads anything older than what was acknowledged before, wherever he reads; and a conversation keeps its order.
func TestReadsFromCopiesAreNeverOld(t *testing.T) {
	c := copied(t, 3, nearest)
	keys := keysOf("c", 20, func(key string) bool { return rank(c, 0, key) >= 0 })
	var acked [20]atomic.Int64
	k := newAsker(t, c.Dial(1))
	for _, key := range keys {
		k.line("set %s 0 0 1\r\n0", key)
	}
	waitForReads(t, c, 0, 0, keysOf("c", 1, func(key string) bool { return rank(c, 0, key) == 1 })[0])
	var running sync.WaitGroup
	var over atomic.Bool
	for reader := range 3 {
		r := newAsker(t, c.Dial(reader))
		running.Go(func() {
			for !over.Load() {
				for i, key := range keys {
					least := acked[i].Load()
					value, found := r.get(key)
					if n, err := strconv.ParseInt(value, 10, 64); !found || err != nil || n < least {
						t.Errorf("%s through n%d: %q, %v; %d was acknowledged before", key, reader, value, found, least)
						return
					}
				}
			}
		})
	}
	for n := range int64(100) {
		for i, key := range keys {
			if got := k.line("incr %s 1", key); got != fmt.Sprint(n+1) {
				t.Errorf("incr %s: %s, want %d", key, got, n+1)
			}
			acked[i].Store(n + 1)
		}
	}
	over.Store(true)
	running.Wait()
	if counted(t, c, 0, "cluster_reads_from_copies") == 0 {
		t.Error("nothing was read from copies")
	}
	for i := range c.Nodes {
		for _, key := range keys {
			in := strings.ReplaceAll("set K 0 0 1\r\n5\r\nget K\r\nincr K 10\r\nget K K\r\nset K 0 0 1 noreply\r\n7\r\nget K\r\ndelete K noreply\r\nget K\r\nquit\r\n", "K", key)
			want := strings.ReplaceAll("STORED\r\nVALUE K 0 1\r\n5\r\nEND\r\n15\r\nVALUE K 0 2\r\n15\r\nVALUE K 0 2\r\n15\r\nEND\r\nVALUE K 0 1\r\n7\r\nEND\r\nEND\r\n", "K", key)
			if got := talk(t, c.Dial(i), in); got != want {
				t.Fatalf("n%d: got %q, want %q", i, got, want)
			}
		}
	}
	if got := k.line("flush_all"); got != "OK" {
		t.Fatal(got)
	}
	for i := range c.Nodes {
		if got := talk(t, c.Dial(i), "get "+strings.Join(keys, " ")+"\r\nquit\r\n"); got != "END\r\n" {
			t.Errorf("after flush_all: %q", got)
		}
	}
}
