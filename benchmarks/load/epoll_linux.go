package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxEvents are taken from the kernel at once.
	maxEvents = 256

	// longestNap lets the end of a run, and a server that fell silent, be seen in time.
	longestNap = 50 * time.Millisecond
)

// epoll drives the thread's conns from one system thread: it waits for any of them, takes what came, asks again.
func (t *thread) epoll(ctx context.Context) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(poll)) }()
	sockets := make([]int, 0, len(t.conns))
	defer func() {
		for _, fd := range sockets {
			err = errors.Join(err, unix.Close(fd))
		}
	}()
	for i, addr := range t.addrs {
		fd, err := socket(addr)
		if err != nil {
			return err
		}
		sockets = append(sockets, fd)
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)} // what comes back is the conn's number
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return err
		}
	}
	t.start()
	e := &eventLoop{thread: t, poll: poll, sockets: sockets, writing: make([]bool, len(sockets)), heard: since(t.begun)}
	return e.run(ctx)
}

// socket connects, and gives a non-blocking descriptor of our own.
func socket(addr string) (fd int, err error) {
	c, err := net.DialTimeout("tcp", addr, quietBound)
	if err != nil {
		return -1, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = raw.Control(func(theirs uintptr) { fd, dupErr = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

type eventLoop struct {
	*thread
	poll    int
	sockets []int
	writing []bool // the conns that wait until the kernel takes more
	heard   int64  // when the last answer came
	events  [maxEvents]unix.EpollEvent
}

func (e *eventLoop) run(ctx context.Context) error {
	now := since(e.begun)
	if e.pace.every == 0 {
		for i, c := range e.conns {
			c.ask(now)
			if err := e.write(i); err != nil {
				return err
			}
		}
	}
	for {
		now = since(e.begun)
		e.soFar(now)
		if !e.over(ctx, now) {
			if err := e.askDue(now); err != nil {
				return err
			}
		} else if !e.open() {
			e.stop()
			return nil
		}
		n, err := e.wait(now)
		if err != nil {
			return err
		}
		for i := range n {
			if err := e.ready(ctx, int(e.events[i].Fd), e.events[i].Events); err != nil {
				return err
			}
		}
		switch {
		case n > 0:
		case !e.open():
			e.heard = now
		case now-e.heard > int64(quietBound):
			return fmt.Errorf("no answer within %v", quietBound)
		}
	}
}

// open reports whether any answer is awaited.
func (e *eventLoop) open() bool {
	return slices.ContainsFunc(e.conns, func(c *conn) bool { return c.waiting() > 0 })
}

// askDue asks what an open loop should have asked by now. If a conn has too much open its batch
// stays due until it has room, and the ones after it as well.
func (e *eventLoop) askDue(now int64) error {
	if e.pace.every == 0 {
		return nil
	}
	for {
		i, due := e.pace.next()
		if due > now || !e.conns[i].room() {
			return nil
		}
		e.pace.n++
		e.conns[i].ask(due)
		if err := e.write(i); err != nil {
			return err
		}
	}
}

// ready serves a conn that has something to read, or may write.
func (e *eventLoop) ready(ctx context.Context, i int, events uint32) error {
	c := e.conns[i]
	if events&unix.EPOLLOUT != 0 {
		if err := e.write(i); err != nil {
			return err
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return nil
	}
	n, err := unix.Read(e.sockets[i], c.space())
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errors.New("the server has closed a connection")
	}
	now := since(e.begun)
	e.heard = now
	if err := c.came(n, now); err != nil {
		return err
	}
	if e.pace.every > 0 || c.waiting() > 0 || e.over(ctx, now) {
		return nil
	}
	c.ask(now)
	return e.write(i)
}

// write sends what the kernel takes, and asks to be told when it takes more.
func (e *eventLoop) write(i int) error {
	c := e.conns[i]
	for len(c.out) > 0 {
		n, err := unix.Write(e.sockets[i], c.out)
		if err == unix.EAGAIN {
			break
		}
		if err != nil && err != unix.EINTR {
			return err
		}
		c.sent(max(n, 0))
	}
	if wants := len(c.out) > 0; wants != e.writing[i] {
		e.writing[i] = wants
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if wants {
			event.Events |= unix.EPOLLOUT
		}
		return unix.EpollCtl(e.poll, unix.EPOLL_CTL_MOD, e.sockets[i], &event)
	}
	return nil
}

// wait sleeps until something comes or is due; epoll_wait itself knows only milliseconds.
func (e *eventLoop) wait(now int64) (int, error) {
	nap := int64(longestNap)
	if e.pace.every > 0 {
		if i, due := e.pace.next(); e.conns[i].room() {
			nap = min(max(due-now, 0), nap)
		}
	}
	limit := unix.NsecToTimespec(nap)
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(e.poll), uintptr(unsafe.Pointer(&e.events[0])), maxEvents, uintptr(unsafe.Pointer(&limit)), 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return 0, errno
	}
	if errno == unix.EINTR {
		n = 0
	}
	return int(n), nil
}
