//go:build chaos && linux

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/node"
)

var (
	roundSeed  = flag.Uint64("round.seed", 0, "the seed of the first round; 0 is any")
	roundCount = flag.Int("round.count", 0, "how many rounds; 0 is all of them, or with -short one each of three kinds")
	roundKind  = flag.String("round.kind", "", "only rounds of this kind")
)

const (
	fullRounds = 115 // five of each kind
	talkers    = 8
	mostHosts  = 5

	// settleBound is how long everything may take to be as it should after the last fault (CLUSTER.md 4.3: sides of a split settle in 15 s).
	settleBound = 20 * time.Second

	// voidTries is how often a round is played, at most, that tells nothing.
	voidTries = 4
)

// A kind of round hurts the cluster in one way. Its rounds differ by their seeds.
type kind struct {
	name   string
	cells  string // of the table in CLUSTER.md 4.3: what it holds the cluster to
	copies int
	from   int // as many nodes at first, or up to two more
	flags  []string
	play   func(r *trial)
	strict bool // no request may fail, but those that a node left open that was told to stop
	brief  bool // what happens is over before a member is condemned; if one is all the same, it answers those who would take what it holds
}

// kinds are all there are. In a round of copies 1 a crash, or a pause that is taken for one, may take what the member had, but nothing else may.
func kinds() []kind {
	return []kind{
		{name: "moves", cells: "C1, C2: joins, drains and restarts that overlap", copies: 1, from: 3, strict: true, play: (*trial).playMoves},
		{name: "copies-kill", cells: "C4: a crash takes nothing", copies: 2, from: 3, play: (*trial).playKill},
		{name: "split", cells: "C7, C8: never old on either side; after heal the newest write of both", copies: 1, from: 3, play: (*trial).playSplit},
		{name: "kill", cells: "C3: a crash takes the items of the dead, and nothing else", copies: 1, from: 3, play: (*trial).playKill},
		{name: "minority", cells: "C6: the small side of a split has nothing, and takes nothing", copies: 1, from: 3, flags: []string{"--on-minority", "miss"}, play: (*trial).playMinority},
		{name: "one-way", cells: "C7, C8: the same when half of what is said still comes through", copies: 1, from: 3, play: (*trial).playOneWay},
		{name: "calm", cells: "C0", copies: 1, from: 3, strict: true, play: func(r *trial) { r.wait(1500 * time.Millisecond) }},
		{name: "join", cells: "C1: one joins, or two", copies: 1, from: 2, strict: true, play: (*trial).playJoin},
		{name: "swarm", cells: "C1: four join at once", copies: 1, from: 1, strict: true, play: (*trial).playSwarm},
		{name: "drain", cells: "C2: one drains, or two", copies: 1, from: 3, strict: true, play: (*trial).playDrain},
		{name: "restart", cells: "C2: planned restarts, one after another", copies: 1, from: 2, strict: true, play: (*trial).playRestart},
		{name: "flush", cells: "C1, C2: what was flushed stays so while members move", copies: 1, from: 3, strict: true, play: (*trial).playFlush},
		{name: "pause", cells: "C5: who stood still does not answer from old memory", copies: 1, from: 3, play: (*trial).playPause},
		{name: "blink", cells: "C0: a short cut costs time, and nothing else", copies: 1, from: 3, brief: true, play: (*trial).playBlink},
		{name: "slow", cells: "C0: so does a slow link that loses packets", copies: 1, from: 3, brief: true, play: (*trial).playSlow},
		{name: "flap", cells: "C3: one dies again and again", copies: 1, from: 3, play: (*trial).playFlap},
		{name: "kill-while-moving", cells: "C1-C3: a crash during hand-overs", copies: 1, from: 3, play: (*trial).playKillWhileMoving},
		{name: "copies-moves", cells: "C1, C2 with two copies", copies: 2, from: 3, strict: true, play: (*trial).playMoves},
		{name: "copies-pause", cells: "C5 with two copies", copies: 2, from: 3, play: (*trial).playPause},
		{name: "copies-blink", cells: "C0 with two copies: a short cut costs time, and nothing else", copies: 2, from: 3, brief: true, play: (*trial).playBlink},
		{name: "copies-split", cells: "C7, C8 with two copies", copies: 2, from: 3, play: (*trial).playSplit},
		{name: "copies-storm", cells: "C1-C5 with two copies: all of it at once; never old, never twice", copies: 2, from: 4, play: (*trial).playStorm},
		{name: "storm", cells: "C1-C3, C5: all of it at once; never old, never twice", copies: 1, from: 4, play: (*trial).playStorm},
	}
}

