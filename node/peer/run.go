package peer

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/seating"
	"github.com/memring/memring/node/socket"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/lent"
)

// run is the life of a conn: it dials, reads answers until the connection is lost, and then answers all that still wait.
func (c *conn) run() {
	peers := c.lane.link.peers
	peers.stats.Dials.Add(1)
	s, err := c.dial()
	c.stop()
	if err != nil {
		peers.stats.DialErrors.Add(1)
	} else if err = c.open(s); err == nil {
		err = c.read()
	}
	c.lose(err)
}

// dial connects to the peer, which proves there that it is the one, if members do that.
func (c *conn) dial() (*socket.Socket, error) {
	cfg := &c.lane.link.peers.cfg
	nc, err := cfg.Dial(c.ctx, c.lane.link.addr)
	if err != nil {
		return nil, err
	}
	s := socket.New(nc)
	if cfg.Identity == nil {
		return s, nil
	}
	c.proven = cfg.Identity.Authorities()
	if err := s.Encrypt(c.ctx, cfg.Identity.Call(c.lane.link.id)); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return s, nil
}

// open begins to send on s.
func (c *conn) open(s *socket.Socket) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.socket = s
	if c.over {
		return errClosed
	}
	c.armLocked(c.seats.at(c.seats.awaited).due)
	// Not on this goroutine: the peer may answer before it has read all, and somebody must read its answers then.
	c.lane.link.peers.running.Go(c.flush)
	return nil
}

// read reads answers until it cannot any more, and says why.
func (c *conn) read() error {
	c.in = make([]byte, minKeptBytes)
	for {
		err := c.socket.Receive(c.free, c.came, c.leaveSeat)
		c.leaveSeat()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = c.look()
		}
		if err != nil {
			return err
		}
	}
}

// free is where to read to.
func (c *conn) free() []byte { return c.in[c.unread:] }

// came takes in that n more bytes are in the read buffer.
func (c *conn) came(n int) error {
	c.lane.link.peers.stats.BytesRead.Add(int64(n))
	end := c.unread + n
	if end >= protocol.BulkBytes {
		c.sit()
	}
	full := end == len(c.in)
	c.filled = max(c.filled, end)
	used, err := c.deliver(c.in[:end])
	if err != nil {
		return err
	}
	if used > 0 {
		end = copy(c.in, c.in[used:end])
	}
	c.makeRoom(full, end)
	c.unread = end
	return nil
}

// seatPatience is how long answers wait for a seat: some turns of those who have one. Those who have one may wait for what comes on this lane.
const seatPatience = 20 * time.Millisecond

// sit waits for a seat, since long answers are about to be read: they take turns with the clients whom they are for.
func (c *conn) sit() {
	if seats := c.lane.link.peers.cfg.Seats; seats != nil && !c.seated {
		c.seated = seats.Take(seating.Answers, nil, seatPatience)
	}
}

func (c *conn) leaveSeat() {
	if c.seated {
		c.lane.link.peers.cfg.Seats.Leave()
		c.seated = false
	}
}

// deliver gives the whole answers at the head of in to those who wait for them, and says how many bytes that took.
func (c *conn) deliver(in []byte) (used int, err error) {
	for {
		whole := 0
		for at := used; whole < len(c.batch); whole++ {
			var n int
			if n, err = frame.ResponseBytes(in[at:]); n <= 0 {
				break
			}
			at += n
		}
		if whole == 0 {
			return used, err
		}
		c.heard = true
		c.mu.Lock()
		first, n := c.seats.give(c.batch[:whole])
		c.together = n
		c.giveRoomLocked()
		c.delivering.Store(true)
		c.mu.Unlock()
		took, err := c.answer(first, c.batch[:n], in[used:])
		c.delivered()
		if used += took; err != nil {
			return used, err
		}
		if n < whole {
			return used, errUnasked
		}
	}
}

// answer completes the Pendings of batch, whose seats are numbered from first on, with the answers at the head of in, which are whole.
// After an error the rest of them is lost.
func (c *conn) answer(first uint32, batch []seat, in []byte) (used int, err error) {
	for i := range batch {
		pending, collected, resp := batch[i].pending, batch[i].collect, &c.dropped
		batch[i] = seat{}
		withheld := false
		switch {
		case pending != nil && collected:
			resp.Scratch = rest(&pending.Response)
		case pending != nil && err == nil && !pending.MakeRoom(frame.ValueBytes(in[used:])):
			withheld = true
		case pending != nil:
			resp = &pending.Response
			if n := frame.ValueBytes(in[used:]); err == nil && n > lent.KeptBytes && n <= frame.PartBytes {
				resp.Scratch = lent.Room(resp.Scratch[:0], n)
			}
		}
		if err == nil {
			var sequence uint32
			var n int
			if sequence, n, err = frame.ParseResponse(in[used:], resp); err == nil && sequence != first+uint32(i) {
				err = errOrder
			}
			used += n
			if pending == nil || !pending.Counted() {
				resp.Marks &^= protocol.Withheld // to be said to who can ask again
			}
		}
		if err == nil && !c.greeted {
			err = c.greet(resp)
		}
		switch {
		case err != nil && pending != nil:
			fail(pending, protocol.PeerLost, &c.lane.link.peers.stats.Lost)
		case err == nil && withheld:
			c.withhold(pending, resp)
		case err == nil && (collected || resp.Marks.Has(protocol.Parted)):
			c.goOn(pending, resp, collected)
		case pending != nil:
			pending.Complete()
		}
		c.dropped = protocol.Response{}
	}
	return used, err
}

