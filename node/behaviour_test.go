package node_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// What memcached's own tests look at beyond what a conversation can record, through each node of three: many keys, many values, the passing of time.
// (protocol/DESIGN.md, "memcached's own tests".)

// Keys of every length and values that grow, stored through one node and read through another.
func TestKeysAndValuesOfEveryLength(t *testing.T) {
	clients := clientsOf(nodetest.Start(t, 3))
	value := bytes.Repeat([]byte("0123456789"), 30<<10)
	for n := 1; n <= 250; n++ {
		key, size, here, there := strings.Repeat("k", n), n*n*4, clients[n%3], clients[(n+1)%3]
		if err := here.Set(&memcache.Item{Key: key, Value: value[:size], Flags: uint32(n) << 24}); err != nil {
			t.Fatalf("a key of %d bytes: %v", n, err)
		}
		item, err := there.Get(key)
		if err != nil || !bytes.Equal(item.Value, value[:size]) || item.Flags != uint32(n)<<24 {
			t.Fatalf("a key of %d bytes: %v", n, err)
		}
		if err := there.Set(&memcache.Item{Key: key, Value: []byte("9")}); err != nil {
			t.Fatal(err)
		}
		if got, err := here.Increment(key, 1); got != 10 || err != nil {
			t.Fatalf("a key of %d bytes: counted to %d, %v", n, got, err)
		}
	}
}

// An item that grows at both ends by many small pieces, each through another node.
func TestManyPiecesMakeOneValue(t *testing.T) {
	clients := clientsOf(nodetest.Start(t, 3))
	want := bytes.Repeat([]byte("middle"), 20<<10)
	if err := clients[0].Set(&memcache.Item{Key: "grows", Value: want}); err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		front, end := fmt.Appendf(nil, "<%d", n), fmt.Appendf(nil, "%d>", n)
		if err := errors.Join(
			clients[n%3].Prepend(&memcache.Item{Key: "grows", Value: front}),
			clients[(n+1)%3].Append(&memcache.Item{Key: "grows", Value: end}),
		); err != nil {
			t.Fatal(err)
		}
		want = append(append(front, want...), end...)
		if n%20 > 0 {
			continue
		}
		if item, err := clients[(n+2)%3].Get("grows"); err != nil || !bytes.Equal(item.Value, want) {
			t.Fatalf("after %d pieces: %v", 2*n+2, err)
		}
	}
}

// Who has begun to read an item reads it to its end, whatever becomes of it meanwhile.
func TestAValueHalfReadIsThatValue(t *testing.T) {
	c := nodetest.Start(t, 3)
	other := clientsOf(c)[1]
	for k := range 6 { // of each node some
		key, old := fmt.Sprintf("half-%d", k), strings.Repeat("old!", 64<<10)
		if err := other.Set(&memcache.Item{Key: key, Value: []byte(old)}); err != nil {
			t.Fatal(err)
		}
		conn := c.Dial(0)
		answer := bufio.NewReader(conn)
		if _, err := io.WriteString(conn, "get "+key+"\r\n"); err != nil {
			t.Fatal(err)
		}
		line, _ := answer.ReadString('\n')
		first := make([]byte, 1000)
		if _, err := io.ReadFull(answer, first); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(other.Delete(key), other.Set(&memcache.Item{Key: key, Value: []byte("new")})); err != nil {
			t.Fatal(err)
		}
		rest := make([]byte, len(old)-len(first)+len("\r\nEND\r\n"))
		if _, err := io.ReadFull(answer, rest); err != nil || string(first)+string(rest) != old+"\r\nEND\r\n" {
			t.Errorf("%q: the value has changed on its way (%v)", line, err)
		}
	}
}

// Time passes: for what was stored, touched and flushed through another node than the owner. debugtime moves the clock of one node, so it is said
// to all; that is why memcached's test of expirations cannot pass where it talks to one.
func TestTimePassesOnEveryNode(t *testing.T) {
	c := nodetest.Start(t, 3, func(cfg *node.Config) { cfg.Debug = true })
	conns := make([]net.Conn, len(c.Nodes))
	for i := range conns {
		conns[i] = c.Dial(i)
	}
	f := func(i int, command, want string) {
		t.Helper()
		if got := answered(t, conns[i], command); got != want {
			t.Errorf("node %d: %q: %q, want %q", i, command, got, want)
		}
	}
	pass := func(seconds int) {
		t.Helper()
		for i := range conns {
			f(i, fmt.Sprintf("debugtime %d", seconds), "OK\r\n")
		}
	}
	each := func(command, want string) {
		t.Helper()
		for k := range 12 {
			f(k%3, strings.ReplaceAll(command, "K", fmt.Sprintf("time-%d", k)), strings.ReplaceAll(want, "K", fmt.Sprintf("time-%d", k)))
		}
	}
	each("set K 0 100 3\r\nold", "STORED\r\n")
	pass(50)
	each("get K", "VALUE K 0 3\r\nold\r\nEND\r\n")
	pass(60)
	each("get K", "END\r\n")
	each("add K 0 100 3\r\nnew", "STORED\r\n")
	each("touch K 1000", "TOUCHED\r\n")
	pass(500)
	each("gat 2000 K", "VALUE K 0 3\r\nnew\r\nEND\r\n")
	pass(1500)
	each("get K", "VALUE K 0 3\r\nnew\r\nEND\r\n")
	each("touch K -1", "TOUCHED\r\n")
	each("get K", "END\r\n")

	each("set K 0 0 3\r\nold", "STORED\r\n")
	f(1, "flush_all 100", "OK\r\n")
	each("get K", "VALUE K 0 3\r\nold\r\nEND\r\n")
	pass(110)
	each("get K", "END\r\n")
	each("set K 0 0 3\r\nnew", "STORED\r\n")
	each("get K", "VALUE K 0 3\r\nnew\r\nEND\r\n")
}

