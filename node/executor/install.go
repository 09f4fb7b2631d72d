package executor

import (
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// install stores an item of a backup with the expiry, version and CAS unique that it had, and answers how it went:
//
//	OK         it is stored
//	Exists     what is here is as new, or newer, or was deleted since
//	NotFound   it has expired
//	NotStored  a flush_all has swept it since; with Vivify it is stored all the same, if nothing is here, and with a new version: else it would vanish at the next hand-over
func (e *Executor) install(req *protocol.Request, resp *protocol.Response) {
	key, item, ok := piece.One(req.Value)
	if !ok || item.Buried || string(key) != string(req.Key) {
		resp.Status = protocol.BadFormat
		return
	}
	flushed := item.Version <= e.store.Flushed()
	held := e.store.Hold(req.Key)
	defer held.Release()
	_, buried := held.Grave()
	switch {
	case item.Expiry != 0 && item.Expiry <= e.clock.Now() && !held.Has():
		resp.Status = protocol.NotFound
	case !flushed:
		e.installNewer(req, resp, &held, item)
	case held.Has() || buried:
		resp.Status = protocol.Exists
	case !req.Options.Has(protocol.Vivify):
		resp.Status = protocol.NotStored
	default:
		e.put(req, resp, &held, item)
	}
}

func (e *Executor) installNewer(req *protocol.Request, resp *protocol.Response, held *storage.Held, item storage.Item) {
	installed, err := held.Install(item)
	switch resp.Status = refusal(err); {
	case installed:
		resp.CAS, resp.Size = item.CAS, uint32(len(item.Value))
	case err == nil:
		resp.Status = protocol.Exists
	}
	e.counts(req).refused(resp.Status)
}
