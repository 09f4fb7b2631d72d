package server

import (
	"net"
	"sync"
	"time"

	"github.com/memring/memring/protocol/session"
)

// A conn is one connection and the goroutine that serves it.
type conn struct {
	server  *Server
	net     net.Conn
	session *session.Session
	in      []byte // what has been read and not answered: in[start:end]
	start   int
	end     int
}

// readBytes is the size of a read buffer at rest: a batch of some hundred small requests.
const readBytes = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// serve answers until the client goes, the conversation ends, or the server stops.
func (c *conn) serve() {
	defer c.server.forget(c)
	defer c.net.Close()
	defer c.session.Close()
	buffer := readBuffers.Get().(*[readBytes]byte)
	defer readBuffers.Put(buffer)

	c.in = buffer[:]
	for {
		n, err := c.net.Read(c.in[c.end:])
		c.end += n
		c.server.stats.BytesRead.Add(int64(n))
		if n > 0 && !c.answer() {
			return
		}
		if err != nil || !c.makeRoom(buffer[:]) {
			return
		}
	}
}

// finish lets c end once the batch at hand is answered: its next read fails.
func (c *conn) finish() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

// answer answers the whole requests of the buffer and reports whether the conversation goes on.
func (c *conn) answer() bool {
	for {
		answers, used := c.session.Answer(c.in[c.start:c.end])
		c.start += used
		if len(answers) > 0 {
			n, err := c.net.Write(answers)
			c.server.stats.BytesWritten.Add(int64(n))
			if err != nil {
				return false
			}
		}
		if c.session.Ended() {
			return false
		}
		if used == 0 && len(answers) == 0 {
			return true
		}
	}
}

// makeRoom prepares the buffer for the next read: what is left moves to its front. A buffer that is full of one request is doubled, up to
// the request's size: it grows with what has arrived, never with what was only announced.
// It reports false for a request over the bound, which the codec should have refused.
func (c *conn) makeRoom(small []byte) bool {
	left := c.in[c.start:c.end]
	need, limit := c.session.Missing(), c.server.cfg.MaxRequestBytes
	switch {
	case max(need, len(left)+1) > limit:
		return false
	case max(need, len(left)+1) <= len(small):
		copy(small, left)
		c.in = small
	case len(left) < len(c.in):
		copy(c.in, left)
	default:
		size := min(2*len(c.in), limit)
		if need > 0 {
			size = min(size, need)
		}
		larger := make([]byte, size)
		copy(larger, left)
		c.in = larger
	}
	c.start, c.end = 0, len(left)
	return true
}
