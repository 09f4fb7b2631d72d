package peer

import (
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// shipDeadlines is how many Deadlines a long value waits for those before it on its lane.
const shipDeadlines = 4

// ship sends a request whose value goes in parts, one such at a time. It holds up only its own session, until the last part has come.
// If the peer does not get it whole there is no Pending, but a status.
func (l *lane) ship(req *protocol.Request) (*protocol.Pending, protocol.Status) {
	peers := l.link.peers
	patience := time.NewTimer(shipDeadlines * peers.deadline())
	defer patience.Stop()
	select {
	case l.ships <- struct{}{}:
	case <-patience.C:
		peers.stats.Overloaded.Add(1)
		return nil, protocol.PeerOverloaded
	}
	defer func() { <-l.ships }()

	if c := l.live(); c != nil {
		return c.ship(req)
	}
	peers.stats.Lost.Add(1)
	return nil, protocol.PeerLost
}

// live gives a connection that takes requests; nil: there is none to be had now.
func (l *lane) live() *conn {
	for {
		c := l.conn.Load()
		if c != nil && c.takes() {
			return c
		}
		if !l.redial(c) {
			return nil
		}
	}
}

// ship sends the parts of req's value, each when the one before the last has come, and then the request without it.
func (c *conn) ship(req *protocol.Request) (*protocol.Pending, protocol.Status) {
	c.mu.Lock()
	c.shipped++
	number := c.shipped
	c.mu.Unlock()
	status, before := protocol.OK, (*protocol.Pending)(nil)
	for at := 0; at < len(req.Value) && status == protocol.OK; at += frame.PartBytes {
		next := c.send(&protocol.Request{
			Op: protocol.Deliver, Delta: number, Initial: uint64(at), CAS: uint64(len(req.Value)),
			Value: req.Value[at:min(at+frame.PartBytes, len(req.Value))],
		})
		if next != nil {
			next.Flush()
		}
		if before != nil {
			status = settle(before)
		}
		before = next
		if next == nil {
			status = protocol.PeerLost
		}
	}
	if before != nil {
		if last := settle(before); status == protocol.OK {
			status = last
		}
	}
	if status != protocol.OK {
		c.abandon(number)
		if status == protocol.PeerOverloaded {
			c.lane.link.peers.stats.Overloaded.Add(1)
		}
		return nil, status
	}
	bare := *req
	bare.Value, bare.Options, bare.Delta = nil, req.Options|protocol.Delivered, number
	pending := c.send(&bare)
	if pending == nil {
		return nil, protocol.PeerLost
	}
	return pending, protocol.OK
}

// abandon has the peer forget what has come of a value. If that does not reach it, it forgets in a while.
func (c *conn) abandon(number uint64) {
	c.add(&protocol.Request{Op: protocol.Deliver, Delta: number, Initial: giveUp}, nil, false)
}

// settle waits for the answer of which only the status is wanted.
func settle(pending *protocol.Pending) protocol.Status {
	defer pending.Release()
	pending.Wait()
	return pending.Response.Status
}

// giveUp is where the last part of a value lies that nobody wants or sends: behind its end.
const giveUp = 1 << 63

// rest is where the next part of an answer belongs: behind what has come of it.
func rest(resp *protocol.Response) []byte {
	n := len(resp.Scratch)
	return resp.Scratch[n:n:cap(resp.Scratch)]
}

// goOn takes a part of a long answer, which lies in its place already unless it is the first, and asks for the next, or completes. What nobody
// waits for any more, or is not as it should be, is not collected.
func (c *conn) goOn(pending *protocol.Pending, part *protocol.Response, collected bool) {
	more, number := part.Marks.Has(protocol.Parted), part.Number
	if pending == nil {
		if more {
			c.collect(nil, number, giveUp)
		}
		return
	}
	resp := &pending.Response
	bound := min(uint64(resp.Size), uint64(c.lane.link.peers.cfg.MaxValueBytes))
	switch have := uint64(len(resp.Scratch)) + uint64(len(part.Value)); {
	case !collected && uint64(resp.Size) == bound && uint64(len(resp.Scratch)) < bound:
		resp.Scratch = append(make([]byte, 0, bound), resp.Scratch...)
	case collected && part.Status == protocol.OK && len(part.Value) > 0 && (have < bound && more || have == bound && !more):
		resp.Scratch = resp.Scratch[:have]
	default:
		fail(pending, protocol.PeerLost, &c.lane.link.peers.stats.Lost)
		if more {
			c.collect(nil, number, giveUp)
		}
		return
	}
	if more {
		c.collect(pending, number, uint64(len(resp.Scratch)))
		return
	}
	resp.Value, resp.Marks, resp.Number = resp.Scratch, resp.Marks&^protocol.Parted, 0
	pending.Complete()
}

// collect asks for the next part of an answer; with nobody who waits for it, to give it up.
func (c *conn) collect(pending *protocol.Pending, number, at uint64) {
	c.add(&protocol.Request{Op: protocol.Collect, Delta: number, Initial: at}, pending, true)
}

// add sends a request of the conn's own, whatever else waits: it is small, and makes room at the peer.
func (c *conn) add(req *protocol.Request, pending *protocol.Pending, collect bool) {
	peers := c.lane.link.peers
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over && pending == nil {
		return // its run may have ended
	}
	c.addLocked(req, pending, peers.now()+peers.deadline())
	c.seats.at(c.seats.tail - 1).collect = collect
	if !c.armed && c.socket != nil {
		c.armLocked(c.seats.at(c.seats.awaited).due)
	}
	peers.running.Go(c.flush) // not on this goroutine, which may have to go on reading
}
