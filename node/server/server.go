// Package server is the network engine: it listens, reads batches and writes answers, and knows no command.
//
//	accept -> (TLS handshake) -> conn: read a batch -> session.Answer -> write the answers -> read on
//	socket: a datagram is a batch of its own -> session.Answer -> datagrams
//
// One goroutine per connection. It reads only when everything read before has been answered and the answers are sent, so a client that does
// not read its answers costs what its session holds of them, and not for long (patience.go).
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/memring/memring/node/lobby"
	"github.com/memring/memring/node/seating"
	"github.com/memring/memring/protocol/budget"
	"github.com/memring/memring/protocol/session"
)

// Config says how connections are served.
type Config struct {
	// Session begins the conversation of a new connection.
	Session func() *session.Session

	// UDPSession begins the conversation of one datagram; needed for ListenUDP. Datagrams share no conversation: who sent one, and on which
	// wire, says nothing about the next.
	UDPSession func() *session.Session

	// Backlog is the number of connections that the system keeps until they are accepted, at most its own limit. 0: that limit.
	Backlog int

	// Awake, when set, is called before each batch is answered.
	Awake func()

	// MaxConns is the number of connections served at once; more are sent Refusal and closed. 0: any number.
	MaxConns int
	Refusal  string

	// PauseAtLimit lets connections over MaxConns wait, unanswered, until one closes, instead of refusing them.
	PauseAtLimit bool

	// IdleTimeout closes a connection that has sent no whole request for so long, at most two seconds later. A data block that keeps
	// arriving is not idle. 0: never.
	IdleTimeout time.Duration

	// MaxBatch is the number of requests after which a connection lets the others run before it reads on. Its batch is still answered
	// whole: a write for every few requests would cost more than the fairness is worth, and a batch is bounded by its buffers.
	// Default 20.
	MaxBatch int

	// MaxRequestBytes bounds one request, its data block included. A connection's read buffer grows to that only for a request that
	// needs it. Default 2 MiB.
	MaxRequestBytes int

	// MaxBufferBytes bounds what the read buffers of all connections have grown to, together. A connection that would exceed it waits up to
	// a second for others to finish, then it is sent NoMemory, if that is not "", and closed. Default 256 MiB: some 250 uploads of the largest item by default
	// at once. At least room for four of MaxRequestBytes, so that such uploads still go on side by side.
	MaxBufferBytes int64
	NoMemory       string

	// Seats are for connections with long requests or answers, and for who else computes long for them. Default the server's own.
	Seats *seating.Seats

	// MaxStrangers bounds the connections that are about to be encrypted; when there are more, one is closed (lobby.Lobby). 0: any number.
	MaxStrangers int

	// Refused, if not nil, hears of every connection that could not be encrypted, though its client has said something. It is called by the connection's goroutine.
	Refused func(client string, why error)

	// Told, if not nil, hears of every connection when it begins and when it ends. It is called by the connection's goroutine.
	Told func(e ConnEvent)

	// Now is a time in whole seconds, by which connections are idle; only differences count. It is asked once a batch. Default: the time since New, which goes on
	// evenly when the system's is set.
	Now func() int64

	Log *slog.Logger
}

// Stats are counted since the start.
type Stats struct {
	CurrConns, TotalConns, RefusedConns atomic.Int64
	BytesRead, BytesWritten             atomic.Int64
	AcceptErrors                        atomic.Int64

	Accepting                   atomic.Bool  // false while connections wait for MaxConns, and before Start
	ListenDisabled              atomic.Int64 // how often that began
	ListenDisabledMicros        atomic.Int64 // and lasted, once over, in all
	IdleKicks                   atomic.Int64 // connections closed by IdleTimeout
	Yields                      atomic.Int64 // how often MaxBatch was reached with more requests at hand
	NoMemoryConns               atomic.Int64 // connections closed by MaxBufferBytes
	SlowKicks                   atomic.Int64 // connections closed since their client did not take its answers
	Datagrams, DatagramsDropped atomic.Int64 // requests by UDP, and those of them that got no answer though they may have wanted one

	HandshakeErrors atomic.Int64 // connections closed since they could not be encrypted, or not in time
	NewSessions     atomic.Int64 // handshakes that were made in full, not resumed
	TLSErrors       atomic.Int64 // connections closed since their encryption broke later
}

// A Server serves the connections of its listeners.
type Server struct {
	cfg    Config
	stats  Stats
	budget *budget.Budget // of the read buffers that have grown

	// idle is a read buffer that had grown, of 4 MiB at most, and is lent at once to a request of its size. So a client that sends one large value after the
	// other has one buffer, instead of one of each size up to that.
	idle atomic.Pointer[[]byte]

	running    sync.WaitGroup // listeners, sockets and connections
	stopping   chan struct{}  // closed when Stop begins
	handshakes lobby.Seats
	strangers  *lobby.Lobby // those about to be encrypted; nil: any number

	mu        sync.Mutex // guards the rest
	listeners []*listener
	sockets   []*socket
	conns     map[*conn]struct{}
	lastID    int64
	seat      *sync.Cond // told when a connection has ended, and when Stop begins
	waiting   int        // listeners that hold a connection over MaxConns
	pausedAt  time.Time  // when the first of them began to
}

// A listener is where connections come in.
type listener struct {
	net.Listener
	begin func() (*session.Session, *tls.Config) // without the latter a connection is not encrypted
	id    int64
	since int64 // seconds
}

