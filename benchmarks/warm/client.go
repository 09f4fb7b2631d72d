package warm

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/memring/memring/benchmarks/trace"
)

// A client asks one request after the other, as an application would: a get, and what it misses it reads from the database and sets.
//
// A connection that is refused, or closed before the first byte of an answer, is no error if the server was being stopped, or was stopped since
// the connection was opened: the client asks another server the same, within the same time. Anything else that is no right answer is an
// error: an error line, a connection that another server closes, one closed within an answer, an answer that takes longer than Config.Patience.
type client struct {
	config  Config
	number  int
	ledger  *ledger
	deck    *deck
	servers *Servers
	picker  picker
	links   map[*Server]*link
	value   []byte

	samples []Sample
	tally   Tally
}

// maxKinds bounds the different error texts that are told; what is more is counted as one.
const maxKinds = 20

// retryPause is waited after all servers have failed.
const retryPause = 10 * time.Millisecond

func newClient(f *Fleet, number int, s *Servers) *client {
	return &client{
		config: f.config, number: number, ledger: f.ledger, deck: newDeck(f.config, number), servers: s, picker: s.picker(number),
		links: map[*Server]*link{}, tally: Tally{Errors: map[string]int{}},
	}
}

func (c *client) close() {
	for _, l := range c.links {
		l.close()
	}
}

// run asks at the client's share of the rate until ctx is done. What is open then is still answered.
func (c *client) run(ctx context.Context, r *Run) {
	every := float64(time.Second) * float64(c.config.Clients) / c.config.Rate
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := float64(c.number) / float64(c.config.Clients); ; n++ {
		due := time.Duration(n * every)
		from := due
		if early := due - r.Now(); early > 0 {
			timer.Reset(early)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			from = max(r.Now(), due) // a timer that was late is not the server's fault; an earlier answer that was late is
		}
		if ctx.Err() != nil {
			return
		}
		c.one(r, from)
	}
}

// one asks the next request, and sets what it missed.
func (c *client) one(r *Run, from time.Duration) {
	op := c.config.opOf(r.dealt.Add(1))
	key := c.deck.key(op)
	if op == Update && c.update(r, key, op, from) {
		return
	}
	if op == Update { // another client is at it
		op = Get
	}
	sample := Sample{Sent: r.Now(), Key: key, Op: op}
	s, hit, err := c.get(key)
	sample.Took, sample.Server, sample.Result = r.Now()-from, s.Number, Miss
	r.gets.Add(1)
	switch {
	case err != nil:
		sample.Result = Failed
	case hit:
		sample.Result = Hit
		r.hits.Add(1)
	}
	c.record(sample, err)
	if sample.Result == Miss && op == Get {
		c.update(r, key, Fill, r.Now())
	}
}

// update sets a key's next version, unless another client is at it.
func (c *client) update(r *Run, key uint32, op Op, from time.Duration) bool {
	version, ok := c.ledger.begin(key)
	if !ok {
		return false
	}
	sample := Sample{Sent: r.Now(), Key: key, Op: op, Result: Done}
	s, err := c.set(key, version)
	if err != nil {
		sample.Result = Failed
	}
	sample.Took, sample.Server = r.Now()-from, s.Number
	c.record(sample, err)
	return true
}

func (c *client) record(s Sample, err error) {
	c.samples = append(c.samples, s)
	if err != nil {
		c.count(err.Error())
	}
}

func (c *client) count(text string) {
	if _, known := c.tally.Errors[text]; !known && len(c.tally.Errors) >= maxKinds {
		text = "others"
	}
	c.tally.Errors[text]++
}

// get asks for a key and judges what comes.
func (c *client) get(key uint32) (s *Server, hit bool, err error) {
	var acked uint32
	if key < c.ledger.keys() {
		acked = c.ledger.acked[key].Load()
	}
	s, _, err = c.ask(key, func(l *link) error {
		l.appendGet(key)
		if err := l.send(); err != nil {
			return err
		}
		var value []byte
		if value, hit, err = l.got(key); hit {
			c.judge(key, acked, value)
		}
		return err
	})
	return s, hit && err == nil, err
}

func (c *client) judge(key, acked uint32, value []byte) {
	switch c.ledger.judge(key, acked, value) {
	case wrong:
		c.tally.Wrong++
	case stale:
		c.tally.Stale++
	case late:
		c.tally.Late++
	}
}

