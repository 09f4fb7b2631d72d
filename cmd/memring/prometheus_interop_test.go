//go:build interop

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
)

// rules is where the alerts are.
const rules = "../../deploy/prometheus/memring.rules.yml"

// TestInteropPrometheus lets Debian's Prometheus scrape three nodes: every series that memcached_exporter makes of a node is there, with its type and labels.
// And the alerts are good for something: they load, they look at series that there are, and promtool sees each of them fire.
func TestInteropPrometheus(t *testing.T) {
	nodes := startCluster(t, 3, "--measure-every", "1", "--peer-timeout", "10s")
	exporter := buildExporter(t)
	var servers, admins []string
	for _, node := range nodes {
		servers, admins = append(servers, node.address), append(admins, node.admin)
	}
	for k := range 100 {
		client := memcache.New(servers[k%3])
		if err := client.Set(&memcache.Item{Key: fmt.Sprintf("key-%d", k), Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Get(fmt.Sprintf("key-%d", k)); err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	server := startPrometheus(t, admins)
	waitFor(t, "Prometheus has scraped the nodes", func() error {
		if up := server.query(t, `up == 1 and on (instance) memcached_up == 1`); len(up) != 3 {
			return fmt.Errorf("%d are up", len(up))
		}
		return nil
	})
	for i, node := range servers {
		page := scrapeExporter(t, exporter, node)
		waitFor(t, "Prometheus has what memcached_exporter shows", func() error { return server.has(t, page, admins[i]) })
	}
	t.Run("the mixin's queries", func(t *testing.T) { // of Grafana's memcached mixin: its dashboard and its alert, without its choice of a namespace
		for _, query := range []string{
			`sum(memcached_commands_total{command="get",status="hit"}) / sum(memcached_commands_total{command="get"}) > 0.9`,
			`memcached_items_evicted_total`, `memcached_items_total > 0`, `memcached_current_bytes > 0`, `memcached_current_items > 0`, `memcached_connections_total > 0`,
			`memcached_read_bytes_total > 0`, `memcached_written_bytes_total > 0`, `count by (instance, version) (memcached_version)`, `memcached_uptime_seconds`,
			`memcached_up`, `memcached_limit_bytes`, `memcached_max_connections`,
		} {
			waitFor(t, "there is something for "+query, func() error { return server.finds(t, query) })
		}
		if down := server.query(t, "memcached_up == 0"); len(down) != 0 {
			t.Errorf("down: %v", down)
		}
	})
	t.Run("alerts", func(t *testing.T) { alerts(t, server) })
}

// alerts has promtool test the rules, and holds them to what the running Prometheus has of them.
func alerts(t *testing.T, server prometheusServer) {
	execute(t, "promtool", "check", "rules", rules)
	execute(t, "promtool", "test", "rules", strings.Replace(rules, ".yml", "_test.yml", 1))
	text, err := os.ReadFile(rules)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(strings.Replace(rules, ".yml", "_test.yml", 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(string(tests), `alertname="`+alert[1]+`"`) {
			t.Errorf("%s is never seen to fire", alert[1])
		}
	}
	// A rule that looks for a series that nobody makes is silent for ever. (Only a node with TLS has a certificate.)
	for _, name := range regexp.MustCompile(`(?:memring|memcached)_\w+`).FindAllString(string(text), -1) {
		if name != "memring_certificate_expiry_timestamp_seconds" && name != "memring_evicted_age_seconds" {
			waitFor(t, "there is a series "+name, func() error { return server.finds(t, name) })
		}
	}
	var loaded struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	waitFor(t, "the rules were evaluated", func() error {
		if server.get(t, "/api/v1/rules", &loaded); len(loaded.Data.Groups) == 0 {
			return errors.New("there are none")
		}
		for _, group := range loaded.Data.Groups {
			for _, rule := range group.Rules {
				if rule.Health != "ok" {
					return fmt.Errorf("%+v", rule)
				}
			}
		}
		return nil
	})
	count := 0
	for _, group := range loaded.Data.Groups {
		for _, rule := range group.Rules {
			if count++; rule.State == "firing" {
				t.Errorf("%s fires, and all is well", rule.Name)
			}
		}
	}
	if want := len(regexp.MustCompile(`- (alert|record):`).FindAll(text, -1)); count != want {
		t.Errorf("%d rules are loaded, want %d", count, want)
	}
}

// A prometheusServer is the address of a running Prometheus.
type prometheusServer string

// startPrometheus starts one that scrapes these targets every second.
func startPrometheus(t *testing.T, targets []string) prometheusServer {
	dir := t.TempDir()
	path, err := filepath.Abs(rules)
	if err != nil {
		t.Fatal(err)
	}
	configuration := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: memring, static_configs: [{targets: [%s]}]}]\n",
		path, strings.Join(targets, ","))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", freePorts(t, 1)[0])
	keep(t, &process{name: "prometheus", args: []string{
		"--config.file=" + file, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--log.level=warn",
	}})
	return prometheusServer(address)
}

// get asks the API of Prometheus; as long as it does not answer, into stays as it is.
func (p prometheusServer) get(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := http.Get("http://" + string(p) + path)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 500 {
		return
	}
	if err := json.Unmarshal(body, into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v\n%.500s", path, resp.Status, err, body)
	}
}

// query gives the series that an expression has now, by their labels. A node that was too slow for the last scrape, on a busy machine, has none until the next.
func (p prometheusServer) query(t *testing.T, expression string) (series []map[string]string) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	p.get(t, "/api/v1/query?query="+url.QueryEscape(expression), &answer)
	for _, r := range answer.Data.Result {
		series = append(series, r.Metric)
	}
	return series
}

