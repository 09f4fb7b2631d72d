package server_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/server"
	"github.com/memring/memring/protocol/session"
)

// startUDP serves datagrams on a free port and gives a client's socket.
func startUDP(t *testing.T, begin func() *session.Session) (*server.Server, *net.UDPConn) {
	t.Helper()
	s := server.New(server.Config{UDPSession: begin, Log: slog.New(slog.DiscardHandler)})
	address, err := s.ListenUDP("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(deadline); err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return s, c.(*net.UDPConn)
}

func request(head [4]uint16, body string) []byte {
	var out []byte
	for _, number := range head {
		out = binary.BigEndian.AppendUint16(out, number)
	}
	return append(out, body...)
}

func sendDatagram(t *testing.T, c net.Conn, datagram []byte) {
	t.Helper()
	if _, err := c.Write(datagram); err != nil {
		t.Fatal(err)
	}
}

// receive puts the next answer together and gives its request id.
func receive(t *testing.T, c net.Conn) (id uint16, answer string) {
	t.Helper()
	var parts []string
	buf := make([]byte, 2000)
	for left := 1; left > 0; left-- {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n <= 8 || n > 1400 {
			t.Fatalf("a datagram of %d bytes", n)
		}
		seq, count := int(binary.BigEndian.Uint16(buf[2:])), int(binary.BigEndian.Uint16(buf[4:]))
		if parts == nil {
			id, parts, left = binary.BigEndian.Uint16(buf), make([]string, count), count
		}
		if binary.BigEndian.Uint16(buf) != id || count != len(parts) || seq >= count || parts[seq] != "" || !bytes.Equal(buf[6:8], []byte{0, 0}) {
			t.Fatalf("head % x, after %d datagrams of request %d", buf[:8], len(parts), id)
		}
		parts[seq] = string(buf[8:n])
	}
	return id, strings.Join(parts, "")
}

func TestDatagramsAreAnswered(t *testing.T) {
	_, c := startUDP(t, server.EchoSession)
	f := func(id uint16, in, want string) {
		t.Helper()
		sendDatagram(t, c, request([4]uint16{id, 0, 1, 0}, in))
		if gotID, got := receive(t, c); gotID != id || got != want {
			t.Fatalf("got %d, %d bytes %.40q; want %d, %.40q", gotID, len(got), got, id, want)
		}
	}
	f(161, "5:hello", "5:hello")
	f(161, "5:hello", "5:hello")
	f(65535, "1:a2:bb0:", "1:a2:bb0:")
	f(0, "1:a5:hel", "1:a") // the rest is lost
	f(1, "5:hello", "5:hello")
	f(2, "1:a.1:b", "1:a") // the end of this conversation, not of the next
	f(3, "1:c", "1:c")
	for _, size := range []int{1392 - 5, 1392 - 4, 20_000, 60_000} {
		f(uint16(size), block(size), block(size))
	}
}

// Whatever is no whole request of one datagram gets no answer; nor does one whose answer is too large.
func TestDatagramsThatGetNoAnswer(t *testing.T) {
	s, c := startUDP(t, server.EchoSession)
	silent := [][]byte{
		{},
		{0, 1, 0, 0, 0, 1, 0},
		request([4]uint16{1, 0, 1, 0}, ""),
		request([4]uint16{2, 0, 2, 0}, "5:hello"),
		request([4]uint16{3, 1, 2, 0}, "5:hello"),
		request([4]uint16{4, 1, 1, 0}, "5:hello"),
		request([4]uint16{5, 0, 0, 0}, "5:hello"),
		request([4]uint16{6, 0, 1, 9}, "5:hello"),
	}
	for _, datagram := range silent {
		sendDatagram(t, c, datagram)
	}
	sendDatagram(t, c, request([4]uint16{7, 0, 1, 0}, "4:last"))
	if id, got := receive(t, c); id != 7 || got != "4:last" {
		t.Fatalf("got %d %q", id, got)
	}
	server.WaitUntil(t, func() bool { return s.Stats().DatagramsDropped.Load() == int64(len(silent)) })
}

func TestLargeAnswersAreNotSentByUDP(t *testing.T) {
	f := func(answerBytes, requests int, sent bool) {
		t.Helper()
		s, c := startUDP(t, func() *session.Session { return server.BoastSession(answerBytes) })
		sendDatagram(t, c, request([4]uint16{1, 0, 1, 0}, strings.Repeat("0:", requests)))
		if sent {
			if _, got := receive(t, c); len(got) != answerBytes*requests {
				t.Fatalf("got %d bytes, want %d", len(got), answerBytes*requests)
			}
			return
		}
		server.WaitUntil(t, func() bool { return s.Stats().DatagramsDropped.Load() == 1 })
		if n := s.Stats().BytesWritten.Load(); n != 0 {
			t.Fatalf("%d bytes written", n)
		}
	}
	f(64<<10, 1, true)
	f(64<<10+1, 1, false)
	f(1<<10, 64, true)
	f(1<<10, 65, false)
	f(1<<20, 1, false)
}

// Two servers must not answer each other's answers.
func TestNothingIsAnsweredToAPortOfOurNumber(t *testing.T) {
	s, c := startUDP(t, server.EchoSession)
	to := c.RemoteAddr().(*net.UDPAddr)
	twin, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: to.Port})
	if err != nil {
		t.Skipf("no second loopback address: %v", err)
	}
	defer twin.Close()
	if _, err := twin.WriteToUDP(request([4]uint16{1, 0, 1, 0}, "5:hello"), to); err != nil {
		t.Fatal(err)
	}
	server.WaitUntil(t, func() bool { return s.Stats().DatagramsDropped.Load() == 1 })
	if n := s.Stats().BytesWritten.Load(); n != 0 {
		t.Fatalf("%d bytes written", n)
	}
}

// A server that is stopped without having been started must close its sockets too.
func TestSocketsAreClosedByStop(t *testing.T) {
	s := server.New(server.Config{UDPSession: server.EchoSession})
	address, err := s.ListenUDP("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(deadline); err != nil {
		t.Fatal(err)
	}
	again, err := net.ListenPacket("udp4", address)
	if err != nil {
		t.Fatalf("the address is still bound: %v", err)
	}
	again.Close()
}

func BenchmarkDatagram(b *testing.B) {
	s := server.New(server.Config{UDPSession: server.EchoSession})
	address, err := s.ListenUDP("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(deadline) }()
	c, err := net.Dial("udp4", address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	out, in := request([4]uint16{1, 0, 1, 0}, block(100)), make([]byte, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(in); err != nil {
			b.Fatal(err)
		}
	}
}
