package metrics_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/protocol/login"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func withAdmin(c *node.Config) { c.AdminListen = "127.0.0.1:0" }

// scrape gives the page of a node, and its series with their values.
func scrape(t *testing.T, n *node.Node) (page []byte, series map[string]float64) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://" + n.AdminAddr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err = io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v:\n%s", resp.Status, err, page)
	}
	series = map[string]float64{}
	for line := range strings.Lines(string(page)) {
		if found := regexp.MustCompile(`^((?:memcached|memring)_\S*?(?:\{.*\})?) (\S+)\n$`).FindStringSubmatch(line); found != nil {
			value, err := strconv.ParseFloat(found[2], 64)
			if err != nil {
				t.Errorf("%q: %v", line, err)
			}
			series[found[1]] = value
		}
	}
	return page, series
}

// say sends lines to a node and waits until the connection ends.
func say(t *testing.T, conn net.Conn, lines ...string) string {
	t.Helper()
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\nquit\r\n"); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}

func expect(t *testing.T, series map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if got, there := series[name]; !there || got != value {
			t.Errorf("%s is %v (there: %v), want %v", name, got, there, value)
		}
	}
}

func TestTheExportersFamilies(t *testing.T) {
	c := nodetest.Start(t, 1, withAdmin)
	_, before := scrape(t, c.Nodes[0])
	if _, there := before[`memcached_slab_current_items{slab="1"}`]; there {
		t.Error("there is a slab class before there is an item")
	}
	say(t, c.Dial(0), "set a 0 0 1", "1", "set b 0 0 1", "1", "get a", "get x", "gets a", "incr a 2", "incr x 1", "decr b 1", "touch a 0", "touch x 0", "delete b", "delete b",
		"cas x 0 0 1 7", "1", "cas a 0 0 1 7", "1", "flush_all 1000")
	page, series := scrape(t, c.Nodes[0])
	commands := func(command, status string) string {
		return fmt.Sprintf("memcached_commands_total{command=%q,status=%q}", command, status)
	}
	slab := func(command, status string) string {
		return fmt.Sprintf("memcached_slab_commands_total{command=%q,slab=\"1\",status=%q}", command, status)
	}
	expect(t, series, map[string]float64{
		"memcached_up": 1, `memcached_version{version="1.6.45"}`: 1, "memcached_current_items": 1, "memcached_items_total": 4,
		"memcached_limit_bytes": 16 << 20, "memcached_max_connections": 1024, "memcached_connections_total": 1, "memcached_accepting_connections": 1,
		"memcached_lru_crawler_enabled": 1, "memcached_lru_crawler_maintainer_thread": 1, "memcached_lru_crawler_hot_percent": 20,
		commands("get", "hit"): 2, commands("get", "miss"): 1, commands("incr", "hit"): 1, commands("incr", "miss"): 1, commands("decr", "hit"): 1,
		commands("touch", "hit"): 1, commands("touch", "miss"): 1, commands("delete", "hit"): 1, commands("delete", "miss"): 1,
		commands("cas", "miss"): 1, commands("cas", "badval"): 1, commands("cas", "hit"): 0, commands("set", "hit"): 2, commands("flush", "hit"): 1,
		slab("get", "hit"): 2, slab("set", "hit"): 3, slab("cas", "badval"): 1, // there a miss has no class, so it is left among the sets
		`memcached_slab_current_items{slab="1"}`: 1, `memcached_slab_items_evicted_total{slab="1"}`: 0,
	})
	for family, kind := range map[string]string{"memcached_uptime_seconds": "counter", "memcached_current_bytes": "gauge", "memcached_slab_mem_requested_bytes": "counter"} {
		if !bytes.Contains(page, []byte("\n# TYPE "+family+" "+kind+"\n")) {
			t.Errorf("%s is no %s", family, kind)
		}
	}
}

