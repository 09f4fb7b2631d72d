package node_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// stats gives the lines of a group by their names, in their order.
func stats(t *testing.T, c *nodetest.Cluster, i int, group string) (names []string, values map[string]string) {
	t.Helper()
	out := talk(t, c.Dial(i), strings.TrimSpace("stats "+group)+"\r\nquit\r\n")
	values = map[string]string{}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "END\r\n"), "\r\n") {
		if words := strings.SplitN(line, " ", 3); len(words) == 3 && words[0] == "STAT" {
			names = append(names, words[1])
			values[words[1]] = words[2]
		} else if line != "" {
			t.Fatalf("stats %s: %q", group, line)
		}
	}
	return names, values
}

// Tools read the lines by their names, and memcached's own tests count them: each option brings its own.
func TestStatLines(t *testing.T) {
	f := func(want int, with, without string, change func(*node.Config)) {
		t.Helper()
		c := nodetest.Start(t, 1, change)
		names, values := stats(t, c, 0, "")
		if len(names) != want || len(values) != want {
			t.Errorf("%d lines, %d different, want %d", len(names), len(values), want)
		}
		if _, has := values[with]; !has {
			t.Errorf("%s is missing", with)
		}
		if _, has := values[without]; has {
			t.Errorf("%s is there", without)
		}
	}
	f(93, "lru_maintainer_juggles", "idle_kicks", func(*node.Config) {})
	f(84, "slab_reassign_running", "lru_crawler_starts", func(c *node.Config) { c.Tuning.LRUCrawler, c.Tuning.LRUMaintainer = false, false })
	f(74, "get_flushed", "rejected_connections", func(c *node.Config) { c.Tuning, c.PauseAtLimit = node.Tuning{}, true })
	f(94, "idle_kicks", "cluster_members", func(c *node.Config) { c.IdleTimeout = 1e9 })
}

func TestStatGroups(t *testing.T) {
	c := nodetest.Start(t, 1)
	if got := talk(t, c.Dial(0), "set k 5 0 3\r\nabc\r\nget k j\r\nquit\r\n"); got != "STORED\r\nVALUE k 5 3\r\nabc\r\nEND\r\n" {
		t.Fatal(got)
	}
	f := func(group, name, want string) {
		t.Helper()
		if _, values := stats(t, c, 0, group); !regexp.MustCompile("^(" + want + ")$").MatchString(values[name]) {
			t.Errorf("stats %s: %s is %q, want %s", group, name, values[name], want)
		}
	}
	f("", "curr_items", "1")
	f("", "get_hits", "1")
	f("", "get_misses", "1")
	f("", "cmd_set", "1")
	f("", "limit_maxbytes", "16777216")
	f("settings", "maxbytes", "16777216")
	f("settings", "item_size_max", "1048576")
	f("settings", "flush_enabled", "yes")
	f("settings", "binding_protocol", "auto-negotiate")
	f("settings", "client_flags_size", "4")
	f("items", "items:1:number", "1")
	f("items", "items:1:mem_requested", "67")
	f("slabs", "active_slabs", "1")
	f("slabs", "1:used_chunks", "1")
	f("slabs", "1:total_pages", "[1-9][0-9]*")
	f("slabs", "total_malloced", "[1-9][0-9]*")
	f("conns", "1:state", "conn_listening")
	f("conns", "1:addr", "tcp:127.0.0.1:[0-9]+")
	f("cluster", "cluster_members", "1")

	// What is set shows, and what is counted can be reset.
	talk(t, c.Dial(0), "cache_memlimit 32\r\nlru_crawler disable\r\nstats detail on\r\nstats reset\r\nquit\r\n")
	f("settings", "maxbytes", "33554432")
	f("settings", "lru_crawler", "no")
	f("settings", "detail_enabled", "yes")
	f("", "get_hits", "0")
	f("", "curr_items", "1")
}

