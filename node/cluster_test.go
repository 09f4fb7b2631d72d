package node_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"go.uber.org/goleak"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// TestMain looks for goroutines that are left behind, and looks again for a while: a probe of memberlist's ends some intervals after its node, and more of them if others were busy or gone.
func TestMain(m *testing.M) {
	code := m.Run()
	for end := time.Now().Add(20 * time.Second); code == 0; {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "goroutines are left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// talk sends a whole conversation over one connection and gives everything that came back; in must end with quit.
func talk(t *testing.T, conn net.Conn, in string) string {
	t.Helper()
	go func() { _, _ = io.WriteString(conn, in) }()
	out, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("after %q: %v", out, err)
	}
	return string(out)
}

func TestAnyNodeServesEveryKey(t *testing.T) {
	const keys = 300
	c := nodetest.Start(t, 3)
	var sets, want strings.Builder
	for i := range keys {
		fmt.Fprintf(&sets, "set key%d %d 0 %d\r\n%d\r\n", i, i, len(fmt.Sprint(i)), i)
		want.WriteString("STORED\r\n")
	}
	if got := talk(t, c.Dial(0), sets.String()+"quit\r\n"); got != want.String() {
		t.Fatalf("sets through node 0 gave %q", got)
	}
	// One line of all keys: the answers come in its order, whoever owns them, and what is absent is left out.
	var get strings.Builder
	get.WriteString("get")
	want.Reset()
	for _, i := range rand.Perm(keys) {
		fmt.Fprintf(&get, " key%d absent%d", i, i)
		fmt.Fprintf(&want, "VALUE key%d %d %d\r\n%d\r\n", i, i, len(fmt.Sprint(i)), i)
	}
	want.WriteString("END\r\n")
	for i := range c.Nodes {
		if got := talk(t, c.Dial(i), get.String()+"\r\nquit\r\n"); got != want.String() {
			t.Errorf("node %d gave %.300q, want %.300q", i, got, want.String())
		}
	}
}

func TestPipelinedCommandsOnOneKeyKeepTheirOrder(t *testing.T) {
	c := nodetest.Start(t, 3)
	for i := range c.Nodes {
		for k := range 20 {
			key := fmt.Sprintf("count%d-%d", i, k)
			in := strings.ReplaceAll("set K 0 0 1\r\n5\r\nincr K 10\r\nset K 0 0 1 noreply\r\n7\r\nincr K 1\r\nget K\r\ndelete K noreply\r\nget K\r\nquit\r\n", "K", key)
			want := strings.ReplaceAll("STORED\r\n15\r\n8\r\nVALUE K 0 1\r\n8\r\nEND\r\nEND\r\n", "K", key)
			if got := talk(t, c.Dial(i), in); got != want {
				t.Fatalf("node %d: got %q, want %q", i, got, want)
			}
		}
	}
}

func TestFlushAllReachesEveryNode(t *testing.T) {
	c := nodetest.Start(t, 3)
	for k := range 30 {
		key := fmt.Sprintf("k%d", k)
		if got := talk(t, c.Dial(k%3), "set "+key+" 0 0 1\r\nx\r\nquit\r\n"); got != "STORED\r\n" {
			t.Fatal(got)
		}
	}
	if got := talk(t, c.Dial(1), "flush_all\r\nquit\r\n"); got != "OK\r\n" {
		t.Fatal(got)
	}
	for k := range 30 {
		if got := talk(t, c.Dial((k+1)%3), fmt.Sprintf("get k%d\r\nquit\r\n", k)); got != "END\r\n" {
			t.Fatalf("k%d is still there: %q", k, got)
		}
	}
}

// load runs sets and gets of a stock client against one node until stopped, and hands every error other than a miss to report.
func load(c *nodetest.Cluster, nodes []int, report func(error)) (stop func() (requests int64)) {
	var running sync.WaitGroup
	var requests atomic.Int64
	done := make(chan struct{})
	for worker, i := range nodes {
		client := memcache.New(c.Addr(i).String())
		client.Timeout = 5 * time.Second
		running.Go(func() {
			defer client.Close()
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				key := fmt.Sprintf("load-%d-%d", worker, n%500)
				if err := client.Set(&memcache.Item{Key: key, Value: []byte(key)}); err != nil {
					report(fmt.Errorf("set %s: %w", key, err))
				}
				item, err := client.Get(key)
				if err == nil && string(item.Value) != key {
					report(fmt.Errorf("get %s: wrong value %q", key, item.Value))
				}
				if err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
					report(fmt.Errorf("get %s: %w", key, err))
				}
				requests.Add(2)
			}
		})
	}
	return func() int64 { close(done); running.Wait(); return requests.Load() }
}

// (That all route by the new table within a second of a join is asserted in virtual time, where no machine is busy: node/membership, TestANewcomerIsInAllTablesWithinASecond.)
func TestJoinAndLeaveUnderLoad(t *testing.T) {
	c := nodetest.Start(t, 3)
	stop := load(c, []int{0, 1, 2, 0}, func(err error) { t.Error(err) })
	c.Launch()
	c.WaitAgreed()
	agreeOnOwners(t, c)
	c.Stop(3)
	c.WaitAgreed()
	agreeOnOwners(t, c)
	if requests := stop(); requests < 100 {
		t.Fatalf("only %d requests were made: this shows nothing", requests)
	}
}

