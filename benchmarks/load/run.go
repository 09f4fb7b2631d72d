package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

// Run asks until the Config says stop, or ctx is done, and waits for what is open.
func Run(ctx context.Context, config Config) (*Report, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values := trace.NewValues()
	reports, errs := make([]Report, config.Threads), make([]error, config.Threads)
	begun := time.Now()
	var threads sync.WaitGroup
	for i := range config.Threads {
		reports[i] = newReport()
		threads.Go(func() {
			t := newThread(&config, i, values, &reports[i], begun)
			if errs[i] = t.run(ctx); errs[i] != nil {
				cancel() // a run without one of its threads measures something else
			}
		})
	}
	threads.Wait()
	all := newReport()
	for i := range reports {
		all.Add(&reports[i])
		all.Elapsed = max(all.Elapsed, reports[i].Elapsed)
	}
	return &all, errors.Join(errs...)
}

// A thread drives its share of the conns.
type thread struct {
	config *Config
	number int
	conns  []*conn
	addrs  []string // of each conn
	report *Report
	left   uint64 // requests to ask
	begun  time.Time
	pace   pace
}

func newThread(c *Config, number int, values trace.Values, report *Report, begun time.Time) *thread {
	t := &thread{config: c, number: number, report: report, begun: begun, left: math.MaxUint64}
	if c.Requests > 0 {
		t.left = share(c.Requests, number, c.Threads)
	}
	d := newDealer(c, number)
	for i := number; i < c.Conns; i += c.Threads {
		t.conns = append(t.conns, newConn(d, values, report, &t.left))
		t.addrs = append(t.addrs, c.Addrs[i%len(c.Addrs)])
	}
	return t
}

func share(all uint64, i, n int) uint64 { return (all + uint64(i)) / uint64(n) }

// run connects, asks and stops. The time to connect does not count.
func (t *thread) run(ctx context.Context) error {
	drive := t.epoll
	if t.config.TLS != nil {
		drive = t.goroutines
	}
	if err := drive(ctx); err != nil {
		return fmt.Errorf("after %d requests: %w", t.report.Requests, err)
	}
	return nil
}

// start begins the time that counts.
func (t *thread) start() {
	if t.config.Begun != nil {
		t.config.Begun()
	}
	t.begun = time.Now()
	t.pace = newPace(t.config, len(t.conns))
}

// stop ends it.
func (t *thread) stop() {
	t.report.Elapsed = time.Since(t.begun)
	if t.config.Ended != nil {
		t.config.Ended()
	}
}

// over reports whether no more is to be asked at a time.
func (t *thread) over(ctx context.Context, now int64) bool {
	return t.left == 0 || t.config.Duration > 0 && now >= int64(t.config.Duration) || ctx.Err() != nil
}

// A pace tells when the batches of an open loop are due: evenly, one conn after the other.
type pace struct {
	every float64 // nanoseconds from one batch to the next of this thread; 0: a closed loop
	conns int
	n     int // batches so far
}

func newPace(c *Config, conns int) pace {
	if c.Rate <= 0 {
		return pace{}
	}
	perConn := c.Rate / float64(c.Conns) / float64(c.Depth)
	return pace{every: float64(time.Second) / (perConn * float64(conns)), conns: conns}
}

// next tells which conn has the next batch, and when it is due.
func (p *pace) next() (conn int, due int64) { return p.n % p.conns, int64(float64(p.n) * p.every) }
