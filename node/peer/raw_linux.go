package peer

import (
	"net"
	"syscall"
)

// A rawSocket writes what a socket takes at once. One goroutine at a time uses it.
type rawSocket struct {
	net     net.Conn
	socket  syscall.RawConn              // nil: it is no mere socket, and is waited for
	try     func(fd uintptr) (done bool) // made once
	offered []byte
	took    int
}

func (r *rawSocket) open(nc net.Conn) {
	r.net = nc
	if sc, ok := nc.(syscall.Conn); ok {
		r.socket, _ = sc.SyscallConn()
	}
	r.try = func(fd uintptr) bool {
		n, _ := syscall.Write(int(fd), r.offered) // an error is met again by who writes the rest
		r.took = max(n, 0)
		return true
	}
}

// write says how much of p was written.
func (r *rawSocket) write(p []byte) int {
	if r.socket == nil {
		n, _ := r.net.Write(p)
		return n
	}
	r.offered, r.took = p, 0
	_ = r.socket.Write(r.try)
	r.offered = nil
	return r.took
}
