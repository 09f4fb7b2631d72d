// Package admin is HTTP for operators: health, metrics, the view of the cluster, a console that shows it, and profiles.
//
//	/livez     the process answers
//	/readyz    clients may be sent here; else why not
//	/metrics   for Prometheus (node/metrics)
//	/cluster   members, partitions and moves as JSON (node/overview)
//	/          the console, which draws what /cluster says
//	/debug/pprof/
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/memring/memring/node/lobby"
)

// Config says what is shown.
type Config struct {
	// Ready says why the node is not ready to serve, or nil.
	Ready func() error
	// Metrics are shown beside those of Go and of the process.
	Metrics prometheus.Collector
	// Cluster gives what /cluster shows, as JSON.
	Cluster func() any
	// PProf shows profiles under /debug/pprof: whoever asks for them takes processors.
	PProf bool
	Log   *slog.Logger
}

// An Admin serves HTTP on one address.
type Admin struct {
	listener net.Listener
	server   *http.Server
	running  sync.WaitGroup
}

const (
	// headerTimeout bounds how long a client may take to say what it wants.
	headerTimeout = 5 * time.Second
	// idleTimeout lets a scraper keep its connection between two scrapes.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes bounds how much it may say: some hundred bytes do.
	maxHeaderBytes = 16 << 10
	// maxVisitors bounds the connections: one for each scraper and probe, six for each console. They come out of what clients' connections come out of.
	maxVisitors = 128
)

// Start listens on address and serves until Stop.
func Start(address string, cfg Config) (*Admin, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("admin: listen: %w (change it with --admin-listen, or switch it off with --admin-listen off)", err)
	}
	shown := handler(cfg)
	if at, ok := listener.Addr().(*net.TCPAddr); ok && at.IP.IsLoopback() {
		name, _, _ := net.SplitHostPort(address)
		shown = forOurName(name, shown)
	}
	a := &Admin{
		listener: listener,
		server: &http.Server{
			Handler:           shown,
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		},
	}
	a.running.Go(func() {
		if err := a.server.Serve(door{listener, lobby.New(maxVisitors)}); !errors.Is(err, http.ErrServerClosed) {
			cfg.Log.Error("admin port failed", "err", err)
		}
	})
	return a, nil
}

// Addr gives the address that is listened on.
func (a *Admin) Addr() string { return a.listener.Addr().String() }

// Stop ends the service; requests under way have until ctx is done.
func (a *Admin) Stop(ctx context.Context) error {
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, a.server.Close())
	}
	a.running.Wait()
	return err
}

func handler(cfg Config) http.Handler {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), cfg.Metrics)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := cfg.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /cluster", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(cfg.Cluster()); err != nil {
			cfg.Log.Debug("/cluster not sent", "err", err)
		}
	})
	showConsole(mux)
	if cfg.PProf {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// forOurName refuses what comes to loopback under a name that is neither this machine's own nor the one that was listened on. A page of a stranger's in an operator's browser can have its name lead
// to 127.0.0.1, and would then be let read what is shown here (DNS rebinding).
func forOurName(ours string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if host, _, err := net.SplitHostPort(name); err == nil {
			name = host
		}
		_, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if err != nil && name != "localhost" && name != ours && name != "" {
			http.Error(w, "ask for localhost, or for an address", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A door lets in so many at once: who comes as one too many has somebody of his own address sent away (lobby.Lobby), so a flood keeps out nobody but its own.
type door struct {
	net.Listener
	lobby *lobby.Lobby
}

// Accept implements net.Listener.
func (d door) Accept() (net.Conn, error) {
	conn, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	return visitor{conn, d.lobby.Enter(host, func() { conn.Close() })}, nil
}

// A visitor has a place in the lobby until he goes.
type visitor struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (v visitor) Close() error {
	v.leave()
	return v.Conn.Close()
}
