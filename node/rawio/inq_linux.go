package rawio

import (
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A TCP socket of Linux tells with what it gives how much more there is to be had, the end of the stream counting as something (tcp(7), TCP_INQ;
// tcp_inq_hint in its sources). That spares the read in vain after each batch: the poller tells of whatever comes later.

// inq is the message that comes with the data.
type inq struct {
	syscall.Cmsghdr
	left int32
	_    int32 // as long as its header says, rounded up
}

// TellsLeft has a socket tell, and reports whether it will.
func TellsLeft(nc net.Conn, raw syscall.RawConn) bool {
	if _, is := nc.(*net.TCPConn); !is {
		return false
	}
	var failed error
	err := raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_INQ, 1) })
	return err == nil && failed == nil
}

// receiveAndTell is receive from a socket that tells: drained means that there is nothing more.
func receiveAndTell(fd uintptr, p []byte) (n int, drained bool, errno syscall.Errno) {
	var told inq
	into := syscall.Iovec{Base: &p[0]}
	into.SetLen(len(p))
	msg := syscall.Msghdr{Iov: &into, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&told))}
	msg.SetControllen(int(unsafe.Sizeof(told)))
	r, _, errno := syscall.RawSyscall(syscall.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&msg)), 0)
	if errno != 0 {
		return 0, false, errno
	}
	acquire(fd)
	return int(r), told.Level == syscall.IPPROTO_TCP && told.Type == unix.TCP_CM_INQ && told.left == 0, 0
}
