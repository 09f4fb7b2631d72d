package meta

import "github.com/memring/memring/protocol"

// get makes req what mg asks for.
func (o *options) get(req *protocol.Request) {
	req.Op, req.Options = protocol.Get, protocol.Lease
	if !o.has('v') {
		req.Options |= protocol.NoValue
	}
	if o.has('u') {
		req.Options |= protocol.NoBump
	}
	o.compare(req)
	if o.has('N') {
		req.Op = protocol.Gat
		o.vivify(req)
		o.setCAS(req)
		if o.touchMade {
			req.VivifyExptime = o.exptime
		}
	}
	if o.has('R') {
		req.Op, req.RecacheTTL = protocol.Gat, o.recacheTTL
		req.Options |= protocol.Recache
	}
	if o.has('T') {
		req.Op = protocol.Gat
		o.setExptime(req)
	}
}

// storeOf gives the op of a mode of ms.
func storeOf(mode byte) (op protocol.Op, ok bool) {
	switch mode {
	case 0, 'S':
		return protocol.Set, true
	case 'E':
		return protocol.Add, true
	case 'R':
		return protocol.Replace, true
	case 'A':
		return protocol.Append, true
	case 'P':
		return protocol.Prepend, true
	}
	return protocol.None, false
}

// store makes req what ms asks for. Some options hold in some modes only.
func (o *options) store(req *protocol.Request, op protocol.Op) {
	req.Op, req.Flags, req.Exptime = op, o.flags, o.exptime
	o.setCAS(req)
	switch op {
	case protocol.Set, protocol.Replace:
		o.compare(req)
		if o.has('I') && o.has('C') && o.cas != 0 {
			req.Options |= protocol.Invalidate
		}
	case protocol.Append, protocol.Prepend:
		if o.cas != 0 {
			o.compare(req)
		}
		o.vivify(req)
	}
}

// delete makes req what md asks for.
func (o *options) delete(req *protocol.Request) {
	req.Op = protocol.Delete
	o.compare(req)
	if o.has('I') {
		req.Options |= protocol.Invalidate
	}
	if o.has('x') {
		req.Options |= protocol.Clear
		req.Flags = o.flags
	}
	if o.has('I') || o.has('x') {
		o.setCAS(req)
		o.setExptime(req)
	}
}

// count makes req what ma asks for. ok is false when its mode is none.
func (o *options) count(req *protocol.Request) (ok bool) {
	switch o.mode {
	case 0, 'I', '+':
		req.Op = protocol.Incr
	case 'D', '-':
		req.Op = protocol.Decr
	default:
		return false
	}
	req.Delta, req.Initial = 1, o.initial
	if o.has('D') {
		req.Delta = o.delta
	}
	if !o.has('v') {
		req.Options |= protocol.NoValue
	}
	if o.cas != 0 {
		o.compare(req)
	}
	o.vivify(req)
	o.setExptime(req)
	o.setCAS(req)
	return true
}

func (o *options) compare(req *protocol.Request) {
	if o.has('C') {
		req.Options |= protocol.Compare
		req.CAS = o.cas
	}
}

// setCAS passes over E0: no item is called so, and memcached makes an ms that says it an ms without E.
func (o *options) setCAS(req *protocol.Request) {
	if o.newCAS != 0 {
		req.Options |= protocol.SetCAS
		req.NewCAS = o.newCAS
	}
}

func (o *options) setExptime(req *protocol.Request) {
	if o.has('T') {
		req.Options |= protocol.SetExptime
		req.Exptime = o.exptime
		if o.formerTTL {
			req.Options |= protocol.FormerTTL
		}
	}
}

func (o *options) vivify(req *protocol.Request) {
	if o.has('N') {
		req.Options |= protocol.Vivify
		req.VivifyExptime = o.vivifyExptime
	}
}
