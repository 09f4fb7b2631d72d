package server

import (
	"math/bits"
	"sync"
)

const (
	// readBytes is the size of a read buffer at rest: a batch of some hundred small requests.
	readBytes = 16 << 10

	// lineRoom is for the command line above a data block of a round size, in a buffer that has grown.
	lineRoom = 4 << 10

	// largeSizes is how often a buffer doubles and is still kept for the next who needs one: up to 4 MiB.
	largeSizes = 8
)

var (
	readBuffers  = sync.Pool{New: func() any { return new([readBytes]byte) }}
	largeBuffers [largeSizes]sync.Pool // of *[]byte, each of largeBytes(i)
)

// largeBytes gives the size of a buffer that has doubled i+1 times.
func largeBytes(i int) int { return readBytes<<(i+1) + lineRoom }

// largeFor gives the number of the smallest size that holds n bytes.
func largeFor(n int) int { return bits.Len(uint(max(n-lineRoom-1, 0) / (2 * readBytes))) }

// borrow sees to it that there is a buffer.
func (c *conn) borrow() {
	if c.in == nil {
		c.small = readBuffers.Get().(*[readBytes]byte)
		c.in = c.small[:]
	}
}

// lend lets others have the buffer while there is nothing in it. Then it is the one at rest: see makeRoom.
func (c *conn) lend() {
	if c.end == 0 && c.small != nil {
		readBuffers.Put(c.small)
		c.small, c.in = nil, nil
	}
}

// makeRoom prepares the buffer for the next read: what is left moves to its front. A buffer that is full of one request is doubled: the memory of
// the process grows with what has arrived, never with what was only announced.
// It reports false for a request over the bound, which the codec should have refused, and if there is no memory for it.
func (c *conn) makeRoom() bool {
	left := c.in[c.start:c.end]
	need := max(c.session.Missing(), len(left)+1)
	switch {
	case need > c.server.cfg.MaxRequestBytes:
		return false
	case need <= readBytes && c.large != nil:
		copy(c.small[:], left)
		c.shrink()
	case len(left) < len(c.in):
		if c.start > 0 { // else it is there: an upload comes in many reads, over TLS in a record each, and must not be copied at each of them
			copy(c.in, left)
		}
	case !c.growIdle(left, need) && !c.grow(left):
		return false
	}
	c.start, c.end = 0, len(left)
	return true
}

// sendAnswers sends the answers to what is before c.start. Their client may not be reading: that must not keep what others wait for, so the
// buffer goes back first, if little is left in it.
func (c *conn) sendAnswers(answers []byte) error {
	if left := c.in[c.start:c.end]; c.large != nil && !c.session.Unsent() && max(c.session.Missing(), len(left)) < readBytes {
		copy(c.small[:], left)
		c.shrink()
		c.start, c.end = 0, len(left)
	}
	return c.send(answers)
}

// growIdle moves what is left to the server's idle buffer, if that is one for all of the request.
func (c *conn) growIdle(left []byte, need int) bool {
	idle := c.server.idle.Load()
	if idle == nil || largeFor(len(*idle)) != largeFor(need) || !c.server.idle.CompareAndSwap(idle, nil) {
		return false
	}
	if !c.server.budget.TryTake(int64(len(*idle) - c.grown())) {
		c.server.lendLarge(idle)
		return false
	}
	c.moveTo(idle, left)
	return true
}

// grow moves what is left, a buffer full, to one about twice as large.
func (c *conn) grow(left []byte) bool {
	i := largeFor(len(left) + 1)
	more := int64(largeBytes(i) - c.grown())
	if !c.server.budget.TryTake(more) {
		c.leaveSeat()
		if !c.server.budget.Take(more, c.server.stopping) {
			c.refuseMemory()
			return false
		}
	}
	c.moveTo(borrowLarge(i), left)
	return true
}

func (c *conn) moveTo(larger *[]byte, left []byte) {
	copy(*larger, left)
	c.server.lendLarge(c.large)
	c.large, c.in = larger, *larger
}

// grown is what c has taken from the budget.
func (c *conn) grown() int {
	if c.large == nil {
		return 0
	}
	return len(*c.large)
}

// shrink goes back to the buffer at rest.
func (c *conn) shrink() {
	if c.large != nil {
		c.server.budget.Give(int64(c.grown()))
		c.server.lendLarge(c.large)
		c.large = nil
	}
	c.in = c.small[:]
}

func borrowLarge(i int) *[]byte {
	if i < largeSizes {
		if kept, ok := largeBuffers[i].Get().(*[]byte); ok {
			return kept
		}
	}
	fresh := make([]byte, largeBytes(i))
	return &fresh
}

// lendLarge keeps a buffer for the next who needs one. The largest becomes the idle one: the collector, which runs often in a small heap, takes the others.
func (s *Server) lendLarge(buffer *[]byte) {
	if buffer == nil || largeFor(len(*buffer)) >= largeSizes {
		return
	}
	if idle := s.idle.Load(); (idle == nil || len(*idle) <= len(*buffer)) && s.idle.CompareAndSwap(idle, buffer) {
		buffer = idle
	}
	if buffer != nil {
		largeBuffers[largeFor(len(*buffer))].Put(buffer)
	}
}

// refuseMemory says why c is closed. Its client may not be reading: that must not keep what c holds.
func (c *conn) refuseMemory() {
	c.server.stats.NoMemoryConns.Add(1)
	c.refused = true
	if why := c.server.cfg.NoMemory; why != "" {
		_ = c.send([]byte(why))
	}
}
