package server

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
)

// blocks is a wire of data blocks: "5:hello" is answered "5:hello"; a "." ends the conversation.
type blocks struct{}

func (blocks) Parse(buf []byte, req *protocol.Request) int {
	if buf[0] == '.' {
		req.Op = protocol.Quit
		return 1
	}
	colon := bytes.IndexByte(buf, ':')
	if colon < 0 {
		return 0
	}
	size := 0
	for _, digit := range buf[:colon] {
		if size = 10*size + int(digit-'0'); digit < '0' || digit > '9' || size > 1<<30 {
			req.Options = protocol.Hangup
			return len(buf)
		}
	}
	end := colon + 1 + size
	if len(buf) < end {
		return -end
	}
	req.Op, req.Value = protocol.Set, buf[:end]
	return end
}

func (blocks) Append(dst []byte, _ *protocol.Request, resp *protocol.Response) []byte {
	return append(dst, resp.Value...)
}

type echo struct{}

func (echo) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Value = req.Value
	return nil
}

// EchoSession begins a conversation in blocks.
func EchoSession() *session.Session { return session.New(echo{}, blocks{}, 1) }

// far is the far end of a connection that keeps what is sent.
type far struct {
	net.Conn
	bytes.Buffer
}

func (f *far) Write(p []byte) (int, error) { return f.Buffer.Write(p) }

func (f *far) SetWriteDeadline(time.Time) error { return nil }

func (f *far) Read(p []byte) (int, error) { return f.Buffer.Read(p) }

// boast answers each request with so many bytes.
type boast int

func (b boast) Handle(_ *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Value = bytes.Repeat([]byte("x"), int(b))
	return nil
}

// BoastSession begins a conversation of answers of so many bytes.
func BoastSession(bytes int) *session.Session { return session.New(boast(bytes), blocks{}, 1) }

// hold answers no request before it is closed.
type hold chan struct{}

func (h hold) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	<-h
	return echo{}.Handle(req, resp)
}

// HoldSession begins a conversation whose answers come when until is closed.
func HoldSession(until chan struct{}) *session.Session { return session.New(hold(until), blocks{}, 1) }

// WaitUntil waits for what another goroutine is about to do.
func WaitUntil(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("in vain")
		}
	}
}
