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
	all := &total{report: newReport(), meanwhile: config.Meanwhile}
	begun := time.Now()
	var threads sync.WaitGroup
	for i := range config.Threads {
		reports[i] = newReport()
		threads.Go(func() {
			t := newThread(&config, i, values, &reports[i], all, begun)
			if errs[i] = t.run(ctx); errs[i] != nil {
				cancel() // a run without one of its threads measures something else
			}
		})
	}
	threads.Wait()
	for i := range reports {
		all.take(&reports[i])
	}
	err := errors.Join(errs...)
	if err != nil {
		err = fmt.Errorf("after %d requests: %w", all.report.Requests, err)
	}
	return &all.report, err
}

// A total is what all threads have told so far.
type total struct {
	meanwhile func(*Report)

	mu     sync.Mutex // guards what follows
	report Report
	told   time.Duration // the report's Elapsed when meanwhile was called last
}

// take adds a report that goes on: what is taken is not in it any more.
func (t *total) take(r *Report) {
	t.report.Add(r)
	t.report.Elapsed = max(t.report.Elapsed, r.Elapsed)
	r.Times.Reset()
	*r = Report{Times: r.Times}
}

// tell takes a report of a run that has lasted so long, and tells of all, unless another thread has just done so.
func (t *total) tell(r *Report, elapsed time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Elapsed = elapsed
	t.take(r)
	if t.report.Elapsed-t.told >= meanwhileEvery {
		t.told = t.report.Elapsed
		t.meanwhile(&t.report)
	}
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

	total *total
	told  int64 // when the report was added to the total last
}

func newThread(c *Config, number int, values trace.Values, report *Report, all *total, begun time.Time) *thread {
	t := &thread{config: c, number: number, report: report, total: all, begun: begun, left: math.MaxUint64}
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
	return drive(ctx)
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

// soFar adds to the total now and then, if anybody wants to know.
func (t *thread) soFar(now int64) {
	if t.total.meanwhile != nil && now-t.told >= int64(meanwhileEvery) {
		t.told = now
		t.total.tell(t.report, time.Duration(now))
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
