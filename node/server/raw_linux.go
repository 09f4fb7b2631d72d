package server

import (
	"net"
	"syscall"
)

// maxRawSend is the most that is sent without telling the scheduler: copying so much takes some microseconds.
const maxRawSend = 64 << 10

// serve answers until the client goes, the conversation ends, or the server stops.
//
// On a plain socket all that happens inside one call of RawConn.Read, which waits on the runtime's poller whenever turn finds nothing more
// to read. It spares the scheduler's part in every system call, and lets the buffer go while there is nothing in it.
func (c *conn) serve() {
	defer c.close()
	raw := rawConn(c.net)
	if raw == nil {
		c.servePlain()
		return
	}
	for {
		if err := raw.Read(c.turn); err == nil || !c.goesOnAfter(err) {
			return
		}
	}
}

// rawConn gives nil for what must be read and written in its own way, like TLS.
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
// It may say that it is not only after a read that found nothing: the poller tells of a change once, and data and the end of the stream may
// be one change.
func (c *conn) turn(fd uintptr) (over bool) {
	c.raw, c.fd = true, fd
	for {
		c.borrow()
		n, errno := receive(fd, c.in[c.end:])
		switch {
		case errno == syscall.EINTR:
		case errno == syscall.EAGAIN:
			c.lend()
			c.unbroken = 0
			return false
		case errno != 0 || n == 0 || !c.received(n):
			return true
		}
	}
}

// send writes p, if the socket takes it, at once; the rest as a goroutine should that may have to wait.
func (c *conn) send(p []byte) error {
	sent := 0
	if c.raw && len(p) <= maxRawSend {
		n, _ := transmit(c.fd, p)
		if sent = max(n, 0); sent == len(p) {
			c.server.stats.BytesWritten.Add(int64(sent))
			return nil
		}
	}
	n, err := c.net.Write(p[sent:]) // meets the error again, if it was one
	c.server.stats.BytesWritten.Add(int64(sent + n))
	return err
}
