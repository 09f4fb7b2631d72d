//go:build chaos && linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What a node may take beyond what it takes in peace, while it is attacked (node/DESIGN.md, "Limits").
const (
	connBytes   = 48 << 10       // for a connection in the middle of a request: its buffer, its goroutine, its session
	memoryMB    = 256            // -m
	uploadBytes = memoryMB << 18 // read buffers that have grown, all together: a quarter of -m
	answerBytes = memoryMB << 18 // answers that are not taken yet, all together
	slackBytes  = 96 << 20       // what is garbage at the time, and what passes through: items on their way to other members
)

// A flood is many clients that mean no good, or know no better, at the first node of three.
type flood struct {
	name      string
	conns     int    // of the attack
	short     int    // with -short
	begin     string // what each says first; {n} is its number, below 100: more items would evict the others'
	then      string // and then over and over again
	reads     bool   // the answers
	pause     time.Duration
	again     bool  // it hangs up each time, and connects anew
	refused   bool  // hanging up on it is what it deserves
	allowance int64 // of memory, beyond that of its connections: also for what it stores
	perSecond int   // the bytes a second that come from all of them; 0: as many as this machine moves. Who is attacked through a link of its own has the machine to itself: peace is its own
}

// gigabit is what a link of 1 Gbit/s carries in a second.
const gigabit = 1e9 / 8

const largest = 1<<20 - 512

func floods() []flood {
	large := "set large-{n} 0 0 " + strconv.Itoa(largest) + "\r\n" + strings.Repeat("x", largest) + "\r\n"
	var keys, line strings.Builder
	for range 1_000_000 {
		keys.WriteString(" k")
	}
	for n := range 100 {
		fmt.Fprintf(&line, " big-%d", n%20)
	}
	packet := "\x80\x01\x00\x01\x08\x00\x00\x00\xff\xff\xff\xff" + strings.Repeat("\x00", 12)
	return []flood{
		{name: "10,000 half-open requests", conns: 10_000, short: 1000, begin: "set half-{n} 0 0 10000\r\nsome", then: "x", pause: 5 * time.Second},
		{name: "1,000 connections set values of the largest size", conns: 1000, short: 100, then: large, reads: true, refused: true, allowance: uploadBytes + memoryMB<<20}, // a store keeps what was stored over until it has filled -m
		{name: "as many, through a link of 1 Gbit/s", conns: 1000, short: 100, then: large, reads: true, refused: true, allowance: uploadBytes + memoryMB<<20, perSecond: gigabit},
		{name: "many large answers that nobody reads", conns: 500, short: 100, begin: "get" + line.String() + "\r\n", then: "get" + line.String() + "\r\n", refused: true, allowance: answerBytes},
		{name: "many large answers for a short line", conns: 20, short: 5, then: "get" + line.String() + "\r\n", reads: true, allowance: answerBytes},
		{name: "a million tiny keys in a line", conns: 4, short: 2, then: "get" + keys.String() + "\r\n", reads: true, allowance: uploadBytes},
		{name: "giant declared lengths", conns: 200, short: 50, then: "set k 0 0 2147483647\r\nx", reads: true, again: true, refused: true},
		{name: "giant declared lengths, meta", conns: 200, short: 50, then: "ms k 2147483647\r\nx", reads: true, again: true, refused: true},
		{name: "giant declared lengths, binary", conns: 200, short: 50, then: packet, reads: true, again: true, refused: true},
		{name: "connections that come and go", conns: 200, short: 50, then: "version\r\n", again: true, refused: true, pause: 10 * time.Millisecond},
		{name: "a line without an end", conns: 200, short: 50, then: strings.Repeat("a", 64<<10), again: true, refused: true, pause: 10 * time.Millisecond},
	}
}

// TestChaosFloods holds three nodes to what is promised to those who behave, while others do not: they are served as fast as in peace, three times as long
// at most, and the node that is attacked takes no more memory than is stated.
//
// Attackers, nodes and clients share the processors of one machine, and whatever uses them up makes everybody wait who is woken, twice for a request and twice more if it is
// forwarded. So what is peace is seen at a neighbour, who has the same done to it by the machine and nothing by the attackers: three nodes more, as many clients, at the same time. What a node
// does, it does each time, and what else happens passes: so a flood that was not withstood is tried again. With -short, where a machine does other things as well, times are told and not judged.
func TestChaosFloods(t *testing.T) {
	nodes := startCluster(t, 3, "-c", "12000", "-m", strconv.Itoa(memoryMB))
	fillBig(t, nodes[0].address)
	p, beside := startProbes(t, nodes), startProbes(t, startCluster(t, 3, "-m", "64"))
	peace, _ := p.p99()
	for i, f := range floods() {
		t.Run(f.name, func(t *testing.T) {
			var broken error
			for try := range floodTries {
				if peace, broken = withstand(t, nodes[0], p, beside, i, peace); broken == nil {
					return
				}
				t.Logf("try %d: %v", try+1, broken)
			}
			t.Errorf("each of %d times: %v", floodTries, broken)
		})
	}
}

