package server

import (
	"net"
	"time"
)

// admit serves nc, which has come to l, on a goroutine of its own, or refuses it. At the limit it may wait, and with it l: what comes after nc
// waits in the system's queue.
func (s *Server) admit(nc net.Conn, l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.PauseAtLimit {
		s.waitForSeatLocked()
	}
	switch {
	case s.stopped():
		nc.Close()
	case s.fullLocked():
		s.stats.RefusedConns.Add(1)
		// The socket is new and its buffer empty, so this short write does not block. As in memcached it is not encrypted: a client on TLS
		// sees an error too, and whoever comes too often costs no handshakes.
		_, _ = nc.Write([]byte(s.cfg.Refusal))
		nc.Close()
	default:
		s.lastID++
		c := &conn{server: s, id: s.lastID, net: nc}
		c.session, c.config = l.begin()
		c.mark(reading, s.cfg.Now())
		if s.cfg.IdleTimeout > 0 {
			_ = nc.SetReadDeadline(time.Now().Add(s.cfg.IdleTimeout))
		}
		s.conns[c] = struct{}{}
		s.stats.CurrConns.Add(1)
		s.stats.TotalConns.Add(1)
		s.running.Go(c.serve)
	}
}

func (s *Server) fullLocked() bool { return s.cfg.MaxConns > 0 && len(s.conns) >= s.cfg.MaxConns }

// SetMaxConns changes how many connections are served at once. Those there are stay, however many.
func (s *Server) SetMaxConns(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.MaxConns = n
	s.seat.Broadcast()
}

// SetIdleTimeout changes Config.IdleTimeout, for the connections that are there as well.
func (s *Server) SetIdleTimeout(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.IdleTimeout = d
	for c := range s.conns {
		if !c.shaking && !s.stopped() {
			_ = c.net.SetReadDeadline(time.Now()) // its next read fails, and prolong looks
		}
	}
}

func (s *Server) idleTimeout() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.IdleTimeout
}

// waitForSeatLocked returns when there is room for a connection, or at the end.
func (s *Server) waitForSeatLocked() {
	if !s.fullLocked() {
		return
	}
	if s.waiting++; s.waiting == 1 {
		s.pausedAt = time.Now()
		s.stats.ListenDisabled.Add(1)
		s.stats.Accepting.Store(false)
	}
	for s.fullLocked() && !s.stopped() {
		s.seat.Wait()
	}
	if s.waiting--; s.waiting == 0 {
		s.stats.ListenDisabledMicros.Add(time.Since(s.pausedAt).Microseconds())
		s.stats.Accepting.Store(!s.stopped())
	}
}

// forget frees the seat of c.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.stats.CurrConns.Add(-1)
	s.seat.Signal()
}

// prolong gives c the rest of its time after a read that ran into its deadline; false if it has none left, or the server stops.
//
// The deadline is moved here only, once per IdleTimeout, and not by every request. It is in seconds, cut off, hence "more than": nobody is
// kicked early.
func (s *Server) prolong(c *conn) bool {
	s.mu.Lock() // against Stop, which moves the deadline into the past for good
	defer s.mu.Unlock()
	c.shaking = false
	switch {
	case s.stopped():
		return false
	case c.session.Streaming():
		return true // the batch to come calls wake
	case s.cfg.IdleTimeout == 0: // a deadline of wake, for a stream that has ended since, or of SetIdleTimeout
		return c.net.SetReadDeadline(time.Time{}) == nil
	}
	_, since := c.marked()
	idle := time.Duration(s.cfg.Now()-since) * time.Second
	if idle > s.cfg.IdleTimeout {
		s.stats.IdleKicks.Add(1)
		return false
	}
	return c.net.SetReadDeadline(time.Now().Add(max(s.cfg.IdleTimeout-idle, time.Second))) == nil
}

// wake has the read of c end soon, since it has a stream to ask for more.
func (s *Server) wake(c *conn) {
	s.mu.Lock() // against Stop, as above
	defer s.mu.Unlock()
	if !s.stopped() {
		_ = c.net.SetReadDeadline(time.Now().Add(streamPause))
	}
}

// streamPause is how long a stream that has nothing to give is left alone: nobody who watches a log sees that.
const streamPause = 100 * time.Millisecond