func agreeOnOwners(t *testing.T, c *nodetest.Cluster) {
	t.Helper()
	for k := range 50 {
		ask := fmt.Sprintf("cluster owner key%d\r\nquit\r\n", k)
		var first string
		for i, n := range c.Nodes {
			if n == nil {
				continue
			}
			got := talk(t, c.Dial(i), ask)
			if !strings.HasPrefix(got, "OWNER n") || !strings.HasSuffix(got, "END\r\n") {
				t.Fatalf("node %d: %q", i, got)
			}
			if first == "" {
				first = got
			}
			if got != first {
				t.Fatalf("node %d says %q, another %q", i, got, first)
			}
		}
	}
}

// A node that dies without a word costs quick errors for its keys, until the others know; theirs are served throughout.
func TestCrashFailsFast(t *testing.T) {
	var mine, lost, slow int
	seen := func() bool { return mine > 0 && lost > 0 && slow <= (mine+lost)/10 }
	for try := 0; try < 3 && !seen(); try++ { // a busy machine may hold up some, and the others may know of the crash before much is asked
		mine, lost, slow = crashUnderSets(t)
	}
	if !seen() {
		t.Fatalf("%d stored, %d refused, %d slower than 600 ms", mine, lost, slow)
	}
}

// crashUnderSets has one of three nodes die, stores through another until that knows, and counts what was stored, what was refused, and what of it took long.
func crashUnderSets(t *testing.T) (mine, lost, slow int) {
	t.Helper()
	c := nodetest.Start(t, 3)
	ask := func(conn net.Conn, in *bufio.Reader, line string) (string, time.Duration) {
		began := time.Now()
		fmt.Fprintf(conn, "%s\r\n", line)
		answer, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return strings.TrimSpace(answer), time.Since(began)
	}
	conn := c.Dial(0)
	in := bufio.NewReader(conn)
	table, dead := c.Nodes[0].Table(), c.Nodes[2].Self().ID
	c.Crash(2)

	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for k := 0; c.Nodes[0].Table() == table; k++ {
		<-pace.C
		key := fmt.Sprintf("key%d", k)
		owner := table.Members()[table.Owner(table.Partition([]byte(key)))].ID
		answer, took := ask(conn, in, fmt.Sprintf("set %s 0 0 1\r\nx", key))
		if took > 600*time.Millisecond {
			slow++
		}
		switch {
		case answer == "STORED" && owner != dead:
			mine++
		case strings.HasPrefix(answer, "SERVER_ERROR ") && owner == dead:
			lost++
			if miss, _ := ask(conn, in, "get "+key); miss != "END" {
				t.Fatalf("get of a lost key: %q, want a miss", miss)
			}
		case answer == "STORED" && c.Nodes[0].Table() != table: // the table has just changed
		default:
			t.Fatalf("%s, owned by %s: %q", key, owner, answer)
		}
	}
	c.WaitAgreed()
	c.WaitSettled()
	for k := range 50 {
		if answer, _ := ask(conn, in, fmt.Sprintf("set key%d 0 0 1\r\nx", k)); answer != "STORED" {
			t.Fatalf("after the others have taken over: %q", answer)
		}
	}
	return mine, lost, slow
}

// Whatever bytes come in, over a thousand connections at once, the nodes go on serving. TestMain looks for goroutines left behind. (A hundred million bytes, in make chaos:
// TestChaosRandomInput. The race detector needs a minute of both processors for so many.)
func TestRandomInput(t *testing.T) { pourInto(t, 10_000_000) }

// pourInto has three nodes read so many bytes of garbage, and looks whether they serve after it.
func pourInto(t *testing.T, size int64) {
	t.Helper()
	const conns = 1000
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.MaxConns, cfg.DrainTimeout = 2*conns, 0 })
	read := func() (bytes int64) {
		for _, n := range c.Nodes {
			bytes += n.ClientStats().BytesRead.Load()
		}
		return bytes
	}
	end := time.Now().Add(pourBound)
	dial := func(i int) net.Conn {
		conn, err := net.Dial("tcp", c.Addr(i%3).String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(end)
		return conn
	}
	first := make([]net.Conn, conns)
	for i := range first {
		first[i] = dial(i)
	}
	var running sync.WaitGroup
	var poured atomic.Int64
	for i, conn := range first {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 42))
			for {
				missing := max(size-read(), 0)
				pour(conn, int(missing/conns)+4096, random)
				poured.Add(1)
				if read() >= size || time.Now().After(end) {
					return
				}
				conn = dial(i) // nodes hang up on some, and what those said then does not count
			}
		})
	}
	running.Wait()
	t.Logf("%d bytes read over %d connections", read(), poured.Load())
	if read() < size || time.Now().After(end) {
		t.Errorf("want %d bytes read, and all connections ended, within %v", size, pourBound)
	}
	for i := range c.Nodes {
		c.Wait(fmt.Sprintf("node %d is well again", i), func() bool {
			conn := c.Dial(i)
			defer conn.Close()
			_, _ = io.WriteString(conn, "set alive 0 0 3\r\nyes\r\nget alive\r\nquit\r\n")
			got, _ := io.ReadAll(conn)
			return string(got) == "STORED\r\nVALUE alive 0 3\r\nyes\r\nEND\r\n"
		})
	}
}

