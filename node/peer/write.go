package peer

import "runtime"

// write writes what is queued, unless somebody does already. It is every Pending's flush: the goroutine that waits for an answer sends the
// request itself, and with it those of all others, so that no writer has to be woken.
//
// Unless it is alone it first lets the goroutines run that are ready to: answers come together, so the sessions they wake have their next
// requests soon, and one write takes them all. With 50 callers that saves 14 writes of 15 and three quarters of the time (BenchmarkForward).
//
// It never waits for the peer: what the socket does not take at once is left to a goroutine. So who has requests on several lanes is not held up on one by a
// peer that does not read.
func (c *conn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 || c.writing || c.socket == nil {
		return // while dialing: run writes once there is a connection
	}
	c.writing = true
	if c.seats.len() > 1 || c.together > 1 {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	c.writeOnLocked()
}

// writeOnLocked writes until nothing is queued, or it is somebody else's turn.
func (c *conn) writeOnLocked() {
	for rounds := 0; len(c.out) > 0 && !c.over && c.broken == nil; rounds++ {
		if rounds == maxRounds {
			// Not over means that run is running, so this comes before the end of any Stop's wait.
			c.lane.link.peers.running.Go(c.flush)
			break
		}
		c.beginLocked()
		c.mu.Unlock()
		n, out := c.socket.Offer(c.frames)
		c.mu.Lock()
		if c.written = n; (n < len(c.frames) || !out) && !c.over {
			c.lane.link.peers.running.Go(c.finish)
			return // and writing goes on
		}
		c.endLocked()
	}
	c.writing = false
}

// finish writes, as a goroutine that may wait, what the socket has not taken at once, and then what was queued meanwhile.
func (c *conn) finish() {
	n, err := c.socket.Finish(c.frames[c.written:])
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.hangUpLocked() // a frame may have gone in part: run reads the end, and gives up
	}
	c.written += n
	c.broken = err
	c.endLocked()
	c.writeOnLocked()
}

// beginLocked takes what is queued now, to be written.
func (c *conn) beginLocked() {
	peers := c.lane.link.peers
	c.frames, c.written = c.out, 0
	c.out, c.spare, c.wrote = c.spare[:0], nil, max(c.wrote, len(c.frames))
	peers.stats.Forwards.Add(c.queued)
	c.queued = 0
	// Setting a deadline costs a tenth of the write: it is renewed when half of it is gone.
	if now := peers.now(); c.writeBy < now+peers.deadline()/2 {
		c.writeBy = now + peers.deadline()
		_ = c.socket.SetWriteDeadline(peers.began.Add(c.writeBy))
	}
}

// endLocked is after a write, of all that was begun or in vain.
func (c *conn) endLocked() {
	stats := &c.lane.link.peers.stats
	stats.Writes.Add(1)
	stats.BytesWritten.Add(int64(c.written))
	if cap(c.frames) <= maxKeptBytes && !c.over {
		c.spare = c.frames
	}
	c.frames = nil
}
