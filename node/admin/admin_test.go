package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	why := "no other member reached yet"
	reason.Store(&why)
	f("/readyz", 503, why)
	f("/livez", 200, "ok")

	client.CloseIdleConnections()
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", a.Addr()); err == nil {
		t.Fatal("still listening")
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
