// Package socket writes to a connection what it takes at once, and reads what comes, encrypted or not.
//
//	Offer -> (TLS: sealed) -> what the socket takes now; Finish -> the rest, as a goroutine that may wait
//	Receive <- (TLS: opened) <- what has come; then it waits
package socket

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// A Socket is a connection. One goroutine at a time reads, and one writes; the other methods are anybody's.
type Socket struct {
	net    net.Conn
	secure *tls.Conn // nil: not encrypted

	system

	mu     sync.Mutex // guards the rest: TLS writes also while it reads
	shaken bool       // the handshake is done
	sealed *[]byte    // encrypted, and not yet written; nil: there is nothing
}

// sealBytes is how much is encrypted at a time: four records, which go out in one write.
const sealBytes = 64 << 10

// sealBuffers are of those who write now: none is kept for a connection at rest.
var sealBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, sealBytes+4<<10)
	return &b
}}

// New makes a socket of a connection.
func New(nc net.Conn) *Socket {
	s := &Socket{net: nc}
	s.open()
	return s
}

// Encrypt shakes hands, before ctx ends, as the side that has called. After an error the socket is of no more use.
func (s *Socket) Encrypt(ctx context.Context, config *tls.Config) error {
	s.secure = tls.Client(below{s.net, s}, config)
	err := s.secure.HandshakeContext(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shaken = true
	return err
}

// below is what TLS writes to.
type below struct {
	net.Conn
	of *Socket
}

// Write keeps what is encrypted: Offer and Finish write it. That holds for what TLS says by itself, too, which waits for the next of them.
func (b below) Write(p []byte) (int, error) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if !b.of.shaken {
		return b.Conn.Write(p)
	}
	if b.of.sealed == nil {
		b.of.sealed = sealBuffers.Get().(*[]byte)
	}
	*b.of.sealed = append(*b.of.sealed, p...)
	return len(p), nil
}

// Read reads, for TLS: within a turn of Receive without a wait.
func (b below) Read(p []byte) (int, error) { return b.of.readSocket(p) }

// receiveSlowly is Receive over Read, which waits.
func (s *Socket) receiveSlowly(room func() []byte, came func(n int) error, idle func()) error {
	for {
		idle()
		n, err := s.readDecrypted(room())
		if n > 0 {
			if failed := came(n); failed != nil {
				return failed
			}
		}
		if err != nil {
			return err
		}
	}
}

func (s *Socket) readDecrypted(p []byte) (int, error) {
	if s.secure != nil {
		return s.secure.Read(p)
	}
	return s.readSocket(p)
}

// Offer writes what is taken at once. It says how much of p it has taken, and whether all of that has gone out; if not, or if it is not all of p, Finish must be called
// before the next Offer.
func (s *Socket) Offer(p []byte) (took int, out bool) {
	if s.secure == nil {
		return s.offer(p), true
	}
	for took < len(p) {
		n, err := s.secure.Write(p[took:min(took+sealBytes, len(p))])
		if took += n; err != nil || !s.push() {
			return took, false // Finish meets the error again
		}
	}
	return took, true
}

// push writes at once what is encrypted, and reports whether that was all.
func (s *Socket) push() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed == nil {
		return true
	}
	n := s.offer(*s.sealed)
	if n < len(*s.sealed) {
		*s.sealed = append((*s.sealed)[:0], (*s.sealed)[n:]...)
		return false
	}
	s.giveBack(s.sealed)
	s.sealed = nil
	return true
}

// Finish writes what Offer has taken and not written, and then p, and waits for that. It says how much of p was written.
func (s *Socket) Finish(p []byte) (n int, err error) {
	if s.secure == nil {
		return s.net.Write(p)
	}
	for {
		if err = s.drain(); err != nil || n == len(p) {
			return n, err
		}
		took, err := s.secure.Write(p[n:min(n+sealBytes, len(p))])
		if n += took; err != nil {
			return n, err
		}
	}
}

// drain writes what is encrypted, and waits for that.
func (s *Socket) drain() error {
	s.mu.Lock()
	sealed := s.sealed
	s.sealed = nil
	s.mu.Unlock()
	if sealed == nil {
		return nil
	}
	_, err := s.net.Write(*sealed)
	s.giveBack(sealed)
	return err
}

func (s *Socket) giveBack(buffer *[]byte) {
	if cap(*buffer) <= 2*sealBytes {
		*buffer = (*buffer)[:0]
		sealBuffers.Put(buffer)
	}
}

// SetReadDeadline sets the end of reads.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.net.SetReadDeadline(t) }

// SetWriteDeadline sets the end of writes.
func (s *Socket) SetWriteDeadline(t time.Time) error { return s.net.SetWriteDeadline(t) }

// Close closes the connection. The system goes on sending what it has taken; TLS says no goodbye, since whoever speaks here knows where a message ends.
func (s *Socket) Close() error { return s.net.Close() }

// Abort closes the connection, and has the system drop what it has not yet sent.
func (s *Socket) Abort() error {
	if tcp, ok := s.net.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return s.net.Close()
}
