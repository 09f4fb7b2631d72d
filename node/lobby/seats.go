package lobby

import (
	"net"
	"os"
	"runtime"
	"time"
)

// Seats are for what computes some hundred times as long as a small request does, such as handshakes, which cost a processor a millisecond and more: for half of the processors, so that
// small requests are served meanwhile. Each is taken by a send, and left by a receive.
type Seats chan struct{}

// NewSeats makes as many as there are to be: those of each kind of work are its own.
func NewSeats() Seats { return make(Seats, max(1, runtime.GOMAXPROCS(0)/2)) }

// A Handshake is the connection of one who is coming in, as crypto/tls reads and writes it: a seat is taken when something has come, and left whenever the other side is waited for.
// One goroutine at a time uses it, until Done.
type Handshake struct {
	net.Conn
	seats  Seats
	until  time.Time
	ended  <-chan struct{}
	seated bool
	done   bool
}

// Over makes the handshake over a connection, which must be done by then, and waits for no seat any more when ended is closed.
func (s Seats) Over(conn net.Conn, until time.Time, ended <-chan struct{}) *Handshake {
	return &Handshake{Conn: conn, seats: s, until: until, ended: ended}
}

// Done ends it, whatever has come of it: from now on it is the connection and no more.
func (h *Handshake) Done() {
	h.leave()
	h.done = true
}

// Read implements net.Conn.
func (h *Handshake) Read(p []byte) (int, error) {
	if h.done {
		return h.Conn.Read(p)
	}
	h.leave()
	n, err := h.Conn.Read(p)
	if err == nil {
		err = h.take() // without it the handshake has failed, and with it what was read
	}
	return n, err
}

// Write implements net.Conn.
func (h *Handshake) Write(p []byte) (int, error) {
	h.leave()
	return h.Conn.Write(p) // seldom waits; what is computed after it has no seat, and is little
}

// take waits until there is a seat, or the handshake's time is over.
func (h *Handshake) take() error {
	patience := time.NewTimer(time.Until(h.until))
	defer patience.Stop()
	select {
	case h.seats <- struct{}{}:
		h.seated = true
		return nil
	case <-h.ended:
		return net.ErrClosed
	case <-patience.C:
		return os.ErrDeadlineExceeded
	}
}

func (h *Handshake) leave() {
	if h.seated {
		<-h.seats
		h.seated = false
	}
}
