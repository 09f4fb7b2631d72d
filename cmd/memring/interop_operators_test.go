//go:build interop

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
)

// scripts is where Debian's memcached keeps its scripts for operators.
const scripts = "/usr/share/memcached/scripts"

// memcachedTool asks memcached's own script for all it can show. Of slab classes memring shows one.
func memcachedTool(t *testing.T, version string, servers []string) {
	for _, server := range servers {
		client := memcache.New(server)
		if err := client.FlushAll(); err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		want := map[string]bool{}
		for n := range 60 {
			item := &memcache.Item{Key: fmt.Sprintf("tool-%d", n), Value: fmt.Appendf(nil, "value %d", n), Flags: uint32(n)}
			if err := client.Set(item); err != nil {
				t.Fatal(err)
			}
			want[item.Key] = true
		}
		shows := func(mode string, lines ...string) string {
			shown := execute(t, filepath.Join(scripts, "memcached-tool"), server, mode)
			for _, line := range lines {
				if !regexp.MustCompile(`(?m)^\s*` + line + `\s*$`).MatchString(shown) {
					t.Errorf("memcached-tool %s %s shows no line %q:\n%.2000s", server, mode, line, shown)
				}
			}
			return shown
		}
		shows("stats", `pid\s+\d+`, `version\s+\d+\.\d+\.\d+`, `curr_items\s+[1-9]\d*`, `limit_maxbytes\s+67108864`, `evictions\s+0`)
		shows("settings", `maxbytes\s+67108864`, `item_size_max\s+1048576`, `maxconns\s+1024`, `evictions\s+on`)
		shows("sizes", `sizes_status\s+disabled`)
		shows("display", `#\s+Item_Size\s+Max_age\s+Pages\s+Count\s+Full\?\s+Evicted\s+Evict_Time\s+OOM`,
			`1\s+\d+B\s+\d+s\s+[1-9]\d*\s+[1-9]\d*\s+(yes|no)\s+0\s+0\s+0`)

		// A node lists what it holds: all of memcached's, about a third of a cluster of three.
		keys := regexp.MustCompile(`(?m)^key=(\S+) exp=-1 `).FindAllStringSubmatch(shows("keys"), -1)
		adds := regexp.MustCompile(`(?m)^add (\S+) (\d+) 0 (\d+)\r?\nvalue (\d+)\r?$`).FindAllStringSubmatch(shows("dump"), -1)
		if len(keys) == 0 || len(adds) != len(keys) || version != "memring" && len(keys) != len(want) {
			t.Errorf("memcached-tool %s: %d keys and %d items of %d", server, len(keys), len(adds), len(want))
		}
		for _, add := range adds {
			if !want[add[1]] || add[1] != "tool-"+add[4] || add[2] != add[4] || add[3] != strconv.Itoa(len("value "+add[4])) {
				t.Errorf("memcached-tool %s dump: %q", server, add[0])
			}
		}
	}
}

