//go:build linux

package server

import (
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Linux tells the length of a listener's queue where it tells, of a connection, what has been received out of order.
func TestBacklog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	length := func() (n uint32) {
		if err := raw.Control(func(fd uintptr) {
			info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err != nil {
				t.Fatal(err)
			}
			n = info.Sacked
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := length()
	if err := setBacklog(l, 0); err != nil || length() != before {
		t.Errorf("0 has changed it from %d to %d: %v", before, length(), err)
	}
	if err := setBacklog(l, 7); err != nil || length() != 7 {
		t.Errorf("got %d, %v, want 7", length(), err)
	}
}
