package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

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
