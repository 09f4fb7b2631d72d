// Package load drives memcached servers with generated requests, checks every answer, and measures how long each took.
//
//	Config -> dealer (what to ask) -> conn (batches, the answers to come) -> wire (bytes) -> Report (counts, a histogram)
//	                                    |
//	                 a thread: one epoll and many conns; or, with TLS, a goroutine for each conn
//
// A thread is cheap on purpose: the processor that a load generator takes is one that the server does not have.
package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/memring/memring/benchmarks/trace"
)

// Config says what to ask, of whom and how fast. Its zero value needs Addrs and a time or number to stop at.
type Config struct {
	Addrs []string // HOST:PORT; conns are dealt to them in turn. All must hold the keys, or be one cluster
	Wire  Wire     // default Text
	TLS   *tls.Config

	Conns   int // default 1
	Depth   int // requests sent before their answers are waited for, on each conn; default 1
	Threads int // epolls, each with a share of the conns; default 1

	Mix        Mix // default gets alone
	PerGet     int // keys of a multi-get; default 100
	Keys       int // different ones, of trace.KeyBytes bytes; default 100,000
	Keying     Keying
	ValueBytes Range // default 100 alone; a key's value always has the same length
	Seed       uint64

	// Rate is the requests a second of all conns together, and 0 is a closed loop: the next batch goes when the last is answered. At a
	// rate the loop is open: batches go when they are due, and the time an answer took is counted from then, also if an
	// earlier answer was late and the batch could not go (no coordinated omission).
	Rate float64

	Duration time.Duration // until no more is asked; what is open is still answered
	Requests uint64        // or so many; 0: until Duration

	// Begun and Ended are called by each thread between connecting, asking, and closing: what they measure is asking alone. May be nil.
	Begun, Ended func()

	// Meanwhile is called about each second while it asks, never twice at once, with what has come of it so far; it may read that until it returns. May be nil.
	Meanwhile func(soFar *Report)

	// Filled is told, by Fill alone, how many of all sets are done. May be nil.
	Filled func(done, all uint64)
}

// A Mix is how often each command comes, as weights.
type Mix struct{ Get, Set, MultiGet, Touch, Incr int }

// A Range is two lengths, in bytes; values lie evenly over its logarithm. Only Least: that one.
type Range struct{ Least, Most int }

// Keying is how keys are chosen.
type Keying struct {
	// Zipf is the exponent, above 0: rank r is asked for as 1/(r+1)^Zipf.
	Zipf float64

	// Hot is the part of the keys (above 0) to which HotShare of the requests go; both below 1. Without it and Zipf all keys are alike.
	Hot, HotShare float64
}

const (
	// maxOpen bounds the requests of one conn that wait for an answer in an open loop; what is due above it waits, and its wait counts.
	maxOpen = 1024

	maxPerGet     = 1000
	maxConns      = 20_000
	maxDepth      = maxOpen
	maxValueBytes = 1 << 20

	// meanwhileEvery is how often a thread (over TLS a conn) adds what it has to what Meanwhile is told.
	meanwhileEvery = time.Second

	// quietBound is the longest without any answer while some are awaited: then the server is taken for dead.
	quietBound = 10 * time.Second

	// The histogram tells 1 us from a minute with three digits.
	leastTime, mostTime, digits = int64(time.Microsecond), int64(time.Minute), 3
)

func (c *Config) complete() error {
	set := func(n *int, otherwise int) {
		if *n == 0 {
			*n = otherwise
		}
	}
	set(&c.Conns, 1)
	set(&c.Depth, 1)
	set(&c.Threads, 1)
	set(&c.PerGet, 100)
	set(&c.Keys, 100_000)
	set(&c.ValueBytes.Least, 100)
	set(&c.ValueBytes.Most, c.ValueBytes.Least)
	if c.Mix == (Mix{}) {
		c.Mix.Get = 1
	}
	c.Threads = min(c.Threads, c.Conns)
	within := func(what string, n, least, most int) error {
		if n < least || n > most {
			return fmt.Errorf("%s: %d is not within %d and %d", what, n, least, most)
		}
		return nil
	}
	err := errors.Join(within("addresses", len(c.Addrs), 1, maxConns), within("connections", c.Conns, 1, maxConns), within("depth", c.Depth, 1, maxDepth),
		within("threads", c.Threads, 1, 64), within("keys of a multi-get", c.PerGet, 1, maxPerGet), within("keys", c.Keys, 1, 1<<28),
		within("value bytes", c.ValueBytes.Least, 1, maxValueBytes), within("value bytes", c.ValueBytes.Most, c.ValueBytes.Least, maxValueBytes))
	if c.Mix.Get < 0 || c.Mix.Set < 0 || c.Mix.MultiGet < 0 || c.Mix.Touch < 0 || c.Mix.Incr < 0 {
		err = errors.Join(err, errors.New("a weight of the mix is below 0"))
	}
	if k := c.Keying; k.Zipf < 0 || k.Hot < 0 || k.Hot >= 1 || k.HotShare < 0 || k.HotShare > 1 || k.Zipf > 0 && k.Hot > 0 {
		err = errors.Join(err, errors.New("keys are chosen by Zipf, above 0, or by a hot part, below 1"))
	}
	if c.Duration <= 0 && c.Requests == 0 {
		err = errors.Join(err, errors.New("neither a duration nor a number of requests"))
	}
	return err
}

// sizeOf is the size (key and value) of a key's item.
func (c *Config) sizeOf(key uint32) uint32 {
	return trace.Between(key, c.ValueBytes.Least, c.ValueBytes.Most) + uint32(trace.KeyBytes)
}

// A Report is what came of a run.
type Report struct {
	Requests, Keys uint64 // asked and answered; a multi-get is one request of many keys
	Hits, Misses   uint64 // of keys
	Errors         uint64 // refusals by the server
	Wrong          uint64 // answers that hold another value than was set. There must be none
	BytesIn        uint64
	BytesOut       uint64
	Elapsed        time.Duration
	Times          *hdrhistogram.Histogram // of requests, in nanoseconds
}

func newReport() Report { return Report{Times: hdrhistogram.New(leastTime, mostTime, digits)} }

// PerSecond is how many requests were answered in a second.
func (r *Report) PerSecond() float64 { return float64(r.Requests) / max(r.Elapsed.Seconds(), 1e-9) }

// Add adds up what ran at the same time, or one after another: Elapsed is the caller's.
func (r *Report) Add(other *Report) {
	r.Requests += other.Requests
	r.Keys += other.Keys
	r.Hits += other.Hits
	r.Misses += other.Misses
	r.Errors += other.Errors
	r.Wrong += other.Wrong
	r.BytesIn += other.BytesIn
	r.BytesOut += other.BytesOut
	r.Times.Merge(other.Times)
}
