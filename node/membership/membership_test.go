package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A cluster is real memberships on a network in memory, in virtual time.
type cluster struct {
	t     *testing.T
	net   *network
	nodes []*Membership
	logs  []*journal
}

// virtually runs a test of a cluster inside a bubble of time, and stops its nodes.
func virtually(t *testing.T, test func(c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, net: newNetwork()}
		defer func() {
			for _, m := range c.nodes {
				m.Stop()
			}
			pass(10 * time.Second) // for probes and exchanges of memberlist that are under way: in a bubble time ends with the test
		}()
		test(c)
	})
}

// addr is where the n-th node listens.
func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), defaultPort)
}

func config(id string) Config {
	return Config{
		Self:    Member{Member: ring.Member{ID: id, Weight: 1}, State: Active, Copies: 1, Client: netip.MustParseAddrPort("0.0.0.0:11211")},
		Params:  ring.DefaultParams(),
		Cluster: "test",
	}
}

// start adds the n-th node, by default m<n> with the first as its seed.
func (c *cluster) start(n int, change func(cfg *Config)) *Membership {
	c.t.Helper()
	cfg := config(fmt.Sprintf("m%d", n))
	cfg.Transport = c.net.plug(addr(n))
	if n > 1 {
		cfg.Seeds = []string{addr(1).Addr().String()}
	}
	log := &journal{}
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	if change != nil {
		change(&cfg)
	}
	m, err := Start(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.nodes, c.logs = append(c.nodes, m), append(c.logs, log)
	return m
}

func (c *cluster) startAll(count int) {
	c.t.Helper()
	for n := 1; n <= count; n++ {
		c.start(n, nil)
	}
	c.within(time.Second, "all to see all", func() bool { return seeAll(c.nodes, count) })
}

// seeAll reports whether each of nodes sees as many members.
func seeAll(nodes []*Membership, count int) bool {
	for _, m := range nodes {
		if len(m.Members()) != count {
			return false
		}
	}
	return true
}

// within waits until holds, but no longer than limit, and returns how long that was.
func (c *cluster) within(limit time.Duration, what string, holds func() bool) time.Duration {
	c.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		<-tick.C
		if time.Since(begin) > limit {
			for _, m := range c.nodes {
				c.t.Logf("%s sees %s", m.cfg.Self.ID, ids(m))
			}
			c.t.Fatalf("waited %v in vain for %s", limit, what)
		}
	}
	took := time.Since(begin)
	c.t.Logf("%v: %s", took, what)
	return took
}

// pass lets time go by.
func pass(d time.Duration) { <-time.After(d) }

func ids(m *Membership) string {
	var ids []string
	for _, m := range m.Members() {
		ids = append(ids, m.ID)
	}
	return strings.Join(ids, " ")
}

func find(m *Membership, id string) (Member, bool) {
	for _, m := range m.Members() {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

func TestAJoinIsSeenByAllWithinASecond(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(5)
		c.start(6, func(cfg *Config) { cfg.Self.Zone, cfg.Self.Weight, cfg.Self.State = "z", 7, Joining })
		c.within(time.Second, "all to see the sixth", func() bool { return seeAll(c.nodes, 6) })
		for _, m := range c.nodes {
			if got, want := ids(m), "m1 m2 m3 m4 m5 m6"; got != want {
				t.Errorf("members %s, want %s", got, want)
			}
			got, _ := find(m, "m6")
			want := c.nodes[5].cfg.Self
			want.Gossip = addr(6)
			want.Client, want.Peer = netip.AddrPortFrom(addr(6).Addr(), 11211), netip.AddrPortFrom(addr(6).Addr(), 0)
			if got != want {
				t.Errorf("%s sees %+v, want %+v", m.cfg.Self.ID, got, want)
			}
			if !m.Joined() {
				t.Errorf("%s has not joined", m.cfg.Self.ID)
			}
		}
	})
}

func TestThirtyThatStartTogetherFindEachOther(t *testing.T) {
	virtually(t, func(c *cluster) {
		for n := 1; n <= 30; n++ {
			c.start(n, nil)
		}
		c.within(time.Second, "all to see all", func() bool { return seeAll(c.nodes, 30) })
	})
}

