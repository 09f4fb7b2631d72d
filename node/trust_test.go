package node_test

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/nodetest"
)

var oneKey, otherKey = strings.Repeat("one key ", 5), strings.Repeat("another ", 5)

// keyed gives each node the cluster keys, and its identity to who wants it.
func keyed(t *testing.T, keys string, made ...func(*identity.Identity)) nodetest.Option {
	return func(cfg *node.Config) {
		i := identity.New(identity.Config{Cluster: cfg.Cluster, ID: cfg.ID})
		loadKeys(t, i, keys)
		cfg.Trust.Identity, cfg.Trust.KeyFile = i, "keys"
		for _, f := range made {
			f(i)
		}
	}
}

func loadKeys(t *testing.T, i *identity.Identity, keys string) {
	t.Helper()
	if err := i.LoadKeys(certs.File{Name: "keys", Content: []byte(keys)}); err != nil {
		t.Fatal(err)
	}
}

// A chatter is a client of each node, that sets and gets until stop; no request may fail.
type chatter struct {
	asked   atomic.Int64
	ending  chan struct{}
	running sync.WaitGroup
}

func startChatter(t *testing.T, c *nodetest.Cluster) *chatter {
	talk := &chatter{ending: make(chan struct{})}
	for i := range c.Nodes {
		client := memcache.New(c.Addr(i).String())
		client.Timeout = 20 * time.Second
		talk.running.Go(func() {
			defer client.Close()
			for n := 0; ; n++ {
				select {
				case <-talk.ending:
					return
				default:
				}
				key := fmt.Sprintf("key-%d-%d", i, n%500)
				if err := client.Set(&memcache.Item{Key: key, Value: []byte(key)}); err != nil {
					t.Errorf("set %s: %v", key, err)
				}
				if item, err := client.Get(key); err != nil && !errors.Is(err, memcache.ErrCacheMiss) || err == nil && string(item.Value) != key {
					t.Errorf("get %s: %v", key, err)
				}
				talk.asked.Add(1)
			}
		})
	}
	return talk
}

func (c *chatter) stop() {
	close(c.ending)
	c.running.Wait()
}

// figure gives one line of a group of statistics of a node.
func figure(t *testing.T, c *nodetest.Cluster, i int, group, name string) (value int) {
	t.Helper()
	conn := c.Dial(i)
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "stats %s\r\n", group); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != "END"; {
		if n, _ := fmt.Sscanf(lines.Text(), "STAT "+name+" %d", &value); n == 1 {
			return value
		}
	}
	t.Fatalf("stats %s has no %s", group, name)
	return 0
}

// Who reaches the ports for members and is none comes to nothing, and disturbs nobody.
func TestHostilesComeToNothing(t *testing.T) {
	c := nodetest.Start(t, 3, nodetest.AllPartitions, keyed(t, oneKey))
	print := c.Nodes[0].Table().Print()
	talk := startChatter(t, c)
	h := nodetest.Attack(t, c.Nodes[0].Self(), "memring", oneKey)
	c.Wait("a good many tries", func() bool { return h.Tries.Load() > 1000 })
	h.Stop()
	talk.stop()
	if c.Nodes[0].Table().Print() != print || len(c.Nodes[0].Table().Members()) != 3 {
		t.Error("the table has changed")
	}
	if n := figure(t, c, 0, "nodes", "n0:cluster_peers_refused"); n < 50 {
		t.Errorf("%d peers refused", n)
	}
	if n := figure(t, c, 0, "nodes", "n0:cluster_gossip_refused"); n < 50 {
		t.Errorf("gossip refused %d times", n)
	}
	t.Logf("%d tries", h.Tries.Load())
}

