//go:build !linux

package socket

type system struct{}

func (s *Socket) open() {}

// offer says how much of p was written; here it waits for it.
func (s *Socket) offer(p []byte) int {
	n, _ := s.net.Write(p)
	return n
}

// Receive reads what comes, decrypted, until that fails or a deadline has passed, which ends the call and not the connection: room gives where to, never empty, and came is told how much it is. An
// error of came's is given back. idle is told before each wait.
func (s *Socket) Receive(room func() []byte, came func(n int) error, idle func()) error {
	return s.receiveSlowly(room, came, idle)
}

func (s *Socket) readSocket(p []byte) (int, error) { return s.net.Read(p) }