// set sets a version that was begun, and ends it.
func (c *client) set(key, version uint32) (*Server, error) {
	c.value = c.ledger.appendValue(c.value[:0], key, version)
	s, moved, err := c.ask(key, func(l *link) error {
		l.appendSet(key, c.value)
		if err := l.send(); err != nil {
			return err
		}
		return l.stored()
	})
	c.ledger.end(key, version, err == nil, err != nil || moved)
	return s, err
}

// ask finds a server that answers, and tells whether it was not the first one.
func (c *client) ask(key uint32, question func(*link) error) (s *Server, moved bool, err error) {
	begun := time.Now()
	var name [trace.KeyBytes]byte
	trace.AppendKey(name[:0], key)
	for tries := 1; ; tries++ {
		list := c.servers.list.Load()
		s = c.picker.pick(list, name[:], time.Now())
		l, err := c.link(s)
		if err == nil {
			err = question(l)
		}
		if err == nil || isRefusal(err) {
			return s, moved, err
		}
		l.close()
		delete(c.links, s)
		c.picker.failed(list, s, time.Now())
		if !errors.Is(err, errUnanswered) || !s.excuses(l.stops) || time.Since(begun) > c.config.Patience {
			return s, moved, err
		}
		moved = true
		c.tally.Moved++
		if tries%len(list.servers) == 0 {
			time.Sleep(retryPause)
		}
	}
}

// link gives the connection to a server, opened if need be. Beside an error too it tells when that was.
func (c *client) link(s *Server) (*link, error) {
	if l := c.links[s]; l != nil {
		return l, nil
	}
	l, err := openLink(s, c.config.Patience)
	if err == nil {
		c.links[s] = l
	}
	return l, err
}

// warmBatch is how many keys are asked for before an answer is read: their answers fit what loopback takes without a reader.
const warmBatch = 64

// warm asks for the client's share of all keys, and sets what misses.
func (c *client) warm(ctx context.Context) (missed int, first error) {
	batches := map[*Server][]uint32{}
	flush := func(s *Server) {
		n, err := c.warmAt(s, batches[s])
		missed += n
		if first == nil {
			first = err
		}
		batches[s] = batches[s][:0]
	}
	var name [trace.KeyBytes]byte
	for key := uint32(c.number); key < c.ledger.keys() && ctx.Err() == nil; key += uint32(c.config.Clients) {
		trace.AppendKey(name[:0], key)
		s := c.picker.pick(c.servers.list.Load(), name[:], time.Now())
		if batches[s] = append(batches[s], key); len(batches[s]) == warmBatch {
			flush(s)
		}
	}
	for s := range batches {
		flush(s)
	}
	if first == nil {
		first = ctx.Err()
	}
	return missed, first
}

// warmAt asks one server for some keys, all at once, and sets those that miss likewise. A refusal leaves a key as it is.
func (c *client) warmAt(s *Server, keys []uint32) (missed int, err error) {
	l, err := c.link(s)
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		l.appendGet(key)
	}
	var sets []uint32
	var refused error
	err = l.send()
	for i := 0; i < len(keys) && err == nil; i++ {
		value, hit, getErr := l.got(keys[i])
		switch {
		case isRefusal(getErr):
			refused = getErr
		case getErr != nil:
			err = getErr
		case hit:
			c.judge(keys[i], c.ledger.acked[keys[i]].Load(), value)
		default:
			sets = append(sets, keys[i])
		}
	}
	if err == nil {
		err = c.setAll(l, sets)
	}
	if err != nil && !isRefusal(err) { // answers may be on their way
		l.close()
		delete(c.links, s)
	}
	return len(sets), cmp.Or(err, refused)
}

// setAll sets new versions of keys. A refusal is told only when all are answered.
func (c *client) setAll(l *link, keys []uint32) (err error) {
	versions := make([]uint32, len(keys))
	for i, key := range keys {
		versions[i], _ = c.ledger.begin(key) // nobody else sets this client's share while it is made warm
		c.value = c.ledger.appendValue(c.value[:0], key, versions[i])
		l.appendSet(key, c.value)
	}
	if len(keys) > 0 {
		err = l.send()
	}
	var refused error
	for i, key := range keys {
		setErr := err
		if err == nil {
			setErr = l.stored()
		}
		c.ledger.end(key, versions[i], setErr == nil, setErr != nil)
		if isRefusal(setErr) {
			refused = setErr
		} else {
			err = setErr
		}
	}
	return cmp.Or(err, refused)
}
