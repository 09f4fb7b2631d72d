//go:build !linux

package socket

func (s *Socket) open() {}

// write says how much of p was written; here it waits for it.
func (s *Socket) write(p []byte) int {
	n, _ := s.net.Write(p)
	return n
}
