package load

import (
	"errors"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

// A conn is a conversation without a connection: it gives the bytes to send, and takes those that came. It never blocks.
type conn struct {
	dealer *dealer
	wire   codec
	values trace.Values
	report *Report // its thread's
	left   *uint64 // requests that may still be asked, its thread's

	open  []request // a ring: len(open) is a power of two, and open[first&mask] is answered next
	first uint64
	last  uint64

	out []byte // not yet sent
	in  []byte // not yet understood; in[:have] has come
	got int
}

const (
	firstInBytes = 4 << 10

	// maxInBytes holds the largest single answer: a value of a megabyte with its head.
	maxInBytes = maxValueBytes + 4<<10
)

func newConn(d *dealer, values trace.Values, report *Report, left *uint64) *conn {
	room := 1
	for room < d.config.Depth || d.config.Rate > 0 && room < maxOpen {
		room *= 2
	}
	return &conn{dealer: d, wire: d.config.Wire.codec(), values: values, report: report, left: left, open: make([]request, room), in: make([]byte, firstInBytes)}
}

// waiting is how many requests have no answer yet.
func (c *conn) waiting() int { return int(c.last - c.first) }

// room reports whether another batch may be asked.
func (c *conn) room() bool {
	return *c.left > 0 && c.waiting()+c.dealer.config.Depth <= len(c.open)
}

// ask appends a batch of requests to out, all due at the same time.
func (c *conn) ask(due int64) {
	for range c.dealer.config.Depth {
		if *c.left == 0 {
			return
		}
		*c.left--
		r := &c.open[c.last&uint64(len(c.open)-1)]
		c.last++
		c.dealer.deal(r)
		r.due = due
		c.out = c.wire.append(c.out, c, r)
	}
}

// sent tells how much of out has gone.
func (c *conn) sent(n int) {
	c.report.BytesOut += uint64(n)
	c.out = c.out[:copy(c.out, c.out[n:])]
}

// space is where to read to.
func (c *conn) space() []byte { return c.in[c.got:] }

var errTooLong = errors.New("an answer is longer than any value")

// came tells that n bytes were read into space, at a time.
func (c *conn) came(n int, now int64) error {
	c.report.BytesIn += uint64(n)
	c.got += n
	used := 0
	for c.waiting() > 0 {
		r := &c.open[c.first&uint64(len(c.open)-1)]
		n, done, err := c.wire.take(c.in[used:c.got], c, r)
		if err != nil {
			return err
		}
		used += n
		if done {
			c.first++
			c.report.Requests++
			c.report.Keys += uint64(len(r.keys))
			if err := c.report.Times.RecordValue(min(max(now-r.due, leastTime), mostTime)); err != nil {
				return err
			}
		} else if n == 0 {
			break
		}
	}
	if c.waiting() == 0 && used < c.got {
		return unexpected(c.in[used:c.got])
	}
	c.got = copy(c.in, c.in[used:c.got])
	if c.got == len(c.in) {
		if len(c.in) >= maxInBytes {
			return errTooLong
		}
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
	return nil
}

// hit counts a value that came for the key at place i of a request, and compares it. The keys that were passed over are misses.
func (c *conn) hit(r *request, i int, value []byte) {
	c.report.Misses += uint64(i - r.next)
	r.next = i + 1
	c.report.Hits++
	size := c.dealer.config.sizeOf(r.keys[i])
	if len(value) != int(size)-trace.KeyBytes || !c.values.IsPart(r.keys[i], 0, value) {
		c.report.Wrong++
	}
}

// outcome counts what has no value to compare.
func (c *conn) outcome(r *request, hit bool) {
	if hit {
		c.report.Hits++
	} else {
		c.report.Misses++
	}
	r.next = len(r.keys)
}

// end counts the keys of a get that did not come.
func (c *conn) end(r *request) { c.report.Misses += uint64(len(r.keys) - r.next) }

// place finds a key among those of a request that are not answered yet, -1 if it was not asked for.
func (r *request) place(key []byte) int {
	var buf [trace.KeyBytes]byte
	for i := r.next; i < len(r.keys); i++ {
		if string(trace.AppendKey(buf[:0], r.keys[i])) == string(key) {
			return i
		}
	}
	return -1
}

// since is the run's clock.
func since(begun time.Time) int64 { return int64(time.Since(begun)) }
