package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/certstest"
	"github.com/memring/memring/protocol/session"
)

// secured gives what TLS listeners use, and their clients.
func secured(t testing.TB) (secure func() *tls.Config, client *tls.Config) {
	t.Helper()
	a := certstest.New(t)
	chain, key := a.Issue("server", time.Now().Add(time.Hour))
	c := certs.New(certs.Config{})
	if err := c.Load(certs.Files{Chain: certs.File{Content: chain}, Key: certs.File{Content: key}}); err != nil {
		t.Fatal(err)
	}
	client, now := a.Client(""), time.Now()
	client.Time = func() time.Time { return now } // also where the clock is a test's own
	return c.TLS(certs.Usual), client
}

// startTLS serves on a free port, encrypted, until the test ends.
func startTLS(t testing.TB, cfg Config) (s *Server, address string, client *tls.Config) {
	t.Helper()
	secure, client := secured(t)
	if cfg.Session == nil {
		cfg.Session = EchoSession
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	s = New(cfg)
	address, err := s.ListenTLS(secure, s.cfg.Session, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Stop(time.Second); err != nil {
			t.Error(err)
		}
		if n := len(s.handshakes) + int(s.stats.CurrConns.Load()); n != 0 {
			t.Errorf("%d seats and connections are left", n)
		}
	})
	return s, address, client
}

func dialTLS(t testing.TB, address string, client *tls.Config) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", address, client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

func dialBare(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// All sizes, in one stream: those that fill a record, a buffer, and many of both. At the end the client is told that nothing was cut off.
func TestTLSRequestsOfAllSizes(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, address, client := startTLS(t, Config{MaxRequestBytes: 1 << 20})
		client.MaxVersion = version
		var in strings.Builder
		for _, size := range []int{1, 100, 16<<10 - 7, 16 << 10, 16<<10 + 1, 100_000, 5, 1<<20 - 8, 3} {
			in.WriteString(block(size))
		}
		c := dialTLS(t, address, client)
		go func() {
			_, _ = io.WriteString(c, in.String())
			_ = c.CloseWrite()
		}()
		got, err := io.ReadAll(c) // io.ErrUnexpectedEOF without a proper end
		if err != nil || string(got) != in.String() {
			t.Fatalf("got %d bytes of %d, %v", len(got), in.Len(), err)
		}
		if read, written := s.stats.BytesRead.Load(), s.stats.BytesWritten.Load(); read != int64(in.Len()) || written != read {
			t.Errorf("counted %d read and %d written of %d", read, written, in.Len())
		}
	}
}

// slow sends few bytes at a time, so that records come in parts.
type slow struct {
	net.Conn
	most int
}

func (s slow) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = s.Conn.Write(p[n:min(n+s.most, len(p))])
		n += m
	}
	return n, err
}

func TestTLSRecordsInParts(t *testing.T) {
	s, address, client := startTLS(t, Config{MaxRequestBytes: 64 << 10})
	for _, most := range []int{1, 5, 600} {
		c := tls.Client(slow{dialBare(t, address), most}, client)
		want := strings.Repeat("5:hello", 20)
		if _, err := io.WriteString(c, want+block(20_000)[:7000]); err != nil { // of which the end never comes
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("%d bytes at a time: got %.40q, %v", most, got, err)
		}
		c.Close()
	}
	if n := s.stats.TLSErrors.Load() + s.stats.HandshakeErrors.Load(); n != 0 {
		t.Errorf("%d errors", n)
	}
}

