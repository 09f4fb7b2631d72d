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

// A Parting is what comes of giving partitions away: of Whole their new holder has a copy already, to the last write. Of Follows a copy stays here, under
// Number, if he goes on from there.
type Parting struct {
	Whole, Follows Set
	Number         uint64
}
