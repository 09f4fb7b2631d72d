// Package replicator copies what a holder writes to the replicas of its partition, and keeps such copies for others.
//
//	holder   write -> next -> the item as it is now --Copy--> replica: stored -> the client is answered
//	replica  --Follow--> holder: from now on its writes are copied; Draw, Draw, Draw: the rest -> a whole copy
//	         holder is gone -> the copy may be held (Take)
//
// A copy is good for as long as its holder sends it every write, and has no client answered before it is acknowledged. Under a number, the replica's, that is
// so until one of them says Unfollow, and then the copy is of no use and the next begins from nothing. A holder goes on without a replica only when that has said
// so, or is known to be gone: then it comes back without its memory, or is told. So no copy that may be held is out of date.
//
// Nothing here waits, as in node/handover, and for the same reason. Locks: a shard's sending before its mu or a stripe of the store; Replicator.mu before the Sweep's alone.
package replicator

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/node/sweep"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// Config says what is copied, and how others are reached. All functions must be set; zero numbers take their defaults.
type Config struct {
	Self  piece.Member
	Store *storage.Store
	Next  protocol.Handler // runs what may be run

	// Send sends a request to a member on a copy lane: those of one origin in their order.
	Send func(id string, req *protocol.Request) *protocol.Pending
	// Await calls then with the answer, once it is there, and releases the pending.
	Await func(pending *protocol.Pending, then func(resp *protocol.Response))
	// After calls f in a while; Go calls it at once, elsewhere.
	After func(pause time.Duration, f func())
	Go    func(f func())

	// Place says what this node is to a partition now. It must not wait.
	Place func(part uint32) piece.Place
	// Written returns when all writes have been run that were under way when it was called.
	Written func()
	// Fenced is called when a replica has taken over what this node still thinks to hold.
	Fenced func()

	// Ack says how many replicas must have a write before it is answered. Default AckOne.
	Ack Ack
	// Duty is what may be done about copies that are begun. Default: an eighth of a processor. Rate is how many bytes of items are drawn in a second, from all members
	// together. Asked each time; default 32 MiB.
	Duty *piece.Duty
	Rate func() int64
	// PieceBytes is what a piece holds, or a single longer item. Default 16 KiB, as with hand-over.
	PieceBytes int
	// LongBytes is the longest value that is sent where it was written: who sends a longer one must wait. Default: what goes in one frame, with its key and what else
	// is told of it.
	LongBytes int
	// Patience bounds how long an answer is kept back for a replica that does not acknowledge. Asked each time; default 500 ms.
	Patience func() time.Duration

	// Readable has the holders of what is kept here asked again and again whether it is good, so that it may be read (Read).
	Readable bool
	// Now is a clock that only moves forward. Default: the time since New.
	Now func() time.Duration

	Log *slog.Logger
}

// A Replicator is the handler that copies writes, and the one of the copies that are kept here.
type Replicator struct {
	cfg    Config
	feeds  *piece.Each[[]*feed] // by partition: who is to hear of its writes, in the table's order
	copies *piece.Each[copying] // by partition: what is kept of it for another
	taken  *piece.Each[uint64]  // by partition: the number of the last copy of it that was of use when it came to be held here, or was given on
	active atomic.Bool          // there are feeds
	ended  atomic.Bool          // stopped, for those who do not hold mu
	shards [shardCount]shard
	ships  ships
	stats  Stats

	dirt       *sweep.Sweep // what is here and nobody's copy
	mu         sync.Mutex   // guards the rest, and changes of feeds and copies
	table      *ring.Table
	self       int                     // our place in the table; -1: none
	members    map[string]uint64       // the others that are alive: their boots by id
	runs       map[string]uint64       // the latest boot that was seen of each of the others, also of those that are gone
	fed        map[feedKey]*feed       // all feeds
	heard      map[piece.Member]uint64 // the latest number that each has asked to follow under
	partings   map[uint64]func()       // partitions that are given, and whose last copies are on their way; by number
	parted     uint64
	lapsed     map[piece.Member]bool // who was taken for dead while it had copies of ours
	sessions   map[uint64]*copying   // by our number
	numbered   uint64                // numbers the sessions, from our boot on
	confirming bool                  // they are asked again soon
	telling    int                   // Unfollows under way
	seeking    bool
	sought     time.Duration // the pause before the next seek
	stopped    bool
}

// Stats are counted since the start.
type Stats struct {
	Copied           atomic.Int64 // writes that were sent to a replica, each
	Again            atomic.Int64 // copies that were sent again
	Stored           atomic.Int64 // writes of others that were stored here
	Alone            atomic.Int64 // answers that were given although a replica had not acknowledged: it is one no more
	Overdue          atomic.Int64 // writes that were answered with an error, since a replica did not acknowledge
	Waits            atomic.Int64 // reads that waited for a write to be safe
	ItemsIn, BytesIn atomic.Int64 // drawn from holders
	Dropped          atomic.Int64 // items of copies that were of no use any more
	Reads            atomic.Int64 // requests answered from copies that are kept here
	Taken            atomic.Int64 // partitions that were held here because their holder was gone
}

// restBytes is more than is told of an item besides its value.
const restBytes = 1 << 10