// damemtop runs memcached's top, on a terminal of its own, until it shows a line of each server; it reads its configuration from the home.
func damemtop(t *testing.T, servers []string) {
	home := t.TempDir()
	configuration := "delay: 1\nmode: t\ntop_mode:\n  sort_column: hostname\n  sort_order: asc\n" +
		"  columns: [hostname, all_version, all_fill_rate, hit_rate, evictions, bytes_written, \"1:get_hits\"]\nservers:\n"
	for _, server := range servers {
		configuration += "  - " + server + "\n"
	}
	if err := errors.Join(os.Mkdir(filepath.Join(home, ".damemtop"), 0o700),
		os.WriteFile(filepath.Join(home, ".damemtop", "damemtop.yaml"), []byte(configuration), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitBound) // it shows what has changed within a second, again and again
	defer cancel()
	top := exec.CommandContext(ctx, "script", "-qec", "stty rows 40 cols 160; exec perl "+scripts+"/damemtop", "/dev/null")
	top.Env = append(os.Environ(), "HOME="+home, "TERM=xterm")
	screen, err := top.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	keyboard, err := top.StdinPipe() // open and silent
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	if err := top.Start(); err != nil {
		t.Fatal(err)
	}
	// Version, fill rate, hit rate (NA while nobody asks), evictions and bytes written a second, hits of the first class a second.
	line := regexp.MustCompile(`^(127\.0\.0\.1:\d+)\s+\d+\.\d+\.\d+\s+[\d.e%-]+\s+\S+\s+[\d,]+\s+[\d,]+\s+[\d,]+\s*$`)
	missing, shown := slices.Clone(servers), strings.Builder{}
	for lines := bufio.NewScanner(screen); len(missing) > 0 && lines.Scan(); {
		shown.WriteString(lines.Text() + "\n")
		if found := line.FindStringSubmatch(lines.Text()); found != nil {
			missing = slices.DeleteFunc(missing, func(server string) bool { return server == found[1] })
		}
	}
	cancel()
	_ = top.Wait() // it was ended by force
	if len(missing) > 0 {
		t.Errorf("damemtop shows no line of %v, but\n%.3000s", missing, shown.String())
	}
}

// The statistics that memcached_exporter makes series of: all must be there, as numbers, or the series is missing or the scrape has failed.
var (
	exported = strings.Fields(`uptime time cmd_set cmd_flush get_hits get_misses delete_hits delete_misses incr_hits incr_misses decr_hits
		decr_misses cas_hits cas_misses cas_badval touch_hits touch_misses bytes limit_maxbytes curr_items total_items bytes_read bytes_written
		curr_connections total_connections rejected_connections conn_yields listen_disabled_num evictions reclaimed store_too_large
		store_no_memory lru_crawler_starts direct_reclaims crawler_items_checked crawler_reclaimed moves_to_cold moves_to_warm moves_within_lru
		accepting_conns rusage_user rusage_system`)
	exportedSettings = strings.Fields(`maxconns lru_crawler_sleep lru_crawler_tocrawl hot_lru_pct warm_lru_pct hot_max_factor warm_max_factor`)
	exportedSeries   = strings.Fields(`memcached_up memcached_version memcached_uptime_seconds memcached_time_seconds memcached_commands_total
		memcached_current_bytes memcached_limit_bytes memcached_current_items memcached_items_total memcached_read_bytes_total
		memcached_written_bytes_total memcached_current_connections memcached_connections_total memcached_connections_rejected_total
		memcached_connections_yielded_total memcached_connections_listener_disabled_total memcached_items_evicted_total
		memcached_items_reclaimed_total memcached_item_too_large_total memcached_item_no_memory_total memcached_lru_crawler_starts_total
		memcached_lru_crawler_enabled memcached_lru_crawler_items_checked_total memcached_lru_crawler_reclaimed_total
		memcached_malloced_bytes memcached_accepting_connections memcached_max_connections
		memcached_process_user_cpu_seconds_total memcached_process_system_cpu_seconds_total memcached_slab_commands_total
		memcached_slab_chunk_size_bytes memcached_slab_chunks_used memcached_slab_current_pages memcached_slab_current_items`)
)

// exporter holds the statistics of each server to what memcached_exporter reads, and has the real one scrape it.
func exporter(t *testing.T, version, binary string, servers []string) {
	for _, server := range servers {
		client := memcache.New(server)
		defer client.Close()
		if err := client.FlushAll(); err != nil {
			t.Fatal(err)
		}
		for n := range 30 { // so that each node has some
			if err := client.Set(&memcache.Item{Key: fmt.Sprintf("exported-%d", n), Value: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Get(fmt.Sprintf("absent-%d", n)); !errors.Is(err, memcache.ErrCacheMiss) {
				t.Fatal(err)
			}
		}
	}
	for _, server := range servers {
		numbers(t, server, "stats", exported)
		numbers(t, server, "stats settings", exportedSettings)
		scrape(t, version, binary, server)
	}
}

// buildExporter builds memcached_exporter for the length of the test: Debian 12 has none, so it comes from the Go module proxy, in the version of
// testdata/exporter/go.mod (the last one that the proxy gives out here).
func buildExporter(t *testing.T) (binary string) {
	binary = filepath.Join(t.TempDir(), "memcached_exporter")
	fetched(t, "go", "-C", filepath.Join("testdata", "exporter"), "build", "-o", binary, "github.com/prometheus/memcached_exporter/cmd/memcached_exporter")
	return binary
}

// numbers fails the test for each statistic that is not there, or no number, and gives all there are.
func numbers(t *testing.T, server, question string, names []string) (got map[string]string) {
	conn, err := net.DialTimeout("tcp", server, executeBound)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, question+"\r\nquit\r\n")
	answered, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	got = map[string]string{}
	for _, stat := range regexp.MustCompile(`(?m)^STAT (\S+) (.*)\r$`).FindAllStringSubmatch(string(answered), -1) {
		got[stat[1]] = stat[2]
	}
	for _, name := range names {
		if _, err := strconv.ParseFloat(got[name], 64); err != nil {
			t.Errorf("%s: %s: %s is %q, want a number", server, question, name, got[name])
		}
	}
	return got
}

// scrape has memcached_exporter ask the server: all its series must be there, those that nobody changes meanwhile with the values of "stats", and it
// must have nothing to complain of. (memcached itself goes on removing what was flushed.)
func scrape(t *testing.T, version, binary, server string) {
	before := numbers(t, server, "stats", nil)
	listen := net.JoinHostPort("127.0.0.1", freePorts(t, 1)[0])
	watched := &process{name: binary, args: []string{"--memcached.address=" + server, "--web.listen-address=" + listen}, killed: true}
	keep(t, watched)
	var page []byte
	waitFor(t, "memcached_exporter answers", func() error {
		resp, err := http.Get("http://" + listen + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		page, err = io.ReadAll(resp.Body)
		return err
	})
	shows := func(series string) string {
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` ([-+.e\d]+)$`).FindSubmatch(page)
		if found == nil {
			t.Errorf("%s: memcached_exporter has no series %s", server, series)
			return ""
		}
		return string(found[1])
	}
	for _, name := range exportedSeries {
		if !regexp.MustCompile(`(?m)^` + name + `(\{.*\})? [-+.e\d]+$`).Match(page) {
			t.Errorf("%s: memcached_exporter has no series %s", server, name)
		}
	}
	for series, stat := range map[string]string{
		"memcached_current_items": "curr_items", "memcached_items_total": "total_items", "memcached_limit_bytes": "limit_maxbytes",
		"memcached_current_bytes": "bytes", "memcached_items_evicted_total": "evictions",
		`memcached_commands_total{command="flush",status="hit"}`: "cmd_flush",
		`memcached_commands_total{command="get",status="hit"}`:   "get_hits",
		`memcached_commands_total{command="get",status="miss"}`:  "get_misses",
	} {
		got, _ := strconv.ParseFloat(shows(series), 64)
		if want, err := strconv.ParseFloat(before[stat], 64); err != nil || got != want && (version == "memring" || !strings.HasPrefix(series, "memcached_current_")) {
			t.Errorf("%s: %s is %v, and %s was %q", server, series, got, stat, before[stat])
		}
	}
	count := func(stat string) float64 { n, _ := strconv.ParseFloat(before[stat], 64); return n }
	sets, _ := strconv.ParseFloat(shows(`memcached_commands_total{command="set",status="hit"}`), 64)
	if want := count("cmd_set") - count("cas_hits") - count("cas_misses") - count("cas_badval"); sets != want { // a cas is a set to memcached
		t.Errorf("%s: %v sets are shown, want %v", server, sets, want)
	}
	if shows("memcached_up") != "1" || shows("memcached_max_connections") != "1024" || before["curr_items"] == "0" || before["get_misses"] == "0" {
		t.Errorf("%s is down, or nothing was asked of it:\n%.2000s", server, page)
	}
	_ = watched.end(syscall.SIGTERM) // of which it dies
	if said := watched.logged.String(); strings.Contains(said, "level=error") || strings.Contains(said, "level=warn") {
		t.Errorf("memcached_exporter complains of %s:\n%.2000s", server, said)
	}
}
