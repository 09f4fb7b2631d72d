package piece

// A Place is what a node is to a partition.
type Place uint8

// The places.
const (
	Elsewhere Place = iota // another answers for it, or nobody
	Wanted                 // it is to be held here
	Leaving                // it was held here, and is not altogether with another yet; or that is in doubt
	Arriving               // this node answers for it, but not all of it is here
	Holder                 // this node answers for it, and all of it is here
)

// A Base is what is here already of partitions that were given to this node: of Whole all, so that nothing need be pulled. Of Some what is here is good, but
// more may be there; what the Claims know of is resolved.
type Base struct {
	Whole, Some Set
	Claims      []*Claims
}

// A Parting is what comes of giving partitions away: of Whole their new holder has a copy already, to the last write. Of Follows a copy stays here, under
// Number, if he goes on from there.
type Parting struct {
	Whole, Follows Set
	Number         uint64
}