// Whoever speaks no TLS is sent away, or goes by himself; the server goes on.
func TestNoTLSIsClosed(t *testing.T) {
	f := func(in string) {
		t.Helper()
		s, address, client := startTLS(t, Config{})
		c := dialBare(t, address)
		if _, err := io.WriteString(c, in); err != nil {
			t.Fatal(err)
		}
		if in == "" {
			c.Close()
		}
		_, _ = io.Copy(io.Discard, c) // an alert, or nothing, or a reset
		WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 && s.stats.HandshakeErrors.Load() == 1 })
		exchange(t, dialTLS(t, address, client), "5:hello")
		if n := s.stats.BytesRead.Load(); n != int64(len("5:hello")) {
			t.Errorf("%q: %d bytes were read as requests", in, n)
		}
	}
	f("")
	f("get foo\r\n")
	f("\x80\x0a" + strings.Repeat("\x00", 22)) // binary no-op
	f("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	f("\x16\x03\x01\xff\xff" + strings.Repeat("x", 100))
	f("\x16\x03\x01\x00\x05hello")
	f("\x15\x03\x03\x00\x02\x02\x28") // an alert
}

// What comes changed after the handshake ends the connection, and is counted apart from who just hangs up.
func TestTLSErrors(t *testing.T) {
	f := func(wrong string, want int64) {
		t.Helper()
		s, address, client := startTLS(t, Config{})
		bare := dialBare(t, address)
		c := tls.Client(bare, client)
		exchange(t, c, "5:hello")
		if _, err := io.WriteString(bare, wrong); err != nil {
			t.Fatal(err)
		}
		bare.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, bare)
		WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 })
		if n := s.stats.TLSErrors.Load(); n != want {
			t.Errorf("%q: %d errors, want %d", wrong, n, want)
		}
	}
	f("", 0)
	f("\x17\x03", 0)
	f("\x17\x03\x03\x00\x20"+strings.Repeat("x", 32), 1)
	f("get foo\r\n", 1)
}

// A handshake ends within its time, whatever has come of it, and costs one place of MaxConns until then.
func TestHandshakesAreBounded(t *testing.T) {
	f := func(idle, want time.Duration, says func(c net.Conn)) {
		t.Helper()
		secure, _ := secured(t)
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Session: EchoSession, IdleTimeout: idle, MaxConns: 1, Refusal: "full\n", Log: slog.New(slog.DiscardHandler)})
			l := &listener{begin: encrypted(secure, EchoSession)}
			c, served := net.Pipe()
			start := time.Now()
			s.admit(served, l)
			says(c)
			second, turnedAway := net.Pipe()
			go s.admit(turnedAway, l)
			if got, err := io.ReadAll(second); string(got) != "full\n" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			_, _ = io.Copy(io.Discard, c)
			if took := time.Since(start); took != want {
				t.Errorf("closed after %v, want %v", took, want)
			}
			synctest.Wait()
			if s.stats.HandshakeErrors.Load() != 1 || s.stats.CurrConns.Load() != 0 || s.stats.IdleKicks.Load() != 0 || len(s.handshakes) != 0 {
				t.Errorf("%d failed, %d connections and %d seats left", s.stats.HandshakeErrors.Load(), s.stats.CurrConns.Load(), len(s.handshakes))
			}
		})
	}
	f(0, handshakePatience, func(net.Conn) {})
	f(0, handshakePatience, func(c net.Conn) { _, _ = io.WriteString(c, "\x16\x03\x01\x00\x40half a hello") })
	f(3*time.Second, 3*time.Second, func(net.Conn) {})
	f(time.Hour, handshakePatience, func(net.Conn) {})
}

// Only so many handshakes compute at once: who finds no seat waits for one, until his time is over.
func TestHandshakesTakeSeats(t *testing.T) {
	secure, client := secured(t)
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, Log: slog.New(slog.DiscardHandler)})
		l := &listener{begin: encrypted(secure, EchoSession)}
		for range cap(s.handshakes) {
			s.handshakes <- struct{}{}
		}
		meet := func() *tls.Conn {
			c, served := net.Pipe()
			s.admit(served, l)
			return tls.Client(c, client)
		}
		start := time.Now()
		if err := meet().Handshake(); err == nil || time.Since(start) != handshakePatience {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.AfterFunc(5*time.Second, func() { <-s.handshakes })
		start = time.Now()
		c := meet()
		exchange(t, c, "5:hello")
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("after %v", took)
		}
		s.handshakes <- struct{}{}
		go func() { _ = meet().Handshake() }()
		go func() {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%v, want a proper end", err)
			}
		}()
		synctest.Wait()
		start = time.Now()
		if err := s.Stop(time.Minute); err != nil || time.Since(start) != 0 {
			t.Errorf("stopped after %v, %v", time.Since(start), err)
		}
	})
}

