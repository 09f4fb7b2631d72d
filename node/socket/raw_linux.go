package socket

import "syscall"

func (s *Socket) open() {
	if sc, ok := s.net.(syscall.Conn); ok {
		s.raw, _ = sc.SyscallConn()
	}
	s.try = func(fd uintptr) bool {
		n, _ := syscall.Write(int(fd), s.offered) // an error is met again by who writes the rest
		s.took = max(n, 0)
		return true
	}
}

// write says how much of p was written.
func (s *Socket) write(p []byte) int {
	if s.raw == nil {
		n, _ := s.net.Write(p)
		return n
	}
	s.offered, s.took = p, 0
	_ = s.raw.Write(s.try)
	s.offered = nil
	return s.took
}