func TestDetailCountsByPrefix(t *testing.T) {
	c := nodetest.Start(t, 1, func(c *node.Config) { c.Delimiter, c.Detail = '/', true })
	in := "set foo/a 0 0 1\r\nx\r\nget foo/a foo/b foo\r\nget /a\r\ndelete foo/a\r\nstats detail off\r\nget foo/a\r\nstats detail dump\r\nquit\r\n"
	want := "STORED\r\nVALUE foo/a 0 1\r\nx\r\nEND\r\nEND\r\nDELETED\r\nOK\r\nEND\r\n" +
		"PREFIX  get 1 hit 0 set 0 del 0\r\nPREFIX foo get 2 hit 1 set 1 del 1\r\nEND\r\n"
	if got := talk(t, c.Dial(0), in); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A dump of every node lists each key of the cluster once, through pieces, whatever follows on the same connection.
func TestDumpsOfAllNodesListEachKeyOnce(t *testing.T) {
	const keys = 2000
	c := nodetest.Start(t, 3)
	var sets strings.Builder
	for i := range keys {
		fmt.Fprintf(&sets, "set key:%d %d %d 1 noreply\r\nx\r\n", i, i, i%2*1000)
	}
	if got := talk(t, c.Dial(0), sets.String()+"get key:7\r\nquit\r\n"); got != "VALUE key:7 7 1\r\nx\r\nEND\r\n" {
		t.Fatal(got)
	}
	meta := regexp.MustCompile(`^key=key%3A(\d+) exp=(-1|\d{10}) la=\d{10} cas=[1-9]\d* fetch=(yes|no) cls=1 size=(\d+) flags=(\d+) \n$`)
	get := regexp.MustCompile(`^mg key:(\d+)\r\n$`)
	f := func(command string, line *regexp.Regexp, end string) {
		t.Helper()
		seen := map[string]int{}
		for i := range c.Nodes {
			conn := c.Dial(i)
			if _, err := io.WriteString(conn, command+"\r\nversion\r\n"); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			for n := 0; ; n++ {
				text, err := in.ReadString('\n')
				switch m := line.FindStringSubmatch(text); {
				case err != nil:
					t.Fatalf("%s: node %d: after %d lines: %v", command, i, n, err)
				case n == 0 && text == "OK\r\n":
					continue
				case m != nil:
					seen[m[1]]++
					continue
				case text != end:
					t.Fatalf("%s: node %d: line %d is %q", command, i, n, text)
				}
				break
			}
			if text, err := in.ReadString('\n'); !strings.HasPrefix(text, "VERSION ") {
				t.Errorf("%s: node %d: what follows is not answered: %q, %v", command, i, text, err)
			}
		}
		if len(seen) != keys {
			t.Errorf("%s: %d keys are listed, want %d", command, len(seen), keys)
		}
		for key, times := range seen {
			if times != 1 {
				t.Errorf("%s: key:%s is listed %d times", command, key, times)
			}
		}
	}
	f("lru_crawler metadump all", meta, "END\r\n")
	f("lru_crawler mgdump hash", get, "EN\r\n")

	total := 0
	for i := range c.Nodes {
		out := talk(t, c.Dial(i), "stats cachedump 1 0\r\nstats cachedump 1 3\r\nquit\r\n")
		total += strings.Count(out, "ITEM key:") - 3
	}
	if total != keys {
		t.Errorf("cachedump lists %d keys, want %d", total, keys)
	}
}

func TestClientsFindTheNodes(t *testing.T) {
	c := nodetest.Start(t, 3)
	ask := func(i int) string {
		out := talk(t, c.Dial(i), "config get cluster \nquit\r\n")
		m := regexp.MustCompile("^CONFIG cluster 0 (\\d+)\r\n((?s).*\n)\r\nEND\r\n$").FindStringSubmatch(out)
		if m == nil || m[1] != fmt.Sprint(len(m[2])) {
			t.Fatalf("node %d: %q", i, out)
		}
		if old := talk(t, c.Dial(i), "get AmazonElastiCache:cluster\r\nquit\r\n"); old != "VALUE AmazonElastiCache:cluster 0 "+m[1]+"\r\n"+m[2]+"\r\nEND\r\n" {
			t.Errorf("node %d: the old way: %q", i, old)
		}
		return m[2]
	}
	c.Wait("all nodes tell the same", func() bool { return ask(0) == ask(1) && ask(1) == ask(2) })
	version, nodes, _ := strings.Cut(ask(0), "\n")
	for i := range c.Nodes {
		port := c.Addr(i).Port()
		if line := fmt.Sprintf("localhost|127.0.0.1|%d", port); strings.Count(nodes, line) != 1 {
			t.Errorf("%q lacks %s", nodes, line)
		}
	}
	gone := fmt.Sprint(c.Addr(1).Port())
	c.Stop(1)
	c.Wait("the nodes are told of a leave, by a higher version", func() bool {
		later, nodes, _ := strings.Cut(ask(0), "\n")
		return ask(0) == ask(2) && !strings.Contains(nodes, gone) && len(later) == len(version) && later > version
	})
}

func TestShutdownIsAskedFor(t *testing.T) {
	c := nodetest.Start(t, 1, func(c *node.Config) { c.EnableShutdown, c.Debug = true, true })
	if got := talk(t, c.Dial(0), "shutdown now\r\nshutdown graceful\r\nshutdown\r\nquit\r\n"); got != "CLIENT_ERROR invalid shutdown mode\r\n" {
		t.Errorf("%q", got)
	}
	if graceful := <-c.Nodes[0].Shutdowns(); !graceful {
		t.Error("it was to be graceful")
	}
	got := talk(t, c.Dial(0), "set k 0 100 1\r\nx\r\ndebugtime 101\r\nget k\r\ndebugtime p\r\ndebugtime r\r\nquit\r\n")
	if got != "STORED\r\nOK\r\nEND\r\nOK\r\nOK\r\n" {
		t.Errorf("%q", got)
	}
}

func TestWatchTellsWhatHappens(t *testing.T) {
	c := nodetest.Start(t, 1)
	conn := c.Dial(0)
	in := bufio.NewReader(conn)
	hear := func(want string) {
		t.Helper()
		line, err := in.ReadString('\n')
		if err != nil || !regexp.MustCompile("^"+want+"\n$").MatchString(line) {
			t.Fatalf("%q, %v, want %s", line, err, want)
		}
	}
	if _, err := io.WriteString(conn, "watch fetchers mutations deletions\r\n"); err != nil {
		t.Fatal(err)
	}
	hear("OK\r")
	talk(t, c.Dial(0), "set a:b 0 0 3\r\nabc\r\nget a:b c\r\ndelete a:b\r\ndelete a:b\r\nquit\r\n")
	hear(`ts=\d+\.\d{6} gid=2 type=item_get key=a%3Ab status=not_found clsid=0 cfd=\d+ size=0`)
	hear(`ts=\d+\.\d{6} gid=3 type=item_store key=a%3Ab status=stored cmd=set ttl=0 clsid=1 cfd=\d+ size=3`)
	hear(`ts=\d+\.\d{6} gid=4 type=item_get key=a%3Ab status=found clsid=1 cfd=\d+ size=3`)
	hear(`ts=\d+\.\d{6} gid=5 type=item_get key=c status=not_found clsid=0 cfd=\d+ size=0`)
	hear(`ts=\d+\.\d{6} gid=6 type=item_get key=a%3Ab status=found clsid=1 cfd=\d+ size=3`)
	hear(`ts=\d+\.\d{6} gid=7 type=deleted key=a%3Ab cmd=delete clsid=1 size=3`)
	hear(`ts=\d+\.\d{6} gid=8 type=item_get key=a%3Ab status=not_found clsid=0 cfd=\d+ size=0`)
	if _, values := stats(t, c, 0, ""); values["log_watchers"] != "1" || values["log_watcher_sent"] != "7" {
		t.Errorf("%s watchers, %s lines sent", values["log_watchers"], values["log_watcher_sent"])
	}
	conn.Close()
	c.Wait("the watcher is gone", func() bool {
		_, values := stats(t, c, 0, "")
		return values["log_watchers"] == "0"
	})
}

// A connection's lines tell who came, and its number is that of the lines about what it asked.
func TestWatchTellsOfConnections(t *testing.T) {
	socket := t.TempDir() + "/s"
	c := nodetest.Start(t, 1, func(c *node.Config) { c.UnixSocket, c.UnixSocketMode = socket, 0o700 })
	conn := c.Dial(0)
	in := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "watch connevents fetchers\r\n"); err != nil {
		t.Fatal(err)
	}
	hear := func(want string) (number string) {
		t.Helper()
		line, err := in.ReadString('\n')
		found := regexp.MustCompile(`^ts=\d+\.\d{6} gid=\d+ type=` + want + ` cfd=(\d+)( size=0)?\n$`).FindStringSubmatch(line)
		if err != nil || found == nil {
			t.Fatalf("%q, %v, want %s", line, err, want)
		}
		return found[1]
	}
	if line, err := in.ReadString('\n'); line != "OK\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	client := c.Dial(0)
	port := client.LocalAddr().(*net.TCPAddr).Port
	talk(t, client, "get k\r\nquit\r\n")
	first := hear(fmt.Sprintf("conn_new rip=127.0.0.1 rport=%d transport=tcp", port))
	if hear("item_get key=k status=not_found clsid=0") != first || hear(fmt.Sprintf("conn_close rip=127.0.0.1 rport=%d transport=tcp reason=normal", port)) != first {
		t.Error("not one number")
	}
	local, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	talk(t, local, "GET / HTTP/1.0\r\n")
	if second := hear("conn_new rip=unix rport=0 transport=local"); second == first || hear("conn_close rip=unix rport=0 transport=local reason=error") != second {
		t.Error("not a number of its own")
	}
}

