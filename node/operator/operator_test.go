package operator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
)

// down is the rest of the chain: it says that it was reached.
type down struct{}

func (down) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.NotStored
	return nil
}

// desk is an operator over a node that notes what is asked of it.
type desk struct {
	*operator.Operator
	cfg   operator.Config
	noted []string
	crawl bool
}

func newDesk(change func(*operator.Config)) *desk {
	d := &desk{crawl: true}
	note := func(format string, args ...any) { d.noted = append(d.noted, fmt.Sprintf(format, args...)) }
	line := func(name string) []protocol.ReportLine { return []protocol.ReportLine{{Label: "STAT", Name: name}} }
	d.cfg = operator.Config{
		Version: "1.6.45",
		Stats: func(group string) ([]protocol.ReportLine, bool) {
			known := map[string]bool{"": true, "settings": true, "conns": true, "items": true, "cluster": true}
			return line(group), known[group]
		},
		ResetStats: func() { note("reset") },
		Verbosity:  func(level uint64) { note("verbosity %d", level) },
		Nodes:      func(dst []byte) []byte { return append(dst, "7\nlocalhost|127.0.0.1|1\n"...) },
		SetLimit: func(bytes int64) error {
			note("limit %d", bytes)
			if bytes == 9<<20 {
				return errors.New("no")
			}
			return nil
		},
		Crawling: func() bool { return d.crawl },
		SetCrawling: func(on bool) bool {
			changed := d.crawl != on
			d.crawl = on
			return changed
		},
		Crawl: func() { note("crawl") },
		Dump:  func(func([]byte, operator.Item) []byte, string) protocol.Stream { return endless{} },
		Some: func(limit, _ int) []operator.Item {
			note("some %d", limit)
			return []operator.Item{{Key: []byte("k"), ValueBytes: 3, Expiry: 9}, {Key: []byte("a b")}}
		},
		SetDetail: func(on bool) { note("detail %v", on) },
		Detail:    func() []protocol.ReportLine { return line("prefix") },
	}
	if change != nil {
		change(&d.cfg)
	}
	d.Operator = operator.New(d.cfg, down{})
	return d
}

type endless struct{}

func (endless) Next(dst []byte) ([]byte, bool) { return dst, true }
func (endless) Close()                         {}

// ask says a line as the text wire passes it on, and gives the answer as that wire says it, or nearly.
func (d *desk) ask(said string) string {
	verb, rest, _ := strings.Cut(said, " ")
	req := protocol.Request{Op: protocol.Operate, Key: []byte(verb), Value: []byte(" " + rest)}
	if verb == "stats" {
		req = protocol.Request{Op: protocol.Stats, Key: []byte(rest)}
	}
	var resp protocol.Response
	if d.Handle(&req, &resp) != nil {
		return "later"
	}
	var lines []string
	for _, l := range resp.Report {
		lines = append(lines, strings.TrimSpace(l.Label+" "+l.Name+" "+l.Value))
	}
	switch {
	case resp.Stream != nil:
		return "stream " + string(resp.Value)
	case resp.Status == protocol.Verbatim, resp.Status == protocol.ServerError:
		return string(resp.Value)
	case resp.Status == protocol.UnknownCommand:
		return "ERROR"
	}
	return strings.Join(lines, "|")
}

