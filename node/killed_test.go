package node_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// gone is how long the keys of a member were not answered for.
//
//	a client of node 0 stores keys of the member, one after the other: STORED ... SERVER_ERROR ... STORED
//	                                                                              |<-- gone --->|
//
// stalled is for how much of it this process did not run: with as many others on the machine that is a good part.
func gone(t *testing.T, c *nodetest.Cluster, crash int) (took, stalled time.Duration) {
	t.Helper()
	late := lateness(t)
	table, id := c.Nodes[0].Table(), c.Nodes[crash].Self().ID
	var keys []string
	for k := 0; len(keys) < 50; k++ {
		key := fmt.Sprint("key", k)
		if table.Members()[table.Owner(table.Partition([]byte(key)))].ID == id {
			keys = append(keys, key)
		}
	}
	k := newAsker(t, c.Dial(0))
	var crashing sync.WaitGroup
	defer crashing.Wait()
	var failed time.Time
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	limit := time.Now().Add(20 * time.Second)
	for i := 0; time.Now().Before(limit); i++ {
		if i == 50 {
			crashing.Go(func() { c.Crash(crash) })
		}
		<-pace.C
		answer := k.line("set %s 0 0 1\r\nx", keys[i%len(keys)])
		switch {
		case strings.HasPrefix(answer, "SERVER_ERROR "):
			if failed.IsZero() {
				failed, stalled = time.Now(), late()
			}
		case answer != "STORED":
			t.Fatalf("set: %q", answer)
		case !failed.IsZero():
			return time.Since(failed), late() - stalled
		case c.Nodes[0].Table() != table:
			return 0, 0 // another has taken over before anything was asked
		}
	}
	t.Fatal("the keys of the killed member are not answered for again, or always were by the table in which it is")
	return 0, 0
}

// lateness gives what says how late a ticker has been so far, in sum.
func lateness(t *testing.T) func() time.Duration {
	const every = 2 * time.Millisecond
	var sum atomic.Int64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for before := time.Now(); ; {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			now := time.Now()
			sum.Add(int64(max(now.Sub(before)-2*every, 0)))
			before = now
		}
	}()
	t.Cleanup(func() { close(end); <-ended })
	return func() time.Duration { return time.Duration(sum.Load()) }
}

// A process that is killed is missed within milliseconds, since its port refuses everybody, and not when gossip finds out seconds later.
func TestAKilledProcessIsMissedAtOnce(t *testing.T) {
	f := func(what string, size int, options ...nodetest.Option) {
		t.Helper()
		var c *nodetest.Cluster
		least := time.Hour // of some times, for a machine may be busy
		for try := 0; try < 3 && least > 500*time.Millisecond; try++ {
			c = nodetest.Start(t, size, options...)
			took, stalled := gone(t, c, size-1)
			t.Logf("%s: its keys were not answered for in %v, for %v of which this process did not run", what, took, stalled)
			least = min(least, took-stalled)
		}
		if least > 500*time.Millisecond {
			t.Errorf("%s: %v", what, least)
		}
		c.Wait("all others to agree", func() bool {
			for _, n := range c.Nodes[:size-1] {
				if n.Table().Print() != c.Nodes[0].Table().Print() || !n.Settled() {
					return false
				}
			}
			return true
		})
	}
	f("of three", 3)
	f("of three, two copies", 3, twoCopies(time.Minute))
	f("of two", 2)
}

// apart puts a node on a loopback address that nobody else takes ports of: who is started again finds its old ones free. Where there is no such address it changes nothing.
func apart(cfg *node.Config) {
	const address = "127.77.0.1:0"
	if port, err := net.Listen("tcp", address); err == nil {
		port.Close()
		cfg.Listen = []node.Listener{{Address: address}}
	}
}

// A member that is restarted at once, on its old ports, is no longer the one that was missed.
func TestAKilledProcessThatIsBackAtOnceIsThere(t *testing.T) {
	c := nodetest.Start(t, 3, apart, twoCopies(time.Minute))
	before, self := c.Nodes[0].Table().Print(), c.Nodes[2].Self()
	_, _ = gone(t, c, 2)
	c.Launch(func(cfg *node.Config) {
		cfg.ID, cfg.PeerPort, cfg.GossipPort = self.ID, int(self.Peer.Port()), int(self.Gossip.Port())
	})
	c.Wait("the table to be what it was", func() bool {
		for _, n := range c.Nodes {
			if n != nil && n.Table().Print() != before {
				return false
			}
		}
		return true
	})
	c.WaitSettled()
	k := newAsker(t, c.Dial(0))
	for i := range 100 {
		if answer := k.line("set key%d 0 0 1\r\nx", i); answer != "STORED" {
			t.Fatalf("set: %q", answer)
		}
	}
}

// A member that is killed, started again at once and then stopped in order costs no request of the others' clients: nobody counts on the run that was killed, which gossip believes in for some seconds more.
func TestAKilledProcessDoesNotComeBackWhenTheNextRunLeaves(t *testing.T) {
	c := nodetest.Start(t, 3, twoCopies(time.Minute))
	id := c.Nodes[2].Self().ID
	c.Crash(2)
	c.Launch(func(cfg *node.Config) { cfg.ID = id })
	c.WaitAgreed()
	c.WaitSettled()
	k := newAsker(t, c.Dial(0))
	asked, end := make(chan string), make(chan struct{})
	go func() {
		defer close(asked)
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			default:
			}
			if answer := k.line("set key%d 0 0 1\r\nx", i%1000); answer != "STORED" {
				asked <- answer
				return
			}
		}
	}()
	c.Stop(3)
	c.WaitAgreed()
	close(end)
	if answer, failed := <-asked; failed {
		t.Errorf("set: %q", answer)
	}
}
