package server

import (
	"github.com/memring/memring/node/seating"
	"github.com/memring/memring/protocol"
)

// A connection with a long request or long answers has a seat while it computes, and there are half as many as processors (node/seating): reading, copying and storing a
// large item takes some hundred times as long as a small request. When a thousand connections had one each, a small request would wait behind all of them; and
// a process that uses all the processors it can get is not given one at once when there is a small request. So it waits behind a few.
//
// A seat is left before any wait: for the client, for memory, for another member.

// takeSeat waits for a seat, if what c is about to do may be long. At the end of the server it goes on without.
func (c *conn) takeSeat() {
	if max(c.grown(), c.session.Missing()) >= protocol.BulkBytes || c.session.Bulky() {
		c.sit()
	}
}

// sit waits for a seat.
func (c *conn) sit() {
	if c.seated {
		return
	}
	c.seated = c.server.cfg.Seats.Take(seating.Clients, c.server.stopping, 0)
}

func (c *conn) leaveSeat() {
	if c.seated {
		c.server.cfg.Seats.Leave()
		c.seated = false
	}
}