// What memcached 1.6.45 says is recorded in protocol/text/testdata; this is what cannot be asked of it, and what the node is made to do.
func TestCommands(t *testing.T) {
	f := func(d *desk, said, want string, noted ...string) {
		t.Helper()
		d.noted = nil
		if got := d.ask(said); got != want {
			t.Errorf("%s: %q, want %q", said, got, want)
		}
		if strings.Join(d.noted, ",") != strings.Join(noted, ",") {
			t.Errorf("%s: the node did %q, want %q", said, d.noted, noted)
		}
	}
	d := newDesk(nil)
	f(d, "cache_memlimit 8", "OK", "limit 8388608")
	f(d, "cache_memlimit 9", "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust", "limit 9437184")
	f(d, "cache_memlimit 7", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
	f(d, "lru_crawler crawl all", "OK", "crawl")
	f(d, "lru_crawler crawl 2,1", "OK", "crawl")
	f(d, "lru_crawler crawl 2", "OK")
	f(d, "lru_crawler enable", "ERROR failed to start lru crawler thread")
	f(d, "lru_crawler metadump all", "stream metadump")
	f(d, "lru_crawler mgdump 1", "stream mgdump")
	f(d, "lru_crawler mgdump 5", "OK\r\nEN")
	f(d, "lru_crawler disable", "OK")
	f(d, "lru_crawler metadump all", "CLIENT_ERROR lru crawler disabled")
	f(d, "lru_crawler enable", "OK")
	f(d, "shutdown", "SERVER_ERROR: shutdown not enabled")
	f(d, "debugtime 1", "ERROR")
	f(d, "refresh_certs", "ERROR")
	f(d, "misbehave", "ERROR")

	f(d, "stats", "STAT")
	f(d, "stats se", "STAT settings")
	f(d, "stats co", "STAT conns")
	f(d, "stats cluster", "STAT cluster")
	f(d, "stats item", "ERROR")
	f(d, "stats detail on", "OK", "detail true")
	f(d, "stats detail dump", "STAT prefix")
	f(d, "stats cachedump 1 7", "ITEM k [3 b; 9 s]", "some 7")
	f(d, "stats cachedump 2 7", "")

	var did []string
	open := newDesk(func(c *operator.Config) {
		c.NoDump = true
		c.Shutdown = func(graceful bool) { did = append(did, fmt.Sprint(graceful)) }
		c.RefreshCerts = func() error { return errors.New("no such file") }
		c.Debug = func(d operator.Debug) { did = append(did, fmt.Sprint(d)) }
	})
	f(open, "lru_crawler metadump all", "ERROR metadump not allowed")
	f(open, "lru_crawler mgdump all", "ERROR key dump not allowed")
	f(open, "stats detail on", "CLIENT_ERROR stats detail not allowed")
	f(open, "stats cachedump", "CLIENT_ERROR stats cachedump not allowed")
	f(open, "stats hotkeys", "CLIENT_ERROR stats hotkeys not allowed")
	f(open, "shutdown now", "CLIENT_ERROR invalid shutdown mode")
	f(open, "shutdown", "")
	f(open, "shutdown graceful", "")
	f(open, "refresh_certs", "no such file")
	f(open, "debugtime -5", "OK")
	f(open, "debugtime p", "OK")
	f(open, "debugtime x", "ERROR")
	if got := strings.Join(did, " "); got != "false true {-5 false false} {0 true false}" {
		t.Errorf("the node did %s", got)
	}
}

func TestNodes(t *testing.T) {
	d := newDesk(nil)
	f := func(op protocol.Op, key string, status protocol.Status, value string) {
		t.Helper()
		var resp protocol.Response
		d.Handle(&protocol.Request{Op: op, Key: []byte(key)}, &resp)
		if resp.Status != status || string(resp.Value) != value {
			t.Errorf("%s %s: status %d, %q", op, key, resp.Status, resp.Value)
		}
	}
	f(protocol.Configuration, "cluster", protocol.OK, "7\nlocalhost|127.0.0.1|1\n")
	f(protocol.Get, "AmazonElastiCache:cluster", protocol.OK, "7\nlocalhost|127.0.0.1|1\n")
	f(protocol.Configuration, "b'cluster'", protocol.UnknownCommand, "")
	f(protocol.Get, "AmazonElastiCache:clusters", protocol.NotStored, "")
	f(protocol.Set, "AmazonElastiCache:cluster", protocol.NotStored, "")
}

// What passes through on its way to the store costs nothing here.
func TestPassingAllocatesNothing(t *testing.T) {
	d := newDesk(nil)
	req, resp := &protocol.Request{Op: protocol.Get, Key: []byte("AmazonElastiCache:clusterX")}, &protocol.Response{}
	if n := testing.AllocsPerRun(100, func() { d.Handle(req, resp) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPassing(b *testing.B) {
	d := newDesk(nil)
	req, resp := &protocol.Request{Op: protocol.Get, Key: []byte("key:12345")}, &protocol.Response{}
	for b.Loop() {
		d.Handle(req, resp)
	}
}

// The words are memcached's, or beginnings of them; of what does not happen here nothing is told.
func TestWatchable(t *testing.T) {
	f := func(words string, want watch.Kinds) {
		t.Helper()
		asked := ^watch.Kinds(0)
		d := newDesk(func(c *operator.Config) {
			c.Watch = func(kinds watch.Kinds) (protocol.Stream, bool) {
				asked = kinds
				return endless{}, true
			}
		})
		var resp protocol.Response
		d.Handle(&protocol.Request{Op: protocol.Operate, Key: []byte("watch"), Value: []byte(words)}, &resp)
		if asked != want || (resp.Stream == nil) != (want == ^watch.Kinds(0)) {
			t.Errorf("watch %s: %b, want %b", words, asked, want)
		}
	}
	const refused = ^watch.Kinds(0)
	f("", watch.Fetchers)
	f("fetchers mutations deletions", watch.Fetchers|watch.Mutations|watch.Deletions)
	f("evictions connevents sysevents", watch.Evictions|watch.ConnEvents|watch.SysEvents)
	f("f m e c s r d p", watch.Fetchers|watch.Mutations|watch.Evictions|watch.ConnEvents|watch.SysEvents|watch.Deletions)
	f("rawcmds proxyreqs proxyevents proxyuser proxy", 0)
	f("fetchers bogus", refused)
	f("fetcherss", refused)
}