func TestALeaveIsSeenByAllWithinASecond(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(5)
		leaver, others := c.nodes[4], c.nodes[:4]
		began := time.Now()
		left := make(chan error)
		go func() { left <- leaver.Leave(5 * time.Second) }()
		c.within(time.Second, "nobody to count on it", func() bool {
			for _, m := range others {
				if member, here := find(m, "m5"); here && member.State != Draining {
					return false
				}
			}
			return true
		})
		if err := <-left; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Leave took %v", took)
		}
		leaver.Stop()
		c.within(time.Second, "all to see it gone", func() bool { return seeAll(others, 4) })
		pass(time.Minute)
		for _, m := range others {
			if got := ids(m); got != "m1 m2 m3 m4" {
				t.Errorf("members a minute later: %s", got)
			}
			if m.metrics.Left.Load() != 1 || m.metrics.Lost.Load() != 0 || m.metrics.JoinFailures.Load() != 0 {
				t.Errorf("%s: %d left, %d lost, looked for somebody %d times in vain",
					m.cfg.Self.ID, m.metrics.Left.Load(), m.metrics.Lost.Load(), m.metrics.JoinFailures.Load())
			}
		}
	})
}

func TestASilentCrashIsSeenByAllWithinFourSeconds(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(5)
		pass(10 * time.Second)
		c.nodes[2].Stop()
		others := append(c.nodes[:2:2], c.nodes[3:]...)
		took := c.within(4*time.Second, "all to see the crash", func() bool { return seeAll(others, 4) })
		if took < time.Second {
			t.Errorf("the verdict came after %v: a pause would be taken for a crash", took)
		}
		for _, m := range others {
			if m.metrics.Lost.Load() != 1 {
				t.Errorf("%s: %d lost", m.cfg.Self.ID, m.metrics.Lost.Load())
			}
		}
	})
}

// The suspicion is 1.5 s old at the verdict, and whom it reaches when is a matter of chance: of 10,000 silences 7 were not forgiven. So one in twenty may be.
func TestASilenceOfASecondIsForgiven(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(5)
		verdicts := 0
		for range 20 {
			pass(10 * time.Second)
			before := c.lost()
			c.net.split([]netip.Addr{addr(4).Addr()})
			pass(time.Second)
			c.net.split()
			pass(5 * time.Second)
			if c.lost() != before {
				verdicts++
			}
		}
		if verdicts > 1 {
			t.Errorf("%d of 20 silences of a second were taken for a death", verdicts)
		}
		c.within(time.Second, "all to see all", func() bool { return seeAll(c.nodes, 5) })
	})
}

// lost is how often a member gave up another.
func (c *cluster) lost() (count uint64) {
	for _, m := range c.nodes {
		count += uint64(m.metrics.Lost.Load())
	}
	return count
}

func TestAFifthOfThePacketsMayBeLost(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(5)
		c.net.lose(0.2)
		pass(2 * time.Minute)
		c.expectNoneLost()
		c.start(6, nil)
		c.within(15*time.Second, "all to see the sixth", func() bool { return seeAll(c.nodes, 6) })
	})
}

func (c *cluster) expectNoneLost() {
	c.t.Helper()
	for _, m := range c.nodes {
		if m.metrics.Lost.Load() != 0 {
			c.t.Errorf("%s gave up somebody", m.cfg.Self.ID)
		}
	}
}

func TestASplitHeals(t *testing.T) {
	f := func(name string, length time.Duration, seeds []string) {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(c *cluster) {
				for n := 1; n <= 5; n++ {
					c.start(n, func(cfg *Config) {
						if n > 1 {
							cfg.Seeds = seeds
						}
					})
				}
				if len(seeds) == 0 { // introduced by hand, so that afterwards only memory helps
					for n := 2; n <= 5; n++ {
						if err := c.nodes[n-1].joinOne(context.Background(), addr(1)); err != nil {
							t.Fatal(err)
						}
					}
				}
				c.within(2*time.Second, "all to see all", func() bool { return seeAll(c.nodes, 5) })
				c.net.split([]netip.Addr{addr(1).Addr(), addr(2).Addr(), addr(3).Addr()}, []netip.Addr{addr(4).Addr(), addr(5).Addr()})
				c.within(15*time.Second, "the sides to give each other up", func() bool {
					return seeAll(c.nodes[:3], 3) && seeAll(c.nodes[3:], 2)
				})
				pass(length)
				c.net.split()
				// At worst a dial into the silence (2 s) has just begun, and a pause (2.5 s) follows.
				c.within(6*time.Second, "all to see all again", func() bool { return seeAll(c.nodes, 5) })
			})
		})
	}
	f("short", 0, []string{"10.0.0.1"})
	f("long", 2*time.Minute, []string{"10.0.0.1"})
	f("long, without seeds", 2*time.Minute, nil)
}