// TestChaosFaults hurts clusters of the built binary, each process on a host of its own with links that can be cut (see network), under a load of
// clients who write down all they ask and are told. What they were told must be what CLUSTER.md 4.3 allows: for each key one order explains all
// answers (porcupine), no growing number is read smaller than was acknowledged, no count is lost or counted twice.
//
// A round that fails is seen again (as far as processes do twice what they did once) with -round.seed, and -round.kind.
func TestChaosFaults(t *testing.T) {
	n, all := fullRounds, kinds()
	switch {
	case *roundCount > 0:
		n = *roundCount
	case testing.Short():
		n = 3
	}
	seed := *roundSeed
	if seed == 0 {
		seed = rand.Uint64N(1 << 32)
	}
	net := newNetwork(t, mostHosts)
	if !net.netem {
		t.Log("this kernel has no netem: links are made slow by a queue (tbf)")
	}
	binary := buildBinary(t)
	if *roundKind != "" {
		if all = slices.DeleteFunc(all, func(k kind) bool { return k.name != *roundKind }); len(all) == 0 {
			t.Fatalf("-round.kind: there is no %q", *roundKind)
		}
	}
	tally := &tally{}
	untold := 0
	for i := range n {
		k := all[i%len(all)]
		for try, told := 1, false; !told; try++ {
			before := tally.void
			t.Run(fmt.Sprintf("%s/%d", k.name, seed+uint64(i)), func(t *testing.T) {
				playRound(t, net, binary, k, seed+uint64(i), tally)
			})
			if told = tally.void == before; !told && try == voidTries {
				untold++
				break
			}
		}
	}
	t.Logf("%d rounds: %v", n, tally)
	if untold > n/5 {
		t.Errorf("%d rounds tell nothing, for this machine was too slow for them, each of %d times", untold, voidTries)
	}
	if tally.undecided > n {
		t.Errorf("%d histories were not decided", tally.undecided)
	}
}

// A tally adds up what all rounds did.
type tally struct {
	asked, failed, undecided, void, condemned int

	slowest time.Duration // of the requests that were answered in rounds in which none may fail
}

func (y *tally) String() string {
	return fmt.Sprintf("%d requests, %d of unknown end; %d histories not decided in %v; %d times a short cut was long enough to be a split; %d rounds void: "+
		"on a busy machine a member was condemned that nothing was done to; the slowest answer, where none may fail, took %v",
		y.asked, y.failed, y.undecided, checkBound, y.condemned, y.void, y.slowest.Round(time.Millisecond))
}

func buildBinary(t *testing.T) string {
	binary := filepath.Join(t.TempDir(), "memring")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, printed)
	}
	return binary
}

// A trial is one round, one cluster, from its start to its end.
type trial struct {
	t    *testing.T
	net  *network
	kind kind
	seed uint64
	rnd  *rand.Rand
	dir  string // of the logs

	patience time.Duration // of talkers
	peerWait time.Duration // of nodes, for each other

	began    time.Time
	nodes    []*member
	stopping sync.WaitGroup // those that were told to stop

	mu    sync.Mutex // guards all below
	story []string
	taken map[string][]*op // what faults may have done, by key
	more  []*op            // what others than the talkers asked
	dead  map[int]bool     // the nodes that were killed
	cut   bool             // one was cut off, or stood still: it may condemn others, and tell that around
	split *split           // if there was one

	accused int // keys of which something is told to be wrong; the judge's
}

// A member is one node of a round, on the host of the same number.
type member struct {
	number  int
	args    []string
	log     *os.File
	running atomic.Pointer[life] // nil when it does not run
	isUp    atomic.Bool          // clients may come
	told    atomic.Int64         // when it was told to stop, last: nanoseconds since the round began; 0 never
}

// A life is a process from start to end.
type life struct {
	*exec.Cmd
	exited chan struct{}
}

// A split is a time in which some nodes were apart from the others.
type split struct {
	apart              []int
	how                cut
	from, done, healed time.Duration // when it began, when it was complete, when it began to end
	owner              map[string]int
	silenced           bool // those apart must answer nothing in the end
}

func (r *trial) now() time.Duration { return time.Since(r.began) }

func (r *trial) tell(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.story = append(r.story, fmt.Sprintf("%8.3f  ", r.now().Seconds())+fmt.Sprintf(format, args...))
}