// The time without a request counts from the handshake's end, and as it does without TLS.
func TestTLSIdleConnectionsAreClosed(t *testing.T) {
	f := func(between time.Duration, requests int) {
		t.Helper()
		secure, client := secured(t)
		synctest.Test(t, func(t *testing.T) {
			const timeout = 3 * time.Second
			s := New(Config{Session: EchoSession, IdleTimeout: timeout, Log: slog.New(slog.DiscardHandler)})
			pipe, served := net.Pipe()
			s.admit(served, &listener{begin: encrypted(secure, EchoSession)})
			c := tls.Client(pipe, client)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			for range requests {
				time.Sleep(between)
				exchange(t, c, "5:hello")
			}
			start := time.Now()
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%v, want a proper end", err)
			}
			if took := time.Since(start); took <= timeout || took > timeout+2*time.Second {
				t.Errorf("closed after %v", took)
			}
			pipe.Close()
			synctest.Wait()
			if s.stats.IdleKicks.Load() != 1 || s.stats.CurrConns.Load() != 0 {
				t.Errorf("%d kicks, %d left", s.stats.IdleKicks.Load(), s.stats.CurrConns.Load())
			}
		})
	}
	f(0, 0)
	f(2900*time.Millisecond, 20)
}

func TestTLSIdleOnASocket(t *testing.T) {
	s, address, client := startTLS(t, Config{IdleTimeout: time.Second})
	c := dialTLS(t, address, client)
	exchange(t, c, "5:hello")
	if _, err := c.Read(make([]byte, 1)); err != io.EOF || s.stats.IdleKicks.Load() != 1 {
		t.Fatalf("%v, %d kicks", err, s.stats.IdleKicks.Load())
	}
}

// Half requests take from the same budget, and are refused in the same words.
func TestTLSHalfRequestsAreBounded(t *testing.T) {
	s, address, client := startTLS(t, Config{MaxRequestBytes: 4 * readBytes, NoMemory: "no memory\n"})
	all := s.budget.Left()
	whole := block(3 * readBytes)
	little := int64(largeBytes(0))
	if !s.budget.Take(all-little, nil) {
		t.Fatal("not to be had")
	}
	c := dialTLS(t, address, client)
	if _, err := io.WriteString(c, whole[:little]); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "no memory\n" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 })
	s.budget.Give(all - little)
	exchange(t, dialTLS(t, address, client), whole)
	WaitUntil(t, func() bool { return s.budget.Left() == all })
}

// A stop lets batches finish, says so to all, and cuts who does not read.
func TestTLSStop(t *testing.T) {
	hold := make(chan struct{})
	s, address, client := startTLS(t, Config{Session: func() *session.Session { return HoldSession(hold) }})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	idle, busy := dialTLS(t, address, client), dialTLS(t, address, client)
	if _, err := io.WriteString(busy, "5:hello"); err != nil {
		t.Fatal(err)
	}
	WaitUntil(t, func() bool { return s.stats.BytesRead.Load() == 7 && s.stats.NewSessions.Load() == 2 })
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(10 * time.Second) }()
	if got, err := io.ReadAll(idle); len(got) != 0 || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	release()
	if got, err := io.ReadAll(busy); string(got) != "5:hello" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func TestTLSStopCutsAClientThatDoesNotRead(t *testing.T) {
	s, address, client := startTLS(t, Config{})
	c := dialTLS(t, address, client)
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := io.WriteString(c, block(100_000)); err != nil {
			break // the server has stopped reading, since we do not read
		}
	}
	start := time.Now()
	if err := s.Stop(50 * time.Millisecond); err != nil || time.Since(start) > 3*time.Second {
		t.Fatalf("%v after %v", err, time.Since(start))
	}
}

