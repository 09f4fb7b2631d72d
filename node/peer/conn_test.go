package peer

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// answerer answers every request with a value as long as its Delta says, until its connection ends.
func answerer(nc net.Conn) {
	codec := frame.NewCodec()
	in, end := make([]byte, 8<<20), 0
	for {
		n, err := nc.Read(in[end:])
		if err != nil {
			return
		}
		end += n
		var out []byte
		for {
			var req protocol.Request
			used := codec.Parse(in[:end], &req)
			if used <= 0 {
				break
			}
			out = codec.Append(out, &req, &protocol.Response{Status: protocol.OK, Value: make([]byte, req.Delta)})
			end = copy(in, in[used:end])
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// A conn that has served large values soon keeps no memory for them: when it is at rest, and when small requests go on.
func TestBuffersFollowTheirUse(t *testing.T) {
	f := func(name string, goOn bool) {
		t.Helper()
		p := New(Config{Lanes: 1, Deadline: time.Second, Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			go answerer(far) // ends with near, which p closes
			return near, nil
		}})
		defer p.Stop()
		link := p.Link("there", netip.AddrPort{})
		ask := func(size int) protocol.Status {
			pending := link.Send(&protocol.Request{Op: protocol.Set, Key: []byte("k"), Value: make([]byte, size), Delta: uint64(size)})
			defer pending.Release()
			pending.Wait()
			return pending.Response.Status
		}
		held := func() int {
			c := link.lanes[0].conn.Load()
			c.mu.Lock()
			defer c.mu.Unlock()
			return cap(c.out) + cap(c.spare)
		}
		most := 0
		for try := 0; most < 1<<20 && try < 100; try++ { // on a busy machine it may have been at rest again before anybody looks
			if status := ask(1 << 20); status != protocol.OK {
				t.Fatalf("%s: status %d", name, status)
			}
			most = held()
		}
		if most < 1<<20 {
			t.Fatalf("%s: holds no more than %d bytes while it is busy", name, most)
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); held() > 2*minKeptBytes; <-tick.C {
			if goOn && ask(10) != protocol.OK {
				t.Fatalf("%s: a small request failed", name)
			}
			if time.Since(began) > 60*time.Second {
				t.Fatalf("%s: still holds %d bytes", name, held())
			}
		}
		c := link.lanes[0].conn.Load()
		p.Stop()
		if len(c.in) > minKeptBytes {
			t.Errorf("%s: reads into %d bytes", name, len(c.in))
		}
	}
	f("at rest", false)
	f("busy with small ones", true)
}

// Requests time out when they are due, each at its own time, though one read deadline serves them all. What a busy machine adds is
// counted out by the median, and by the best of some tries. (Not in a bubble of synctest: Pendings are kept for whoever needs one next.)
func TestTimeOutsArePunctual(t *testing.T) {
	const n, tries = 14, 3
	late := n
	for try := 0; try < tries && late > n/2; try++ {
		late = lateTimeOuts(t, n)
	}
	if late > n/2 {
		t.Errorf("%d of %d time-outs were late by a quarter, in each of %d tries", late, n, tries)
	}
}

// lateTimeOuts counts those of n that are late by a quarter.
func lateTimeOuts(t *testing.T, n int) (late int) {
	const deadline, gap = 900 * time.Millisecond, 60 * time.Millisecond // all sent before the first is overdue
	p := New(Config{Lanes: 1, Deadline: deadline, Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { // reads, says nothing
			for buf := make([]byte, 4096); ; {
				if _, err := far.Read(buf); err != nil {
					return
				}
			}
		}()
		return near, nil
	}})
	defer p.Stop()
	link := p.Link("there", netip.AddrPort{})
	type waited struct{ after, took time.Duration }
	all, start := make(chan waited, n), time.Now()
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for range n {
		go func() {
			began := time.Now()
			pending := link.Send(&protocol.Request{Op: protocol.Noop})
			pending.Wait()
			if pending.Response.Status != protocol.PeerTimeout {
				t.Errorf("status %d", pending.Response.Status)
			}
			pending.Release()
			all <- waited{after: time.Since(start), took: time.Since(began)}
		}()
		<-tick.C
	}
	for range n {
		w := <-all
		if w.took < deadline && w.after-w.took < deadline { // else it was sent, on a machine too busy, when the first was overdue, and fails at once
			t.Errorf("timed out after %v, before the deadline", w.took)
		}
		if w.took > deadline+deadline/4 {
			late++
		}
	}
	return late
}

// Whatever comes instead of answers: each Pending is completed once, with the answer that bears its number or as lost.
func FuzzDeliver(f *testing.F) {
	ok := protocol.Response{Status: protocol.OK, Value: []byte("value")}
	var proper []byte
	for sequence := range uint32(4) {
		proper = frame.AppendResponse(proper, sequence, &ok)
	}
	f.Add(proper, uint8(3), uint16(50))
	f.Add(append(proper, proper...), uint8(3), uint16(10))
	f.Add(proper[:90], uint8(8), uint16(33))
	f.Add([]byte{}, uint8(1), uint16(0))
	first := protocol.Response{Status: protocol.OK, Value: []byte("fir"), Size: 8, Marks: protocol.Parted, Number: 7}
	second := protocol.Response{Status: protocol.OK, Value: []byte("st"), Marks: protocol.Parted, Number: 7}
	last := protocol.Response{Status: protocol.OK, Value: []byte("one")}
	parts := frame.AppendResponse(frame.AppendResponse(frame.AppendResponse(nil, 0, &first), 1, &ok), 2, &second)
	f.Add(frame.AppendResponse(parts, 3, &last), uint8(1), uint16(60))
	f.Add(frame.AppendResponse(parts, 3, &last), uint8(2), uint16(0))
	peers := New(Config{MaxValueBytes: 1 << 20})
	f.Fuzz(func(t *testing.T, in []byte, asked uint8, cut uint16) {
		c := newConn(&lane{link: newLink(peers, "there", netip.AddrPort{})})
		defer c.stop()
		pendings := make([]*protocol.Pending, asked)
		for i := range pendings {
			pendings[i] = protocol.NewPending(func() { t.Fatalf("request %d is still open", i) })
			c.addLocked(&protocol.Request{Op: protocol.Noop}, pendings[i], 0)
		}
		at := min(int(cut), len(in))
		used, err := c.deliver(in[:at])
		if used > at {
			t.Fatalf("used %d of %d bytes", used, at)
		}
		if err == nil {
			_, err = c.deliver(in[used:])
		}
		c.lose(err)
		answers, parted := 0, anyUnlike(in)
		for i, pending := range pendings {
			pending.Flush()
			switch pending.Response.Status {
			case protocol.PeerLost:
			default:
				if answers++; i+1 != answers && !parted {
					t.Fatalf("request %d has an answer, and one before it has none", i)
				}
				if pending.Response.Marks.Has(protocol.Parted) {
					t.Fatalf("request %d was given a part for its answer", i)
				}
			}
			pending.Release()
		}
	})
}

// anyUnlike reports whether among these is the first part of an answer, whose others are waited for while requests behind it are answered, or one
// that says itself that a peer was lost.
func anyUnlike(in []byte) bool {
	for {
		var resp protocol.Response
		_, used, err := frame.ParseResponse(in, &resp)
		if used <= 0 || err != nil {
			return false
		}
		if resp.Marks.Has(protocol.Parted) || resp.Status == protocol.PeerLost {
			return true
		}
		in = in[used:]
	}
}
