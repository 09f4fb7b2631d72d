package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A Kind is one way to make a trace. The same kind, keys, requests and seed make the same trace everywhere.
type Kind struct {
	Name string
	Says string // what it imitates

	meanBytes float64                           // of a key, before a fit: how many keys a footprint takes
	perKey    float64                           // requests for each key
	size      func(key uint32) uint32           // a key has the same size all the time
	next      func(g *generator, i int) Request // the i-th request, but for its size
	paced     bool
}

// Kinds are all that can be generated.
func Kinds() []Kind {
	kinds := []Kind{
		{Name: "zipf-0.8", Says: "gets, Zipf 0.8", next: gets(0.8)},
		{Name: "zipf-0.99", Says: "gets, Zipf 0.99", next: gets(0.99)},
		{Name: "zipf-1.0", Says: "gets, Zipf 1.0", next: gets(1.0)},
		{Name: "zipf-1.2", Says: "gets, Zipf 1.2", next: gets(1.2)},
		{Name: "half-writes", Says: "Zipf 1.0, half of it sets", next: halfWrites},
		{Name: "scan-zipf", Says: "Zipf 1.0, and a fifth of it one long scan over keys of its own", next: scanZipf},
		{Name: "churn", Says: "new keys come all the time, the newest are the most popular", next: churn},
		{Name: "shift", Says: "Zipf 1.0, other keys are popular after each fifth of it", next: shift},
		{Name: "ttl", Says: "Zipf 1.0, three quarters of the keys live 20 to 200 seconds of trace time", next: ttl, paced: true},
		{Name: "one-hit", Says: "Zipf 1.0, and half of it keys never seen again", next: oneHit, perKey: 1.25},
		{Name: "mixed", Says: "Zipf 0.9, sizes of 50 B to 180 KB, evenly over their logarithm", next: gets(0.9), size: MixedSize, meanBytes: 22_000},
	}
	for i := range kinds {
		if kinds[i].size == nil {
			kinds[i].size, kinds[i].meanBytes = webSize, 450
		}
		if kinds[i].perKey == 0 {
			kinds[i].perKey = 5
		}
	}
	return kinds
}

// Synthetic makes a trace of a kind whose footprint is in the neighbourhood of bytes: Fit it. It has at most so many requests.
func (k Kind) Synthetic(bytes uint64, most int, seed uint64) *Trace {
	const minRequests = 500_000 // few large items still see enough requests for a ratio
	keys := max(int(float64(bytes)/k.meanBytes), 100)
	return k.Generate(keys, min(max(int(k.perKey*float64(keys)), minRequests), most), seed)
}

// Generate makes a trace of so many keys and requests.
func (k Kind) Generate(keys, requests int, seed uint64) *Trace {
	g := &generator{keys: keys, requests: requests, random: rand.New(rand.NewPCG(seed, 0))}
	t := &Trace{Name: k.Name, Paced: k.paced, Requests: make([]Request, requests)}
	for i := range t.Requests {
		r := k.next(g, i)
		r.Size = k.size(r.Key)
		t.Requests[i] = r
		t.Keys = max(t.Keys, int(r.Key)+1)
	}
	return t
}

// KindOf finds a kind by its name.
func KindOf(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("there is no generated trace %q", name)
}

// A generator is what the makers of requests remember between them.
type generator struct {
	keys, requests int
	random         *rand.Rand
	zipf           *Zipf
	scanned        int
}

// rank draws from a Zipf made at its first use.
func (g *generator) rank(s float64, n int) uint32 {
	if g.zipf == nil {
		g.zipf = NewZipf(g.random, s, n)
	}
	return uint32(g.zipf.Rank())
}

func gets(s float64) func(*generator, int) Request {
	return func(g *generator, _ int) Request { return Request{Key: g.rank(s, g.keys)} }
}

func halfWrites(g *generator, _ int) Request {
	r := Request{Key: g.rank(1, g.keys)}
	if g.random.Uint64()&1 == 0 {
		r.Op = Set
	}
	return r
}

// scanZipf: half of the keys are popular or less so, the other half is walked over, from end to end and again.
func scanZipf(g *generator, _ int) Request {
	popular := g.keys / 2
	if g.random.IntN(5) == 0 {
		g.scanned = (g.scanned + 1) % (g.keys - popular)
		return Request{Key: uint32(popular + g.scanned)}
	}
	return Request{Key: g.rank(1, popular)}
}

// churn: key 0 is the newest at first; as time goes on the newest is key 1, 2, 3...: a key is born at the top and sinks.
func churn(g *generator, i int) Request {
	window := g.keys / 2
	newest := window + i*(g.keys-window)/g.requests
	return Request{Key: uint32(newest) - g.rank(1, window)}
}

func shift(g *generator, i int) Request {
	turn := 5 * i / g.requests
	return Request{Key: uint32((int(g.rank(1, g.keys)) + turn*g.keys/5) % g.keys)}
}

func ttl(g *generator, _ int) Request {
	r := Request{Key: g.rank(1, g.keys)}
	if h := mix(uint64(r.Key) ^ 0x771); h%4 != 0 { // a key's TTL is its own, like its size
		r.TTL = uint32(20 + h>>2%181)
	}
	return r
}

// oneHit: with its 1.25 requests a key, five eighths of the keys are asked for once.
func oneHit(g *generator, i int) Request {
	popular := g.keys * 3 / 8
	if g.random.Uint64()&1 == 0 {
		return Request{Key: uint32(popular + i)}
	}
	return Request{Key: g.rank(1, popular)}
}

// webSize is the distribution of the shared traces (their README): lognormal, median 220 bytes, sigma 1.2, cut at 60,000.
func webSize(key uint32) uint32 {
	h := mix(uint64(key) ^ 0x512e)
	radius, angle := uniform(h), uniform(mix(h))
	normal := math.Sqrt(-2*math.Log(radius)) * math.Cos(2*math.Pi*angle) // Box, Muller 1958
	return uint32(min(max(220*math.Exp(1.2*normal), float64(minBytes)), 60_000))
}

// MixedSize is from 50 bytes to 180 KB, evenly over the logarithm: 22 KB in the mean.
func MixedSize(key uint32) uint32 { return Between(key, 50, 180_000) }

// uniform makes a hash a number above 0 and at most 1.
func uniform(h uint64) float64 { return float64(h>>11+1) / (1 << 53) }

// Between gives each key a length of its own from least to most, evenly over the logarithm.
func Between(key uint32, least, most int) uint32 {
	if least == most {
		return uint32(least)
	}
	return uint32(float64(least) * math.Pow(float64(most)/float64(least), uniform(mix(uint64(key)^0x3175))))
}
