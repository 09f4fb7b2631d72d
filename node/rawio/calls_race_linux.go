//go:build race

package rawio

import (
	"errors"
	"syscall"
)

// The race detector knows by these calls, not by raw ones, that what was written before it was sent may be read after it was received.

// receive is as without the race detector.
func receive(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	errors.As(err, &errno)
	return n, errno
}

// acquire has it know that something was received by another call: a read of nothing, which changes nothing.
func acquire(fd uintptr) { _, _ = syscall.Read(int(fd), nil) }

// Transmit is as without the race detector.
func Transmit(fd uintptr, p []byte) (n int, errno syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	errors.As(err, &errno)
	return n, errno
}
