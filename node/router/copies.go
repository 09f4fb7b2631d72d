package router

import (
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// fromCopy answers a read from a copy: the one here, or that of a member in our zone, unless the owner is there as well. What a copy has not, the owner is asked for.
//
// A write must not be overtaken by what follows it on its conversation. So nothing is read here while the answer to a write is open; and what writes waits
// until those that were asked for copies have answered.
func (r *Router) fromCopy(now *routes, part uint32, req *protocol.Request, resp *protocol.Response) (pending *protocol.Pending, answered bool) {
	if req.Op != protocol.Get || req.AfterWrite {
		return nil, false
	}
	if r.cfg.Copy(req, resp) {
		return nil, true
	}
	way := now.mate(part)
	if way == nil {
		return nil, false
	}
	asked := r.spare.Get().(*protocol.Request)
	*asked = *req
	asked.Options |= protocol.FromCopy
	pending = way(asked)
	*asked = protocol.Request{}
	r.spare.Put(asked)
	r.stats.Forwarded.Add(1)
	pending.Then, pending.Holds, pending.Forwarded = r.onward, true, true
	return pending, true
}

// toOwner goes on with a read to which a member of our zone has no answer (protocol.Pending.Then).
func (r *Router) toOwner(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if resp.Status == protocol.OK {
		return nil
	}
	resp.Reset()
	now := r.routes.Load()
	return r.ask(now, now.wayTo(now.table.Partition(req.Key)), req, resp)
}

// mate gives the way to a member in our zone that keeps a copy of a partition; nil if there is none, or if its owner is there, too.
func (r *routes) mate(part uint32) Send {
	if r.mates == nil {
		return nil
	}
	holders := r.table.Holders(part)
	for i, h := range holders {
		switch {
		case !r.mates[h]:
		case i == 0:
			return nil
		default:
			return r.ways[h]
		}
	}
	return nil
}

// matesOf finds the others that are alive and in our zone, by their places.
func (r *Router) matesOf(table *ring.Table, ways []Send) []bool {
	if r.cfg.Copy == nil || r.cfg.Zone == "" {
		return nil
	}
	mates := make([]bool, len(ways))
	for i, m := range table.Members() {
		mates[i] = ways[i] != nil && table.Alive(i) && m.Zone == r.cfg.Zone
	}
	return mates
}
