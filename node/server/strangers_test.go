package server

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// Who never says who he is keeps nobody out: he makes room when others come.
func TestStrangersMakeRoom(t *testing.T) {
	secure, client := secured(t)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // guards refused
		refused := 0
		s := New(Config{Session: EchoSession, MaxStrangers: 3, Log: slog.New(slog.DiscardHandler), Refused: func(string, error) {
			mu.Lock()
			defer mu.Unlock()
			refused++
		}})
		l := &listener{begin: encrypted(secure, EchoSession)}
		var silent []net.Conn
		for range 10 {
			c, served := net.Pipe()
			s.admit(served, l)
			silent = append(silent, c)
			synctest.Wait()
		}
		for n, c := range silent[:7] {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%d: %v, want an end", n, err)
			}
		}
		if n := s.stats.CurrConns.Load(); n != 3 {
			t.Errorf("%d connections, want 3", n)
		}
		for range 5 { // who is through takes no place
			c, served := net.Pipe()
			s.admit(served, l)
			exchange(t, tls.Client(c, client), "5:hello")
		}
		if n := s.stats.CurrConns.Load(); n < 5 {
			t.Errorf("%d connections, want those that have shown who they are", n)
		}
		c, served := net.Pipe()
		s.admit(served, l)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		if _, err := io.WriteString(c, "what is this?"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if refused < 1 {
			t.Error("nobody is told of the refusal")
		}
		if err := s.Stop(0); err != nil {
			t.Error(err)
		}
	})
}
