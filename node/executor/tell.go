package executor

import (
	"fmt"

	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// watched are the kinds that are told here, in memcached's lines (logger.c of 1.6.45). All of it happens only while somebody watches.
const watched = watch.Fetchers | watch.Mutations | watch.Deletions

// A sight is what there was under a key before its request was run.
type sight struct {
	bytes         int
	found, lapsed bool
}

// look tells that a key is looked up, which all requests for a key begin with.
func (e *Executor) look(req *protocol.Request) (before sight) {
	switch req.Op {
	case protocol.Get, protocol.Gat, protocol.Inspect, protocol.Touch, protocol.Set, protocol.Add, protocol.Replace, protocol.Append,
		protocol.Prepend, protocol.Delete, protocol.Incr, protocol.Decr:
	default:
		return sight{}
	}
	held := e.store.Hold(req.Key)
	before.bytes, before.found, before.lapsed = held.Look()
	held.Release()
	status, class := "not_found", 0
	switch {
	case before.found:
		status, class = "found", 1
	case before.lapsed:
		status = "expired"
	}
	e.post(watch.Fetchers, "type=item_get key=%s status=%s clsid=%d cfd=%d size=%d", watch.Escape(req.Key), status, class, req.Origin, before.bytes)
	return before
}

// tell tells what became of a request that stores or deletes.
func (e *Executor) tell(req *protocol.Request, resp *protocol.Response, before sight) {
	switch req.Op {
	case protocol.Set, protocol.Replace:
		command := req.Op.String()
		if req.Options.Has(protocol.Compare) {
			command = "cas"
		}
		e.tellStored(req, resp, command, req.Exptime)
	case protocol.Add, protocol.Append, protocol.Prepend, protocol.Discard:
		e.tellStored(req, resp, req.Op.String(), req.Exptime)
	case protocol.Incr, protocol.Decr:
		if !before.found && resp.Status == protocol.OK { // made anew
			e.tellStored(req, resp, "add", req.VivifyExptime)
		}
	case protocol.Delete:
		switch {
		case resp.Status != protocol.OK:
			return
		case req.Options.Has(protocol.Clear):
			before.bytes = 0
			e.tellStored(req, resp, "set", 0)
		case req.Options.Has(protocol.Invalidate):
			return
		}
		e.post(watch.Deletions, "type=deleted key=%s cmd=delete clsid=1 size=%d", watch.Escape(req.Key), before.bytes)
	}
}

func (e *Executor) tellStored(req *protocol.Request, resp *protocol.Response, command string, exptime int64) {
	status, class, size := "not_stored", 1, len(req.Value)
	switch resp.Status {
	case protocol.OK:
		status, size = "stored", int(resp.Size)
	case protocol.Exists:
		status = "exists"
	case protocol.NotFound:
		status = "not_found"
	case protocol.TooLarge:
		status, class, size = "too_large", 0, 0
	case protocol.OutOfMemory:
		status, class, size = "no_memory", 0, 0
	}
	if req.Op == protocol.Discard {
		command = "set" // the one store that takes the old value with it
	}
	e.post(watch.Mutations, "type=item_store key=%s status=%s cmd=%s ttl=%d clsid=%d cfd=%d size=%d",
		watch.Escape(req.Key), status, command, e.lasts(exptime), class, req.Origin, size)
}

// lasts is how many seconds an item with this exptime has: 0 for ever, below 0 none.
func (e *Executor) lasts(exptime int64) int64 {
	if exptime <= 0 {
		return max(exptime, -1)
	}
	return e.expiry(exptime) - e.clock.Now()
}

// Evicted tells of an eviction. It is called by the store, with some of it held: so it only writes to memory.
func (e *Executor) Evicted(it storage.Eviction) {
	fetched, ttl := "no", int64(-1)
	if it.Fetched {
		fetched = "yes"
	}
	if it.Expiry != 0 {
		ttl = it.Expiry - e.clock.Now()
	}
	e.post(watch.Evictions, "type=eviction key=%s fetch=%s ttl=%d la=%d clsid=1 size=%d",
		watch.Escape(it.Key), fetched, ttl, e.clock.Now()-it.LastAccess, it.ValueBytes)
}

func (e *Executor) post(kind watch.Kinds, format string, args ...any) {
	if e.watch.Wanted(kind) {
		e.watch.Post(kind, e.clock.Milli(), fmt.Sprintf(format, args...))
	}
}