// acceptPause is waited after a failed accept: it fails for want of descriptors, and at once again.
const acceptPause = 10 * time.Millisecond

// New makes a server that listens nowhere yet.
func New(cfg Config) *Server {
	if cfg.MaxRequestBytes == 0 {
		cfg.MaxRequestBytes = 2 << 20
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = 20
	}
	if cfg.MaxBufferBytes == 0 {
		cfg.MaxBufferBytes = 256 << 20
	}
	cfg.MaxBufferBytes = max(cfg.MaxBufferBytes, 4*int64(largeBytes(largeFor(cfg.MaxRequestBytes))))
	if cfg.Seats == nil {
		cfg.Seats = seating.New()
	}
	if cfg.Now == nil {
		began := time.Now()
		cfg.Now = func() int64 { return int64(time.Since(began) / time.Second) }
	}
	s := &Server{cfg: cfg, budget: budget.New(cfg.MaxBufferBytes), stopping: make(chan struct{}), conns: make(map[*conn]struct{})}
	s.handshakes = lobby.NewSeats()
	s.seat = sync.NewCond(&s.mu)
	if cfg.MaxStrangers > 0 {
		s.strangers = lobby.New(cfg.MaxStrangers)
	}
	return s
}

// Stats gives the live counters.
func (s *Server) Stats() *Stats { return &s.stats }

// Budget is of the read buffers that have grown.
func (s *Server) Budget() *budget.Budget { return s.budget }

// Listen binds an address and gives it as bound: network "tcp", "tcp4", "tcp6" or "unix"; mode is the permission of a unix socket, whose
// file is replaced if an earlier process has left it behind, but not if it still answers. Stop removes it.
// Network "tcp" on 0.0.0.0 takes IPv6 as well; "tcp4" does not. Connections wait in the system's queue until Start.
func (s *Server) Listen(network, address string, mode os.FileMode) (bound string, err error) {
	return s.ListenAs(s.cfg.Session, network, address, mode)
}

// ListenAs is Listen for connections whose conversations begin otherwise than by Config.Session: each address may have wires of its own.
func (s *Server) ListenAs(begin func() *session.Session, network, address string, mode os.FileMode) (bound string, err error) {
	return s.listen(plain(begin), network, address, mode)
}

// ListenTLS is ListenAs for connections that are encrypted: each with the configuration that secure gives when it comes.
func (s *Server) ListenTLS(secure func() *tls.Config, begin func() *session.Session, network, address string) (bound string, err error) {
	return s.ListenEach(encrypted(secure, begin), network, address)
}

func plain(begin func() *session.Session) func() (*session.Session, *tls.Config) {
	return func() (*session.Session, *tls.Config) { return begin(), nil }
}

func encrypted(secure func() *tls.Config, begin func() *session.Session) func() (*session.Session, *tls.Config) {
	return func() (*session.Session, *tls.Config) { return begin(), secure() }
}

// ListenEach is ListenTLS for conversations that depend on whom they are with: one is begun with the configuration of its connection.
func (s *Server) ListenEach(begin func() (*session.Session, *tls.Config), network, address string) (bound string, err error) {
	return s.listen(begin, network, address, 0)
}

func (s *Server) listen(begin func() (*session.Session, *tls.Config), network, address string, mode os.FileMode) (bound string, err error) {
	var l net.Listener
	if network == "unix" {
		l, err = listenUnix(address, mode)
	} else {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return "", err
	}
	if err := setBacklog(l, s.cfg.Backlog); err != nil {
		return "", errors.Join(fmt.Errorf("listen %s %s: set the backlog: %w", network, address, err), l.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	s.listeners = append(s.listeners, &listener{Listener: l, begin: begin, id: s.lastID, since: s.cfg.Now()})
	return l.Addr().String(), nil
}

// Start serves the connections of all listeners, and the datagrams, until Stop. It returns at once.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		s.running.Go(func() { s.accept(l) })
	}
	for _, u := range s.sockets {
		for range udpReaders {
			s.running.Go(u.serve)
		}
	}
	s.stats.Accepting.Store(true)
}

// Stop closes the listeners, lets every connection finish the batch it is answering, and closes what is still open after grace.
// It returns when no goroutine of s is left. It may be called again.
func (s *Server) Stop(grace time.Duration) error {
	s.mu.Lock()
	if !s.stopped() {
		close(s.stopping)
	}
	s.seat.Broadcast()
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
	for _, u := range s.sockets {
		u.finish()
	}
	s.mu.Unlock()

	cut := time.AfterFunc(grace, s.cut)
	s.running.Wait()
	cut.Stop()
	s.cut() // the sockets, whose readers end without closing them
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = nil
	s.stats.Accepting.Store(false)
	return errors.Join(errs...)
}

// cut closes what is still open.
func (s *Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.net.Close()
	}
	for _, u := range s.sockets {
		u.net.Close()
	}
}

func (s *Server) stopped() bool {
	select {
	case <-s.stopping:
		return true
	default:
		return false
	}
}

func (s *Server) accept(l *listener) {
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
		s.admit(nc, l)
	}
}

// setBacklog tells the system the length of l's queue: package net always asks for the longest, and listen(2) may be called again.
func setBacklog(l net.Listener, backlog int) error {
	if backlog <= 0 {
		return nil
	}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), backlog) })
	return errors.Join(err, failed)
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
