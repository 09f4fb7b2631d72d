package trace

import (
	"math"
	"math/rand/v2"
)

// A Zipf draws ranks 0, 1, 2... below n, rank r with a probability as 1/(r+1)^s, for any s > 0 (math/rand has only s > 1).
//
// It is rejection-inversion (Hörmann, Derflinger: "Rejection-inversion to generate variates from monotone discrete distributions", 1996):
// the histogram of the probabilities lies below the curve x^-s shifted by a half; a point under the curve is drawn by inverting its
// integral, and drawn again when it falls beside its bar. That happens in fewer than one of ten draws, however large n is.
type Zipf struct {
	random      *rand.Rand
	s           float64
	n           float64
	first, last float64 // the integral where the bars of ranks 1 and n end, the first one made exact
	sure        float64 // so near below its bar's middle a point is never beside the bar
}

// NewZipf draws from random. n is at least 1, and s above 0.
func NewZipf(random *rand.Rand, s float64, n int) *Zipf {
	z := &Zipf{random: random, s: s, n: float64(max(n, 1))}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(z.n + 0.5)
	z.sure = 2 - z.inverse(z.integral(2.5)-math.Pow(2, -s))
	return z
}

// Rank draws one.
func (z *Zipf) Rank() int {
	for {
		u := z.last + z.random.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Round(x), 1), z.n)
		if k-x <= z.sure || u >= z.integral(k+0.5)-math.Pow(k, -z.s) {
			return int(k) - 1
		}
	}
}

// integral is that of x^-s, whatever its constant.
func (z *Zipf) integral(x float64) float64 {
	if z.s == 1 {
		return math.Log(x)
	}
	return math.Expm1((1-z.s)*math.Log(x)) / (1 - z.s)
}

func (z *Zipf) inverse(u float64) float64 {
	if z.s == 1 {
		return math.Exp(u)
	}
	return math.Exp(math.Log1p(u*(1-z.s)) / (1 - z.s))
}