// A node without the key, or with another one, stays alone, and is told of.
func TestNodesWithoutTheKeyStayAlone(t *testing.T) {
	c := nodetest.Start(t, 2, keyed(t, oneKey))
	f := func(id string, option nodetest.Option) {
		t.Helper()
		before := figure(t, c, 0, "nodes", "n0:cluster_gossip_refused")
		n := c.Launch(option)
		c.Wait("the refusal", func() bool { return figure(t, c, 0, "nodes", "n0:cluster_gossip_refused") > before })
		if len(n.Table().Members()) != 1 || len(c.Nodes[0].Table().Members()) != 2 {
			t.Errorf("%s: %d and %d members", id, len(n.Table().Members()), len(c.Nodes[0].Table().Members()))
		}
	}
	f("no key", func(cfg *node.Config) { cfg.Trust = node.Trust{} })
	f("another key", keyed(t, otherKey))
	f("another name", func(cfg *node.Config) { cfg.Cluster = "other"; keyed(t, oneKey)(cfg) })
}

// The keys of a cluster under load are replaced, a node after the other, and no client sees it.
func TestKeysAreReplacedUnderLoad(t *testing.T) {
	var ids []*identity.Identity
	c := nodetest.Start(t, 3, keyed(t, oneKey, func(i *identity.Identity) { ids = append(ids, i) }), func(cfg *node.Config) { cfg.Ring.Copies = 2 })
	c.WaitCopied()
	talk := startChatter(t, c)
	for _, keys := range []string{oneKey + "\n" + otherKey, otherKey + "\n" + oneKey, otherKey} {
		for _, i := range ids {
			loadKeys(t, i, keys)
			before := talk.asked.Load()
			c.Wait("some requests, with what each has now", func() bool { return talk.asked.Load() > before+200 })
		}
	}
	talk.stop()
	c.WaitCopied()
	for i := range c.Nodes {
		if n := figure(t, c, i, "nodes", fmt.Sprintf("n%d:cluster_forward_lost", i)); n > 0 {
			t.Errorf("n%d: %d requests lost", i, n)
		}
		if n := figure(t, c, i, "nodes", fmt.Sprintf("n%d:cluster_peers_refused", i)); n > 0 {
			t.Errorf("n%d: %d members refused", i, n)
		}
		if n := figure(t, c, i, "tls", "tls_cluster_keys"); n != 1 {
			t.Errorf("n%d: %d keys", i, n)
		}
	}
	c.Launch(func(cfg *node.Config) { cfg.Trust = node.Trust{} }, keyed(t, otherKey)) // which the old key is not needed for
	c.WaitAgreed()
}

// With certificates of one's own, each member can only be itself.
func TestMembersHaveCertificatesOfTheirOwn(t *testing.T) {
	a := certstest.New(t)
	certified := func(name func(id string) string) nodetest.Option {
		return func(cfg *node.Config) {
			chain, key := a.Issue(name(cfg.ID), time.Now().Add(time.Hour))
			loaded := certs.New(certs.Config{})
			err := loaded.Load(certs.Files{Chain: certs.File{Content: chain}, Key: certs.File{Content: key}, Authorities: certs.File{Content: a.PEM}})
			if err != nil {
				t.Error(err)
			}
			i := identity.New(identity.Config{Cluster: cfg.Cluster, ID: cfg.ID, Certs: loaded})
			loadKeys(t, i, oneKey)
			cfg.Trust = node.Trust{Identity: i, Certs: loaded, KeyFile: "keys", ChainFile: "cert", AuthorityFile: "ca"}
		}
	}
	c := nodetest.Start(t, 2, certified(func(id string) string { return id }))
	talk := startChatter(t, c)
	c.Wait("some requests", func() bool { return talk.asked.Load() > 500 })
	talk.stop()
	if n := figure(t, c, 0, "nodes", "n0:cluster_peers_refused"); n > 0 {
		t.Errorf("%d members refused", n)
	}
	c.Launch(certified(func(string) string { return "n0" })) // n2, with the certificate of another
	c.Wait("the refusal", func() bool { return figure(t, c, 0, "nodes", "n0:cluster_peers_refused") > 0 })
	if n := figure(t, c, 0, "tls", "tls_peer_certificate_expires"); int64(n) < time.Now().Unix() {
		t.Errorf("expires at %d", n)
	}
}