func TestOfTheCluster(t *testing.T) {
	c := nodetest.Start(t, 2, withAdmin, func(c *node.Config) { c.Ring.Copies = 2 })
	c.WaitCopied()
	for k := range 100 {
		say(t, c.Dial(0), fmt.Sprintf("set key%d 0 0 1", k), "1")
	}
	table := c.Nodes[0].Table()
	_, series := scrape(t, c.Nodes[0])
	_, others := scrape(t, c.Nodes[1])
	expect(t, series, map[string]float64{
		`memring_members{state="active"}`: 2, `memring_members{state="down"}`: 0, "memring_table_copies": 2, "memring_copies_missing": 0,
		`memring_partitions{state="held"}`: series["memring_partitions_owned"], `memring_partitions{state="wanted"}`: 0,
		"memring_table_fingerprint": others["memring_table_fingerprint"], "memring_settings_fingerprint": others["memring_settings_fingerprint"], "memring_handover_left_items": 0, "memring_minority": 0,
		`memring_memory_limit_bytes{kind="items"}`: 16 << 20, `memring_memory_bytes{kind="items"}`: series["memcached_current_bytes"],
	})
	if both := series["memring_partitions_owned"] + others["memring_partitions_owned"]; both != float64(table.Partitions()) {
		t.Errorf("%v partitions are owned, want %d", both, table.Partitions())
	}
	// What members ask each other of their clocks goes the same way, when it is time for that.
	if sets := others[`memcached_commands_total{command="set",status="hit"}`]; sets == 0 || series["memring_forwards_total"] < sets {
		t.Errorf("%v forwards, and %v sets came", series["memring_forwards_total"], sets)
	}
}

// Who guesses is seen: each login, those that were wrong, who was locked out for that, and what those who are in may not ask.
func TestOfLogins(t *testing.T) {
	users, err := node.NewUsers(login.Config{})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := login.Hash([]byte("bar"))
	if err != nil {
		t.Fatal(err)
	}
	if err := users.Load([]byte("foo:" + hash + " rights=read")); err != nil {
		t.Fatal(err)
	}
	c := nodetest.Start(t, 1, withAdmin, func(cfg *node.Config) { cfg.Users, cfg.AuthFile = users, "/etc/users" })
	say(t, c.Dial(0), "set login 0 0 7", "foo bar", "set k 0 0 1", "x", "get k", "flush_all")
	say(t, c.Dial(0), strings.Repeat("set login 0 0 7\r\nfoo bad\r\n", 8)+"version") // which is not heard any more
	page, series := scrape(t, c.Nodes[0])
	expect(t, series, map[string]float64{
		"memring_login_attempts_total": 9, "memring_login_failures_total": 8, "memring_login_lockouts_total": 1, "memring_commands_denied_total": 2, "memring_refused_gossip_total": 0,
	})
	if bytes.Contains(page, []byte("foo")) {
		t.Error("the page tells who may log in")
	}
}

// Requests are measured by where the answer came from, and a key that many ask for is told of by its rank, not by its name.
func TestOfRequests(t *testing.T) {
	c := nodetest.Start(t, 2, withAdmin, func(c *node.Config) { c.MeasureEvery = 1 })
	table, here := c.Nodes[0].Table(), ""
	for k := 0; here == ""; k++ {
		if key := fmt.Sprintf("key%d", k); table.Members()[table.Owner(table.Partition([]byte(key)))].ID == c.Nodes[0].Self().ID {
			here = key
		}
	}
	say(t, c.Dial(0), "set "+here+" 0 0 1", "1", "get "+here, "get "+here)
	say(t, c.Dial(1), "get "+here, "get "+here, "get "+here)
	page, asked := scrape(t, c.Nodes[0])
	_, other := scrape(t, c.Nodes[1])
	const of = "memring_request_duration_seconds_"
	expect(t, asked, map[string]float64{
		of + `count{command="get",result="hit",route="local"}`:            2,
		of + `bucket{command="get",result="hit",route="local",le="+Inf"}`: 2,
		of + `count{command="set",result="stored",route="local"}`:         1,
		`memring_hot_key_share{rank="1"}`:                                 0, // of the last whole window there was nothing
	})
	expect(t, other, map[string]float64{of + `count{command="get",result="hit",route="forwarded"}`: 3})
	if bytes.Contains(page, []byte(here)) {
		t.Error("the page tells a key")
	}
}

// Prometheus has rules for names and types. What memcached_exporter has against them stays, for dashboards ask for it.
func TestLint(t *testing.T) {
	c := nodetest.Start(t, 2, withAdmin)
	say(t, c.Dial(0), "set a 0 0 1", "1", "set b 0 0 1", "1", "get a", "get b", "get x")
	page, _ := scrape(t, c.Nodes[0])
	problems, err := promlint.New(bytes.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]bool{
		"memcached_uptime_seconds": true, "memcached_slab_mem_requested_bytes": true, "memcached_slab_items_evicted_time_seconds": true,
	}
	for _, p := range problems {
		if !theirs[p.Metric] {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
