package server

import (
	"bytes"
	"testing"
)

func TestLargeSizes(t *testing.T) {
	f := func(n, want int) {
		t.Helper()
		if i := largeFor(n); i != want || largeBytes(i) < n || i > 0 && largeBytes(i-1) >= n {
			t.Fatalf("%d bytes: size %d of %d bytes, want %d", n, i, largeBytes(i), want)
		}
	}
	f(1, 0)
	f(readBytes+1, 0)
	f(36<<10, 0)
	f(36<<10+1, 1)
	f(68<<10, 1)
	f(68<<10+1, 2)
	f(1<<20+4<<10, 5)
	f(1<<30, 15)
}

// A buffer grows with what has come, whatever was announced.
func TestBuffersGrowWithWhatHasCome(t *testing.T) {
	f := func(arrived, want int) {
		t.Helper()
		c := &conn{server: New(Config{}), net: &far{}, session: EchoSession()}
		rest := []byte(block(1 << 20))[:arrived]
		for len(rest) > 0 {
			c.borrow()
			n := copy(c.in[c.end:], rest)
			if rest = rest[n:]; !c.received(n) {
				t.Fatal("it ends")
			}
		}
		if len(c.in) != want {
			t.Fatalf("a buffer of %d bytes for %d that have come, want %d", len(c.in), arrived, want)
		}
	}
	f(100, readBytes)
	f(readBytes-1, readBytes)
	f(readBytes, 36<<10)
	f(36<<10-1, 36<<10)
	f(36<<10, 68<<10)
	f(1<<20, 1<<20+4<<10)
}

// Who sends one large request after the other has one buffer, not one of each size up to that: it is lent at once for what is announced, but to one only.
func TestTheIdleBufferIsLentForWhatIsAnnounced(t *testing.T) {
	s := New(Config{})
	all := s.budget.Left()
	whole := []byte(block(1 << 20))
	begin := func() *conn { return &conn{server: s, net: &far{}, session: EchoSession()} }
	feed := func(c *conn, part []byte) {
		t.Helper()
		for len(part) > 0 {
			c.borrow()
			n := copy(c.in[c.end:], part)
			if part = part[n:]; !c.received(n) {
				t.Fatal("it ends")
			}
			c.leaveSeat() // as before every wait
		}
	}
	has := func(c *conn, want int) {
		t.Helper()
		if len(c.in) != want {
			t.Fatalf("a buffer of %d bytes, want %d", len(c.in), want)
		}
	}
	const little, large = 36 << 10, 1<<20 + 4<<10
	first, second := begin(), begin()
	feed(first, whole)
	has(first, readBytes)
	feed(first, whole[:readBytes])
	has(first, large)
	feed(second, whole[:readBytes])
	has(second, little)
	if left := s.budget.Left(); left != all-large-little {
		t.Fatalf("%d bytes of the budget are taken, want %d", all-left, large+little)
	}
	feed(first, whole[readBytes:])
	has(first, readBytes)
	feed(second, whole[readBytes:])
	if left := s.budget.Left(); left != all {
		t.Fatalf("%d bytes of the budget are still taken", all-left)
	}
	if !s.budget.TryTake(all - large/2) {
		t.Fatal("no budget")
	}
	feed(first, whole[:readBytes])
	has(first, little) // there is no room in the budget for what has not come
}

func TestBuffersAreLentWhileEmpty(t *testing.T) {
	c := &conn{}
	if c.borrow(); len(c.in) != readBytes {
		t.Fatalf("a buffer of %d bytes", len(c.in))
	}
	c.end = 1
	if c.lend(); c.in == nil {
		t.Fatal("it lent what it has read")
	}
	c.end = 0
	if c.lend(); c.in != nil || c.small != nil {
		t.Fatal("it keeps an empty buffer")
	}
}

// FuzzArrival cuts requests of given sizes wherever it likes. They come back whole and in their order, from a
// buffer no larger than they need, and it is not kept.
func FuzzArrival(f *testing.F) {
	f.Add([]byte{0, 1, 200, 3}, []byte{1, 2, 255})
	f.Add([]byte{255, 255, 1, 128}, []byte{255, 254, 7})
	f.Add([]byte{5}, []byte{0})
	f.Fuzz(func(t *testing.T, sizes, cuts []byte) {
		if len(sizes) > 50 || len(cuts) == 0 {
			return
		}
		var in []byte
		largest := 0
		for _, size := range sizes {
			request := block(int(size) * int(size))
			in, largest = append(in, request...), max(largest, len(request))
		}
		out := &far{}
		c := &conn{server: New(Config{MaxRequestBytes: 1 << 17}), net: out, session: EchoSession()}
		all := c.server.budget.Left()
		for i, rest := 0, in; len(rest) > 0; i++ {
			c.borrow()
			cut := int(cuts[i%len(cuts)])
			n := copy(c.in[c.end:], rest[:min(cut*cut+1, len(rest))])
			if rest = rest[n:]; n == 0 || !c.received(n) {
				t.Fatalf("it ends %d bytes before the end", len(rest))
			}
			if len(c.in) > max(readBytes, largeBytes(largeFor(largest))) {
				t.Fatalf("a buffer of %d bytes for requests of %d at most", len(c.in), largest)
			}
			c.lend()
		}
		if !bytes.Equal(out.Bytes(), in) {
			t.Fatalf("%d bytes came back of %d", out.Len(), len(in))
		}
		if c.in != nil || c.large != nil || c.server.budget.Left() != all {
			t.Fatal("it keeps a buffer")
		}
	})
}
