//go:build chaos

package node_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

var changesSeed = flag.Uint64("changes.seed", 0, "the seed of TestChaosThirtyNodes; 0 is any")

const (
	changesClerks = 4
	// changesDeadline is how long members wait for each other: longer than a busy machine is slow.
	changesDeadline = 5 * time.Second
	// changesGrace is RebalanceDelay: for how long who is down keeps its places.
	changesGrace = time.Second
	// changesDrain is DrainTimeout: who drains moves as fast as half of it asks for, and that is too fast for no machine.
	changesDrain = 40 * time.Second
	// changesPatience bounds each wait for the cluster.
	changesPatience = 90 * time.Second
)

// TestChaosThirtyNodes lets members of a cluster of thirty, with two copies of a million items, come and go two hundred times, under clients who read, store, add, delete and count, and who know what
// each of their keys may be (ledger). CLUSTER.md 4.3, C1, C2 and C4: nothing that was acknowledged is lost or comes back, and only while a crash is not settled may a request fail.
//
// What happens, and in which order, is of the seed; what it meets is not. All of it runs in one process, so on a machine that has too much to do members take each other for dead, or stand still: that is seen in what
// they log, and what is asked meanwhile is held to what the table says of that (C5, C7, C8).
func TestChaosThirtyNodes(t *testing.T) {
	size, items, count, audits := 30, 1_000_000, 200, 25
	if testing.Short() {
		size, items, count, audits = 8, 20_000, 12, 12
	}
	seed := *changesSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	t.Logf("-changes.seed %d", seed)
	c := newChanges(t, seed, size, items)
	c.together((*clerk).fill)
	c.tell("%d items are stored with %d members", items, size)
	c.Patience = changesPatience
	for c.count < count && !t.Failed() {
		done := c.underLoad(func() {
			for end := min(c.count+audits, count); c.count < end && !t.Failed(); {
				c.change()
			}
			c.settle()
		})
		c.audit()
		c.tell("%d of %d changes: %s; all %d items are as they should be", c.count, count, done, items)
	}
	c.summary()
}

// A changes is a cluster whose members come and go, and those who watch it.
type changes struct {
	*nodetest.Cluster
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand
	began  time.Time
	size   int // of the cluster at first
	count  int // of changes
	kinds  map[string]int
	clerks []*clerk

	mu      sync.Mutex // guards all below
	doors   map[string]*door
	now     weather
	ended   map[string]time.Time // when somebody was ended, by id: he may be missed
	crashed time.Time            // the last time, without a word
	faults  int
}

// A door is where clients may come in.
type door struct {
	addr   string
	inside sync.RWMutex // held for reading by who is inside
}

// A weather tells what clients may meet with: how often it came, and how much of it is not settled.
type weather struct {
	crashes, crashing int
	stalls, stalling  int // a member stood still
	splits, splitting int // somebody was missed who was not gone
}

// mayFail reports whether a request may have failed between two moments.
func (w weather) mayFail(before weather) bool {
	return before.crashing > 0 || w.crashes > before.crashes || before.stalling > 0 || w.stalls > before.stalls || w.split(before)
}

// split reports whether two members may have held the same between two moments.
func (w weather) split(before weather) bool { return before.splitting > 0 || w.splits > before.splits }

func newChanges(t *testing.T, seed uint64, size, items int) *changes {
	c := &changes{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), size: size, kinds: map[string]int{}, doors: map[string]*door{}, ended: map[string]time.Time{}}
	log := c.newLog()
	c.Cluster = nodetest.Start(t, 1, nodetest.AllPartitions, func(cfg *node.Config) {
		cfg.Ring.Copies, cfg.RebalanceDelay, cfg.PeerDeadline, cfg.GetErrors = 2, changesGrace, changesDeadline, true
		cfg.MaxBytes, cfg.HandoverRate, cfg.DrainTimeout = 64<<20, 256<<20, changesDrain
		cfg.Log = log.With("node", cfg.ID)
	})
	c.Patience = changesPatience
	c.LaunchTogether(size - 1)
	c.WaitAgreed()
	c.WaitCopied()
	for _, n := range c.Nodes {
		c.open(n)
	}
	for i := range changesClerks {
		k := &clerk{c: c, number: i, rnd: rand.New(rand.NewPCG(seed, uint64(i+1))), shut: map[int]time.Time{}, loose: map[int]bool{}}
		k.book = newLedger(items/changesClerks, k.name)
		t.Cleanup(k.hangUp)
		c.clerks = append(c.clerks, k)
	}
	return c
}

