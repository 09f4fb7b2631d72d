package executor

import (
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

func (e *Executor) get(req *protocol.Request, resp *protocol.Response) {
	var (
		item  storage.Item
		size  int
		found bool
	)
	switch {
	case req.Options.Has(protocol.Again):
		item, resp.Scratch, found = e.store.Peek(resp.Scratch[:0], req.Key)
		size = len(item.Value)
	case req.Options.Has(protocol.NoBump):
		e.gat(req, resp)
		return
	case req.Options.Has(protocol.Brief):
		item, size, resp.Scratch, found = e.store.GetUpTo(resp.Scratch[:0], req.Key, protocol.BulkBytes)
	default:
		item, resp.Scratch, found = e.store.Get(resp.Scratch[:0], req.Key)
		size = len(item.Value)
	}
	if item.Stale && !item.Won && req.Options.Has(protocol.Lease) {
		e.gat(req, resp)                // one of those who see this is to recache it: decided with the item held
		if resp.Status == protocol.OK { // the look above was a use as well, but what is shown is the item before both
			resp.Idle = e.clock.Now() - item.LastAccess
			if !item.Fetched {
				resp.Marks &^= protocol.Fetched
			}
		}
		return
	}
	e.counts(req).read(req, found)
	if !found {
		resp.Status = protocol.NotFound
		return
	}
	e.show(req, resp, item, size)
}

// gat is a get and what else it does to the item as one step, so that nobody sees the item between them.
func (e *Executor) gat(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	item, found := held.Item()
	e.counts(req).read(req, found)
	if !found {
		e.vivify(req, resp, &held)
		return
	}
	size := len(item.Value)
	if req.Options.Has(protocol.Brief) && size > protocol.BulkBytes {
		item.Value = nil // not copied to be withheld
	} else {
		resp.Scratch = append(resp.Scratch[:0], item.Value...)
		item.Value = resp.Scratch
	}
	wins := !item.Won && (item.Stale || req.Options.Has(protocol.Recache) && e.recacheDue(req, item))
	if e.show(req, resp, item, size); wins && req.Options.Has(protocol.Lease) {
		held.Win()
		resp.Marks |= protocol.Won
	}
	if req.Options.Has(protocol.SetExptime) {
		expiry := e.expiry(req.Exptime)
		held.SetExpiry(expiry)
		if !req.Options.Has(protocol.FormerTTL) {
			resp.TTL = e.ttl(expiry)
		}
	}
	if !req.Options.Has(protocol.NoBump) {
		held.Use()
	}
}

func (e *Executor) recacheDue(req *protocol.Request, item storage.Item) bool {
	return item.Expiry != 0 && item.Expiry < e.expiry(req.RecacheTTL)
}

// vivify makes an empty item for whoever asked first for one that is absent; it is to be filled by them alone.
func (e *Executor) vivify(req *protocol.Request, resp *protocol.Response, held *storage.Held) {
	if !req.Options.Has(protocol.Vivify) {
		resp.Status = protocol.NotFound
		return
	}
	item := storage.Item{Expiry: e.expiry(req.VivifyExptime), Won: true}
	if e.put(req, resp, held, item); resp.Status != protocol.OK {
		resp.Status = protocol.NotFound
		return
	}
	item.CAS, item.Won, item.LastAccess = resp.CAS, false, e.clock.Now()
	e.show(req, resp, item, 0)
	resp.Marks = protocol.Won
	if !req.Options.Has(protocol.NoBump) {
		held.Use()
	}
}

// inspect tells what is known of an item, and leaves no trace.
func (e *Executor) inspect(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	e.counts(req).Inspects.Add(1)
	item, found := held.Item()
	if !found {
		resp.Status = protocol.NotFound
		return
	}
	e.show(req, resp, item, len(item.Value))
	resp.Value = nil // it lies in memory of the store
}

// show answers with an item, whose value, of size bytes, must stay as it is until the answer is encoded; one that was not read is withheld.
func (e *Executor) show(req *protocol.Request, resp *protocol.Response, item storage.Item, size int) {
	resp.Status = protocol.OK
	resp.Flags, resp.CAS = item.Flags, item.CAS
	resp.Size = uint32(size)
	resp.TTL, resp.Idle = e.ttl(item.Expiry), e.clock.Now()-item.LastAccess
	if item.Fetched {
		resp.Marks |= protocol.Fetched
	}
	if req.Options.Has(protocol.Lease) {
		if item.Stale {
			resp.Marks |= protocol.Stale
		}
		if item.Won {
			resp.Marks |= protocol.Leased
		}
	}
	// With Compare a client asks for the value only if it has another one.
	switch {
	case req.Options.Has(protocol.NoValue) || req.Options.Has(protocol.Compare) && item.CAS == req.CAS:
	case len(item.Value) < size:
		resp.Marks |= protocol.Withheld
	default:
		resp.Value = item.Value
	}
}

// ttl is the time that an item with this expiry has left, in seconds; -1 for an item without one.
func (e *Executor) ttl(expiry int64) int64 {
	if expiry == 0 {
		return -1
	}
	return expiry - e.clock.Now()
}

func (e *Executor) touch(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	found := held.Touch(e.expiry(req.Exptime))
	e.counts(req).touch(found)
	if resp.Status = protocol.OK; !found {
		resp.Status = protocol.NotFound
	}
}
