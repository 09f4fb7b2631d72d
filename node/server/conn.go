package server

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol/session"
)

// A conn is one connection and the goroutine that serves it.
type conn struct {
	server  *Server
	id      int64
	net     net.Conn
	session *session.Session
	in      []byte // what has been read and not answered: in[start:end]
	start   int
	end     int
	grown   int64        // what in has taken from the budget
	doing   atomic.Int64 // what it does, and when its last request was, for those who ask: see mark
}

// readBytes is the size of a read buffer at rest: a batch of some hundred small requests.
const readBytes = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// serve answers until the client goes, the conversation ends, or the server stops.
func (c *conn) serve() {
	defer c.server.forget(c)
	defer c.net.Close()
	buffer := readBuffers.Get().(*[readBytes]byte)
	defer readBuffers.Put(buffer)
	defer c.shrink()

	c.in = buffer[:]
	for {
		n, err := c.net.Read(c.in[c.end:])
		c.end += n
		c.server.stats.BytesRead.Add(int64(n))
		if n > 0 && (!c.answer() || !c.makeRoom(buffer[:])) {
			return
		}
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && c.server.prolong(c)) {
			return
		}
	}
}

// finish lets c end once the batch at hand is answered: its next read fails.
func (c *conn) finish() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

// answer answers the whole requests of the buffer and reports whether the conversation goes on.
func (c *conn) answer() bool {
	_, since := c.marked()
	c.mark(answering, since)
	requests := 0
	for c.start < c.end {
		answers, used := c.session.Answer(c.in[c.start:c.end])
		c.start += used
		requests += c.session.Requests()
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
		if used == 0 {
			break
		}
	}
	c.rest(requests, since)
	return true
}

// rest ends a batch of so many requests; since is when the last one before it was.
func (c *conn) rest(requests int, since int64) {
	inBlock := c.session.Missing() > 0
	if requests > 0 || inBlock {
		since = c.server.cfg.Now()
	}
	if inBlock {
		c.mark(readingBlock, since)
	} else {
		c.mark(reading, since)
	}
	if most := c.server.cfg.MaxBatch; requests > most {
		c.server.stats.Yields.Add(int64((requests - 1) / most))
		runtime.Gosched()
	}
}

// makeRoom prepares the buffer for the next read: what is left moves to its front. A buffer that is full of one request is doubled, up to
// the request's size: it grows with what has arrived, never with what was only announced.
// It reports false for a request over the bound, which the codec should have refused, and if there is no memory for it.
func (c *conn) makeRoom(small []byte) bool {
	left := c.in[c.start:c.end]
	need, limit := c.session.Missing(), c.server.cfg.MaxRequestBytes
	switch {
	case max(need, len(left)+1) > limit:
		return false
	case max(need, len(left)+1) <= len(small):
		copy(small, left)
		c.in = small
		c.shrink()
	case len(left) < len(c.in):
		copy(c.in, left)
	default:
		size := min(2*len(c.in), limit)
		if need > 0 {
			size = min(size, need)
		}
		if !c.server.budget.take(int64(size)-c.grown, c.server.stopping) {
			c.refuseMemory()
			return false
		}
		c.grown = int64(size)
		larger := make([]byte, size)
		copy(larger, left)
		c.in = larger
	}
	c.start, c.end = 0, len(left)
	return true
}

// shrink gives back to the budget what c had taken.
func (c *conn) shrink() {
	if c.grown > 0 {
		c.server.budget.give(c.grown)
		c.grown = 0
	}
}

// refuseMemory says why c is closed. Its client may not be reading: that must not keep what c holds.
func (c *conn) refuseMemory() {
	c.server.stats.NoMemoryConns.Add(1)
	_ = c.net.SetWriteDeadline(time.Now().Add(budgetPatience))
	_, _ = c.net.Write([]byte(c.server.cfg.NoMemory))
}