// New makes a Replicator of the store's partitions.
func New(cfg Config) *Replicator {
	partitions := cfg.Store.Partitions()
	if cfg.Rate == nil {
		cfg.Rate = func() int64 { return 32 << 20 }
	}
	cfg.PieceBytes = cmp.Or(cfg.PieceBytes, 16<<10)
	cfg.LongBytes = cmp.Or(cfg.LongBytes, frame.PartBytes-restBytes)
	if cfg.Duty == nil {
		cfg.Duty = piece.NewDuty(1./8, nil)
	}
	if cfg.Patience == nil {
		cfg.Patience = func() time.Duration { return 500 * time.Millisecond }
	}
	if began := time.Now(); cfg.Now == nil {
		cfg.Now = func() time.Duration { return time.Since(began) }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Replicator{
		cfg: cfg, self: -1,
		feeds: piece.NewEach[[]*feed](partitions), copies: piece.NewEach[copying](partitions), taken: piece.NewEach[uint64](partitions),
		runs: map[string]uint64{}, fed: map[feedKey]*feed{}, lapsed: map[piece.Member]bool{}, partings: map[uint64]func(){}, heard: map[piece.Member]uint64{}, sessions: map[uint64]*copying{},
		numbered: cfg.Self.Boot,
	}
	r.dirt = sweep.New(sweep.Config{
		Store: cfg.Store, Droppable: r.droppable, Dropped: &r.stats.Dropped, Duty: cfg.Duty, After: cfg.After, Swept: r.askSought,
	})
	return r
}

// Stats gives the live counters.
func (r *Replicator) Stats() *Stats { return &r.stats }

func (r *Replicator) partOf(hash uint64) uint32 { return ring.PartitionOf(hash, r.feeds.Len()) }

// Adopt says who holds what from now on, who we are in the table (-1: not in it) and who else is alive.
func (r *Replicator) Adopt(table *ring.Table, self int, others []piece.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.table, r.self = table, self
	r.members = make(map[string]uint64, len(others))
	for _, m := range others {
		r.members[m.ID], r.runs[m.ID] = m.Boot, max(r.runs[m.ID], m.Boot)
	}
	r.reviewFeedsLocked()
	r.reviewCopiesLocked()
	r.doubtReadsLocked()
	r.confirmLaterLocked()
	r.sought = 0
	r.seekLaterLocked()
}

func (r *Replicator) aliveLocked(m piece.Member) bool {
	boot, known := r.members[m.ID]
	return known && boot == m.Boot
}

// supersededLocked reports whether a later run of a member has been seen. It may have taken over what the former one held, with copies that others had, and have been written to since.
func (r *Replicator) supersededLocked(m piece.Member) bool { return r.runs[m.ID] > m.Boot }

// Stop ends what goes on by itself; who waits for a replica is answered.
func (r *Replicator) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.ended.Store(true)
	partings := maps.Clone(r.partings)
	r.mu.Unlock()
	for _, number := range slices.Sorted(maps.Keys(partings)) {
		partings[number]()
	}
	r.stickAll(func(*write) bool { return true })
}

// Idle reports whether nobody needs this node for copies any more, as one that drains: all who have copies of what was held here have been told, and of what is
// kept here others have copies, or their holders have told that there are to be none.
func (r *Replicator) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.telling == 0 && len(r.sessions) == 0
}

// A Count says how many copies there are.
type Count struct {
	Kept, Whole int // partitions of which a copy is kept here, and of these, those that are all here
	Fed, Full   int // copies that others keep of what is held here, and of these, those that are all there
	Missing     int // copies that the table wants of what is held here, and nobody keeps whole
	Spare       int // copies that others keep of it, or that are to be dropped here, and the table wants none
}

// Count counts the copies.
func (r *Replicator) Count() (count Count) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for part := range r.feeds.Len() {
		if c := r.copies.Load(part); c != nil {
			count.Kept++
			if c.whole.Load() {
				count.Whole++
			}
		}
		full := 0
		if feeds := r.feeds.Load(part); feeds != nil {
			for _, f := range *feeds {
				count.Fed++
				if f.full {
					full++
				}
			}
		}
		count.Full += full
		if r.table != nil && r.leaderLocked(part) {
			count.Missing += r.missingLocked(part)
			if feeds := r.feeds.Load(part); feeds != nil {
				for _, f := range *feeds {
					if !r.wantedLocked(f, part) {
						count.Spare++
					}
				}
			}
		}
	}
	count.Spare += r.dirt.Len()
	return count
}

// A Door answers other members on copy lanes.
type Door struct{ r *Replicator }

// Door gives the handler for copy lanes.
func (r *Replicator) Door() Door { return Door{r} }

// Handle implements protocol.Handler.
func (d Door) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Follow:
		d.r.follow(req, resp)
	case protocol.Unfollow:
		d.r.unfollowed(req, resp)
	case protocol.Copy:
		d.r.store(req, resp)
	case protocol.Draw:
		d.r.piece(req, resp)
	case protocol.Confirm:
		d.r.confirm(req, resp)
	default:
		resp.Status = protocol.UnknownCommand
	}
	return nil
}