// answered says a command and gives all that is answered: the end is known by a version that is asked for behind it.
func answered(t *testing.T, conn net.Conn, command string) string {
	t.Helper()
	if _, err := io.WriteString(conn, command+"\r\nversion\r\n"); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for one := make([]byte, 1); ; {
		if _, err := conn.Read(one); err != nil {
			t.Fatalf("%q: %v after %q", command, err, got)
		}
		got = append(got, one[0])
		if before, _, whole := bytes.Cut(got, []byte("VERSION ")); whole && one[0] == '\n' {
			return string(before)
		}
	}
}

// Nodes that may not evict refuse what they have no room for, and lose nothing of what they took but what was refused anew.
func TestFullNodesRefuse(t *testing.T) {
	clients := clientsOf(nodetest.Start(t, 3, func(cfg *node.Config) { cfg.NoEvict, cfg.MaxBytes = true, 8<<20 }))
	value, stored, refused := bytes.Repeat([]byte("v"), 40<<10), map[string]bool{}, 0
	set := func(n int) {
		key := fmt.Sprintf("full-%d", n)
		err := clients[n%3].Set(&memcache.Item{Key: key, Value: value})
		if stored[key] = err == nil; err != nil {
			if refused++; !strings.Contains(err.Error(), "SERVER_ERROR out of memory storing object") {
				t.Fatalf("%s: %v", key, err)
			}
		}
	}
	for n := range 900 {
		set(n)
	}
	for n := range 30 {
		set(n)
	}
	if refused == 0 {
		t.Fatal("nothing was refused")
	}
	for key, want := range stored {
		switch item, err := clients[len(key)%3].Get(key); {
		case want && (err != nil || !bytes.Equal(item.Value, value)):
			t.Errorf("%s was stored: %v", key, err)
		case !want && !errors.Is(err, memcache.ErrCacheMiss):
			t.Errorf("%s was refused: %v", key, err)
		}
	}
}

// Each node counts what it owns, whoever's client asked: memcached's tests of counters look at one process, so here they are added up.
func TestCountersAddUp(t *testing.T) {
	c := nodetest.Start(t, 3)
	conns := make([]net.Conn, len(c.Nodes))
	for i := range conns {
		conns[i] = c.Dial(i)
		if got := answered(t, conns[i], "stats detail on"); got != "OK\r\n" {
			t.Fatalf("%q", got)
		}
	}
	for k := range 30 {
		answered(t, conns[k%3], fmt.Sprintf("set p%d:%d 0 0 1\r\n5", k%2, k))
		answered(t, conns[(k+1)%3], fmt.Sprintf("get p%d:%d p%d:absent%d", k%2, k, k%2, k))
		answered(t, conns[(k+2)%3], fmt.Sprintf("incr p%d:%d 1", k%2, k))
		answered(t, conns[k%3], fmt.Sprintf("delete p%d:%d", k%2, k))
	}
	sums := map[string]int{}
	number := regexp.MustCompile(`(?m)^(?:STAT (\w+) (\d+)|PREFIX (\w+) get (\d+) hit (\d+) set (\d+) del (\d+))\r$`)
	for _, conn := range conns {
		for _, line := range number.FindAllStringSubmatch(answered(t, conn, "stats")+answered(t, conn, "stats detail dump"), -1) {
			add := func(name, digits string) {
				n, _ := strconv.Atoi(digits)
				sums[name] += n
			}
			if line[1] != "" {
				add(line[1], line[2])
				continue
			}
			for i, what := range []string{" get", " hit", " set", " del"} {
				add(line[3]+what, line[4+i])
			}
		}
	}
	for name, want := range map[string]int{
		"cmd_set": 30, "cmd_get": 60, "get_hits": 30, "get_misses": 30, "incr_hits": 30, "delete_hits": 30, "curr_items": 0, "total_items": 60,
		"p0 get": 30, "p0 hit": 15, "p0 set": 15, "p0 del": 15, "p1 get": 30, "p1 hit": 15, "p1 set": 15, "p1 del": 15,
	} {
		if sums[name] != want {
			t.Errorf("%s: %d on all nodes together, want %d", name, sums[name], want)
		}
	}
}
