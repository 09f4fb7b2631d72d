package server

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestConnectionsAreTold(t *testing.T) {
	f := func(want Reason, cfg Config, do func(s *Server, c net.Conn)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			told := make(chan ConnEvent, 3)
			cfg.Session, cfg.Told = EchoSession, func(e ConnEvent) { told <- e }
			s := New(cfg)
			c := plug(s)
			begun := ConnEvent{IP: "unix", Transport: "local", Origin: 1}
			if got := <-told; got != begun {
				t.Fatalf("%+v", got)
			}
			do(s, c)
			ended := begun
			ended.Closed, ended.Reason = true, want
			if got := <-told; got != ended {
				t.Errorf("%+v, want %s", got, want)
			}
			c.Close()
			synctest.Wait()
			if len(told) > 0 {
				t.Error("it ended twice")
			}
		})
	}
	say := func(text string) func(*Server, net.Conn) {
		return func(_ *Server, c net.Conn) { _, _ = io.WriteString(c, text) }
	}
	f(Normal, Config{}, func(_ *Server, c net.Conn) { c.Close() })
	f(Normal, Config{}, say("."))
	f(Error, Config{}, say("!:"))
	f(Error, Config{MaxRequestBytes: readBytes}, say(block(2 * readBytes)[:readBytes]))
	f(IdleKick, Config{IdleTimeout: time.Second}, func(*Server, net.Conn) { time.Sleep(time.Minute) })
	f(ServerStop, Config{}, func(s *Server, _ net.Conn) { _ = s.Stop(0) })
}