func (c *changes) tell(format string, args ...any) {
	c.t.Logf("%7.1f s  %s", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// missedFor is how long after its end a member may still be missed: gossip is slow, and does not know of those who come back at once under their id.
const missedFor = 30 * time.Second

// mostFaults is how many are told: the rest has the same reason.
const mostFaults = 20

func (c *changes) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults++; c.faults <= mostFaults {
		c.t.Errorf("seed %d, after %d changes, %.3f s: %s", c.seed, c.count, time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
	}
}

func (c *changes) weather() weather {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Gossip has found a member that was ended without a word within gossipFinds. Who joins before hears of it as of one that is there, and finds out at once by asking it.
const (
	gossipFinds = 5 * time.Second
	findsOut    = time.Second
)

// open lets clients come to a member, which may not know yet who has crashed.
func (c *changes) open(n *node.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.crashed) < gossipFinds {
		c.now.crashes++
		c.now.crashing++
		time.AfterFunc(findsOut, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now.crashing--
		})
	}
	c.doors[n.Self().ID] = &door{addr: n.Self().Client.String()}
}

// close sends clients away from a member; with wait, once nobody is inside.
func (c *changes) close(id string, wait bool) {
	c.mu.Lock()
	d := c.doors[id]
	delete(c.doors, id)
	c.ended[id] = time.Now()
	c.mu.Unlock()
	if wait {
		d.inside.Lock()
		defer d.inside.Unlock()
	}
}

// enter does something with a member that is open: mostly that where one is already.
func (c *changes) enter(rnd *rand.Rand, at string, do func(id, addr string) error) error {
	c.mu.Lock()
	d := c.doors[at]
	if d == nil || rnd.IntN(20) == 0 {
		ids := make([]string, 0, len(c.doors))
		for id := range c.doors {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		at = ids[rnd.IntN(len(ids))]
		d = c.doors[at]
	}
	d.inside.RLock()
	c.mu.Unlock()
	defer d.inside.RUnlock()
	return do(at, d.addr)
}

// together lets all clerks do something at once.
func (c *changes) together(do func(*clerk)) {
	var all sync.WaitGroup
	for _, k := range c.clerks {
		all.Go(func() { do(k) })
	}
	all.Wait()
}

// underLoad lets all clerks work until something is done, and tells what came of it.
func (c *changes) underLoad(do func()) string {
	asked, lost := c.tally()
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() {
		c.together(func(k *clerk) {
			for ctx.Err() == nil {
				k.work()
				<-time.After(clerkRest)
			}
		})
	})
	defer working.Wait()
	defer cancel()
	do()
	cancel()
	working.Wait()
	now, left := c.tally()
	return fmt.Sprintf("%d requests, %d of unknown end", now-asked, left-lost)
}

func (c *changes) tally() (asked, lost int) {
	for _, k := range c.clerks {
		asked, lost = asked+k.asked, lost+k.lost
	}
	return asked, lost
}

// change lets something happen to the members: mostly planned ones, up to three at once, whose moves may still go on when the next happen; or a crash, before which all copies are there again.
func (c *changes) change() {
	if c.rnd.IntN(4) == 0 {
		c.crash()
		return
	}
	var under sync.WaitGroup
	joins := 0
	var again []string
	for range 1 + c.rnd.IntN(3) {
		up := c.up()
		switch lot := c.rnd.IntN(3); {
		case lot == 0 && len(up)+joins < c.size*7/6 || len(up) <= c.size*5/6:
			c.note("join", "")
			joins++
		case lot == 1:
			i := up[c.rnd.IntN(len(up))]
			c.note("drain", c.Nodes[i].Self().ID)
			c.leave(&under, i)
		default:
			i := up[c.rnd.IntN(len(up))]
			again = append(again, c.Nodes[i].Self().ID)
			c.note("restart", again[len(again)-1])
			c.leave(&under, i)
		}
	}
	if joins > 0 {
		for _, n := range c.LaunchTogether(joins) {
			c.open(n)
			c.tell("%s has joined", n.Self().ID)
		}
	}
	under.Wait()
	for _, id := range again {
		c.open(c.Launch(func(cfg *node.Config) { cfg.ID = id }))
	}
	if c.rnd.IntN(2) == 0 {
		c.settle()
	}
}

func (c *changes) note(kind, id string) {
	c.count++
	c.kinds[kind]++
	c.tell("change %d: %s %s", c.count, kind, id)
}

// up lists the members that run and are to stay.
func (c *changes) up() (up []int) {
	for i, n := range c.Nodes {
		if n != nil {
			up = append(up, i)
		}
	}
	return up
}

// leave stops a member in order.
func (c *changes) leave(under *sync.WaitGroup, i int) {
	n := c.Nodes[i]
	c.Nodes[i] = nil
	id := n.Self().ID
	c.close(id, true)
	under.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), changesPatience)
		defer cancel()
		if err := n.Stop(ctx); err != nil {
			c.fault("stop %s: %v", id, err)
		}
		c.tell("%s has left", id)
	})
}