func TestARestartUnderANewAddressReplacesTheFormerBoot(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(3)
		c.nodes[2].Stop()
		before := c.nodes[2].cfg.Self.Boot
		c.nodes = c.nodes[:2]
		c.start(4, func(cfg *Config) { cfg.Self.ID, cfg.Self.Boot = "m3", before+1 })
		c.within(time.Second, "all to see the restart", func() bool {
			for _, m := range c.nodes {
				if member, _ := find(m, "m3"); member.Boot != before+1 || member.Gossip != addr(4) {
					return false
				}
			}
			return true
		})
		pass(30 * time.Second) // meanwhile the former boot is declared dead
		for _, m := range c.nodes {
			if got := ids(m); got != "m1 m2 m3" {
				t.Errorf("%s sees %s", m.cfg.Self.ID, got)
			}
			if m.metrics.Lost.Load() != 0 {
				t.Errorf("%s looks for the former boot", m.cfg.Self.ID)
			}
		}
	})
}

func TestOfTwoLiveBootsTheLaterIsTheMember(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(2)
		earlier := c.nodes[1].cfg.Self.Boot
		c.start(3, func(cfg *Config) { cfg.Self.ID, cfg.Self.Boot = "m2", earlier+1 })
		c.within(time.Second, "all to see the later", func() bool {
			for _, m := range c.nodes {
				if member, _ := find(m, "m2"); len(m.Members()) != 2 || member.Boot != earlier+1 {
					return false
				}
			}
			return true
		})
		if got := c.logs[1].lines("level=ERROR", "an id of its own"); len(got) != 1 {
			t.Errorf("the earlier said %q", got)
		}
	})
}

func TestMembersOfOtherParametersRefuseEachOther(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(2)
		stranger := c.start(3, func(cfg *Config) { cfg.Params.Partitions = 4093 })
		pass(time.Minute)
		if ids(c.nodes[0]) != "m1 m2" || ids(c.nodes[1]) != "m1 m2" || ids(stranger) != "m3" || stranger.Joined() {
			t.Errorf("%s; %s; %s", ids(c.nodes[0]), ids(c.nodes[1]), ids(stranger))
		}
		ours, theirs := fmt.Sprintf("%016x", ring.DefaultParams().Print()), fmt.Sprintf("%016x", stranger.cfg.Params.Print())
		if got := c.logs[0].lines("WARN", "member refused", "m3", ours, theirs); len(got) != 1 {
			t.Errorf("the seed said %q", got)
		}
		if got := c.logs[0].lines("WARN"); len(got) != 1 {
			t.Errorf("the seed said %q", got)
		}
		if got := c.logs[2].lines("WARN", "member refused", ours, theirs); len(got) < 1 || len(got) > 2 {
			t.Errorf("the stranger said %q", got)
		}
		if stranger.metrics.JoinFailures.Load() < 10 {
			t.Errorf("the stranger has stopped trying after %d times", stranger.metrics.JoinFailures.Load())
		}
	})
}

// keyed gives a node of a cluster these keys, one a line.
func keyed(t *testing.T, keys string) func(cfg *Config) {
	return func(cfg *Config) {
		cfg.Identity = identity.New(identity.Config{Cluster: cfg.Cluster, ID: cfg.Self.ID})
		if err := cfg.Identity.LoadKeys(certs.File{Name: "keys", Content: []byte(keys)}); err != nil {
			t.Fatal(err)
		}
	}
}

var ourKey, anotherKey = strings.Repeat("our key ", 5), strings.Repeat("another ", 5)

