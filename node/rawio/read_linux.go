package rawio

import (
	"io"
	"syscall"
)

// Read reads what has come on a socket that does not block: EAGAIN if nothing has, io.EOF at the end of the stream. p is not empty.
func Read(fd uintptr, p []byte) (int, error) {
	for {
		if n, errno := receive(fd, p); errno != syscall.EINTR {
			return outcome(n, errno)
		}
	}
}

// ReadAndTell is Read from a socket that tells: drained means that there is nothing more.
func ReadAndTell(fd uintptr, p []byte) (n int, drained bool, err error) {
	for {
		n, drained, errno := receiveAndTell(fd, p)
		if errno != syscall.EINTR {
			n, err = outcome(n, errno)
			return n, drained, err
		}
	}
}

func outcome(n int, errno syscall.Errno) (int, error) {
	switch {
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