// crash ends a member without a word; half of them are started again at once, the others' copies are restored when their grace is over.
func (c *changes) crash() {
	c.settle()
	up := c.up()
	i := up[c.rnd.IntN(len(up))]
	id := c.Nodes[i].Self().ID
	c.note("crash", id)
	c.mu.Lock()
	c.now.crashes++
	c.now.crashing++
	c.crashed = time.Now()
	c.ended[id] = c.crashed
	c.mu.Unlock()
	c.Crash(i)
	c.close(id, false)
	if c.rnd.IntN(2) == 0 || len(up) <= c.size*5/6 {
		c.note("start", id)
		c.open(c.Launch(func(cfg *node.Config) { cfg.ID = id }))
	}
	c.WaitAgreed()
	c.WaitSettled()
	c.mu.Lock()
	c.now.crashing--
	c.mu.Unlock()
}

// settle waits until all is where it should be, with two of each.
func (c *changes) settle() {
	before := c.weather()
	c.WaitAgreed()
	c.WaitCopied()
	c.tell("settled")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.splits == before.splits {
		c.now.splitting = 0
	}
	if c.now.stalls == before.stalls {
		c.now.stalling = 0
	}
}

// audit reads all keys, and counts the items in all stores.
func (c *changes) audit() {
	c.sweep()
	present := 0
	for _, k := range c.clerks {
		present += k.book.present()
	}
	if !c.t.Failed() { // what was given away, and what nobody is to keep, is dropped by and by
		c.Wait("each item is in two stores and no more", func() bool { return itemsOf(c.t, c.Cluster) == 2*present })
	}
}

// sweep has all keys read when nothing is the matter with any member: so of each it is known then whether it is there.
func (c *changes) sweep() {
	for sure := false; !sure && !c.t.Failed(); {
		for _, k := range c.clerks { // what is of unknown end may still be done until then
			for _, until := range k.shut {
				<-time.After(time.Until(until))
			}
			clear(k.shut)
		}
		var before weather
		c.Wait("fine weather", func() bool {
			before = c.weather()
			if before.stalling+before.splitting > 0 {
				c.settle()
			}
			return before.crashing+before.stalling+before.splitting == 0
		})
		c.together((*clerk).sweep)
		sure = !c.weather().mayFail(before)
	}
}

func (c *changes) summary() {
	asked, lost := c.tally()
	now := c.weather()
	c.tell("%d changes (%v), %d requests, %d of unknown end; %d times a member missed one that was not gone, %d times one stood still; %d faults",
		c.count, c.kinds, asked, lost, now.splits, now.stalls, c.faults)
}

// A watchman writes down what members log, and reads it. Who is missed without having been ended is on the other side of a split, for a while.
type watchman struct {
	slog.Handler
	c *changes
}

func (w watchman) WithAttrs(attrs []slog.Attr) slog.Handler {
	return watchman{w.Handler.WithAttrs(attrs), w.c}
}

func (w watchman) Handle(ctx context.Context, line slog.Record) error {
	if line.Message == "member lost" || strings.HasPrefix(line.Message, "member's process is gone") {
		line.Attrs(func(a slog.Attr) bool {
			if a.Key == "member" {
				w.c.missed(a.Value.String())
			}
			return true
		})
	}
	if strings.HasPrefix(line.Message, "this process stood still") {
		w.c.mu.Lock()
		w.c.now.stalls++
		w.c.now.stalling++
		w.c.mu.Unlock()
	}
	return w.Handler.Handle(ctx, line)
}

// newLog gives what members log into: a file that is kept if the test fails.
func (c *changes) newLog() *slog.Logger {
	file, err := os.CreateTemp("", "memring-changes-*.log")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		file.Close()
		if c.t.Failed() {
			c.t.Logf("log of the nodes: %s", file.Name())
		} else {
			_ = os.Remove(file.Name())
		}
	})
	return slog.New(watchman{slog.NewTextHandler(file, nil), c})
}

func (c *changes) missed(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ended, known := c.ended[id]; known && time.Since(ended) < missedFor {
		return
	}
	c.now.splits++
	c.now.splitting++
}
