package socket

import (
	"syscall"

	"github.com/memring/memring/node/rawio"
)

// A system is the socket below, as the system knows it.
type system struct {
	raw syscall.RawConn // nil: it is no socket of the system; then it is waited for

	// Of who writes:
	write   func(fd uintptr) (done bool) // made once
	offered []byte
	took    int

	// Of who reads:
	read    func(fd uintptr) (over bool) // made once
	fd      uintptr                      // the socket during a turn
	turning bool                         // it is in turns that it is read: a read that finds nothing says EAGAIN
	room    func() []byte
	came    func(n int) error
	idle    func()
	failed  error
}

// maxReads is how often is read, in a row, before the deadline is looked at.
const maxReads = 16

func (s *Socket) open() {
	if sc, ok := s.net.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.write, s.read = s.tryWrite, s.turn
}

// offer says how much of p was written.
func (s *Socket) offer(p []byte) int {
	if s.raw == nil {
		n, _ := s.net.Write(p)
		return n
	}
	s.offered, s.took = p, 0
	_ = s.raw.Write(s.write)
	s.offered = nil
	return s.took
}

// tryWrite is RawConn.Write's: an error is met again by who writes the rest.
func (s *Socket) tryWrite(fd uintptr) (done bool) {
	if len(s.offered) == 0 {
		return true
	}
	n := 0
	if len(s.offered) <= rawio.MaxSend {
		n, _ = rawio.Transmit(fd, s.offered)
	} else {
		n, _ = syscall.Write(int(fd), s.offered)
	}
	s.took = max(n, 0)
	return true
}

// Receive reads what comes, decrypted, until that fails or a deadline has passed, which ends the call and not the connection: room gives where to, never empty, and came is told how much it is. An
// error of came's is given back. idle is told before each wait.
//
// All of it happens inside of one call of RawConn.Read, which waits on the runtime's poller. The poller tells of a change once, so it is waited for only after a read that found nothing. (That the
// socket tells with the data that nothing is left, TCP_INQ, is not enough here: it does not tell of a reset, which may be one change with the data.)
func (s *Socket) Receive(room func() []byte, came func(n int) error, idle func()) error {
	if s.raw == nil {
		return s.receiveSlowly(room, came, idle)
	}
	s.room, s.came, s.idle = room, came, idle
	for s.failed = nil; s.failed == nil; {
		if err := s.raw.Read(s.read); err != nil {
			return err
		}
	}
	return s.failed
}

// turn reads what there is, and reports that it is over for now: after an error, or when the deadline is to be looked at.
func (s *Socket) turn(fd uintptr) (over bool) {
	s.fd, s.turning = fd, true
	for range maxReads {
		n, err := s.readDecrypted(s.room())
		if n > 0 {
			s.failed = s.came(n)
		}
		switch {
		case s.failed != nil:
			return true
		case err == syscall.EAGAIN:
			s.idle()
			return false
		case err != nil:
			s.failed = err
			return true
		}
	}
	return true
}

// readSocket reads what has come; before the first turn it waits for it, as a handshake needs. p is not empty.
func (s *Socket) readSocket(p []byte) (int, error) {
	if !s.turning {
		return s.net.Read(p)
	}
	return rawio.Read(s.fd, p)
}