func playRound(t *testing.T, net *network, binary string, k kind, seed uint64, tally *tally) {
	dir, err := os.MkdirTemp("", "memring-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	net.t = t
	r := &trial{t: t, net: net, kind: k, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), dir: dir, began: time.Now(), taken: map[string][]*op{}, dead: map[int]bool{}}
	seeds := make([]string, 0, mostHosts)
	for i := range mostHosts {
		seeds = append(seeds, fmt.Sprintf("10.77.0.%d", i+1))
	}
	trust := []string{"--insecure-peers"}
	if seed%3 == 0 {
		trust = []string{"--cluster-key-file", filepath.Join(dir, "key")}
		clusterKey(t, trust[1], fmt.Sprintf("the cluster key of round %020d", seed))
	}
	r.patience, r.peerWait = talkBound, node.Default().PeerDeadline
	if k.strict { // nothing may fail, but on a busy machine all may be slow
		r.patience, r.peerWait = 10*talkBound, 8*talkBound
	}
	for i := range mostHosts {
		log, err := os.Create(filepath.Join(dir, fmt.Sprintf("node-%d.log", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		r.nodes = append(r.nodes, &member{number: i, log: log, args: append([]string{
			"netns", "exec", net.hosts[i], binary, "-u", "root", "-m", "64", "--id", fmt.Sprintf("node-%d", i+1),
			"-l", fmt.Sprintf("10.77.0.%d,10.78.0.%d", i+1, i+1), "--join", strings.Join(seeds, ","),
			"--copies", fmt.Sprint(k.copies), "--rebalance-delay", "2s", "--peer-timeout", r.peerWait.String(),
			"--get-errors", "error", // tells what is a miss, and what is not known since the owner cannot be reached
			"--admin-listen", "off",
		}, slices.Concat(trust, k.flags)...)})
	}
	defer func() {
		r.endAll()
		if t.Failed() {
			t.Logf("round %d (%s): %s\n%s\nlogs of the nodes: %s", seed, k.name, k.cells, strings.Join(r.story, "\n"), dir)
		} else {
			_ = os.RemoveAll(dir)
		}
	}()
	first := k.from
	if k.from > 1 {
		first = min(first+r.rnd.IntN(3), mostHosts)
	}
	for i := range first {
		r.start(i)
	}
	r.settle()
	told := r.underLoad(func() { k.play(r); r.stopping.Wait(); r.settle(); r.wait(200 * time.Millisecond) })
	r.judge(told, tally)
}

// underLoad does something while talkers talk, and gives what they asked and were told, with what every node says in the end.
func (r *trial) underLoad(do func()) (told []*op) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	all := make([]*talker, talkers)
	var talking sync.WaitGroup
	for i := range all {
		all[i] = r.newTalker(i)
		talking.Go(func() { all[i].talk(ctx) })
	}
	defer talking.Wait()
	defer cancel()
	r.wait(500 * time.Millisecond)
	do()
	cancel()
	talking.Wait()
	auditor := r.newTalker(talkers)
	defer auditor.hangUp()
	r.tell("nobody else asks any more: what is there, by each node's word")
	for _, i := range r.up() {
		if err := auditor.audit(i); err != nil {
			r.t.Errorf("in the end: %v", err)
		}
	}
	for _, k := range append(all, auditor) {
		told = append(told, k.told...)
	}
	slices.SortFunc(told, func(a, b *op) int { return int(a.call - b.call) })
	return told
}

// up gives the nodes that clients may ask.
func (r *trial) up() (up []int) {
	for _, m := range r.nodes {
		if m.isUp.Load() {
			up = append(up, m.number)
		}
	}
	return up
}

// wait lets time pass: the load goes on.
func (r *trial) wait(d time.Duration) { <-time.After(d) }

// between draws a time.
func (r *trial) between(from, to time.Duration) time.Duration {
	return from + time.Duration(r.rnd.Int64N(int64(to-from)))
}

// pick draws n of the nodes that are up.
func (r *trial) pick(n int) []int {
	up := r.up()
	r.rnd.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
	return up[:min(n, len(up))]
}

// idle gives a host without a node, or -1.
func (r *trial) idle() int {
	return slices.IndexFunc(r.nodes, func(m *member) bool { return m.running.Load() == nil })
}

// start starts a node, and returns when it lets clients in.
func (r *trial) start(i int) {
	m := r.nodes[i]
	r.tell("node-%d starts", i+1)
	now := &life{exec.Command("ip", m.args...), make(chan struct{})}
	now.Stdout, now.Stderr = m.log, m.log
	if err := now.Start(); err != nil {
		r.t.Errorf("node-%d: %v", i+1, err)
		return
	}
	m.running.Store(now)
	go func() { _ = now.Wait(); close(now.exited) }()
	r.until("it answers", func() error {
		conn, err := r.net.dial(i, talkBound)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	m.isUp.Store(true)
}

// stop tells a node to stop in order, and does not wait for it: stopped is called when it has ended.
func (r *trial) stop(i int, stopped func()) {
	m := r.nodes[i]
	r.tell("node-%d is told to stop", i+1)
	m.told.Store(int64(r.now()))
	m.isUp.Store(false)
	ends := m.running.Load()
	r.signal(i, syscall.SIGTERM)
	r.stopping.Go(func() {
		<-ends.exited
		r.tell("node-%d has stopped: %v", i+1, ends.ProcessState)
		if !ends.ProcessState.Success() {
			r.t.Errorf("node-%d: %v", i+1, ends.ProcessState)
		}
		m.running.Store(nil)
		stopped()
	})
}

func (r *trial) signal(i int, signal syscall.Signal) {
	if err := r.nodes[i].running.Load().Process.Signal(signal); err != nil {
		r.t.Errorf("node-%d: %v", i+1, err)
	}
}

// kill ends a node by force.
func (r *trial) kill(i int) {
	r.mu.Lock()
	r.dead[i] = true
	r.mu.Unlock()
	m := r.nodes[i]
	r.tell("node-%d is killed", i+1)
	m.isUp.Store(false)
	r.signal(i, syscall.SIGKILL)
	<-m.running.Load().exited
	m.running.Store(nil)
}

// pause lets a node stand still.
func (r *trial) pause(i int, d time.Duration) {
	r.cuts()
	r.tell("node-%d stands still for %v", i+1, d.Round(time.Millisecond))
	r.signal(i, syscall.SIGSTOP)
	r.wait(d)
	r.signal(i, syscall.SIGCONT)
	r.tell("node-%d goes on", i+1)
}

// cuts notes that a node is cut off, or stands still.
func (r *trial) cuts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = true
}

// mayTake says that a fault may take items from now on: those of the keys that some nodes own, unless others have copies; or of all keys, when more happens at
// once than copies are for.
func (r *trial) mayTake(owners map[string]int, victims ...int) {
	if owners != nil && r.kind.copies > 1 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range allKeys() {
		if owner, known := owners[key]; !known || slices.Contains(victims, owner) {
			r.taken[key] = append(r.taken[key], &op{client: -1, kind: opVanish, key: key, call: r.now(), ret: never, outcome: done})
		}
	}
}

// owners asks who owns each key.
func (r *trial) owners() map[string]int {
	owners := map[string]int{}
	conn, err := r.net.dial(r.up()[0], settleBound)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(settleBound))
	for _, key := range allKeys() {
		fmt.Fprintf(conn, "cluster owner %s\r\n", key)
		lines, err := cluster.ReadReport(conn)
		if err != nil || len(lines) != 1 {
			r.t.Fatalf("who owns %s: %v: %v", key, lines, err)
		}
		var number int
		fmt.Sscanf(lines[0].ID, "node-%d", &number)
		owners[key] = number - 1
	}
	return owners
}

// until waits that nothing is wrong any more, as long as settleBound.
func (r *trial) until(what string, wrong func() error) {
	r.t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(settleBound); ; <-again.C {
		err := wrong()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Errorf("in vain waited that %s: %v", what, err)
			return
		}
	}
}

// settle waits until every node knows all that run, and each partition is with its owner.
func (r *trial) settle() {
	r.t.Helper()
	up := r.up()
	print := ""
	unsettled := func() error {
		for n, i := range up {
			figures, err := r.figures(i)
			switch {
			case err != nil:
				return fmt.Errorf("node-%d: %w", i+1, err)
			case n == 0:
				print = figures["cluster_print"]
			case figures["cluster_print"] != print:
				return fmt.Errorf("node-%d has another table than node-%d", i+1, up[0]+1)
			}
			for name, want := range map[string]string{
				"cluster_members": fmt.Sprint(len(up)), "cluster_members_down": "0", "cluster_copies_missing": "0", "cluster_silent": "none", "cluster_partitions_wanted": "0",
				"cluster_partitions_arriving": "0", "cluster_partitions_given": "0", "cluster_partitions_held": figures["cluster_partitions_owned"],
			} {
				if figures[name] != want {
					return fmt.Errorf("node-%d tells of %s %s, not %s", i+1, name, figures[name], want)
				}
			}
		}
		return nil
	}
	began := time.Now()
	r.until("all is where it should be", unsettled)
	r.tell("all is where it should be, after %v", time.Since(began).Round(time.Millisecond))
}

// figures asks a node for the sums over all members.
func (r *trial) figures(i int) (map[string]string, error) {
	conn, err := r.net.dial(i, talkBound)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(settleBound))
	fmt.Fprint(conn, "stats cluster\r\n")
	figures := map[string]string{}
	lines, err := cluster.ReadReport(conn)
	for _, line := range lines {
		if len(line.Fields) == 1 {
			figures[line.ID] = line.Fields[0][0] + line.Fields[0][1]
		}
	}
	return figures, err
}

// endAll ends what still runs, and mends the links.
func (r *trial) endAll() {
	for i, m := range r.nodes {
		if left := m.running.Load(); left != nil {
			_ = left.Process.Kill()
			<-left.exited
		}
		r.net.heal(i)
	}
}