const floodTries = 3

// withstand lets a flood loose on a node and says what was not as promised, and what the others' p99 is in peace afterwards.
func withstand(t *testing.T, node *process, p, beside *probes, number int, before time.Duration) (peace time.Duration, broken error) {
	f := floods()[number]
	rest := resident(t, node)
	attack := startAttack(t, number, node.address)
	most := atomic.Int64{}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
			select {
			case <-stop:
				tick.Stop()
				return
			default:
				most.Store(max(most.Load(), resident(t, node)))
			}
		}
	})
	p.failed.Store(0)
	neighbour := make(chan time.Duration)
	go func() {
		there, _ := beside.p99()
		neighbour <- there
	}()
	under, served := p.p99()
	there := <-neighbour
	failed := p.failed.Load()
	close(stop)
	watching.Wait()
	attack()
	waitFor(t, "the attackers' connections are closed", func() error { return fewConns(node.address) })
	peace, _ = p.p99()
	quiet := max(before, peace)
	allowed := rest + f.allowance + int64(f.size())*connBytes + slackBytes
	t.Logf("p99 %v, in peace %v, a neighbour's %v, %d failed; %d MB, of %d MB before and %d MB allowed", under, quiet, there, failed, most.Load()>>20, rest>>20, allowed>>20)
	most99 := 3*max(quiet, there) + floodFloor
	if f.perSecond > 0 {
		most99 = 3 * quiet
	}
	if !testing.Short() && under > most99 {
		broken = fmt.Errorf("others' p99 was %v, in peace %v, a neighbour's %v", under, quiet, there)
	}
	if failed > 0 {
		broken = errors.Join(broken, fmt.Errorf("%d of the others' requests failed", failed))
	}
	broken = errors.Join(broken, served)
	if most.Load() > allowed {
		broken = errors.Join(broken, fmt.Errorf("the node took %d MB, %d MB are allowed", most.Load()>>20, allowed>>20))
	}
	return peace, broken
}

// floodFloor is below what this can tell: a turn of the system's scheduler or less.
const floodFloor = 2 * time.Millisecond

func (f *flood) size() int {
	if testing.Short() {
		return f.short
	}
	return f.conns
}

// fillBig stores what is asked for in large answers.
func fillBig(t *testing.T, address string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for n := range 20 {
		fmt.Fprintf(c, "set big-%d 0 0 %d\r\n%s\r\n", n, largest, strings.Repeat("x", largest))
		if line, err := in.ReadString('\n'); line != "STORED\r\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
}

// fewConns says why a node still has the connections of an attack.
func fewConns(address string) error {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, "stats\r\n"); err != nil {
		return err
	}
	for in := bufio.NewScanner(c); in.Scan(); {
		if n, found := strings.CutPrefix(in.Text(), "STAT curr_connections "); found {
			if conns, err := strconv.Atoi(n); err != nil || conns > 20 {
				return fmt.Errorf("%s connections", n)
			}
			return nil
		}
	}
	return errors.New("no figures")
}

// resident is the memory of a process.
func resident(t *testing.T, p *process) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.running.Process.Pid), "statm"))
	if err != nil {
		t.Error(err)
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// probes are clients that behave: they set and get small items at each node, and take the time.
type probes struct {
	failed atomic.Int64 // misses of what was set, and errors between members

	mu    sync.Mutex // guards times
	times []time.Duration
}

const (
	probeClients = 2 // of each node
	probePause   = 2 * time.Millisecond
	probeItems   = 100
)

func startProbes(t *testing.T, nodes []*process) *probes {
	p := &probes{}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for n, node := range nodes {
		for k := range probeClients {
			c, err := net.Dial("tcp", node.address)
			if err != nil {
				t.Fatal(err)
			}
			running.Go(func() {
				defer c.Close()
				p.probe(t, c, fmt.Sprintf("probe-%d-%d", n, k), stop)
			})
		}
	}
	t.Cleanup(func() {
		close(stop)
		running.Wait()
	})
	return p
}

// probe sets and gets until stop is closed. An item that was set is there, since the nodes have room enough, unless members have not answered each other in time.
func (p *probes) probe(t *testing.T, c net.Conn, name string, stop chan struct{}) {
	in, set := bufio.NewReader(c), map[int]string{}
	tick := time.NewTicker(probePause)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		n := rand.IntN(probeItems)
		ask, want := fmt.Sprintf("get %s-%d\r\n", name, n), "END\r\n"
		value := fmt.Sprintf("%d", turn)
		if known, found := set[n]; !found || turn%10 == 0 {
			ask, want = fmt.Sprintf("set %s-%d 0 0 %d\r\n%s\r\n", name, n, len(value), value), "STORED\r\n"
			set[n] = value
		} else {
			want = fmt.Sprintf("VALUE %s-%d 0 %d\r\n%s\r\nEND\r\n", name, n, len(known), known)
		}
		began := time.Now()
		_ = c.SetDeadline(began.Add(20 * time.Second))
		_, err := io.WriteString(c, ask)
		got := ""
		for err == nil && !strings.HasSuffix(got, "END\r\n") && !strings.HasSuffix(got, "STORED\r\n") && !strings.HasPrefix(got, "SERVER_ERROR peer ") {
			line := ""
			line, err = in.ReadString('\n')
			got += line
		}
		switch {
		case err != nil || got != want && got != "END\r\n" && !strings.HasPrefix(got, "SERVER_ERROR peer "):
			t.Errorf("%s: %q, %v; want %q, after %v", name, got, err, want, time.Since(began))
			return
		case got != want:
			p.failed.Add(1)
			delete(set, n)
		}
		p.mu.Lock()
		p.times = append(p.times, time.Since(began))
		p.mu.Unlock()
	}
}

