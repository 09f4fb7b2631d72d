package trace

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is as much of a memcached as a Player talks to, that forgets and lies when told.
type fake struct {
	listener net.Listener
	done     sync.WaitGroup

	mu     sync.Mutex // guards the rest
	items  map[string][]byte
	ttls   map[string]string
	told   []string // all lines
	refuse bool     // sets
	lie    bool     // about values
	mute   bool     // answers what no memcached would
}

func newFake(t *testing.T) *fake {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{listener: listener, items: map[string][]byte{}, ttls: map[string]string{}}
	f.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.done.Go(func() {
				f.serve(conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.done.Wait()
	})
	return f
}

func (f *fake) serve(conn net.Conn) {
	read, write := bufio.NewReader(conn), bufio.NewWriter(conn)
	for {
		line, err := read.ReadString('\n')
		if err != nil {
			return
		}
		f.answer(read, write, line[:len(line)-2])
		if read.Buffered() == 0 && write.Flush() != nil {
			return
		}
	}
}

func (f *fake) answer(read io.Reader, write io.Writer, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, line)
	words := bytes.Fields([]byte(line))
	key, say := string(words[1]), func(format string, args ...any) { _, _ = fmt.Fprintf(write, format+"\r\n", args...) }
	switch string(words[0]) {
	case "get":
		if f.mute {
			say("HELLO")
			return
		}
		if value, ok := f.items[key]; ok {
			say("VALUE %s 0 %d\r\n%s", key, len(value), value)
		}
		say("END")
	case "set":
		length, _ := strconv.Atoi(string(words[4]))
		value := make([]byte, length+2)
		_, _ = io.ReadFull(read, value)
		if f.refuse {
			delete(f.items, key)
			say("SERVER_ERROR out of memory storing object")
			return
		}
		if f.lie {
			value[length/2]++
		}
		f.items[key], f.ttls[key] = value[:length], string(words[3])
		say("STORED")
	case "delete":
		if _, ok := f.items[key]; !ok {
			say("NOT_FOUND")
			return
		}
		delete(f.items, key)
		say("DELETED")
	}
}

func (f *fake) dial(t *testing.T) *Player {
	p, err := Dial(f.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func (f *fake) play(t *testing.T, requests ...Request) Tally {
	t.Helper()
	got, err := f.dial(t).Play(context.Background(), slices.Values(requests))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPlayerSetsWhatItMissed(t *testing.T) {
	f := newFake(t)
	got := f.play(t, Request{Key: 1, Size: 100}, Request{Key: 2, Size: 200}, Request{Key: 3, Size: 50, Op: Set})
	if want := (Tally{Requests: 3, Gets: 2, Misses: 2, Sets: 3, AskedBytes: 300, MissedBytes: 300}); got != want {
		t.Errorf("cold: %+v, want %+v", got, want)
	}
	got = f.play(t, Request{Key: 1, Size: 100}, Request{Key: 3, Size: 50}, Request{Key: 2, Op: Delete}, Request{Key: 2, Size: 200})
	if want := (Tally{Requests: 4, Gets: 3, Hits: 2, Misses: 1, Sets: 1, Deletes: 1, AskedBytes: 350, MissedBytes: 200}); got != want {
		t.Errorf("warm: %+v, want %+v", got, want)
	}
	if got = f.play(t, Request{Key: 1, Size: 100, Op: Peek}, Request{Key: 9, Size: 100, Op: Peek}); got.Hits != 1 || got.Misses != 1 || got.Sets != 0 {
		t.Errorf("peeked: %+v", got)
	}
	if n := len(f.items[string(AppendKey(nil, 1))]); n != 100-KeyBytes {
		t.Errorf("the value of a size of 100 has %d bytes", n)
	}
}

// TestPlayerBatchesAsIfOneByOne: the same counts as a player would get that waits for each answer.
func TestPlayerBatchesAsIfOneByOne(t *testing.T) {
	k, _ := KindOf("half-writes")
	made := k.Generate(50, 5000, 3) // few keys: every batch has some twice
	for i := range made.Requests {
		if i%7 == 0 {
			made.Requests[i].Op = Delete
		}
	}
	var want Tally
	kept := map[uint32]bool{}
	for _, r := range made.Requests {
		want.Requests++
		switch r.Op {
		case Get:
			want.Gets++
			want.AskedBytes += uint64(r.Size)
			if kept[r.Key] {
				want.Hits++
			} else {
				want.Misses++
				want.MissedBytes += uint64(r.Size)
				want.Sets++
				kept[r.Key] = true
			}
		case Set:
			want.Sets++
			kept[r.Key] = true
		case Delete:
			want.Deletes++
			delete(kept, r.Key)
		}
	}
	if got := newFake(t).play(t, made.Requests...); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestPlayerTakesLargeValuesBothWays(t *testing.T) {
	var requests []Request
	for range 3 {
		for key := range uint32(40) {
			op := Op(key % 2) // gets and sets in one batch: who only writes would wait for ever
			requests = append(requests, Request{Key: key, Size: 300_000, Op: op})
		}
	}
	if got := newFake(t).play(t, requests...); got.Hits != 40 || got.Wrong != 0 {
		t.Errorf("%+v", got)
	}
}

func TestPlayerCountsLiesAndRefusals(t *testing.T) {
	f := newFake(t)
	f.refuse = true
	if got := f.play(t, Request{Key: 1, Size: 100}, Request{Key: 1, Size: 100}); got.Refused != 1 || got.Sets != 0 || got.Misses != 2 {
		t.Errorf("refused: %+v", got)
	}
	f = newFake(t)
	f.lie = true
	if got := f.play(t, Request{Key: 1, Size: 100}, Request{Key: 1, Size: 100}); got.Wrong != 1 || got.Hits != 1 {
		t.Errorf("lied to: %+v", got)
	}
	f = newFake(t)
	f.mute = true
	if _, err := f.dial(t).Play(context.Background(), slices.Values([]Request{{Key: 1, Size: 100}})); err == nil {
		t.Error("any answer will do")
	}
}

func TestPlayerKeepsItsRate(t *testing.T) {
	f := newFake(t)
	p := f.dial(t)
	p.Rate = 10 * PerSecond
	requests := []Request{{Key: 1, Size: 100, TTL: 200}, {Key: 2, Size: 100, TTL: 1}, {Key: 3, Size: 100}, {Key: 4, Size: 100, TTL: 1 << 30}}
	if _, err := p.Play(context.Background(), slices.Values(requests)); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[uint32]string{1: "20", 2: "1", 3: "0", 4: "2592000"} {
		if got := f.ttls[string(AppendKey(nil, key))]; got != want {
			t.Errorf("key %d has exptime %s, want %s", key, got, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Play(ctx, slices.Values(requests)); err == nil {
		t.Error("a cancelled player plays")
	}
}

func BenchmarkPlayer(b *testing.B) {
	k, _ := KindOf("zipf-1.0")
	made := k.Generate(1000, 1<<16, 1)
	p := &Player{values: NewValues()}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.out = p.out[:0]
		p.append(made.Requests[i%len(made.Requests)])
	}
}
