package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"
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
// A handshake costs a processor a millisecond and more, some hundred times what a request does. So only a few compute at once, each in a seat,
// which it leaves whenever it waits for its client: when all clients come again at once, those who are through are served meanwhile.
type tlsSocket struct {
	net.Conn
	of     *conn
	until  time.Time // when the handshake must be done; zero once it is
	seated bool
}

// shakeHands encrypts c, and reports whether that worked.
func (c *conn) shakeHands() bool {
	s, patience := c.server, handshakePatience
	if s.cfg.IdleTimeout > 0 {
		patience = min(patience, s.cfg.IdleTimeout)
	}
	socket := &tlsSocket{Conn: c.net, of: c, until: time.Now().Add(patience)}
	if !s.limit(c, socket.until) {
		return false
	}
	if s.strangers != nil {
		host, _, _ := net.SplitHostPort(c.net.RemoteAddr().String())
		defer s.strangers.Enter(host, func() { c.net.Close() })()
	}
	c.secure = tls.Server(socket, c.config)
	err := c.secure.Handshake()
	socket.leaveSeat()
	socket.until, c.config = time.Time{}, nil
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
	return !s.stopped() && c.net.SetDeadline(until) == nil
}

func (t *tlsSocket) Read(p []byte) (int, error) {
	if t.until.IsZero() {
		return t.of.readSocket(p)
	}
	t.leaveSeat()
	n, err := t.Conn.Read(p)
	if err == nil {
		err = t.takeSeat() // without it the handshake has failed, and with it what was read
	}
	return n, err
}

func (t *tlsSocket) Write(p []byte) (int, error) {
	if t.until.IsZero() {
		return t.of.writeSocket(p)
	}
	t.leaveSeat()
	return t.Conn.Write(p) // seldom waits; what is computed after it has no seat, and is little
}

// takeSeat waits until there is one, or the handshake's time is over.
func (t *tlsSocket) takeSeat() error {
	patience := time.NewTimer(time.Until(t.until))
	defer patience.Stop()
	select {
	case t.of.server.handshakes <- struct{}{}:
		t.seated = true
		return nil
	case <-t.of.server.stopping:
		return net.ErrClosed
	case <-patience.C:
		return os.ErrDeadlineExceeded
	}
}

func (t *tlsSocket) leaveSeat() {
	if t.seated {
		<-t.of.server.handshakes
		t.seated = false
	}
}

// ofTLS reports whether an error is of the encryption, and not of the socket below it: what came was no TLS, or had been changed, or the client
// says so of what we sent.
func ofTLS(err error) bool {
	var header tls.RecordHeaderError
	var alert *net.OpError
	return errors.As(err, &header) || errors.As(err, &alert) && (alert.Op == "local error" || alert.Op == "remote error")
}
