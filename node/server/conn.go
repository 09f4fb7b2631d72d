package server

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/memring/memring/protocol/session"
)

// A conn is one connection and the goroutine that serves it.
type conn struct {
	server  *Server
	id      int64
	net     net.Conn    // the socket
	config  *tls.Config // how it is to be encrypted; nil: not
	secure  *tls.Conn   // the same encrypted; nil: it is not
	session *session.Session

	in         []byte // what has been read and not answered is in[start:end]; nil while c waits with nothing
	start, end int
	small      *[readBytes]byte // the buffer at rest; nil like in
	large      *[]byte          // the buffer that in is, if small is not enough

	seated   bool // see seat.go
	refused  bool // there is no memory for its request, and it is told so
	unbroken int  // requests answered since c last waited or let others run

	reason Reason // why it ends

	shaking bool // guarded by server.mu: its deadline is that of a handshake

	raw     bool         // net is a mere socket
	fd      uintptr      // that socket, during turn
	tells   bool         // it tells whether there is more to read
	drained bool         // it has told, with the last read, that there is not
	wrote   bool         // something was written after the last read
	doing   atomic.Int64 // what c does, and when its last request was, for those who ask: see mark
}

// serve answers until the client goes, the conversation ends, or the server stops.
func (c *conn) serve() {
	c.tell(false)
	defer c.close()
	defer c.leaveSeat()
	c.session.BeforeWait(c.leaveSeat)
	c.session.BeforeLong(c.sit)
	if c.config == nil || c.shakeHands() {
		c.converse()
	}
}

// converseSlowly is the loop over Read and Write, for what is no socket of the system, and for other systems.
func (c *conn) converseSlowly() {
	for {
		c.leaveSeat()
		c.borrow()
		n, err := c.read(c.in[c.end:])
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
	return c.answer() && (c.makeRoom() || c.ends(Error)) && !c.server.stopped()
}

// goesOnAfter reports whether a read may be tried again. Its deadline is also when a stream that had nothing to give is asked again.
func (c *conn) goesOnAfter(err error) bool {
	c.raw = false // until the next turn
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return c.fails(err)
	case !c.server.prolong(c):
		return c.ends(IdleKick)
	}
	if !c.session.Streaming() {
		return true
	}
	c.borrow()
	return c.received(0)
}

// read reads what the client has said, decrypted.
func (c *conn) read(p []byte) (n int, err error) {
	if c.secure == nil {
		return c.readSocket(p)
	}
	if n, err = c.secure.Read(p); err != nil && n == 0 && err != syscall.EAGAIN && ofTLS(err) {
		c.server.stats.TLSErrors.Add(1)
	}
	return n, err
}

// send writes p, encrypted if the connection is.
func (c *conn) send(p []byte) (err error) {
	n := 0
	if c.secure == nil {
		n, err = c.writeSocket(p)
	} else {
		n, err = c.secure.Write(p)
	}
	c.server.stats.BytesWritten.Add(int64(n))
	return err
}

func (c *conn) close() {
	c.raw = false // outside a turn the socket may be closed, and its number another's
	c.session.Close()
	if c.start, c.end = 0, 0; c.in != nil {
		c.shrink()
		c.lend()
	}
	if c.secure != nil {
		_ = c.secure.CloseWrite() // so that the client knows that nothing was cut off; it waits for some seconds at most
	}
	c.net.Close()
	c.tell(true)
	c.server.forget(c)
}

// finish lets c end once the batch at hand is answered: its next read fails.
func (c *conn) finish() { _ = c.net.SetReadDeadline(time.Unix(1, 0)) }

// answer answers the whole requests of the buffer and reports whether the conversation goes on.
func (c *conn) answer() bool {
	_, since := c.marked()
	c.mark(answering, since)
	if c.server.cfg.Awake != nil {
		c.server.cfg.Awake()
	}
	requests := 0
	for {
		answers, used := c.session.Answer(c.in[c.start:c.end])
		c.start += used
		requests += c.session.Requests()
		if len(answers) > 0 {
			if err := c.sendAnswers(answers); err != nil {
				return c.ends(Error)
			}
			if c.session.Bulky() {
				c.sit() // again: it was left to send what is long
			}
		}
		if c.session.Quit() {
			return c.ends(Normal)
		}
		if c.session.Ended() {
			return c.ends(Error)
		}
		if used == 0 && len(answers) == 0 {
			break
		}
	}
	c.session.Rest()
	c.rest(requests, since)
	return true
}

// rest ends a batch of so many requests; since is when the last one before it was.
func (c *conn) rest(requests int, since int64) {
	inBlock, streaming := c.session.Missing() > 0, c.session.Streaming()
	if requests > 0 || inBlock || streaming {
		since = c.server.cfg.Now()
	}
	if inBlock {
		c.mark(readingBlock, since)
	} else {
		c.mark(reading, since)
	}
	if streaming {
		c.server.wake(c)
	}
	c.unbroken += requests
	if most := c.server.cfg.MaxBatch; requests > most {
		c.server.stats.Yields.Add(int64((requests - 1) / most))
	}
}
