// Package trace holds sequences of cache requests, recorded or generated, and plays them cache-aside to a memcached over the wire.
//
//	Read (gz CSV) --+
//	                +--> Trace --> Stack, Fit --> Player: get, and set what was missed --> Tally
//	Synthetic ------+
//
// Nothing here knows what answers: the same requests are played to memcached and to memring, and the tallies compared.
package trace

import (
	"fmt"
	"iter"
	"slices"
)

const (
	// KeyBytes is the length of every key on the wire. A request's size contains it.
	KeyBytes = len(keyPrefix) + 16

	// MaxBytes is the largest size, key and value, that a trace is fitted to: what memcached takes as it comes (-I 1m), less its item's head.
	MaxBytes = 1_000_000

	// PerSecond is how many requests make a second of a trace's own time, in which its TTLs count.
	PerSecond = 5000

	keyPrefix = "memring:trace:"
	minBytes  = uint32(KeyBytes + 1)
)

// An Op is what a request does.
type Op uint8

const (
	Get Op = iota // and on a miss set, with the request's size and TTL: cache-aside
	Set           // without asking first
	Delete
	Peek // get, and leave it at that; no trace has it
)

// A Request is one line of a trace.
type Request struct {
	Key  uint32 // a number below Trace.Keys
	Size uint32 // bytes of key and value
	TTL  uint32 // seconds of the trace's time; 0: none
	Op   Op
}

// A Trace is held whole: the largest has some 10 million requests of 16 bytes.
type Trace struct {
	Name     string
	Keys     int // no key is as large
	Requests []Request

	// Paced traces have TTLs, so they only mean something when all servers get them at the same rate.
	Paced bool
}

// All gives the requests in order.
func (t *Trace) All() iter.Seq[Request] { return slices.Values(t.Requests) }

// Footprint is the sum of the sizes of all keys that are asked for, each at its largest: what a cache that never evicts would hold.
// Keys that are only deleted do not count.
func (t *Trace) Footprint() (bytes uint64, keys int) {
	for _, size := range t.largest() {
		if size > 0 {
			bytes += uint64(size)
			keys++
		}
	}
	return bytes, keys
}

func (t *Trace) largest() []uint32 {
	sizes := make([]uint32, t.Keys)
	for _, r := range t.Requests {
		if r.Op != Delete {
			sizes[r.Key] = max(sizes[r.Key], r.Size)
		}
	}
	return sizes
}

// Stack gives the trace as n tenants of one cache would make it: each with keys of its own, all at once, each begun at another point.
// It makes a trace of few keys longer without making its items larger.
func (t *Trace) Stack(n int) *Trace {
	if n <= 1 {
		return t
	}
	s := &Trace{Name: t.Name, Keys: n * t.Keys, Paced: t.Paced, Requests: make([]Request, 0, n*len(t.Requests))}
	for i := range t.Requests {
		for tenant := range n {
			r := t.Requests[(i+tenant*len(t.Requests)/n)%len(t.Requests)]
			r.Key += uint32(tenant * t.Keys)
			s.Requests = append(s.Requests, r)
		}
	}
	return s
}

// Fit multiplies all sizes by one factor, so that the footprint is about what is wanted, and gives the factor. No size leaves
// KeyBytes+1..MaxBytes, therefore "about": the caller shows the Footprint that came of it.
func (t *Trace) Fit(footprint uint64) (fitted *Trace, factor float64) {
	// The cut at MaxBytes takes some of what the factor gave: a few rounds settle it.
	const rounds = 8
	sizes := t.largest()
	factor = 1
	for range rounds {
		var sum float64
		for _, size := range sizes {
			if size > 0 {
				sum += float64(scale(size, factor))
			}
		}
		if sum == 0 {
			return t, 1
		}
		factor *= float64(footprint) / sum
	}
	fitted = &Trace{Name: t.Name, Keys: t.Keys, Paced: t.Paced, Requests: slices.Clone(t.Requests)}
	for i := range fitted.Requests {
		fitted.Requests[i].Size = scale(fitted.Requests[i].Size, factor)
	}
	return fitted, factor
}

func scale(size uint32, factor float64) uint32 {
	return uint32(min(max(float64(size)*factor, float64(minBytes)), MaxBytes))
}

// AppendKey appends a key's KeyBytes bytes as they go over the wire.
func AppendKey(dst []byte, key uint32) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, keyPrefix...)
	for h, shift := mix(uint64(key)), 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[h>>shift&15])
	}
	return dst
}

// mix is a bijection without visible order (the finisher of splitmix64: Steele, Lea, Flood 2014): keys and what is derived from them
// look unrelated, and are the same in every run.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (o Op) String() string {
	switch o {
	case Get:
		return "get"
	case Set:
		return "set"
	case Delete:
		return "delete"
	case Peek:
		return "peek"
	}
	return fmt.Sprintf("op %d", uint8(o))
}
