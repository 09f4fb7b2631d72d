package peer

import (
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/socket"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// A conn is one connection of a lane, from its dialing to its loss. It never comes back: the lane makes another.
//
// Only its run goroutine takes seats away, and so completes each Pending once.
type conn struct {
	lane  *lane
	flush func()             // c.write, made once
	ctx   context.Context    // of the dialing
	stop  context.CancelFunc // ends it

	mu       sync.Mutex     // guards what follows
	socket   *socket.Socket // nil while dialing
	over     bool           // lost or closed: no more requests
	hungUp   bool           // run is to end it
	seats    seats
	together int           // how many answers came at a time, the last time
	out      []byte        // frames not yet written
	queued   int64         // how many
	spare    []byte        // the other of two buffers: one is filled while one is written
	wrote    int           // the most bytes in one write since the last look at the clock
	writing  bool          // by somebody, who will write what is added meanwhile, too
	writeBy  time.Duration // the write deadline that is set
	broken   error         // why writing has failed
	armed    bool          // the read deadline is set, to a moment no later than the first awaited seat is due
	room     chan struct{} // closed when seats become free; nil: nobody waits for that
	shipped  uint64        // how many values went in parts: their numbers
	replaced bool          // it was given up since what was proven on it is out of date

	delivering atomic.Bool // answers are being given out, which may lead to more requests
	retiring   atomic.Bool // somebody has found that what was proven is out of date

	// Of who is writing:
	frames  []byte // what is written now
	written int    // of that

	// The run goroutine's own, but that others may read proven once socket is set:
	proven  *x509.CertPool    // by what we know the peer, and it us; nil: nobody proves anything
	in      []byte            // what is read
	unread  int               // how much of it is the beginning of an answer
	filled  int               // how much of it was at most, since the last look at the clock
	seated  bool              // see sit
	greeted bool              // the Hello was answered with OK
	since   time.Duration     // when it was
	heard   bool              // an answer came since the last look at the clock
	spoke   time.Duration     // when an answer came, at the latest
	batch   [64]seat          // whose answers are in the read buffer
	dropped protocol.Response // answers that nobody waits for
}

const (
	// silentDeadlines in a row without any answer, while some are owed, and a connection is given up: it is slow to die by itself.
	silentDeadlines = 3

	// maxRounds is how often a session's goroutine writes what others have added meanwhile, before it returns to its own client.
	maxRounds = 8

	// maxKeptBytes bounds each of its three buffers that a conn keeps: an item of the usual largest size fits. Those that were mostly
	// empty since the last look at the clock are let go, down to minKeptBytes.
	maxKeptBytes = 2 << 20
	minKeptBytes = 8 << 10

	// busyReadBytes is up to where a read that fills its buffer doubles it: by then a system call costs little per byte.
	busyReadBytes = 64 << 10
)

var (
	errSilent  = errors.New("peer owes answers and is silent")
	errClosed  = errors.New("link closed")
	errUnasked = errors.New("an answer to nothing that was asked")
	errOrder   = errors.New("an answer out of its order")
)

// newConn makes a conn whose first frame is the Hello. run dials it.
func newConn(l *lane) *conn {
	c := &conn{lane: l}
	c.flush = c.write
	cfg := &l.link.peers.cfg
	c.ctx, c.stop = context.WithTimeout(context.Background(), l.link.peers.deadline())
	hello := protocol.Request{Op: protocol.Hello, Value: frame.AppendHello(nil, &frame.Hello{
		Version: frame.Version, Lane: cfg.Lane, Boot: cfg.Self.Boot, Print: cfg.Self.Print,
		Sender: cfg.Self.ID, Receiver: l.link.id, Cluster: cfg.Self.Cluster,
	})}
	c.addLocked(&hello, nil, l.link.peers.now()+l.link.peers.deadline())
	c.queued = 0 // it is no request of anybody's
	return c
}

// send queues req, or gives nil: the connection is lost, and another is needed. When the lane is full it waits for room, as long as it would for
// the answer.
func (c *conn) send(req *protocol.Request) *protocol.Pending {
	peers := c.lane.link.peers
	c.mu.Lock()
	defer c.mu.Unlock()
	due := peers.now() + peers.deadline()
	if !c.over && c.seats.head != c.seats.awaited {
		// The peer owes answers that are overdue already, so this one would be.
		peers.stats.Timeouts.Add(1)
		return protocol.Answered(protocol.PeerTimeout)
	}
	if !c.over && (c.fullLocked(req) || c.retiresLocked()) && !c.waitForRoomLocked(req) {
		peers.stats.Overloaded.Add(1)
		return protocol.Answered(protocol.PeerOverloaded)
	}
	if c.over {
		return nil
	}
	pending := protocol.NewPending(c.flush)
	pending.ToShare(req.Share)
	c.addLocked(req, pending, due)
	if !c.armed && c.socket != nil {
		c.armLocked(c.seats.at(c.seats.awaited).due)
	}
	return pending
}

// takes reports whether it takes requests, or did a moment ago.
func (c *conn) takes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over
}