// finds says that an expression has no series now.
func (p prometheusServer) finds(t *testing.T, expression string) error {
	t.Helper()
	if len(p.query(t, expression)) == 0 {
		return errors.New("nothing")
	}
	return nil
}

// has tells of each series of memcached_exporter's page that Prometheus has not got of an instance, with the same labels and the same type.
func (p prometheusServer) has(t *testing.T, page, instance string) (wrong error) {
	t.Helper()
	miss := func(format string, args ...any) { wrong = errors.Join(wrong, fmt.Errorf(format, args...)) }
	var metadata struct {
		Data []struct{ Metric, Type string }
	}
	p.get(t, "/api/v1/targets/metadata?match_target="+url.QueryEscape(fmt.Sprintf(`{instance=%q}`, instance)), &metadata)
	types := map[string]string{}
	for _, m := range metadata.Data {
		types[m.Metric] = m.Type
	}
	var got []string
	for _, labels := range p.query(t, fmt.Sprintf(`{__name__=~"memcached_.*",instance=%q}`, instance)) {
		got = append(got, seriesName(labels))
	}
	wanted := 0
	for _, line := range regexp.MustCompile(`(?m)^(memcached_\w+)(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(line[1], "memcached_exporter_") {
			continue // of itself
		}
		wanted++
		labels := map[string]string{"__name__": line[1]}
		for _, pair := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(line[2], -1) {
			labels[pair[1]] = pair[2]
		}
		if !slices.Contains(got, seriesName(labels)) {
			miss("%s: there is no %s", instance, line[0])
		}
		kind := regexp.MustCompile(`(?m)^# TYPE ` + line[1] + ` (\w+)$`).FindStringSubmatch(page)
		if kind == nil || types[line[1]] != kind[1] {
			miss("%s: %s is a %s, want %v", instance, line[1], types[line[1]], kind)
		}
	}
	if wanted < 70 {
		miss("memcached_exporter makes only %d series:\n%s", wanted, page)
	}
	return wrong
}

// seriesName writes labels in one order, without those that Prometheus puts to them.
func seriesName(labels map[string]string) string {
	var pairs []string
	for name, value := range labels {
		if name != "instance" && name != "job" {
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

// scrapeExporter gives the page that memcached_exporter makes of a server.
func scrapeExporter(t *testing.T, binary, server string) (page string) {
	listen := net.JoinHostPort("127.0.0.1", freePorts(t, 1)[0])
	watching := &process{name: binary, args: []string{"--memcached.address=" + server, "--web.listen-address=" + listen}, killed: true}
	keep(t, watching)
	waitFor(t, "memcached_exporter answers", func() error {
		resp, err := http.Get("http://" + listen + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		page = string(body)
		return err
	})
	_ = watching.end(syscall.SIGTERM) // of which it dies
	return page
}
