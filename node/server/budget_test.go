package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/protocol/budget"
)

// Half requests fill the memory up to its bound. Of those who wait for each other one is refused, the others go on, and all comes back.
func TestHalfRequestsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		small, big := largeBytes(0), largeBytes(1)
		all := int64(3*big + 2*small)
		s := New(Config{Session: EchoSession, MaxRequestBytes: big, MaxBufferBytes: all, NoMemory: "no memory\n"})
		whole := block(big - 6)
		send := func(part string, c net.Conn) {
			t.Helper()
			if _, err := io.WriteString(c, part); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		left := func(want int64) {
			t.Helper()
			if s.budget.Left() != want {
				t.Fatalf("%d bytes left, want %d", s.budget.Left(), want)
			}
		}
		finish := func(rest string, c net.Conn) {
			t.Helper()
			go func() { _, _ = io.WriteString(c, rest) }()
			if _, err := io.ReadFull(c, make([]byte, len(whole))); err != nil {
				t.Fatal(err)
			}
		}
		left(all)
		large := []net.Conn{plug(s), plug(s), plug(s)}
		for _, c := range large {
			send(whole[:small], c)
		}
		left(int64(2 * small))
		first, second := plug(s), plug(s)
		send(whole[:readBytes], first)
		send(whole[:readBytes], second)
		left(0)

		start := time.Now()
		send(whole[readBytes:small], first) // now each needs what the other has
		time.Sleep(time.Millisecond)
		send(whole[readBytes:small], second)
		if got, err := io.ReadAll(first); string(got) != "no memory\n" || err != nil || time.Since(start) != budget.Patience {
			t.Fatalf("got %q, %v after %v", got, err, time.Since(start))
		}
		finish(whole[small:], second)
		for _, c := range large {
			finish(whole[small:], c)
			exchange(t, c, "5:hello")
		}
		synctest.Wait()
		left(all)
		if n := s.stats.NoMemoryConns.Load(); n != 1 {
			t.Fatalf("%d refused, want 1", n)
		}
		if err := s.Stop(0); err != nil {
			t.Fatal(err)
		}
	})
}

// A client that is refused memory and does not read that keeps nothing.
func TestRefusedMemoryIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, MaxRequestBytes: 4 * readBytes, NoMemory: "no memory\n"})
		little := int64(largeBytes(0))
		if !s.budget.Take(s.budget.Left()-little, nil) {
			t.Fatal("not to be had")
		}
		c := plug(s)
		if _, err := io.WriteString(c, block(3 * readBytes)[:little]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * budget.Patience)
		synctest.Wait()
		if s.budget.Left() != little || s.stats.CurrConns.Load() != 0 {
			t.Fatalf("%d bytes left, want %d", s.budget.Left(), little)
		}
	})
}

func block(size int) string {
	digits := []byte{}
	for n := size; n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits) + ":" + strings.Repeat("x", size)
}

// A client that does not read its answers keeps no share of the budget that it does not need, and one it needs only for a while.
func TestUnreadAnswersHoldNoBudget(t *testing.T) {
	f := func(name, in string, held int, after time.Duration, open bool) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(Config{Session: EchoSession, MaxRequestBytes: 8 * readBytes})
				left := s.budget.Left
				all := left()
				c := plug(s)
				if _, err := io.WriteString(c, in); err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // until its answer is being sent
				if got := all - left(); got != int64(held) {
					t.Errorf("%d bytes held, want %d", got, held)
				}
				time.Sleep(after)
				synctest.Wait()
				if got := s.stats.CurrConns.Load() == 1; got != open || left() != all && !open {
					t.Errorf("open: %t, want %t; %d bytes held", got, open, all-left())
				}
				c.Close()
				synctest.Wait()
				if left() != all {
					t.Errorf("%d bytes are not given back", all-left())
				}
			})
		})
	}
	large := block(readBytes + readBytes/8)
	f("one upload", large, 0, restPatience-1, true)
	f("one upload, for long", large, 0, restPatience, false)
	f("and a little", large+"5:hello3:a", 0, restPatience-1, true)
	f("and half of another", large+large[:readBytes+10], largeBytes(0), partPatience-1, true)
	f("and half of another, for long", large+large[:readBytes+10], largeBytes(0), partPatience, false)
}

// Who reads slowly is waited for.
func TestSlowReadersKeepTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Session: EchoSession, MaxRequestBytes: 32 * readBytes})
		c := plug(s)
		large := block(16 * readBytes)
		go func() { _, _ = io.WriteString(c, large+large) }()
		for got := 0; got < 2*len(large); {
			time.Sleep(partPatience - time.Second)
			n, err := c.Read(make([]byte, partBytes))
			if got += n; err != nil {
				t.Fatalf("after %d bytes: %v", got, err)
			}
		}
		if err := s.Stop(0); err != nil {
			t.Fatal(err)
		}
	})
}