func TestClustersOfOtherNamesOrKeysStayApart(t *testing.T) {
	f := func(name string, change func(cfg *Config)) {
		t.Run(name, func(t *testing.T) {
			virtually(t, func(c *cluster) {
				c.start(1, keyed(t, ourKey))
				c.start(2, keyed(t, ourKey))
				c.within(time.Second, "those of one key to see each other", func() bool { return seeAll(c.nodes, 2) })
				c.start(3, change)
				pass(20 * time.Second)
				if ids(c.nodes[0]) != "m1 m2" || ids(c.nodes[1]) != "m1 m2" || ids(c.nodes[2]) != "m3" {
					t.Errorf("%s; %s; %s", ids(c.nodes[0]), ids(c.nodes[1]), ids(c.nodes[2]))
				}
				if n := c.nodes[0].Metrics().Strangers.Load(); n < 5 {
					t.Errorf("%d strangers counted", n)
				}
				if told := c.logs[0].lines("gossip refused"); len(told) != 1 {
					t.Errorf("told: %q", told)
				}
			})
		})
	}
	f("name", func(cfg *Config) { cfg.Cluster = "other"; keyed(t, ourKey)(cfg) })
	f("key", keyed(t, anotherKey))
	f("no key", nil)
}

// Certificates that lanes use are worth nothing in gossip: who has one, and another cluster key, is kept out of streams as of datagrams. Else it would join by the one and be
// lost by the other, again and again.
func TestCertificatesDoNotStandForTheKey(t *testing.T) {
	virtually(t, func(c *cluster) {
		authority := certstest.New(t)
		with := func(key string) func(cfg *Config) {
			return func(cfg *Config) {
				loaded := certs.New(certs.Config{})
				chain, private := authority.Issue(cfg.Self.ID, time.Now().Add(time.Hour))
				err := loaded.Load(certs.Files{Chain: certs.File{Content: chain}, Key: certs.File{Content: private}, Authorities: certs.File{Content: authority.PEM}})
				if err != nil {
					t.Fatal(err)
				}
				cfg.Identity = identity.New(identity.Config{Cluster: cfg.Cluster, ID: cfg.Self.ID, Certs: loaded})
				if err := cfg.Identity.LoadKeys(certs.File{Content: []byte(key)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.start(1, with(ourKey))
		c.start(2, with(ourKey))
		c.within(time.Second, "those of one key to see each other", func() bool { return seeAll(c.nodes, 2) })
		c.start(3, with(anotherKey))
		for range 20 {
			pass(time.Second)
			if ids(c.nodes[0]) != "m1 m2" || ids(c.nodes[2]) != "m3" {
				t.Fatalf("%s; %s", ids(c.nodes[0]), ids(c.nodes[2]))
			}
		}
	})
}

func TestClustersOfOtherNamesStayApartWithoutKeys(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.start(1, nil)
		c.start(2, func(cfg *Config) { cfg.Cluster = "other" })
		pass(20 * time.Second)
		if ids(c.nodes[0]) != "m1" || ids(c.nodes[1]) != "m2" {
			t.Errorf("%s; %s", ids(c.nodes[0]), ids(c.nodes[1]))
		}
		if n := c.nodes[0].Metrics().Strangers.Load(); n < 5 {
			t.Errorf("%d strangers counted", n)
		}
	})
}

// Whoever has recorded gossip can send it again later: without a key that brings back who is long gone, with one it is worth nothing.
func TestRecordedGossipIsWorthNothing(t *testing.T) {
	f := func(change func(cfg *Config), comesBack bool) {
		t.Helper()
		virtually(t, func(c *cluster) {
			c.start(1, change)
			c.start(2, change)
			c.within(time.Second, "two to see each other", func() bool { return seeAll(c.nodes, 2) })
			c.net.record()
			gone := c.start(3, change)
			c.within(time.Second, "all to see all", func() bool { return seeAll(c.nodes, 3) })
			taped := c.net.recorded()
			gone.Stop()
			c.nodes = c.nodes[:2]
			c.within(10*time.Second, "the loss to be seen", func() bool { return seeAll(c.nodes, 2) })
			pass(3 * time.Minute) // until gossip has forgotten it
			back := false
			c.net.replay(taped)
			for range 100 {
				pass(10 * time.Millisecond)
				back = back || !seeAll(c.nodes, 2)
			}
			if back != comesBack {
				t.Errorf("comes back: %v", back)
			}
			if !comesBack && c.nodes[0].Metrics().Lost.Load() != 1 {
				t.Errorf("%d members lost", c.nodes[0].Metrics().Lost.Load())
			}
		})
	}
	f(nil, true)
	f(keyed(t, ourKey), false)
}

// One node after the other learns of a new key, then uses it, then forgets the old one: they never lose each other.
func TestKeysAreReplacedOneNodeAtATime(t *testing.T) {
	virtually(t, func(c *cluster) {
		for n := 1; n <= 3; n++ {
			c.start(n, keyed(t, ourKey))
		}
		c.within(time.Second, "all to see all", func() bool { return seeAll(c.nodes, 3) })
		for _, keys := range []string{ourKey + "\n" + anotherKey, anotherKey + "\n" + ourKey, anotherKey} {
			for _, m := range c.nodes {
				if err := m.cfg.Identity.LoadKeys(certs.File{Name: "keys", Content: []byte(keys)}); err != nil {
					t.Fatal(err)
				}
				pass(20 * time.Second)
				if !seeAll(c.nodes, 3) {
					t.Fatalf("%s; %s; %s", ids(c.nodes[0]), ids(c.nodes[1]), ids(c.nodes[2]))
				}
			}
		}
		for _, m := range c.nodes {
			if m.metrics.Lost.Load() > 0 || m.metrics.Strangers.Load() > 0 {
				t.Errorf("%s: %d lost, %d strangers", m.cfg.Self.ID, m.metrics.Lost.Load(), m.metrics.Strangers.Load())
			}
		}
		c.start(4, keyed(t, ourKey))
		pass(10 * time.Second)
		if !seeAll(c.nodes[:3], 3) {
			t.Error("the old key is still good")
		}
	})
}

func TestANameStandsForAllItsAddresses(t *testing.T) {
	virtually(t, func(c *cluster) {
		// As a headless service does it: the name grows with the cluster, and has ourselves.
		known := func() (found []netip.Addr) {
			for n := range len(c.nodes) + 1 {
				found = append(found, netip.AddrFrom16(addr(n+1).Addr().As16())) // IPv4 in IPv6
			}
			return found
		}
		for n := 1; n <= 4; n++ {
			answer := known()
			c.start(n, func(cfg *Config) {
				cfg.Seeds = []string{"memring.svc"}
				cfg.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
					if host != "memring.svc" {
						return nil, errors.New("no such host")
					}
					return answer, nil
				}
			})
			c.within(time.Second, fmt.Sprintf("%d to see each other", n), func() bool { return seeAll(c.nodes, n) && c.nodes[n-1].Joined() })
		}
	})
}

// Two members that look each other up too early start alone. The name tells them later.
func TestIslandsMergeWhenTheNameKnowsBoth(t *testing.T) {
	virtually(t, func(c *cluster) {
		begin := time.Now()
		for n := 1; n <= 2; n++ {
			c.start(n, func(cfg *Config) {
				cfg.Seeds = []string{"memring.svc:7946"}
				cfg.Resolve = func(context.Context, string) ([]netip.Addr, error) {
					if time.Since(begin) < 5*time.Second {
						return []netip.Addr{addr(n).Addr()}, nil
					}
					return []netip.Addr{addr(1).Addr(), addr(2).Addr()}, nil
				}
			})
		}
		c.within(time.Second, "both to be content alone", func() bool { return c.nodes[0].Joined() && c.nodes[1].Joined() })
		c.within(10*time.Second, "both to see each other", func() bool { return seeAll(c.nodes, 2) })
	})
}

func TestSilentSeedsAreAskedForEver(t *testing.T) {
	virtually(t, func(c *cluster) {
		late := c.start(2, nil)
		other := c.start(3, func(cfg *Config) {
			cfg.Seeds = []string{"no.such.host"}
			cfg.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
		})
		pass(4 * time.Second)
		if got := c.logs[0].lines("WARN"); len(got) != 0 {
			t.Errorf("warned before JoinTimeout: %q", got)
		}
		pass(25 * time.Second)
		if late.Joined() || other.Joined() {
			t.Error("joined nobody")
		}
		if got := c.logs[0].lines("WARN", "no seed answers", "10.0.0.1", "refused"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		if got := c.logs[1].lines("WARN", "no seed answers", "no.such.host"); len(got) != 1 {
			t.Errorf("said %q", got)
		}
		pass(5 * time.Minute)
		if got := c.logs[0].lines("WARN", "no seed answers"); len(got) < 4 || len(got) > 7 {
			t.Errorf("%d warnings in five minutes", len(got))
		}
		c.start(1, nil)
		c.within(4*time.Second, "the seed to be joined", func() bool { return late.Joined() && len(late.Members()) == 2 })
	})
}

// Two that come at once meet each other first; neither takes that for the cluster, which is a little farther away.
func TestNewcomersAskAllTheirSeeds(t *testing.T) {
	f := func(far time.Duration, up bool) {
		t.Helper()
		virtually(t, func(c *cluster) {
			if up {
				c.start(1, nil)
				pass(time.Second)
			}
			c.net.dial = map[netip.AddrPort]time.Duration{addr(1): far}
			seeds := func(n int) func(cfg *Config) {
				return func(cfg *Config) { cfg.Seeds = []string{addr(1).Addr().String(), addr(n).Addr().String()} }
			}
			for _, m := range []*Membership{c.start(2, seeds(3)), c.start(3, seeds(2))} {
				c.within(3*time.Second, "it has its place", m.Joined)
				if _, found := find(m, "m1"); found != up || len(m.Members()) < 2 {
					t.Errorf("%s has its place among %s", m.cfg.Self.ID, ids(m))
				}
			}
		})
	}
	f(0, true)
	f(lateSeeds/2, true)
	f(0, false)
}

func TestAloneWithoutSeedsIsJoined(t *testing.T) {
	virtually(t, func(c *cluster) {
		m := c.start(1, nil)
		if !m.Joined() || ids(m) != "m1" {
			t.Errorf("joined %v, members %s", m.Joined(), ids(m))
		}
		if err := m.Leave(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestAStateIsSeenByAllWithinASecond(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(5)
		_ = c.nodes[3].SetState(Draining) // it waits for gossip no longer than a drain can, and says if that was too short
		c.within(time.Second, "all to see it drain", func() bool {
			for _, m := range c.nodes {
				if member, _ := find(m, "m4"); member.State != Draining {
					return false
				}
			}
			return true
		})
		c.nodes[3].Stop()
		pass(30 * time.Second)
		if c.nodes[0].metrics.Lost.Load() != 0 {
			t.Error("whoever drains is not looked for")
		}
	})
}

func TestChangesKeepsOneNote(t *testing.T) {
	virtually(t, func(c *cluster) {
		first := c.start(1, nil)
		for n := 2; n <= 5; n++ {
			c.start(n, nil)
		}
		pass(time.Second)
		<-first.Changes()
		select {
		case <-first.Changes():
			t.Error("two notes")
		default:
		}
		c.nodes[4].Stop()
		<-first.Changes() // or the bubble reports a deadlock
		if got := len(first.Members()); got != 4 {
			t.Errorf("%d members after the note", got)
		}
	})
}

// In real time: who waits for a lock keeps a bubble's time from passing.
func TestEndsInAnyOrder(t *testing.T) {
	cfg := config("m1")
	cfg.Bind = netip.MustParseAddrPort("127.0.0.1:0")
	m, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	for n := range 6 {
		ended.Go(func() {
			if n%2 == 0 {
				if err := m.Leave(time.Second); err != nil {
					t.Error(err)
				}
			}
			m.Stop()
		})
	}
	ended.Wait()
	if err := m.Leave(time.Second); err != nil {
		t.Error(err)
	}
	if err := m.SetState(Active); err == nil {
		t.Error("a state after the end")
	}
	if ids(m) != "m1" {
		t.Errorf("members %q, want ourselves", ids(m))
	}
}

func TestStartNamesWhatIsWrong(t *testing.T) {
	f := func(want string, change func(cfg *Config)) {
		t.Helper()
		cfg := config("m1")
		change(&cfg)
		m, err := Start(cfg)
		if err == nil {
			m.Stop()
			t.Errorf("started in spite of: %s", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q, want %q", err, want)
		}
	}
	f("member id", func(cfg *Config) { cfg.Self.ID = "" })
	f("weight 0", func(cfg *Config) { cfg.Self.Weight = 0 })
	f("partitions 0", func(cfg *Config) { cfg.Params.Partitions = 0 })
	f(`--join "a b"`, func(cfg *Config) { cfg.Seeds = []string{"ok:7946", "a b"} })
	f("name of the cluster", func(cfg *Config) { cfg.Cluster = strings.Repeat("x", 256) })
	f("listen for gossip on 192.0.2.1:0", func(cfg *Config) { cfg.Bind = netip.MustParseAddrPort("192.0.2.1:0") })
}

// On real sockets of this machine.
func TestLoopback(t *testing.T) {
	var nodes []*Membership
	await := func(what string, holds func() bool) {
		t.Helper()
		begin := time.Now()
		deadline := time.After(10 * time.Second)
		for !holds() {
			select {
			case <-nodes[0].Changes():
			case <-time.After(5 * time.Millisecond):
			case <-deadline:
				t.Fatalf("waited in vain for %s", what)
			}
		}
		t.Logf("%v: %s", time.Since(begin), what)
	}
	for n := range 3 {
		cfg := config(fmt.Sprintf("m%d", n))
		cfg.Bind = netip.MustParseAddrPort("127.0.0.1:0")
		if n > 0 {
			cfg.Seeds = []string{fmt.Sprintf("localhost:%d", nodes[0].Addr().Port())}
			cfg.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
		}
		m, err := Start(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Stop()
		nodes = append(nodes, m)
	}
	await("all to see all", func() bool { return seeAll(nodes, 3) })
	if m, _ := find(nodes[1], "m2"); m.Client != netip.MustParseAddrPort("127.0.0.1:11211") || m.Gossip != nodes[2].Addr() {
		t.Errorf("m1 sees %+v", m)
	}
	if err := nodes[2].Leave(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	nodes[2].Stop()
	await("the leave", func() bool { return seeAll(nodes[:2], 2) })
}

func TestListensOnAllAddressesAndAdvertisesOne(t *testing.T) {
	cfg := config("m1")
	cfg.Bind = netip.MustParseAddrPort("0.0.0.0:0")
	m, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Stop()
	// However we are called, we are ourselves, and alone.
	again := &Membership{cfg: m.cfg, own: m.own, view: newView(Member{Gossip: m.Addr()})}
	for _, host := range []string{"127.0.0.1", m.Addr().Addr().String()} {
		again.seeds = append(again.seeds, seed{host: host, ip: netip.MustParseAddr(host), port: m.Addr().Port()})
	}
	if seeds, err := again.seedAddrs(t.Context()); len(seeds) != 0 || err != nil {
		t.Errorf("would join %v, %v", seeds, err)
	}
	if at := m.Addr(); !at.IsValid() || at.Addr().IsUnspecified() || at.Port() == 0 {
		t.Errorf("advertises %v", at)
	}
}

// Others are heard all the time, also by one of many and on bad links; and not at all by who is cut off.
func TestHeard(t *testing.T) {
	f := func(size int, loss float64) {
		t.Helper()
		virtually(t, func(c *cluster) {
			c.startAll(size)
			c.net.lose(loss)
			longest := time.Duration(0)
			last, heard := time.Now(), c.nodes[0].Heard()
			for end := time.Now().Add(time.Minute); time.Now().Before(end); pass(50 * time.Millisecond) {
				if now := c.nodes[0].Heard(); now != heard {
					last, heard = time.Now(), now
				}
				longest = max(longest, time.Since(last))
			}
			t.Logf("%d members, %g lost: nobody is heard for %v at most", size, loss, longest)
			if longest > 3*time.Second {
				t.Errorf("%d members, %g lost: nobody is heard for %v", size, loss, longest)
			}
			var others []netip.Addr
			for n := 2; n <= size; n++ {
				others = append(others, addr(n).Addr())
			}
			c.net.split(others)
			pass(200 * time.Millisecond) // what is on its way
			heard = c.nodes[0].Heard()
			pass(10 * time.Second)
			if now := c.nodes[0].Heard(); now != heard {
				t.Errorf("of %d members it hears some while it is cut off", size)
			}
		})
	}
	f(2, 0)
	f(5, 0.1)
	f(30, 0)
}
