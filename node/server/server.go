// Package server is the network engine: it listens, reads batches and writes answers, and knows no command.
//
//	accept -> conn: read a batch -> session.Answer -> write the answers -> read on
//
// One goroutine per connection. It reads only when everything read before has been answered and the answers are sent, so a client that does
// not read its answers costs one buffer of answers, not more.
package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol/session"
)

// Config says how connections are served.
type Config struct {
	// Session begins the conversation of a new connection.
	Session func() *session.Session

	// MaxConns is the number of connections served at once; more are sent Refusal and closed. 0: any number.
	MaxConns int
	Refusal  string

	// MaxRequestBytes bounds one request, its data block included. A connection's read buffer grows to that only for a request that
	// needs it. Default 2 MiB.
	MaxRequestBytes int

	Log *slog.Logger
}

// Stats are counted since the start.
type Stats struct {
	CurrConns, TotalConns, RefusedConns atomic.Int64
	BytesRead, BytesWritten             atomic.Int64
	AcceptErrors                        atomic.Int64
}

// A Server serves the connections of its listeners.
type Server struct {
	cfg   Config
	stats Stats

	running sync.WaitGroup // listeners and connections

	mu        sync.Mutex // guards the rest
	listeners []net.Listener
	conns     map[*conn]struct{}
	stopping  bool
}

// acceptPause is waited after a failed accept: it fails for want of descriptors, and at once again.
const acceptPause = 10 * time.Millisecond

// New makes a server that listens nowhere yet.
func New(cfg Config) *Server {
	if cfg.MaxRequestBytes == 0 {
		cfg.MaxRequestBytes = 2 << 20
	}
	return &Server{cfg: cfg, conns: make(map[*conn]struct{})}
}

// Stats gives the live counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Listen binds an address and gives it as bound: network "tcp", "tcp4", "tcp6" or "unix"; mode is the permission of a unix socket, whose
// file is replaced if an earlier process has left it behind, but not if it still answers.
// Connections wait in the system's queue until Start.
func (s *Server) Listen(network, address string, mode os.FileMode) (bound string, err error) {
	var l net.Listener
	if network == "unix" {
		l, err = listenUnix(address, mode)
	} else {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
	return l.Addr().String(), nil
}

// Start serves the connections of all listeners until Stop. It returns at once.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		s.running.Go(func() { s.accept(l) })
	}
}

// Stop closes the listeners, lets every connection finish the batch it is answering, and closes what is still open after grace.
// It returns when no goroutine of s is left.
func (s *Server) Stop(grace time.Duration) error {
	s.mu.Lock()
	s.stopping = true
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close listener %s: %w", l.Addr(), err))
		}
	}
	s.listeners = nil
	for c := range s.conns {
		c.finish()
	}
	s.mu.Unlock()

	cut := time.AfterFunc(grace, s.cutConns)
	s.running.Wait()
	cut.Stop()
	return errors.Join(errs...)
}

func (s *Server) cutConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.net.Close()
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Mostly EMFILE. Only the first of a storm is logged; the counter has the rest.
			if s.stats.AcceptErrors.Add(1) == 1 {
				s.cfg.Log.Warn("cannot accept connections", "listener", l.Addr().String(), "err", err)
			}
			time.Sleep(acceptPause)
			continue
		}
		s.admit(nc)
	}
}

// admit serves nc on a goroutine of its own, or refuses it.
func (s *Server) admit(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		nc.Close()
	case s.cfg.MaxConns > 0 && len(s.conns) >= s.cfg.MaxConns:
		s.stats.RefusedConns.Add(1)
		// The socket is new and its buffer empty, so this short write does not block.
		_, _ = nc.Write([]byte(s.cfg.Refusal))
		nc.Close()
	default:
		c := &conn{server: s, net: nc, session: s.cfg.Session()}
		s.conns[c] = struct{}{}
		s.stats.CurrConns.Add(1)
		s.stats.TotalConns.Add(1)
		s.running.Go(c.serve)
	}
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.stats.CurrConns.Add(-1)
}

func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if probe, err := net.DialTimeout("unix", path, time.Second); err == nil {
		probe.Close()
		return nil, fmt.Errorf("listen unix %s: another process serves this socket", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace old socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("set mode of socket: %w", err), l.Close())
	}
	return l, nil
}
