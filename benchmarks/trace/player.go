package trace

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"strconv"
	"time"
)

const (
	// maxBatch and maxBatchBytes bound what is asked before an answer is read: enough that a run is not one wait after another, few
	// enough that a cache which holds thousands of items cannot tell a batch from its requests one by one.
	maxBatch      = 64
	maxBatchBytes = 1 << 20

	// surelyBuffered is what loopback takes without a reader. More than that is written while the answers are read: a server that
	// waits for us to read an answer does not read on, and both would wait for ever.
	surelyBuffered = 16 << 10

	// answerBound is the longest a batch may take. A server that stalls for longer is taken for dead.
	answerBound = 30 * time.Second

	// lateAbove is what does not matter to TTLs, which are whole seconds.
	lateAbove = time.Second

	readBufferBytes = 256 << 10
)

// A Player plays requests to one server over one connection, in the text protocol.
//
// Requests go out in batches. A batch ends before a request for a key that it already holds, unless both only ask. What missed is
// then set, and what was asked for twice in the batch is asked again after the set: as if each request had waited for the one before.
type Player struct {
	// Rate is how many requests a second are played, and TTLs shrink by as much as the trace's time is faster than ours.
	// 0: as fast as they are answered, with TTLs as they stand.
	Rate float64

	// Played is told after each batch how many requests were played in all.
	Played func(requests uint64)

	// Late is the longest that a request was behind the Rate, if that is more than a trifle (lateAbove).
	Late time.Duration

	conn   net.Conn
	read   *bufio.Reader
	values Values
	out    []byte
	batch  []Request
	seen   map[uint32]Op // the keys of the batch
	again  []Request     // sets of what missed, and what to ask again after them
	missed map[uint32]bool
	played uint64
}

// Dial connects to a server.
func Dial(addr string) (*Player, error) {
	conn, err := net.DialTimeout("tcp", addr, answerBound)
	if err != nil {
		return nil, err
	}
	return &Player{
		conn: conn, read: bufio.NewReaderSize(conn, readBufferBytes), values: NewValues(),
		seen: make(map[uint32]Op, maxBatch), missed: make(map[uint32]bool, maxBatch), Played: func(uint64) {},
	}, nil
}

// Close ends the connection.
func (p *Player) Close() error { return p.conn.Close() }

// Play plays all the requests, or as far as it gets.
func (p *Player) Play(ctx context.Context, requests iter.Seq[Request]) (t Tally, err error) {
	begun := time.Now()
	bytes := 0
	for r := range requests {
		if op, twice := p.seen[r.Key]; len(p.batch) == maxBatch || bytes+int(r.Size) > maxBatchBytes || twice && (op != Get || r.Op != Get) {
			if err = p.flush(ctx, &t, begun); err != nil {
				return t, err
			}
			bytes = 0
		}
		p.batch = append(p.batch, r)
		p.seen[r.Key] = r.Op
		bytes += int(r.Size)
	}
	return t, p.flush(ctx, &t, begun)
}

// flush plays the batch: all of it, then the sets of what missed.
func (p *Player) flush(ctx context.Context, t *Tally, begun time.Time) error {
	if err := p.wait(ctx, t, begun); err != nil {
		return err
	}
	if err := p.exchange(p.batch, t, p.first); err != nil {
		return fmt.Errorf("after %d requests: %w", p.played, err)
	}
	if err := p.exchange(p.again, t, p.second); err != nil {
		return fmt.Errorf("after %d requests, setting what missed: %w", p.played, err)
	}
	p.played += uint64(len(p.batch))
	t.Requests += uint64(len(p.batch))
	p.Played(p.played)
	p.batch, p.again = p.batch[:0], p.again[:0]
	clear(p.seen)
	clear(p.missed)
	return nil
}

// wait keeps the Rate.
func (p *Player) wait(ctx context.Context, t *Tally, begun time.Time) error {
	if p.Rate <= 0 {
		return ctx.Err()
	}
	due := begun.Add(time.Duration(float64(t.Requests) / p.Rate * float64(time.Second)))
	early := time.Until(due)
	if -early > max(lateAbove, p.Late) {
		p.Late = -early
	}
	if early < time.Millisecond { // timers are no finer
		return ctx.Err()
	}
	select {
	case <-time.After(early):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// first is told the outcome of a request of the batch.
func (p *Player) first(r Request, hit bool, t *Tally) {
	switch {
	case r.Op == Set || r.Op == Delete:
	case hit:
		p.count(r, true, t)
	case r.Op == Peek:
		p.count(r, false, t)
	case p.missed[r.Key]:
		p.again = append(p.again, r) // an earlier request of the batch sets it: had this one waited, it would have found it
	default:
		p.count(r, false, t)
		p.missed[r.Key] = true
		p.again = append(p.again, Request{Key: r.Key, Size: r.Size, TTL: r.TTL, Op: Set})
	}
}

func (p *Player) second(r Request, hit bool, t *Tally) {
	if r.Op == Get {
		p.count(r, hit, t)
	}
}

func (p *Player) count(r Request, hit bool, t *Tally) {
	t.Gets++
	t.AskedBytes += uint64(r.Size)
	if hit {
		t.Hits++
	} else {
		t.Misses++
		t.MissedBytes += uint64(r.Size)
	}
}

// exchange writes the requests and reads their answers.
func (p *Player) exchange(requests []Request, t *Tally, outcome func(Request, bool, *Tally)) error {
	if len(requests) == 0 {
		return nil
	}
	p.out = p.out[:0]
	for _, r := range requests {
		p.append(r)
	}
	if err := p.conn.SetDeadline(time.Now().Add(answerBound)); err != nil {
		return err
	}
	if len(p.out) <= surelyBuffered {
		if _, err := p.conn.Write(p.out); err != nil {
			return err
		}
		return p.answers(requests, t, outcome)
	}
	written := make(chan error, 1)
	go func() {
		_, err := p.conn.Write(p.out)
		written <- err
	}()
	err := p.answers(requests, t, outcome)
	if err != nil { // then nobody reads on, and the write might wait
		err = errors.Join(err, p.conn.SetDeadline(time.Now()))
	}
	return errors.Join(err, <-written)
}

func (p *Player) append(r Request) {
	switch r.Op {
	case Get, Peek:
		p.out = AppendKey(append(p.out, "get "...), r.Key)
	case Delete:
		p.out = AppendKey(append(p.out, "delete "...), r.Key)
	case Set:
		value := p.values.Of(r.Key, r.Size)
		p.out = AppendKey(append(p.out, "set "...), r.Key)
		p.out = strconv.AppendInt(append(p.out, " 0 "...), p.exptime(r.TTL), 10)
		p.out = strconv.AppendInt(append(p.out, ' '), int64(len(value)), 10)
		p.out = append(append(p.out, "\r\n"...), value...)
	}
	p.out = append(p.out, "\r\n"...)
}

// maxExptime is the longest from now on (protocol.txt, "Expiration times"): what is above it means a second of the calendar, and one of 1970 at that.
const maxExptime = 30 * 24 * 60 * 60

// exptime is a TTL of the trace's time in ours; what has one keeps one.
func (p *Player) exptime(ttl uint32) int64 {
	seconds := int64(ttl)
	if ttl > 0 && p.Rate > 0 {
		seconds = max(int64(float64(ttl)*PerSecond/p.Rate+0.5), 1)
	}
	return min(seconds, maxExptime)
}
