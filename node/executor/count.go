package executor

import (
	"math"
	"strconv"

	"github.com/memring/memring/protocol"
)

// count is incr, which wraps at 2^64, and decr, which stops at 0. The new number keeps the width of the old one, with blanks on its right,
// when it has fewer digits (protocol.txt, "Increment/Decrement").
func (e *Executor) count(req *protocol.Request, resp *protocol.Response) {
	held := e.store.Hold(req.Key)
	defer held.Release()
	hits, misses := &e.stats.IncrHits, &e.stats.IncrMisses
	if req.Op == protocol.Decr {
		hits, misses = &e.stats.DecrHits, &e.stats.DecrMisses
	}
	item, found := held.Item()
	if !found {
		misses.Add(1)
		resp.Status = protocol.NotFound
		return
	}
	number, ok := parseNumber(item.Value)
	if !ok {
		resp.Status = protocol.NonNumeric
		return
	}
	hits.Add(1)
	switch {
	case req.Op == protocol.Incr:
		number += req.Delta
	case req.Delta > number:
		number = 0
	default:
		number -= req.Delta
	}
	width := len(item.Value)
	resp.Scratch = strconv.AppendUint(resp.Scratch[:0], number, 10)
	for len(resp.Scratch) < width {
		resp.Scratch = append(resp.Scratch, ' ')
	}
	item.Value = resp.Scratch
	if e.put(&held, item, resp); resp.Status == protocol.OK {
		resp.Number = number
	}
}

// parseNumber reads a 64-bit unsigned number as memcached does: blanks may stand before it, and what follows the first blank behind it is
// not looked at.
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
	if digits == 0 || digits < len(value) && !isBlank(value[digits]) {
		return 0, false
	}
	return n, true
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
