package handover

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// An arrival is what a member has given us in one answer, until all of it is here.
type arrival struct {
	from   Member
	move   uint64 // its number there
	merges bool   // we held some of it all the time: of two versions the newer wins, so each key is looked up there as well
	parts  int
	rate   int64          // bytes in a second that must be pulled, since it will be gone; 0: it stays
	stage  uint64         // usedFirst, unusedThen: most of what is asked for is here soon
	cursor storage.Cursor // what is pulled next
	rest   *arrival       // what another member gave as well, and is taken of this one when that has arrived; nil: nothing
	left   piece.Set      // of a rest that has not begun: its partitions
	lacks  piece.Set      // partitions of which its former holder thinks that we have a whole copy; nil: none
	progress

	fetched func(*protocol.Request, *protocol.Response) *protocol.Pending // Handover.fetched of this arrival

	silent atomic.Bool // its former holder does not answer
	over   atomic.Bool // all is here, or nothing more is to come
	claims piece.Claims
	before []*piece.Claims // what was resolved when another was to give this, or this node had a copy of it
}

// resolved reports whether nothing of a key is to arrive any more.
func (a *arrival) resolved(hash uint64) bool {
	return a.claims.Resolved(hash) || slices.ContainsFunc(a.before, func(c *piece.Claims) bool { return c.Resolved(hash) })
}

// succeed makes an arrival go on with what another has not brought, whose giver is gone.
func (a *arrival) succeed(former *arrival) {
	if slices.Contains(a.before, &former.claims) {
		return
	}
	a.before = append(append(a.before, &former.claims), former.before...)
	a.merges = a.merges || former.merges
}

// pieceEvery is how often pieces should come at most: more often the messages would cost more than what is in them.
const pieceEvery = 2 * time.Millisecond

// pieceBytes is how long the next piece should be, if that must be longer than usual.
func (a *arrival) pieceBytes() int64 {
	return min(a.rate/int64(time.Second/pieceEvery), maxPieceBytes)
}

// within shortens a pause after a piece of so many bytes to what is left of time.
func (a *arrival) within(pause time.Duration, bytes int) time.Duration {
	if a.rate > 0 {
		return min(pause, piece.Pace(bytes, a.rate))
	}
	return pause
}
