package server

import "github.com/memring/memring/protocol"

// A connection with a long request or long answers has a seat while it computes, and there are half as many as processors: reading, copying and storing a
// large item takes some hundred times as long as a small request. When a thousand connections had one each, a small request would wait behind all of them; and
// a process that uses all the processors it can get is not given one at once when there is a small request. So it waits behind a few.
//
// A seat is left before any wait: for the client, for memory, for another member.

// takeSeat waits for a seat, if c needs one and has none. At the end of the server it goes on without.
func (c *conn) takeSeat() {
	if c.seated || c.grown() < protocol.BulkBytes && !c.session.Bulky() {
		return
	}
	select {
	case c.server.seats <- struct{}{}:
		c.seated = true
	case <-c.server.stopping:
	}
}

func (c *conn) leaveSeat() {
	if c.seated {
		<-c.server.seats
		c.seated = false
	}
}
