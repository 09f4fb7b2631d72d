//go:build linux

// Package sockettest has the kernel send what tests of sockets need to meet in one packet.
package sockettest

import (
	"net"
	"syscall"
	"testing"
)

// Cork holds back what is written to a TCP connection, encrypted or not, until the stream ends, so that the last data and the end go in one packet.
func Cork(t testing.TB, nc net.Conn) {
	t.Helper()
	if under, is := nc.(interface{ NetConn() net.Conn }); is {
		nc = under.NetConn()
	}
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CORK, 1) })
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}
