package server

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// A ConnEvent is what is told of a connection that begins or ends, in memcached's words.
type ConnEvent struct {
	Closed    bool
	IP        string // the client's; "unix" on a unix socket
	Port      int
	Transport string // tcp, or local
	Origin    uint32 // the number of its session
	Reason    Reason // with Closed
}

// String gives memcached's line.
func (e ConnEvent) String() string {
	if e.Closed {
		return fmt.Sprintf("type=conn_close rip=%s rport=%d transport=%s reason=%s cfd=%d", e.IP, e.Port, e.Transport, e.Reason, e.Origin)
	}
	return fmt.Sprintf("type=conn_new rip=%s rport=%d transport=%s cfd=%d", e.IP, e.Port, e.Transport, e.Origin)
}

// A Reason is why a connection has ended.
type Reason string

// The reasons, by memcached's names.
const (
	Normal     Reason = "normal" // the client has said so, or has gone
	Error      Reason = "error"
	IdleKick   Reason = "idle_timeout"
	ServerStop Reason = "shutdown"
)

// ends notes why c ends, unless that is known, and is false: it does not go on.
func (c *conn) ends(why Reason) bool {
	if c.reason == "" {
		c.reason = why
	}
	return false
}

// fails is ends for an error of the connection.
func (c *conn) fails(err error) bool {
	if errors.Is(err, io.EOF) {
		return c.ends(Normal)
	}
	return c.ends(Error)
}

// tell tells that c begins, or has ended.
func (c *conn) tell(closed bool) {
	if c.server.cfg.Told == nil {
		return
	}
	e := ConnEvent{Closed: closed, IP: "unix", Transport: "local", Origin: c.session.Origin()}
	if at, ok := c.net.RemoteAddr().(*net.TCPAddr); ok {
		e.IP, e.Port, e.Transport = at.AddrPort().Addr().Unmap().String(), at.Port, "tcp"
	}
	if closed {
		c.ends(Error)
		if e.Reason = c.reason; c.server.stopped() {
			e.Reason = ServerStop
		}
	}
	c.server.cfg.Told(e)
}