// pourBound is far more than it takes to pour garbage: others may be at work as well.
const pourBound = 4 * time.Minute

// pour sends garbage until size bytes are sent or the node hangs up, as it may; it reads whatever is answered, to the end.
func pour(conn net.Conn, size int, random *rand.Rand) {
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, conn) })
	for sent := 0; sent < size; {
		n, err := conn.Write(garbage(random, min(size-sent, 4096)))
		if sent += n; err != nil {
			break
		}
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	reading.Wait()
	conn.Close()
}

// garbage is a mixture of noise and of pieces that parsers take seriously.
func garbage(random *rand.Rand, size int) []byte {
	pieces := []string{
		"get ", "gets ", "set a 0 0 5\r\n", "set b 1 2 3 noreply\r\n", "add ", "cas c 0 0 1 9\r\n", "incr a 1\r\n", "\r\n", "\n", " ", "\x00",
		"delete a\r\n", "touch a 1\r\n", "gat 1 a b c\r\n", "cluster owner x\r\n", "mg a v\r\n", "\x80\x00\x00\x01", "append a 0 0 3\r\nabc\r\n",
		"verbosity 0\r\n", "999999999999999999999", "-1",
	}
	out := make([]byte, 0, size+32)
	if random.IntN(1000) == 0 {
		out = append(out, "set big 0 0 900000\r\n"...) // rarely: what follows is its data
	}
	for len(out) < size {
		if random.IntN(300) == 0 {
			out = append(out, "stats\r\n"...) // rarely, too: the answers took half of the time
			continue
		}
		if random.IntN(3) > 0 {
			out = append(out, pieces[random.IntN(len(pieces))]...)
			continue
		}
		for range random.IntN(64) {
			out = append(out, byte(random.Uint32()))
		}
	}
	return out[:size]
}

// With --get-errors=error a lost key is no miss: on the text wire the line ends with one error, on the others the key has it. What is answered
// stands in its place all the same, and the next line begins anew.
func TestGetErrors(t *testing.T) {
	const failed = "SERVER_ERROR peer unreachable\r\n"
	value := func(key string) string { return "VALUE " + key + " 0 1\r\nx\r\n" }
	type question struct{ ask, want string }
	questions := []question{
		{"get LOST", failed},
		{"get MINE LOST OTHER MINE", value("MINE") + value("OTHER") + value("MINE") + failed},
		{"get LOST MINE", value("MINE") + failed},
		{"get MINE OTHER", value("MINE") + value("OTHER") + "END\r\n"},
		{"gat 0 LOST OTHER", value("OTHER") + failed},
		{"mg LOST v q", failed},
		{"mg OTHER v", "VA 1\r\nx\r\n"},
		{"get " + strings.Repeat("LOST ", 300) + "OTHER", value("OTHER") + failed},
		{"get OTHER" + strings.Repeat(" OTHER", 20_000) + " LOST MINE", strings.Repeat(value("OTHER"), 20_001) + value("MINE") + failed},
		{"get nothing", "END\r\n"},
	}
	// What is answered after the others have heard of the crash tells nothing, and is asked again in another cluster: some have been answered before that, in any order of them.
	all := len(questions)
	for try := 0; try < 3 && len(questions) > 0; try++ {
		c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.GetErrors, cfg.PeerDeadline = true, 5*time.Second })
		table := c.Nodes[0].Table()
		key := map[string]string{} // one of each owner
		for k := 0; len(key) < 3; k++ {
			name := fmt.Sprintf("key%d", k)
			key[table.Members()[table.Owner(table.Partition([]byte(name)))].ID] = name
		}
		for _, name := range key {
			if got := talk(t, c.Dial(0), "set "+name+" 0 0 1\r\nx\r\nquit\r\n"); got != "STORED\r\n" {
				t.Fatalf("set: %q", got)
			}
		}
		named := strings.NewReplacer("LOST", key[c.Nodes[2].Self().ID], "MINE", key[c.Nodes[0].Self().ID], "OTHER", key[c.Nodes[1].Self().ID])
		c.Crash(2)
		var again []question
		for _, q := range questions {
			got, want := talk(t, c.Dial(0), named.Replace(q.ask)+"\r\nquit\r\n"), named.Replace(q.want)
			switch {
			case c.Nodes[0].Table() != table:
				again = append(again, q)
			case got != want:
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("%.100s: at byte %d: %.200q, want %.200q", q.ask, at, got[at:], want[at:])
			}
		}
		questions = again
	}
	if t.Logf("%d of %d questions were answered in time", all-len(questions), all); len(questions) == all {
		t.Error("in three clusters the others knew of the crash before anything was asked")
	}
}
