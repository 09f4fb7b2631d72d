// Package executor runs a request on the store: the only room where protocol and storage meet.
//
// Its bodies read like a story on a held item: hold it, look at it, put what follows from it.
package executor

import (
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// Config says what requests are run on, and what they may do.
type Config struct {
	Store   *storage.Store
	Clock   *storage.Clock
	NoFlush bool // refuse flush_all (memcached's -F)
	NoCAS   bool // show every CAS unique as 0, so that nobody can name one (memcached's -C)

	Delimiter byte // ends the part of a key by which Prefixes counts (memcached's -D); default ':'
	Detail    bool // Prefixes counts from the start
}

// An Executor is the end of the chain. It answers at once.
type Executor struct {
	store   *storage.Store
	clock   *storage.Clock
	noFlush bool
	noCAS   bool
	stats   [stripes]stripe

	prefixes Prefixes
	watch    watch.Board
}

// Watch gives the board on which it is told what requests did.
func (e *Executor) Watch() *watch.Board { return &e.watch }

// New makes an executor over a store.
func New(cfg Config) *Executor {
	e := &Executor{store: cfg.Store, clock: cfg.Clock, noFlush: cfg.NoFlush, noCAS: cfg.NoCAS}
	e.prefixes.init(cfg.Delimiter, cfg.Detail)
	return e
}

// Handle implements protocol.Handler.
func (e *Executor) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	again := req.Options.Has(protocol.Again)
	told := !again && e.watch.Wanted(watched)
	var before sight
	if told {
		before = e.look(req)
	}
	switch req.Op {
	case protocol.Get:
		e.get(req, resp)
	case protocol.Gat:
		e.gat(req, resp)
	case protocol.Inspect:
		e.inspect(req, resp)
	case protocol.Touch:
		e.touch(req, resp)
	case protocol.Set, protocol.Add, protocol.Replace:
		e.set(req, resp)
	case protocol.Append, protocol.Prepend:
		e.extend(req, resp)
	case protocol.Delete:
		e.delete(req, resp)
	case protocol.Incr, protocol.Decr:
		e.count(req, resp)
	case protocol.Discard:
		e.discard(req, resp)
	case protocol.Install:
		e.install(req, resp)
	case protocol.Flush:
		e.flush(req, resp)
	case protocol.FlushMark:
		e.flushMark(req, resp)
	case protocol.Noop:
		resp.Status = protocol.OK
	default:
		resp.Status = protocol.UnknownCommand
	}
	if !again && e.prefixes.on.Load() {
		e.prefixes.count(req, resp)
	}
	if told {
		e.tell(req, resp, before)
	}
	if e.noCAS {
		resp.CAS = 0
	}
	return nil
}

func (e *Executor) flush(req *protocol.Request, resp *protocol.Response) {
	e.counts(req).Flushes.Add(1)
	if e.noFlush {
		resp.Status = protocol.NotAllowed
		return
	}
	e.store.FlushAll(e.flushIn(req), req.Delta)
	resp.Status = protocol.OK
}

// flushIn is in how many seconds a flush_all is to happen.
func (e *Executor) flushIn(req *protocol.Request) int64 {
	if req.Exptime == 0 {
		return 0
	}
	return max(0, e.expiry(req.Exptime)-e.clock.Now())
}

// flushMark tells what this member's mark would be for a flush_all: the greatest of all members is the cluster's.
func (e *Executor) flushMark(req *protocol.Request, resp *protocol.Response) {
	if e.noFlush {
		resp.Status = protocol.NotAllowed
		return
	}
	resp.Status, resp.Number = protocol.OK, e.store.FlushMark(e.flushIn(req))
}

const (
	// maxRelative is the longest relative exptime, 30 days: what is above is a Unix second (protocol.txt, "Expiration times").
	maxRelative = 60 * 60 * 24 * 30
	// longAgo is the expiry of what is to be gone at once; 0 would be never.
	longAgo = 1
)

// expiry is the Unix second at which an item with this exptime is gone; 0 for never.
func (e *Executor) expiry(exptime int64) int64 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return longAgo
	case exptime <= maxRelative:
		return e.clock.Now() + exptime
	default:
		return exptime
	}
}
