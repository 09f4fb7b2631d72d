package server

import (
	"net"
	"syscall"

	"github.com/memring/memring/node/rawio"
)

// converse answers until the client goes, the conversation ends, or the server stops.
//
// On a socket all that happens inside one call of RawConn.Read, which waits on the runtime's poller whenever turn finds nothing more
// to read. It spares the scheduler's part in every system call, and lets the buffer go while there is nothing in it.
func (c *conn) converse() {
	raw := rawConn(c.net)
	if raw == nil {
		c.converseSlowly()
		return
	}
	c.tells = c.secure == nil && rawio.TellsLeft(c.net, raw)
	for {
		if err := raw.Read(c.turn); err == nil || !c.goesOnAfter(err) {
			return
		}
	}
}

// rawConn gives nil for what is no socket of the system.
func rawConn(nc net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch nc := nc.(type) {
	case *net.TCPConn:
		raw, _ = nc.SyscallConn()
	case *net.UnixConn:
		raw, _ = nc.SyscallConn()
	}
	return raw
}

// turn answers what has come on the socket and reports whether the conversation is over.
//
// It may say that it is not only after a read that found nothing, or after which the socket told that there is nothing: the poller tells of a change
// once, and data and the end of the stream may be one change. So may data and a reset, of which the socket does not tell: then the write of the
// answers fails, and if there were none, it is read again.
func (c *conn) turn(fd uintptr) (over bool) {
	c.raw, c.fd = true, fd
	for {
		c.borrow()
		c.takeSeat()
		c.wrote = false
		n, err := c.read(c.in[c.end:])
		switch {
		case n > 0:
			if !c.received(n) {
				return true
			}
			if c.drained && c.wrote {
				return c.pause()
			}
		case err == syscall.EAGAIN:
			return c.pause()
		default:
			return !c.fails(err)
		}
	}
}

// pause prepares c for a wait; it is not over.
func (c *conn) pause() (over bool) {
	c.leaveSeat()
	c.lend()
	c.unbroken = 0
	return false
}

// readSocket reads what has come; within a turn it does not wait: EAGAIN. p is not empty.
func (c *conn) readSocket(p []byte) (int, error) {
	if !c.raw {
		return c.net.Read(p)
	}
	if !c.tells {
		return rawio.Read(c.fd, p)
	}
	n, drained, err := rawio.ReadAndTell(c.fd, p)
	c.drained = drained
	return n, err
}

// writeSocket writes p, if the socket takes it, at once; the rest as a goroutine should that may have to wait.
func (c *conn) writeSocket(p []byte) (int, error) {
	c.wrote = true
	sent := 0
	if c.raw && len(p) <= rawio.MaxSend {
		n, _ := rawio.Transmit(c.fd, p)
		if sent = max(n, 0); sent == len(p) {
			return sent, nil
		}
	}
	n, err := c.writeSlowly(p[sent:]) // meets the error again, if it was one
	return sent + n, err
}

// writeWaiting writes p and waits while the socket takes no more, until the deadline.
func (c *conn) writeWaiting(p []byte) (sent int, err error) {
	if raw := rawConn(c.net); raw != nil && len(p) > rawio.MaxSend {
		return c.writeSeated(raw, p)
	}
	return c.net.Write(p)
}

// writeSeated is writeWaiting for what is long: in a seat, which is left for each wait. A socket takes some megabytes at once.
func (c *conn) writeSeated(raw syscall.RawConn, p []byte) (sent int, err error) {
	failed := raw.Write(func(fd uintptr) (over bool) {
		c.sit()
		defer c.leaveSeat()
		for sent < len(p) {
			switch n, errno := rawio.Transmit(fd, p[sent:min(sent+rawio.MaxSend, len(p))]); errno {
			case 0:
				sent += n
			case syscall.EINTR:
			case syscall.EAGAIN:
				return false
			default:
				err = errno
				return true
			}
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return sent, err
}
