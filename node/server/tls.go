package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/memring/memring/node/lobby"
)

// handshakePatience bounds a handshake: it takes a client two round trips and some milliseconds, and one that never speaks must not keep its
// place among MaxConns.
const handshakePatience = 10 * time.Second

// A tlsSocket is the socket of a connection, as crypto/tls reads and writes it.
//
//	socket -> readSocket -> tls.Conn -> the read buffer -> session -> tls.Conn -> writeSocket -> socket
//
// What stands above tls.Conn and below it is the same as without TLS: within a turn a read that finds nothing says EAGAIN, which tls.Conn passes
// on and survives, as it does a deadline, keeping the part of a record that has come.
//
// Until it is done a handshake takes turns with others (lobby.Seats).
type tlsSocket struct {
	net.Conn
	of      *conn
	shaking *lobby.Handshake // nil once it is done
}

// shakeHands encrypts c, and reports whether that worked.
func (c *conn) shakeHands() bool {
	s, patience := c.server, handshakePatience
	if idle := s.idleTimeout(); idle > 0 {
		patience = min(patience, idle)
	}
	until := time.Now().Add(patience)
	socket := &tlsSocket{Conn: c.net, of: c, shaking: s.handshakes.Over(c.net, until, s.stopping)}
	if !s.limit(c, until) {
		return false
	}
	if s.strangers != nil {
		host, _, _ := net.SplitHostPort(c.net.RemoteAddr().String())
		defer s.strangers.Enter(host, func() { c.net.Close() })()
	}
	c.secure = tls.Server(socket, c.config)
	err := c.secure.Handshake()
	socket.shaking.Done()
	socket.shaking, c.config = nil, nil
	switch {
	case s.stopped():
		return false
	case err != nil:
		s.stats.HandshakeErrors.Add(1)
		s.cfg.Log.Debug("a TLS handshake failed", "client", c.net.RemoteAddr().String(), "err", err)
		if s.cfg.Refused != nil && !errors.Is(err, io.EOF) {
			s.cfg.Refused(c.net.RemoteAddr().String(), err)
		}
		return false
	}
	if !c.secure.ConnectionState().DidResume {
		s.stats.NewSessions.Add(1)
	}
	c.mark(reading, s.cfg.Now())
	return c.net.SetWriteDeadline(time.Time{}) == nil && s.prolong(c)
}

// limit gives a handshake its end; false if the server stops.
func (s *Server) limit(c *conn, until time.Time) bool {
	s.mu.Lock() // against Stop, which moves the deadline into the past for good
	defer s.mu.Unlock()
	c.shaking = true
	return !s.stopped() && c.net.SetDeadline(until) == nil
}

func (t *tlsSocket) Read(p []byte) (int, error) {
	if t.shaking != nil {
		return t.shaking.Read(p)
	}
	return t.of.readSocket(p)
}

func (t *tlsSocket) Write(p []byte) (int, error) {
	if t.shaking != nil {
		return t.shaking.Write(p)
	}
	return t.of.writeSocket(p)
}

// ofTLS reports whether an error is of the encryption, and not of the socket below it: what came was no TLS, or had been changed, or the client
// says so of what we sent.
func ofTLS(err error) bool {
	var header tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &header) || errors.As(err, &alert) && (alert.Op == "local error" || alert.Op == "remote error")
}
