// Package warm asks servers cache-aside while they come and go, checks every value that is read, and tells how warm they stay.
//
//	deck (what to ask) -> client -> picker (whom: any node of a cluster, or ketama's choice) -> link (bytes)
//	                        |  ^
//	                        |  +-- ledger (which version of a key may be read)
//	                        v
//	                     Sample -> Recording -> Window (ratios, times) -> Outcome, and the bars it holds or not
//
// Requests come at a fixed rate. Each counts in the second in which it was sent, and its time from when it was due.
package warm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

// Config is the load. All of it must be given but Seed.
type Config struct {
	Clients int     // each waits for one answer at a time
	Rate    float64 // requests a second of all clients together; what a miss then sets comes on top

	Keys int     // that the database has
	Zipf float64 // exponent of their popularity

	// Absent and Updates are numbers of a hundred requests: gets of keys that the database does not have either, and sets of a new
	// version. They come evenly, not by chance, so that the steady hit ratio has no noise of its own.
	Absent, Updates int

	// Patience is the longest that a client waits for an answer, and for a connection. It should be well above memring's --peer-timeout (500 ms).
	Patience time.Duration

	LeastBytes, MostBytes int // of values, evenly over the logarithm; a key's value always has the same length
	Seed                  uint64
}

const (
	hundred = 100

	maxClients    = 1000
	maxKeys       = 1 << 24
	maxRate       = 1e6
	maxValueBytes = 1 << 20
)

func (c Config) validate() error {
	within := func(what string, n, least, most int) error {
		if n < least || n > most {
			return fmt.Errorf("%s: %d is not within %d and %d", what, n, least, most)
		}
		return nil
	}
	err := errors.Join(within("clients", c.Clients, 1, maxClients), within("keys", c.Keys, c.Clients, maxKeys),
		within("absent of a hundred", c.Absent, 0, hundred-1), within("updates of a hundred", c.Updates, 0, hundred-1-c.Absent),
		within("value bytes", c.LeastBytes, headBytes, maxValueBytes), within("value bytes", c.MostBytes, c.LeastBytes, maxValueBytes))
	if !(c.Rate > 0 && c.Rate <= maxRate) || !(c.Zipf > 0) || c.Patience <= 0 {
		err = errors.Join(err, errors.New("rate, Zipf's exponent and patience must be above 0, the rate at most a million"))
	}
	return err
}

// A Fleet is all clients, and what they know of the keys over all their runs.
type Fleet struct {
	config Config
	ledger *ledger
}

// NewFleet makes clients that have asked for nothing yet.
func NewFleet(c Config) (*Fleet, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Fleet{config: c, ledger: newLedger(c)}, nil
}

// Warm has all keys asked for once, and what misses set. It tells how many missed and what values came, and gives the first errors; the rest
// was asked all the same.
func (f *Fleet) Warm(ctx context.Context, s *Servers) (missed int, t Tally, err error) {
	clients := f.clients(s)
	counts, errs := make([]int, len(clients)), make([]error, len(clients))
	var all sync.WaitGroup
	turns := make(chan struct{}, warmAtOnce)
	for i, c := range clients {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			defer c.close()
			counts[i], errs[i] = c.warm(ctx)
		})
	}
	all.Wait()
	for i, c := range clients {
		missed += counts[i]
		t.Add(c.tally)
	}
	return missed, t, errors.Join(errs...)
}

// warmAtOnce is how many clients ask at once while all keys are asked for: each sends batches, more of them would only wait.
const warmAtOnce = 4

func (f *Fleet) clients(s *Servers) []*client {
	clients := make([]*client, f.config.Clients)
	for i := range clients {
		clients[i] = newClient(f, i, s)
	}
	return clients
}

// KeyAt gives the key of a rank of popularity, as it goes over the wire.
func KeyAt(rank int) string { return string(trace.AppendKey(nil, uint32(rank))) }

// A Run is load that goes on until it is stopped.
type Run struct {
	clients []*client
	begun   time.Time
	stop    context.CancelFunc
	all     sync.WaitGroup

	dealt, gets, hits atomic.Uint64
}

// Start has all clients ask. The run must be stopped.
func (f *Fleet) Start(s *Servers) *Run {
	ctx, stop := context.WithCancel(context.Background())
	r := &Run{clients: f.clients(s), begun: time.Now(), stop: stop}
	for _, c := range r.clients {
		r.all.Go(func() {
			defer c.close()
			c.run(ctx, r)
		})
	}
	return r
}

// Now is the run's clock.
func (r *Run) Now() time.Duration { return time.Since(r.begun) }

// Ratio counts the gets and hits so far.
func (r *Run) Ratio() (gets, hits uint64) { return r.gets.Load(), r.hits.Load() }

// Stop ends the load, waits for what is open, and gives what was recorded.
func (r *Run) Stop() Recording {
	r.stop()
	r.all.Wait()
	return recording(r.clients)
}
