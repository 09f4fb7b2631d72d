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

	in    []byte // what has been read and not answered is in[start:end]; nil while c waits with nothing
	start int
	end   int
	small *[readBytes]byte // the buffer at rest; nil like in
	grown int64            // what in has taken from the budget

	unbroken int // requests answered since c last waited or let others run

	raw   bool         // net is a mere socket
	fd    uintptr      // that socket, during turn
	doing atomic.Int64 // what c does, and when its last request was, for those who ask: see mark
}

// readBytes is the size of a read buffer at rest: a batch of some hundred small requests.
const readBytes = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBytes]byte) }}

// servePlain is the loop over Read and Write, for connections that are more than a socket.
func (c *conn) servePlain() {
	for {
		c.borrow()
		n, err := c.net.Read(c.in[c.end:])
		if n > 0 && !c.received(n) {
			return
		}
		if err != nil && !c.goesOnAfter(err) {
			return
		}
	}
}

// received answers a batch of which n more bytes have come, and reports whether to read on. A client that has had its share lets others
// run first.
func (c *conn) received(n int) bool {
	if c.unbroken > c.server.cfg.MaxBatch {
		c.unbroken = 0
		runtime.Gosched()
	}
	c.end += n
	c.server.stats.BytesRead.Add(int64(n))
	return c.answer() && c.makeRoom() && !c.server.stopped()
}

// goesOnAfter reports whether a read may be tried again.
func (c *conn) goesOnAfter(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && c.server.prolong(c)
}

func (c *conn) close() {
	c.net.Close()
	c.session.Close()
	c.shrink()
	c.end = 0
	c.start = 0
	c.lend()
	c.server.forget(c)
}

// borrow sees to it that there is a buffer.
func (c *conn) borrow() {
	if c.in == nil {
		c.small = readBuffers.Get().(*[readBytes]byte)
		c.in = c.small[:]
	}
}

// lend lets others have the buffer while there is nothing in it.
func (c *conn) lend() {
	if c.end == 0 && c.small != nil {
		readBuffers.Put(c.small)
		c.small, c.in = nil, nil
	}
}

// finish lets c end once the batch at hand is answered: its next read fails.
func (c *conn) finish() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

// answer answers the whole requests of the buffer and reports whether the conversation goes on.
func (c *conn) answer() bool {
	_, since := c.marked()
	c.mark(answering, since)
	requests := 0
	for {
		answers, used := c.session.Answer(c.in[c.start:c.end])
		c.start += used
		requests += c.session.Requests()
		if len(answers) > 0 {
			if c.send(answers) != nil {
				return false
			}
		}
		if c.session.Ended() {
			return false
		}
		if used == 0 && len(answers) == 0 {
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
	c.unbroken += requests
	if most := c.server.cfg.MaxBatch; requests > most {
		c.server.stats.Yields.Add(int64((requests - 1) / most))
	}
}

// makeRoom prepares the buffer for the next read: what is left moves to its front. A buffer that is full of one request is doubled, up to
// the request's size: it grows with what has arrived, never with what was only announced.
// It reports false for a request over the bound, which the codec should have refused, and if there is no memory for it.
func (c *conn) makeRoom() bool {
	left := c.in[c.start:c.end]
	need, limit := c.session.Missing(), c.server.cfg.MaxRequestBytes
	switch {
	case max(need, len(left)+1) > limit:
		return false
	case max(need, len(left)+1) <= readBytes:
		copy(c.small[:], left)
		c.in = c.small[:]
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
