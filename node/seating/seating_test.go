package seating

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// one makes seats of which there is one, and it is taken.
func one(t *testing.T) *Seats {
	t.Helper()
	s := &Seats{free: 1}
	if !s.Take(Clients, nil, 0) {
		t.Fatal("the free seat is not to be had")
	}
	return s
}

func TestKindsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, served := one(t), make(chan string, 6)
		for _, kind := range []Kind{Clients, Clients, Clients, Clients, Answers, Answers} {
			go func() {
				if s.Take(kind, nil, 0) {
					served <- []string{"client", "answer"}[kind]
				}
			}()
			synctest.Wait()
		}
		var order []string
		for range cap(served) {
			s.Leave()
			order = append(order, <-served)
		}
		if want := []string{"answer", "client", "answer", "client", "client", "client"}; !slices.Equal(order, want) {
			t.Errorf("%q, want %q", order, want)
		}
		if s.Leave(); s.free != 1 {
			t.Errorf("%d seats are free", s.free)
		}
	})
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ended, began := one(t), make(chan struct{}), time.Now()
		if s.Take(Answers, ended, time.Second) || time.Since(began) != time.Second {
			t.Errorf("not turned away after a second but after %v", time.Since(began))
		}
		time.AfterFunc(time.Second, func() { close(ended) })
		if s.Take(Clients, ended, 0) || time.Since(began) != 2*time.Second {
			t.Errorf("not turned away at the end but after %v", time.Since(began))
		}
		time.AfterFunc(time.Second, s.Leave)
		if !s.Take(Clients, nil, time.Minute) || time.Since(began) != 3*time.Second {
			t.Errorf("not seated when a seat was left but after %v", time.Since(began))
		}
		if s.Leave(); s.free != 1 || !s.Take(Answers, ended, time.Second) {
			t.Errorf("who has given up has the seat")
		}
	})
}
