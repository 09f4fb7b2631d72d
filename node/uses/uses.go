// Package uses tells replicas which items are in use where they are held: nobody asks for a copy, so a full store would evict first what is wanted most when the holder is gone.
//
//	holder   a walk through the index, metas alone: used since the round before? --Uses, hashes--> replica: as if it had been asked for them
package uses

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// Config says what is told, and how. All must be set.
type Config struct {
	Self  string // this member
	Store *storage.Store
	Clock *storage.Clock

	// Table is the table of now; nil: there is none. Holds reports whether this node answers for a partition.
	Table func() *ring.Table
	Holds func(part uint32) bool

	// Send sends a request to a member on a copy lane; Await calls then with its answer, and releases the pending.
	Send  func(id string, req *protocol.Request) *protocol.Pending
	Await func(pending *protocol.Pending, then func(resp *protocol.Response))
}

const (
	// stepEvery and stepItems let the walk look at 50,000 items a second, for some 0.1 % of a processor (BenchmarkStep), and a round begins each second at most.
	stepEvery = 100 * time.Millisecond
	stepItems = 5_000

	// messageHashes bounds a message, to 8 KB: others on the lane do not wait for long.
	messageHashes = 1 << 10
	hashBytes     = 8
)

// A Teller tells the replicas of what is held here.
type Teller struct {
	cfg  Config
	open atomic.Int32 // messages that have not been answered

	// Of the round under way, which step alone touches.
	cursor storage.Cursor
	since  int64 // the second from which on uses are told: that in which the round before began
	began  int64
	told   map[string][]byte // by member, hashes
}

// New makes a Teller that tells nothing yet.
func New(cfg Config) *Teller {
	now := cfg.Clock.Now()
	return &Teller{cfg: cfg, since: now, began: now, told: map[string][]byte{}}
}

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	ticker := time.NewTicker(stepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			t.step()
		}
	}
}

// step looks at the next items. It does nothing while a member has not answered yet: uses are worth no queue.
func (t *Teller) step() {
	table, now := t.cfg.Table(), t.cfg.Clock.Now()
	atStart := t.cursor == storage.Cursor{}
	if table == nil || table.Copies() < 2 || t.open.Load() > 0 || atStart && now == t.began {
		return
	}
	if atStart {
		t.since, t.began = t.began, now
	}
	tell := func(hash uint64) { t.tell(table, hash) }
	for looked, more := 0, true; more && looked < stepItems; {
		var items int
		t.cursor, items, more = t.cfg.Store.Used(t.cursor, t.since, tell)
		looked += items
	}
	for _, id := range slices.Sorted(maps.Keys(t.told)) {
		t.send(id)
	}
}

// tell notes for whom the use of an item is news.
func (t *Teller) tell(table *ring.Table, hash uint64) {
	part := ring.PartitionOf(hash, table.Partitions())
	if !t.cfg.Holds(part) {
		return
	}
	for _, place := range table.Holders(part) {
		id := table.Members()[place].ID
		if id == t.cfg.Self {
			continue
		}
		t.told[id] = binary.LittleEndian.AppendUint64(t.told[id], hash)
		if len(t.told[id]) == messageHashes*hashBytes {
			t.send(id)
		}
	}
}

func (t *Teller) send(id string) {
	hashes := t.told[id]
	if len(hashes) == 0 {
		delete(t.told, id) // perhaps it is gone
		return
	}
	t.told[id] = hashes[:0] // Send keeps a copy
	t.open.Add(1)
	pending := t.cfg.Send(id, &protocol.Request{Op: protocol.Uses, Value: hashes})
	pending.Flush()
	t.cfg.Await(pending, func(*protocol.Response) { t.open.Add(-1) })
}

// A Door answers other members on copy lanes.
type Door struct{ Store *storage.Store }

// Handle implements protocol.Handler.
func (d Door) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if len(req.Value)%hashBytes != 0 {
		resp.Fail("no hashes")
		return nil
	}
	for hash := range slices.Chunk(req.Value, hashBytes) {
		d.Store.Use(binary.LittleEndian.Uint64(hash))
	}
	resp.Status = protocol.OK
	return nil
}
