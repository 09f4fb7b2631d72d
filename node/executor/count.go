package executor

import (
	"math"
	"strconv"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// count is incr, which wraps at 2^64, and decr, which stops at 0. A number with fewer digits than the value had keeps its width, with blanks on
// the right (protocol.txt, "Increment/Decrement").
func (e *Executor) count(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	item, found := held.Item()
	if !found {
		e.begin(req, resp, &held)
		return
	}
	number, ok := parseNumber(item.Value)
	switch {
	case len(item.Value) == 0:
		resp.Status = protocol.NonNumeric
		return
	case req.Options.Has(protocol.Compare) && item.CAS != req.CAS:
		resp.Status = protocol.Exists
		return
	case !ok:
		resp.Status = protocol.NonNumeric
		return
	}
	e.counts(req).count(req.Op, true)
	switch {
	case req.Op == protocol.Incr:
		number += req.Delta
	case req.Delta > number:
		number = 0
	default:
		number -= req.Delta
	}
	resp.Scratch = strconv.AppendUint(resp.Scratch[:0], number, 10)
	for len(resp.Scratch) < len(item.Value) {
		resp.Scratch = append(resp.Scratch, ' ')
	}
	inPlace := len(resp.Scratch) == len(item.Value)
	item.Value = resp.Scratch
	if e.storeNumber(req, resp, &held, item, number); inPlace && item.Fetched {
		held.Use() // it is still the item that was used before; one that grows is a new one
	}
}

// begin answers for a number that is absent: with Vivify it is made.
func (e *Executor) begin(req *protocol.Request, resp *protocol.Response, held *storage.Held) {
	if !req.Options.Has(protocol.Vivify) {
		e.counts(req).count(req.Op, false)
		resp.Status = protocol.NotFound
		return
	}
	resp.Scratch = strconv.AppendUint(resp.Scratch[:0], req.Initial, 10)
	e.storeNumber(req, resp, held, storage.Item{Value: resp.Scratch, Expiry: e.expiry(req.VivifyExptime)}, req.Initial)
}

func (e *Executor) storeNumber(req *protocol.Request, resp *protocol.Response, held *storage.Held, item storage.Item, number uint64) {
	former := item.Expiry
	if req.Options.Has(protocol.SetExptime) {
		item.Expiry = e.expiry(req.Exptime)
	}
	if e.put(req, resp, held, item); resp.Status != protocol.OK {
		return
	}
	resp.Number, resp.TTL = number, e.ttl(item.Expiry)
	if req.Options.Has(protocol.FormerTTL) {
		resp.TTL = e.ttl(former)
	}
}

// parseNumber reads a 64-bit unsigned number as memcached does: blanks may stand before it, and what follows the first blank or NUL
// behind it is not looked at.
func parseNumber(value []byte) (n uint64, ok bool) {
	for len(value) > 0 && isBlank(value[0]) {
		value = value[1:]
	}
	digits := 0
	for ; digits < len(value) && value[digits] >= '0' && value[digits] <= '9'; digits++ {
		d := uint64(value[digits] - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if digits == 0 || digits < len(value) && value[digits] != 0 && !isBlank(value[digits]) {
		return 0, false
	}
	return n, true
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