// p99 is the median of some seconds' p99: one stall of a busy machine does not tell. It fails if hardly anybody was answered.
func (p *probes) p99() (p99 time.Duration, served error) {
	windows, length := 5, 2*time.Second
	if testing.Short() {
		windows, length = 3, time.Second
	}
	var all []time.Duration
	for range windows {
		p.mu.Lock()
		p.times = p.times[:0]
		p.mu.Unlock()
		<-time.After(length)
		p.mu.Lock()
		slices.Sort(p.times)
		if len(p.times) < 100 {
			served = fmt.Errorf("only %d answers in %v", len(p.times), length)
		}
		if n := len(p.times); n > 0 {
			all = append(all, p.times[n-1-n/100])
		}
		p.mu.Unlock()
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0, served
	}
	return all[len(all)/2], served
}

// attackVariable makes this program an attacker: the number of a flood, and an address.
const attackVariable = "MEMRING_TEST_ATTACK"

// startAttack attacks from a process of its own, and says how to end that. Attackers are on machines of their own, so this one has only what processors nobody else wants (SCHED_IDLE): what the others
// wait for is what the nodes do. It is in the others' session, since Linux may share processors between sessions first, and this comes after that.
func startAttack(t *testing.T, number int, address string) (end func()) {
	t.Helper()
	cmd := exec.Command("chrt", "--idle", "0", os.Args[0], "-test.run", "^TestAttacker$", "-test.short="+strconv.FormatBool(testing.Short()), "-test.timeout", "10m")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", attackVariable, number, address))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			_ = cmd.Wait()
			t.Fatalf("the attackers have ended: %q, %v", line, err)
		}
		if line == "attacking\n" {
			break
		}
	}
	drained := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(drained)
	}()
	return func() {
		_ = cmd.Process.Kill()
		<-drained
		_ = cmd.Wait()
	}
}

// TestAttacker is the other side of TestChaosFloods, in a process of its own.
func TestAttacker(t *testing.T) {
	var number int
	var address string
	if _, err := fmt.Sscan(os.Getenv(attackVariable), &number, &address); err != nil {
		t.Skip("is started by TestChaosFloods")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	f := floods()[number]
	var begun, attacking sync.WaitGroup
	through := &link{perSecond: f.perSecond}
	seats := make(chan struct{}, 64) // who dial at a time: the system's queue is as long as -b
	for n := range f.size() {
		begun.Add(1)
		attacking.Go(func() {
			seats <- struct{}{}
			begin := sync.OnceFunc(func() { <-seats; begun.Done() })
			defer begin()
			f.attack(t, address, through, n, begin)
		})
	}
	begun.Wait()
	fmt.Println("attacking")
	attacking.Wait()
}

// attack is one client of a flood; it goes on until it is killed, or hung up on for what it does.
func (f *flood) attack(t *testing.T, address string, through *link, number int, begun func()) {
	numbered := func(text string) []byte { return []byte(strings.ReplaceAll(text, "{n}", strconv.Itoa(number%100))) }
	begin, then, answers := numbered(f.begin), numbered(f.then), make([]byte, 64<<10)
	for {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("client %d: %v", number, err)
		}
		_, err = c.Write(begin)
		begun()
		for turn := 0; err == nil && (turn == 0 || !f.again); turn++ {
			<-time.After(f.pause)
			written := make(chan error, 1)
			go func() {
				written <- through.send(c, then)
			}()
			if f.reads {
				_, err = c.Read(answers)
			}
			if failed := <-written; err == nil {
				err = failed
			}
		}
		_ = c.Close()
		if !f.refused {
			t.Fatalf("client %d: %v", number, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// A link carries what all attackers send, so many bytes a second, or any number for 0.
type link struct {
	perSecond int

	mu   sync.Mutex // guards free
	free time.Time  // when what was sent is through
}

// send writes in pieces, so that all have their share.
func (l *link) send(w io.Writer, bytes []byte) error {
	const piece = 16 << 10
	for len(bytes) > 0 {
		n := min(piece, len(bytes))
		if l.perSecond > 0 {
			<-time.After(l.take(n))
		}
		if _, err := w.Write(bytes[:n]); err != nil {
			return err
		}
		bytes = bytes[n:]
	}
	return nil
}

// take tells after what time so many bytes more are through.
func (l *link) take(bytes int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(bytes) * time.Second / time.Duration(l.perSecond))
	return time.Until(l.free)
}
