package trace

// A Tally is what came of playing requests.
type Tally struct {
	Requests, Gets, Hits, Misses, Sets, Deletes uint64

	// Refused are sets that were answered with an error: too large, or out of memory. They are no fault, but cost hits later.
	Refused uint64

	// Wrong are answers that hold another value than was set. There must be none.
	Wrong uint64

	AskedBytes, MissedBytes uint64 // sizes (key and value) of the gets, and of those that missed
}

// MissRatio is the part of the gets that missed.
func (t Tally) MissRatio() float64 { return part(t.Misses, t.Gets) }

// ByteMissRatio is the part of the bytes asked for that was missed.
func (t Tally) ByteMissRatio() float64 { return part(t.MissedBytes, t.AskedBytes) }

// Plus adds two tallies up.
func (t Tally) Plus(u Tally) Tally {
	t.Requests += u.Requests
	t.Gets += u.Gets
	t.Hits += u.Hits
	t.Misses += u.Misses
	t.Sets += u.Sets
	t.Deletes += u.Deletes
	t.Refused += u.Refused
	t.Wrong += u.Wrong
	t.AskedBytes += u.AskedBytes
	t.MissedBytes += u.MissedBytes
	return t
}

func part(of, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(of) / float64(all)
}