// withhold completes a Pending that there is no room for the value of.
func (c *conn) withhold(pending *protocol.Pending, resp *protocol.Response) {
	if resp.Marks.Has(protocol.Parted) {
		c.collect(nil, resp.Number, giveUp)
	}
	c.lane.link.peers.stats.Withheld.Add(1)
	bare := *resp
	bare.Marks, bare.Value, bare.Report, bare.Scratch = resp.Marks&^protocol.Parted|protocol.Withheld, nil, nil, pending.Response.Scratch[:0]
	pending.Response = bare
	pending.Complete()
}

// greet hears the answer to the Hello, the first of all.
func (c *conn) greet(resp *protocol.Response) error {
	if resp.Status != protocol.OK {
		return fmt.Errorf("peer refuses us: %q", resp.Value)
	}
	c.greeted, c.since = true, c.lane.link.peers.now()
	return nil
}

// look is the look at the clock when the read deadline has passed: it answers what is overdue and sets the next deadline. It says why nothing more is to be read:
// the peer has owed answers and given none for too long, or somebody has hung up.
func (c *conn) look() error {
	peers := c.lane.link.peers
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hungUp {
		return errClosed
	}
	now := peers.now()
	if c.heard {
		c.heard, c.spoke = false, now
	}
	for pending := c.seats.overdue(now); pending != nil; pending = c.seats.overdue(now) {
		fail(pending, protocol.PeerTimeout, &peers.stats.Timeouts)
	}
	used := c.slimLocked()
	if c.seats.len() == 0 {
		if used { // look once more, so that the buffers go
			c.armLocked(now + peers.deadline())
			return nil
		}
		c.armed = false
		_ = c.socket.SetReadDeadline(time.Time{})
		return nil
	}
	deadline := peers.deadline()
	owedSince := c.seats.at(c.seats.head).due - deadline
	giveUp := max(owedSince, c.spoke) + silentDeadlines*deadline
	if now >= giveUp {
		return errSilent
	}
	next := giveUp
	if c.seats.awaited != c.seats.tail {
		next = min(next, c.seats.at(c.seats.awaited).due)
	}
	c.armLocked(max(next, now+deadline/looksPerDeadline))
	c.armed = c.seats.awaited != c.seats.tail // else the next request is due before that
	return nil
}

// looksPerDeadline bounds how often requests that time out one after the other wake the reader; the last waits so much longer.
const looksPerDeadline = 50

// slimLocked lets go buffers of which not even a quarter was used since the last look, and says whether any was used at all.
func (c *conn) slimLocked() (used bool) {
	if !c.writing && len(c.out) == 0 && max(cap(c.out), cap(c.spare)) > max(4*c.wrote, minKeptBytes) {
		c.out, c.spare = nil, nil
	}
	if c.unread == 0 && len(c.in) > max(4*c.filled, minKeptBytes) {
		c.in = make([]byte, minKeptBytes)
	}
	used = c.wrote > 0 || c.filled > 0
	c.wrote, c.filled = 0, 0
	return used
}

// makeRoom sees to it that the next read has room; end bytes of c.in are an answer that is not whole, and the last read filled it, or not.
// The buffer grows with what has arrived, never with what was only announced, and to no more than the longest frame.
func (c *conn) makeRoom(full bool, end int) {
	size := len(c.in)
	switch {
	case end == size, full && size < busyReadBytes:
		size = min(2*size, frame.MaxBytes)
	case end == 0 && size > maxKeptBytes:
		size = minKeptBytes
	default:
		return
	}
	in := make([]byte, size)
	copy(in, c.in[:end])
	c.in = in
}

// fail answers a Pending with a status of failure.
func fail(pending *protocol.Pending, status protocol.Status, count *atomic.Int64) {
	count.Add(1)
	pending.Response.Reset()
	pending.Response.Status = status
	pending.Complete()
}

// lose ends c: it takes no more requests, and all that wait are lost.
func (c *conn) lose(why error) {
	var held time.Duration
	if c.greeted {
		held = c.lane.link.peers.now() - c.since
	}
	c.mu.Lock()
	why = errors.Join(why, c.broken) // if writing has failed, reading has ended because of that only
	replaced := c.replaced
	c.mu.Unlock()
	if !replaced {
		c.lane.lost(held, why)
	}

	c.mu.Lock()
	c.over = true
	c.releaseLocked()
	waiting := c.seats
	c.seats, c.out, c.spare = seats{}, nil, nil
	c.giveRoomLocked()
	c.mu.Unlock()
	for ; waiting.awaited != waiting.tail; waiting.awaited++ {
		if pending := waiting.at(waiting.awaited).pending; pending != nil {
			fail(pending, protocol.PeerLost, &c.lane.link.peers.stats.Lost)
		}
	}
}
