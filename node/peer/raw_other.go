//go:build !linux

package peer

import "net"

// A rawSocket would write what a socket takes at once; here it waits for it.
type rawSocket struct{ net net.Conn }

func (r *rawSocket) open(nc net.Conn) { r.net = nc }

// write says how much of p was written.
func (r *rawSocket) write(p []byte) int {
	n, _ := r.net.Write(p)
	return n
}
