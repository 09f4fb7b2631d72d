package handover

import (
	"sync/atomic"

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
	rate   int64          // bytes in a second; 0: its share of Config.Rate
	stage  uint64         // usedFirst, unusedThen: most of what is asked for is here soon
	cursor storage.Cursor // what is pulled next
	rest   *arrival       // what another member gave as well, and is taken of this one when that has arrived; nil: nothing
	left   piece.Set      // of a rest that has not begun: its partitions
	lacks  piece.Set      // partitions of which its former holder thinks that we have a whole copy; nil: none
	progress

	fetched func(*protocol.Request, *protocol.Response) *protocol.Pending // Handover.fetched of this arrival

	silent atomic.Bool // its former holder does not answer
	piece.Claims
}
