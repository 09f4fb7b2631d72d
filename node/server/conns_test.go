package server

import (
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/protocol/session"
)

func TestConnsAreListed(t *testing.T) {
	var now atomic.Int64
	now.Store(1_000_000)
	hold := make(chan struct{})
	s := New(Config{
		Session: func() *session.Session { return HoldSession(hold) }, UDPSession: EchoSession, Now: now.Load, Log: slog.New(slog.DiscardHandler),
	})
	path := filepath.Join(t.TempDir(), "s")
	bind := func(bound string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return bound
	}
	bind(s.Listen("unix", path, 0o700))
	any4 := bind(s.Listen("tcp4", "0.0.0.0:0", 0))
	udp := bind(s.ListenUDP("udp4", "0.0.0.0:0"))
	s.Start()

	dial := func(network, address string) net.Conn {
		t.Helper()
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		WaitUntil(t, func() bool {
			return s.stats.CurrConns.Load() == s.stats.TotalConns.Load() && len(s.Conns()) == int(3+s.stats.CurrConns.Load())
		})
		return c
	}
	port := any4[strings.LastIndexByte(any4, ':'):]
	dials := []func() net.Conn{
		func() net.Conn { return dial("unix", path) },
		func() net.Conn { return dial("tcp4", "127.0.0.1"+port) },
		func() net.Conn { return dial("tcp4", "127.0.0.1"+port) },
	}
	var clients []net.Conn
	for i, d := range dials {
		clients = append(clients, d())
		WaitUntil(t, func() bool { return s.stats.TotalConns.Load() == int64(i+1) })
	}
	for i, in := range []string{"100:half", "1", "5:hello"} {
		if _, err := io.WriteString(clients[i], in); err != nil {
			t.Fatal(err)
		}
	}
	WaitUntil(t, func() bool {
		return s.stats.BytesRead.Load() == 16 && s.Conns()[5].State == "conn_parse_cmd" && s.Conns()[3].State == "conn_nread"
	})

	now.Add(7)
	want := []ConnInfo{
		{1, false, "unix:" + path, "", "conn_listening", 7},
		{2, false, "tcp:0.0.0.0" + port, "", "conn_listening", 7},
		{3, true, "udp:" + udp, "", "conn_read", 7},
		{4, false, "unix:", "unix:" + path, "conn_nread", 7},
		{5, false, "tcp:" + clients[1].LocalAddr().String(), "tcp:127.0.0.1" + port, "conn_read", 7},
		{6, false, "tcp:" + clients[2].LocalAddr().String(), "tcp:127.0.0.1" + port, "conn_parse_cmd", 7},
	}
	got := s.Conns()
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %+v\nwant %+v", got[i], want[i])
		}
	}

	close(hold) // the answer goes out, later than the request came
	if _, err := io.ReadFull(clients[2], make([]byte, len("5:hello"))); err != nil {
		t.Fatal(err)
	}
	WaitUntil(t, func() bool { return s.Conns()[5] == ConnInfo{6, false, want[5].Addr, want[5].Listener, "conn_read", 0} })
	clients[0].Close()
	WaitUntil(t, func() bool { return len(s.Conns()) == 5 })
	if err := s.Stop(time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Fatalf("the file of the unix socket is still there: %v", err)
	}
	if left := s.Conns(); len(left) != 0 {
		t.Fatalf("%+v after the end", left)
	}
}

func TestAddrText(t *testing.T) {
	f := func(addr net.Addr, want string) {
		t.Helper()
		if got := addrText(addr); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 11211}, "tcp:10.0.0.1:11211")
	f(&net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1"), Port: 1}, "tcp:10.0.0.1:1")
	f(&net.TCPAddr{IP: net.IPv6unspecified, Port: 11211}, "tcp6:[::]:11211")
	f(&net.UDPAddr{IP: net.IPv4zero, Port: 11211}, "udp:0.0.0.0:11211")
	f(&net.UDPAddr{IP: net.IPv6loopback, Port: 11211}, "udp6:[::1]:11211")
	f(&net.UnixAddr{Net: "unix", Name: "/tmp/s"}, "unix:/tmp/s")
	f(&net.UnixAddr{Net: "unix"}, "unix:")
	f(&net.UnixAddr{Net: "unix", Name: "@"}, "unix:")
}