// A new certificate is for the connections that come; those that are there go on.
func TestTLSReload(t *testing.T) {
	a := certstest.New(t)
	c := certs.New(certs.Config{})
	load := func(name string) {
		chain, key := a.Issue(name, time.Now().Add(time.Hour))
		if err := c.Load(certs.Files{Chain: certs.File{Content: chain}, Key: certs.File{Content: key}}); err != nil {
			t.Fatal(err)
		}
	}
	load("one")
	s := New(Config{Session: EchoSession, Log: slog.New(slog.DiscardHandler)})
	address, err := s.ListenTLS(c.TLS(certs.Usual), EchoSession, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	defer func() { _ = s.Stop(0) }()
	name := func(c *tls.Conn) string { return c.ConnectionState().PeerCertificates[0].Subject.CommonName }
	before := dialTLS(t, address, a.Client(""))
	exchange(t, before, "5:hello")
	load("two")
	after := dialTLS(t, address, a.Client(""))
	for range 3 {
		exchange(t, before, "5:hello")
		exchange(t, after, "5:hello")
	}
	if name(before) != "one" || name(after) != "two" {
		t.Errorf("%s, %s", name(before), name(after))
	}
}

// Streams pause and go on under TLS as well.
func TestTLSStreams(t *testing.T) {
	d := drip{make(chan string, 1)}
	s, address, client := startTLS(t, Config{Session: func() *session.Session { return session.New(d, blocks{}, 1) }})
	c := dialTLS(t, address, client)
	if _, err := io.WriteString(c, "1:x"); err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"one.", "two.", "three."} {
		d.pieces <- piece
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != piece {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	c.Close()
	WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 })
}

// Many come and go at once, some of them badly.
func TestTLSManyClients(t *testing.T) {
	s, address, client := startTLS(t, Config{})
	var failed atomic.Int32
	done := make(chan struct{})
	for i := range 40 {
		go func() {
			defer func() { done <- struct{}{} }()
			if i%4 == 0 {
				if c, err := net.Dial("tcp", address); err == nil {
					_, _ = fmt.Fprintf(c, "\x16\x03\x01\x02\x00 half of a hello, number %d", i)
					c.Close()
				}
				return
			}
			c, err := tls.Dial("tcp", address, client)
			if err != nil {
				failed.Add(1)
				return
			}
			defer c.Close()
			in := []byte(block(100 * i))
			got := make([]byte, len(in))
			for range 5 {
				_, err := c.Write(in)
				_, err2 := io.ReadFull(c, got)
				if errors.Join(err, err2) != nil || !bytes.Equal(got, in) {
					failed.Add(1)
				}
			}
		}()
	}
	for range 40 {
		<-done
	}
	WaitUntil(t, func() bool { return s.stats.CurrConns.Load() == 0 && s.stats.HandshakeErrors.Load() == 10 })
	if failed.Load() != 0 || s.stats.TLSErrors.Load() != 0 {
		t.Errorf("%d failed, %d errors", failed.Load(), s.stats.TLSErrors.Load())
	}
}

// BenchmarkTLS has one client that sends so many requests at a time; the allocations are of both ends.
func BenchmarkTLS(b *testing.B) {
	for _, requests := range []int{1, 16, 100} {
		b.Run(fmt.Sprint(requests), func(b *testing.B) {
			_, address, client := startTLS(b, Config{})
			c, err := tls.Dial("tcp", address, client)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			out := []byte(strings.Repeat(block(100), requests))
			in := make([]byte, len(out))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(out); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(requests*b.N), "ns/request")
		})
	}
}

// BenchmarkHandshake tells what a new connection costs both ends.
func BenchmarkHandshake(b *testing.B) {
	_, address, client := startTLS(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		c, err := tls.Dial("tcp", address, client)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