func (c *conn) fullLocked(req *protocol.Request) bool {
	cfg := &c.lane.link.peers.cfg
	return c.seats.len() >= cfg.MaxWaiting || c.seats.bytes+frame.RequestBytes(req) > cfg.MaxWaitingBytes && c.seats.len() > 0
}

// waitForRoomLocked sends what fills the lane, and reports whether there was room before the Deadline, or the connection was lost; mu is free
// meanwhile. Who waits here holds up only himself: answers are read by the run goroutine, which waits for no session.
func (c *conn) waitForRoomLocked(req *protocol.Request) bool {
	timer := time.NewTimer(c.lane.link.peers.deadline())
	defer timer.Stop()
	for !c.over && (c.fullLocked(req) || c.retiresLocked()) {
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room, late := c.room, false
		c.mu.Unlock()
		c.write()
		select {
		case <-room:
		case <-timer.C:
			late = true
		}
		c.mu.Lock()
		if late {
			return false
		}
	}
	return true
}

// retiresLocked reports whether the connection takes nothing new, since keys or certificates were replaced since it was made: the peer might soon take what we have proven on
// it for nothing. It ends as soon as all is answered, so that the order of requests holds; who waits for that finds it over, and has another one made.
func (c *conn) retiresLocked() bool {
	identity := c.lane.link.peers.cfg.Identity
	if identity == nil || c.socket == nil || c.proven == identity.Authorities() || len(c.lane.ships) > 0 { // who ships a value needs this one to its end
		return false
	}
	c.retiring.Store(true)
	if c.seats.len() == 0 && !c.delivering.Load() {
		c.over, c.replaced = true, true
		c.hangUpLocked()
		c.giveRoomLocked()
	}
	return true
}

// delivered is told when answers have been given out.
func (c *conn) delivered() {
	c.delivering.Store(false)
	if c.retiring.Load() {
		c.mu.Lock()
		c.giveRoomLocked()
		c.mu.Unlock()
	}
}

// giveRoomLocked wakes those who wait for room.
func (c *conn) giveRoomLocked() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

func (c *conn) addLocked(req *protocol.Request, pending *protocol.Pending, due time.Duration) {
	c.out = frame.AppendRequest(c.out, c.seats.tail, req)
	c.queued++
	c.seats.take(seat{pending: pending, due: due, bytes: frame.RequestBytes(req)})
}

// armLocked makes the reader look up at that time.
func (c *conn) armLocked(at time.Duration) {
	if c.armed = true; c.hungUp {
		return // it looks up now
	}
	_ = c.socket.SetReadDeadline(c.lane.link.peers.began.Add(at)) // fails on a closed connection, which the reader notices itself
}

// close ends the connection from outside; run notices.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.stop()
	c.hangUpLocked()
}

// hangUpLocked has run end the connection. Nobody else closes the socket: that waits for who reads it, who may be waiting for mu.
func (c *conn) hangUpLocked() {
	if c.hungUp = true; c.socket != nil {
		_ = c.socket.SetReadDeadline(time.Unix(1, 0))
	}
}

// releaseLocked closes the socket. Whoever asked and has no answer is told that it is lost, so what has not gone out must not be done later, when newer requests
// have been: of a socket that is merely closed the system goes on sending the rest, for minutes if the link is down. So the rest is dropped.
func (c *conn) releaseLocked() {
	if c.socket == nil {
		return
	}
	if c.seats.len() > 0 { // also those that were told that it takes too long
		_ = c.socket.Abort()
		return
	}
	_ = c.socket.Close()
}
