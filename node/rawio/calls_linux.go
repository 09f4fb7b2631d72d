//go:build !race

package rawio

import (
	"syscall"
	"unsafe"
)

// receive is one call that reads. p is not empty.
func receive(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(r), errno
}

// acquire is for the race detector.
func acquire(uintptr) {}

// Transmit writes to a socket that does not block. p is not empty.
func Transmit(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	r, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(r), errno
}
