package executor

import (
	"errors"
	"slices"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// set is set, add, which wants no item there, and replace, which wants one. With Compare set and replace are cas.
func (e *Executor) set(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.counts(req).Sets.Add(1)
	item := storage.Item{Value: req.Value, Flags: req.Flags, Expiry: e.expiry(req.Exptime)}
	if req.Op == protocol.Set && !req.Options.Has(protocol.Compare) {
		e.put(req, resp, &held, item)
		return
	}
	old, found := held.Item()
	switch {
	case req.Op != protocol.Add && req.Options.Has(protocol.Compare):
		resp.Status = e.compare(req, &item, old, found)
	case found != (req.Op == protocol.Replace):
		resp.Status = protocol.NotStored
	default:
		resp.Status = protocol.OK
	}
	if resp.Status == protocol.OK {
		e.put(req, resp, &held, item)
	}
}

// compare decides a cas by the item there is. With Invalidate a client that is late may still store: over an item with a newer CAS unique it
// leaves a stale one, of the former expiry (protocol.txt, "Meta Set").
func (e *Executor) compare(req *protocol.Request, item *storage.Item, old storage.Item, found bool) protocol.Status {
	switch {
	case !found:
		e.counts(req).CasMisses.Add(1)
		return protocol.NotFound
	case old.CAS == req.CAS:
	case req.Options.Has(protocol.Invalidate) && req.CAS < old.CAS:
		item.Expiry, item.Stale, item.Won = old.Expiry, true, old.Won
	default:
		e.counts(req).CasBadval.Add(1)
		return protocol.Exists
	}
	e.counts(req).CasHits.Add(1)
	return protocol.OK
}

// extend is append and prepend: flags and expiry stay as they are.
func (e *Executor) extend(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.counts(req).Sets.Add(1)
	item, found := held.Item()
	switch {
	case !found && req.Options.Has(protocol.Vivify):
		item = storage.Item{Flags: req.Flags, Expiry: e.expiry(req.VivifyExptime)}
	case !found:
		resp.Status = protocol.NotStored
		return
	case req.Options.Has(protocol.Compare) && item.CAS != req.CAS:
		resp.Status = protocol.Exists
		return
	}
	if e.store.TooLarge(len(req.Key), len(item.Value)+len(req.Value), item.Flags) {
		resp.Status = protocol.NotStored // and the item stays as it is
		return
	}
	first, second := item.Value, req.Value
	if req.Op == protocol.Prepend {
		first, second = second, first
	}
	resp.Scratch = slices.Grow(resp.Scratch[:0], len(first)+len(second)) // at once: they may be long
	resp.Scratch = append(append(resp.Scratch, first...), second...)
	item.Value, item.Stale, item.Won = resp.Scratch, false, false
	e.put(req, resp, &held, item)
}

func (e *Executor) delete(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	const looks = protocol.Compare | protocol.Invalidate | protocol.Clear
	if req.Options&looks != 0 {
		e.deleteIf(req, resp, &held)
		return
	}
	found := held.Delete()
	e.counts(req).delete(found)
	if resp.Status = protocol.OK; !found {
		resp.Status = protocol.NotFound
	}
}

// deleteIf is a delete that looks at the item: whether it is the one that the client means, and what is to stay of it.
func (e *Executor) deleteIf(req *protocol.Request, resp *protocol.Response, held *storage.Held) {
	item, found := held.Item()
	if !found || req.Options.Has(protocol.Compare) && item.CAS != req.CAS {
		e.counts(req).delete(false)
		if resp.Status = protocol.NotFound; found {
			resp.Status = protocol.Exists
		}
		return
	}
	if !req.Options.Has(protocol.Invalidate) {
		e.counts(req).delete(true)
	}
	if req.Options&(protocol.Invalidate|protocol.Clear) == 0 {
		held.Delete()
		resp.Status = protocol.OK
		return
	}
	if req.Options.Has(protocol.Clear) {
		item.Value, item.Flags, item.Expiry, item.Stale, item.Won = nil, req.Flags, 0, false, false
	}
	if req.Options.Has(protocol.SetExptime) {
		item.Expiry = e.expiry(req.Exptime)
	}
	if req.Options.Has(protocol.Invalidate) {
		item.Stale, item.Won = true, false // the next to ask is to recache it
	} else if !req.Options.Has(protocol.SetCAS) {
		// What is only cleared keeps its CAS unique.
		if resp.Status = protocol.OK; held.PutWithCAS(item) != nil {
			resp.Status = protocol.OutOfMemory
		}
		return
	}
	resp.Scratch = append(resp.Scratch[:0], item.Value...)
	item.Value = resp.Scratch
	if e.put(req, resp, held, item); item.Fetched && !req.Options.Has(protocol.Clear) {
		held.Use() // what is only marked is still the item that was used before
	}
}

// discard answers a store whose value was refused before it was read whole. What is there is out of date then, so it goes.
func (e *Executor) discard(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	held.Delete()
	e.counts(req).refused(req.Reason)
	resp.Status = req.Reason
}

// put stores item under the held key and answers with its CAS unique and size.
func (e *Executor) put(req *protocol.Request, resp *protocol.Response, held *storage.Held, item storage.Item) {
	var err error
	if req.Options.Has(protocol.SetCAS) {
		item.CAS = req.NewCAS
		err = held.PutWithCAS(item)
	} else {
		item.CAS, err = held.Put(item)
	}
	if resp.Status = refusal(err); err == nil {
		resp.CAS, resp.Size = item.CAS, uint32(len(item.Value))
	}
	e.counts(req).refused(resp.Status)
}

// refusal is how it is answered that the store has stored something, or why it has not.
func refusal(err error) protocol.Status {
	switch {
	case errors.Is(err, storage.ErrTooLarge):
		return protocol.TooLarge
	case err != nil:
		return protocol.OutOfMemory
	default:
		return protocol.OK
	}
}
