package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// plug gives the client's end of a connection that s has just accepted.
func plug(s *Server) net.Conn {
	client, served := net.Pipe()
	s.admit(served, &listener{begin: plain(s.cfg.Session)})
	return client
}

// exchange sends a request and reads its answer.
func exchange(t *testing.T, c net.Conn, in string) {
	t.Helper()
	if _, err := io.WriteString(c, in); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(in))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != in {
		t.Fatalf("got %.40q, %v; want %.40q", got, err, in)
	}
}

// lasts says how long the server leaves c open.
func lasts(c net.Conn) time.Duration {
	start := time.Now()
	_, _ = c.Read(make([]byte, 1))
	return time.Since(start)
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	f := func(timeout time.Duration, before func(*testing.T, net.Conn)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Session: EchoSession, IdleTimeout: timeout})
			c := plug(s)
			before(t, c)
			if n := s.stats.IdleKicks.Load(); n != 0 {
				t.Fatalf("%d kicks of a connection that is in use", n)
			}
			if got := lasts(c); got <= timeout || got > timeout+2*time.Second {
				t.Fatalf("closed after %v, the time-out is %v", got, timeout)
			}
			synctest.Wait()
			if kicks, left := s.stats.IdleKicks.Load(), s.stats.CurrConns.Load(); kicks != 1 || left != 0 {
				t.Fatalf("%d kicks, %d connections left; want 1, 0", kicks, left)
			}
		})
	}
	f(3*time.Second, func(*testing.T, net.Conn) {})
	f(time.Hour, func(*testing.T, net.Conn) {})
	f(3*time.Second, func(t *testing.T, c net.Conn) { exchange(t, c, "5:hello") })
	f(3*time.Second, func(t *testing.T, c net.Conn) { // in use, now and then
		for range 20 {
			time.Sleep(2900 * time.Millisecond) // of the test's own clock
			exchange(t, c, "5:hello")
		}
	})
	f(3*time.Second, func(t *testing.T, c net.Conn) { // a slow upload
		for _, part := range strings.Split("100:"+strings.Repeat("0123456789", 9), "5") {
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2900 * time.Millisecond)
		}
		if _, err := io.WriteString(c, "0"); err != nil {
			t.Fatal(err)
		}
	})
}

// Another time-out holds for the connections that are there, also if there was none.
func TestIdleTimeoutChanges(t *testing.T) {
	f := func(from, idle, to, want time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Session: EchoSession, IdleTimeout: from})
			c := plug(s)
			exchange(t, c, "5:hello")
			time.Sleep(idle)
			s.SetIdleTimeout(to)
			if got := idle + lasts(c); got < want || got > want+2*time.Second {
				t.Errorf("from %v to %v after %v: closed after %v, want %v", from, to, idle, got, want)
			}
		})
	}
	f(0, time.Hour, time.Second, time.Hour)
	f(0, 2*time.Second, 5*time.Second, 5*time.Second)
	f(time.Hour, 2*time.Second, 5*time.Second, 5*time.Second)
	f(5*time.Second, 2*time.Second, time.Hour, time.Hour)

	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, IdleTimeout: time.Second})
		c := plug(s)
		s.SetIdleTimeout(0)
		time.Sleep(time.Hour)
		exchange(t, c, "5:hello")
		if err := s.Stop(0); err != nil {
			t.Fatal(err)
		}
		s.SetIdleTimeout(time.Hour) // nobody is left
	})
}

// Who sends a byte now and then, but no request, is idle.
func TestTricklingIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, IdleTimeout: 3 * time.Second})
		c := plug(s)
		sent := 0
		for ; sent < 10; sent++ {
			if _, err := io.WriteString(c, "1"); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if sent < 3 || sent > 5 {
			t.Fatalf("closed after %d seconds", sent)
		}
	})
}

func TestStopEndsConnectionsThatMayIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, IdleTimeout: time.Hour})
		c := plug(s)
		exchange(t, c, "5:hello")
		start := time.Now()
		if err := s.Stop(time.Minute); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 0 {
			t.Fatalf("took %v", took)
		}
		if n := s.stats.IdleKicks.Load(); n != 0 {
			t.Fatalf("%d kicks", n)
		}
	})
}

func TestYieldsAreCounted(t *testing.T) {
	f := func(most, requests int, want int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Session: EchoSession, MaxBatch: most})
			c := plug(s)
			exchange(t, c, strings.Repeat("1:a", requests)) // a pipe passes it on whole
			synctest.Wait()
			if got := s.stats.Yields.Load(); got != want {
				t.Fatalf("%d requests by %d: %d yields, want %d", requests, most, got, want)
			}
			if err := s.Stop(0); err != nil {
				t.Fatal(err)
			}
		})
	}
	f(1, 1, 0)
	f(1, 6, 5)
	f(3, 6, 1)
	f(3, 7, 2)
	f(0, 20, 0)
	f(0, 21, 1)
	f(0, 100, 4)
}

func TestPauseAtLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, MaxConns: 1, PauseAtLimit: true})
		s.Start()
		first := plug(s)
		exchange(t, first, "5:first")

		client, served := net.Pipe()
		go s.admit(served, &listener{begin: plain(s.cfg.Session)})
		synctest.Wait()
		if s.stats.Accepting.Load() || s.stats.ListenDisabled.Load() != 1 || s.stats.CurrConns.Load() != 1 {
			t.Fatal("it does not wait")
		}
		time.Sleep(5 * time.Second)
		first.Close()
		exchange(t, client, "6:second")
		if got := s.stats.ListenDisabledMicros.Load(); got != 5_000_000 || !s.stats.Accepting.Load() || s.stats.RefusedConns.Load() != 0 {
			t.Fatalf("waited %d microseconds, want 5000000", got)
		}

		third, served := net.Pipe()
		go s.admit(served, &listener{begin: plain(s.cfg.Session)})
		synctest.Wait()
		if err := s.Stop(0); err != nil {
			t.Fatal(err)
		}
		if _, err := third.Read(make([]byte, 1)); err != io.EOF {
			t.Fatalf("%v; want the end of what waited", err)
		}
		if got := s.stats.ListenDisabled.Load(); got != 2 || s.stats.Accepting.Load() {
			t.Fatalf("%d pauses, want 2", got)
		}
	})
}