// What the members say together, and each; of one that does not answer that is said.
func TestStatsOfAllMembers(t *testing.T) {
	c := nodetest.Start(t, 3)
	for i := range 3 {
		talk(t, c.Dial(i), strings.Repeat("get k\r\nset k"+strconv.Itoa(i)+" 0 0 1\r\nx\r\n", 5)+"quit\r\n")
	}
	_, sum := stats(t, c, 1, "cluster")
	_, nodes := stats(t, c, 1, "nodes")
	names, parts := stats(t, c, 1, "partitions")
	total := func(lines map[string]string, name string) (sum int) {
		for i := range 3 {
			n, err := strconv.Atoi(lines[fmt.Sprintf("n%d:%s", i, name)])
			if err != nil {
				t.Errorf("n%d:%s: %v", i, name, err)
			}
			sum += n
		}
		return sum
	}
	f := func(name, want string) {
		t.Helper()
		if sum[name] != want {
			t.Errorf("%s %q, want %q", name, sum[name], want)
		}
	}
	f("cluster_answered", "3")
	f("cluster_silent", "none")
	f("cluster_members", "3")
	f("cmd_get", "15")
	f("curr_items", "3")
	f("cluster_partitions_owned", strconv.Itoa(c.Nodes[0].Table().Partitions()))
	f("version", "1.6.45")
	if total(nodes, "cmd_set") != 15 || total(nodes, "curr_items") != 3 || total(parts, "owned") != c.Nodes[0].Table().Partitions() || len(names) < 3 {
		t.Errorf("cmd_set %d, curr_items %d, owned %d", total(nodes, "cmd_set"), total(nodes, "curr_items"), total(parts, "owned"))
	}
}

// Who does not answer is named, and the figures are those of the others.
func TestStatsOfAClusterNameWhoIsSilent(t *testing.T) {
	for range 5 {
		c := nodetest.Start(t, 3)
		table := c.Nodes[0].Table()
		c.Crash(2)
		_, sum := stats(t, c, 0, "cluster")
		_, nodes := stats(t, c, 0, "nodes")
		if c.Nodes[0].Table() != table {
			continue // the others knew of the crash before all was asked
		}
		if sum["cluster_answered"] != "2" || sum["cluster_silent"] != "n2" || nodes["n2:silent"] != "unreachable" || nodes["n1:version"] != "1.6.45" {
			t.Errorf("%s answered, %s is silent; n2 %q, n1 %q", sum["cluster_answered"], sum["cluster_silent"], nodes["n2:silent"], nodes["n1:version"])
		}
		return
	}
	t.Error("in five clusters the others knew of the crash before all was asked")
}
