package admin_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/memring/memring/node/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHealthAndMetrics(t *testing.T) {
	var reason atomic.Pointer[string]
	a, err := admin.Start("127.0.0.1:0", admin.Config{
		Ready: func() error {
			if r := reason.Load(); r != nil {
				return errors.New(*r)
			}
			return nil
		},
		Metrics: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ours", Help: "Of the node."}),
		Cluster: func() any { return map[string]int{"members": 3} },
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	f := func(path string, wantCode int, wantBody string) {
		t.Helper()
		resp, err := client.Get("http://" + a.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != wantCode || !strings.Contains(string(body), wantBody) {
			t.Errorf("%s: %d %.200q, %v; want %d with %q", path, resp.StatusCode, body, err, wantCode, wantBody)
		}
	}
	f("/livez", 200, "ok")
	f("/readyz", 200, "ok")
	f("/metrics", 200, "go_goroutines")
	f("/metrics", 200, "ours 0")
	f("/elsewhere", 404, "")
	f("/cluster", 200, `{"members":3}`)
	f("/debug/pprof/", 404, "")
	for _, why := range []string{"no other member reached yet", "no table of the members adopted yet", "first pull not done", "leaving the cluster"} {
		reason.Store(&why)
		f("/readyz", 503, why+"\n")
		f("/livez", 200, "ok\n")
		reason.Store(nil)
		f("/readyz", 200, "ok\n")
	}

	client.CloseIdleConnections()
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", a.Addr()); err == nil {
		t.Fatal("still listening")
	}
}

// silent is an Admin with nothing behind it.
func silent(t *testing.T) *admin.Admin {
	t.Helper()
	a, err := admin.Start("127.0.0.1:0", admin.Config{
		Metrics: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ours", Help: "Of the node."}), Cluster: func() any { return nil }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A page of somebody else's in an operator's browser, whose name leads to this machine, is shown nothing.
func TestOnlyOurNameIsAnswered(t *testing.T) {
	a := silent(t)
	defer a.Stop(context.Background())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(a.Addr())
	f := func(host string, want int) {
		t.Helper()
		for _, path := range []string{"/", "/cluster", "/metrics", "/livez"} {
			req, err := http.NewRequest(http.MethodGet, "http://"+a.Addr()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := (&http.Client{Transport: transport}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s for %q: %d, want %d", path, host, resp.StatusCode, want)
			}
		}
	}
	f("", 200) // the address that was dialled
	f("127.0.0.1:"+port, 200)
	f("localhost:"+port, 200)
	f("localhost", 200)
	f("[::1]:"+port, 200)
	f("rebound.example:"+port, 421)
	f("localhost.example", 421)
}

// Who opens connections without end has those closed that he opened first; whoever asks is answered.
func TestAFloodOfVisitorsIsBounded(t *testing.T) {
	a := silent(t)
	defer a.Stop(context.Background())
	const flood, places = 200, 128
	var conns []net.Conn
	for range flood {
		conn, err := net.Dial("tcp", a.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil { // before an idle one would be closed for that
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if said, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(said, "200 OK") {
			t.Fatalf("%q, %v", said, err)
		}
		conns = append(conns, conn)
	}
	for i, conn := range conns[:flood-places] {
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("connection %d of %d is still open", i, flood)
		}
	}
}

// The console is whole: all that its pages name is there, and nothing of it comes from elsewhere.
func TestConsole(t *testing.T) {
	a, err := admin.Start("127.0.0.1:0", admin.Config{
		Metrics: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ours", Help: "Of the node."}),
		PProf:   true,
		Log:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	get := func(path, kind string) string {
		t.Helper()
		resp, err := client.Get("http://" + a.Addr() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) {
			t.Errorf("%s: %s, %v, %v", path, resp.Status, resp.Header, err)
		}
		if policy := resp.Header.Get("Content-Security-Policy"); kind != "" && (!strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe")) {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		return string(body)
	}
	texts := map[string]string{"/": get("/", "text/html"), "/console.css": get("/console.css", "text/css")}
	for _, named := range regexp.MustCompile(`(?:src|href)="([a-z.]+\.[a-z]+)"`).FindAllStringSubmatch(texts["/"], -1) {
		texts["/"+named[1]] = get("/"+named[1], map[string]string{"js": "text/javascript", "css": "text/css", "svg": "image/svg"}[named[1][strings.IndexByte(named[1], '.')+1:]])
	}
	for _, named := range regexp.MustCompile(`from "\./([a-z.]+)"`).FindAllStringSubmatch(texts["/console.js"], -1) {
		texts["/"+named[1]] = get("/"+named[1], "text/javascript")
	}
	if len(texts) != 5 {
		t.Errorf("%d files are named, want 5", len(texts))
	}
	elsewhere := regexp.MustCompile(`(?i)https?://[^ "']*|style="[^"]*|\son[a-z]+="[^"]*|<script>`)
	for path, text := range texts {
		for _, found := range elsewhere.FindAllString(text, -1) {
			if found != "http://www.w3.org/2000/svg" { // a name, not an address
				t.Errorf("%s has %q", path, found)
			}
		}
	}
	get("/debug/pprof/goroutine?debug=1", "")
	client.CloseIdleConnections()
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestPortInUseNamesTheFlag(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := admin.Start(l.Addr().String(), admin.Config{}); err == nil || !strings.Contains(err.Error(), "--admin-listen") {
		t.Fatalf("got %v", err)
	}
}
