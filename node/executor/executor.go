// Package executor runs a request on the store: the only room where protocol and storage meet.
//
// Its bodies read like a story on a held item: hold it, look at it, put what follows from it.
package executor

import (
	"errors"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// An Executor is the end of the chain. It answers at once.
type Executor struct {
	store   *storage.Store
	clock   *storage.Clock
	noFlush bool
	stats   Stats
}

// Config says what a request may do.
type Config struct {
	Store   *storage.Store
	Clock   *storage.Clock
	NoFlush bool // refuse flush_all (memcached's -F)
}

// New makes an executor over a store.
func New(cfg Config) *Executor {
	return &Executor{store: cfg.Store, clock: cfg.Clock, noFlush: cfg.NoFlush}
}

// Handle implements protocol.Handler.
func (e *Executor) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Get:
		e.get(req, resp)
	case protocol.Gat:
		e.gat(req, resp)
	case protocol.Touch:
		e.touch(req, resp)
	case protocol.Set:
		e.set(req, resp)
	case protocol.Add, protocol.Replace:
		e.setIf(req, resp)
	case protocol.Append, protocol.Prepend:
		e.extend(req, resp)
	case protocol.Delete:
		e.delete(req, resp)
	case protocol.Incr, protocol.Decr:
		e.count(req, resp)
	case protocol.Discard:
		e.discard(req, resp)
	case protocol.Flush:
		e.flush(req, resp)
	case protocol.Noop:
		resp.Status = protocol.OK
	default:
		resp.Status = protocol.UnknownCommand
	}
	return nil
}

func (e *Executor) get(req *protocol.Request, resp *protocol.Response) {
	item, scratch, found := e.store.Get(resp.Scratch[:0], req.Key)
	resp.Scratch = scratch
	e.stats.Gets.Add(1)
	if !found {
		resp.Status = protocol.NotFound
		e.stats.GetMisses.Add(1)
		return
	}
	e.stats.GetHits.Add(1)
	show(resp, item)
}

// gat is get and touch as one step, so that nobody sees the item between them.
func (e *Executor) gat(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.stats.Gets.Add(1)
	e.stats.Touches.Add(1)
	item, found := held.Item()
	if !found {
		resp.Status = protocol.NotFound
		e.stats.TouchMisses.Add(1)
		return
	}
	e.stats.TouchHits.Add(1)
	resp.Scratch = append(resp.Scratch[:0], item.Value...)
	item.Value = resp.Scratch
	held.Touch(e.expiry(req.Exptime))
	show(resp, item)
}

func show(resp *protocol.Response, item storage.Item) {
	resp.Status = protocol.OK
	resp.Value, resp.Flags, resp.CAS = item.Value, item.Flags, item.CAS
}

func (e *Executor) touch(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.stats.Touches.Add(1)
	if !held.Touch(e.expiry(req.Exptime)) {
		resp.Status = protocol.NotFound
		e.stats.TouchMisses.Add(1)
		return
	}
	e.stats.TouchHits.Add(1)
	resp.Status = protocol.OK
}

// set stores, and with Compare only over the item whose CAS unique the client has seen.
func (e *Executor) set(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.stats.Sets.Add(1)
	if req.Options.Has(protocol.Compare) {
		if resp.Status = e.compare(req, &held); resp.Status != protocol.OK {
			return
		}
	}
	e.put(&held, storage.Item{Value: req.Value, Flags: req.Flags, Expiry: e.expiry(req.Exptime)}, resp)
}

func (e *Executor) compare(req *protocol.Request, held *storage.Held) protocol.Status {
	old, found := held.Item()
	switch {
	case !found:
		e.stats.CasMisses.Add(1)
		return protocol.NotFound
	case old.CAS != req.CAS:
		e.stats.CasBadval.Add(1)
		return protocol.Exists
	default:
		e.stats.CasHits.Add(1)
		return protocol.OK
	}
}

// setIf is add, which wants no item there, and replace, which wants one.
func (e *Executor) setIf(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.stats.Sets.Add(1)
	if _, found := held.Item(); found != (req.Op == protocol.Replace) {
		resp.Status = protocol.NotStored
		return
	}
	e.put(&held, storage.Item{Value: req.Value, Flags: req.Flags, Expiry: e.expiry(req.Exptime)}, resp)
}

// extend is append and prepend: flags and expiry stay as they are.
func (e *Executor) extend(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.stats.Sets.Add(1)
	item, found := held.Item()
	if !found {
		resp.Status = protocol.NotStored
		return
	}
	first, second := item.Value, req.Value
	if req.Op == protocol.Prepend {
		first, second = second, first
	}
	resp.Scratch = append(append(resp.Scratch[:0], first...), second...)
	item.Value = resp.Scratch
	e.put(&held, item, resp)
}

func (e *Executor) delete(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	if !held.Delete() {
		e.stats.DeleteMisses.Add(1)
		resp.Status = protocol.NotFound
		return
	}
	e.stats.DeleteHits.Add(1)
	resp.Status = protocol.OK
}

// discard answers a store whose value was refused before it was read whole. What the client has seen stored so far is stale then, so it goes.
func (e *Executor) discard(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	held.Delete()
	e.stats.refused(req.Reason)
	resp.Status = req.Reason
}

func (e *Executor) put(held *storage.Held, item storage.Item, resp *protocol.Response) {
	cas, err := held.Put(item)
	switch {
	case errors.Is(err, storage.ErrTooLarge):
		resp.Status = protocol.TooLarge
	case err != nil:
		resp.Status = protocol.OutOfMemory
	default:
		resp.Status, resp.CAS = protocol.OK, cas
	}
	e.stats.refused(resp.Status)
}

func (e *Executor) flush(req *protocol.Request, resp *protocol.Response) {
	e.stats.Flushes.Add(1)
	if e.noFlush {
		resp.Status = protocol.NotAllowed
		return
	}
	at := e.clock.Now()
	if req.Exptime != 0 {
		at = e.expiry(req.Exptime)
	}
	e.store.FlushAll(at)
	resp.Status = protocol.OK
}

// maxRelative is the longest relative exptime, 30 days: what is above is a Unix second (protocol.txt, "Expiration times").
const maxRelative = 60 * 60 * 24 * 30

// expiry is the second at which an item with this exptime is gone; 0 for never.
func (e *Executor) expiry(exptime int64) int64 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return 1 // long past
	case exptime <= maxRelative:
		return e.clock.Now() + exptime
	default:
		return exptime
	}
}
