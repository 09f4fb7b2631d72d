// Package snapshot keeps what a store has in a file while its process is not running.
//
//	start  Open: DIR/ID.run says which run was before -> fill: is DIR/ID.snapshot of that one? every block checked -> store, or nothing
//	       Back: all are here again who stopped with it? -> the partitions that may be held, or the store is emptied
//	       Begin: the snapshot is gone, DIR/ID.run names this run: whatever happens now, it is never read again
//	stop   Meet, Meet, Meet: who else is here -> Plan: nobody goes on with what is held? -> serve to the end
//	       Write: walk, tombstones too -> archive, under another name -> DIR/ID.snapshot
//
// A run that ends without a word leaves its number in DIR/ID.run and no snapshot. So each run knows which one was before it, and tells the others.
package snapshot

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/storage"
)

// Config says what is kept, and where. All must be set but Dir.
type Config struct {
	Dir   string // "": nothing is kept
	Self  Origin
	Store *storage.Store
	// Room is what a snapshot may become, in bytes: less on the disk is warned of.
	Room int64
	// Wait is how long Back waits for others.
	Wait time.Duration

	// Members gives who is here, this node included, and Changes a note when that has changed. Neither is asked before Back.
	Members func() []membership.Member
	Changes func() <-chan struct{}

	Log *slog.Logger
}

// An Origin is a run of a node, and what the items of its snapshot are to be read by.
type Origin struct {
	Cluster    string `json:"cluster"`
	ID         string `json:"id"`
	Boot       uint64 `json:"boot"`
	Partitions int    `json:"partitions"` // so many the cluster has
	Print      uint64 `json:"print"`      // of the ring's parameters
}

// about is what a snapshot says of itself, as JSON.
type about struct {
	Kind string `json:"kind"` // "snapshot"
	Origin
	Others []piece.Member `json:"others,omitempty"` // who was here at its end, all of them about to end as well
	Parts  piece.Set      `json:"parts"`            // the partitions it held, a bit each: all of them are in it, and nothing else

	Latest    uint64 `json:"latest"`             // a version not below any that it gave
	Flushed   uint64 `json:"flushed"`            // the mark of the last flush_all
	FlushAt   int64  `json:"flush_at,omitempty"` // the Unix second of one that was to come; 0: there was none
	FlushMark uint64 `json:"flush_mark,omitempty"`

	items, bytes int64 // as they were read
}

// A Keeper keeps the snapshots of a node, from one run to the next. One goroutine at a time uses it.
type Keeper struct {
	cfg    Config
	place  *place // nil: nothing is kept
	former uint64
	filled *about         // what the store was filled with, until it is decided whether that may be used; nil: nothing
	used   Used           // of what Open and Back found
	others []piece.Member // who was here while this node stopped
	plan   bool           // a snapshot is to be written
}

// Used tells what this run has had of a snapshot.
type Used struct {
	Items, Bytes int64 // that were read, and used; the bytes are the file's
	Refused      bool  // there was one, and it was not used
}

// Open fills the store, which is empty, with the items of the former run, if that has left a snapshot; they are of no use before Back. A snapshot that cannot be used is told to the log: of a cache
// that starts empty all is true. An error says what is wrong with the directory, and names the flag.
func Open(cfg Config) (*Keeper, error) {
	k := &Keeper{cfg: cfg}
	if cfg.Dir == "" {
		return k, nil
	}
	var err error
	if k.place, err = newPlace(cfg.Dir, cfg.Self.ID, cfg.Log); err != nil {
		return nil, err
	}
	if room, known := k.place.room(); known && room < cfg.Room {
		cfg.Log.Warn("there may be no room for a snapshot, and then the next start is cold: make room, or change --snapshot-dir", "dir", cfg.Dir, "room", room, "memory_limit", cfg.Room)
	}
	if k.former, err = k.place.former(); err != nil {
		return nil, err
	}
	from := cfg.Self
	from.Boot = k.former
	if k.filled, err = k.place.fill(cfg.Store, from); err != nil {
		k.used.Refused = true
		cfg.Log.Error("the snapshot is not used: this node starts empty", "err", err)
	}
	return k, nil
}

// On reports whether snapshots are kept.
func (k *Keeper) On() bool { return k.place != nil }

// Former is the boot of the run before this one; 0: none is known.
func (k *Keeper) Former() uint64 { return k.former }

// Used is of Open and Back; any goroutine may ask after these.
func (k *Keeper) Used() Used { return k.used }

// Back gives the partitions of which all is here that the former run has held; none if the snapshot is of no use: somebody who was here at that run's end is not here again, or has run since. He
// might have changed it, and be gone.
func (k *Keeper) Back() (parts piece.Set) {
	about := k.filled
	if k.filled = nil; about == nil {
		return nil
	}
	if k.waitOthers(about.Others) {
		k.used = Used{Items: about.items, Bytes: about.bytes}
		return about.Parts
	}
	k.used.Refused = true
	k.cfg.Log.Warn("the snapshot is not used, this node starts empty: not all are here that stopped with it, or they have run since, and may have changed what is in it", "stopped", about.Others)
	k.cfg.Store.Drop(storage.All)
	return nil
}

// waitOthers waits for those who stopped with this node, each in the very next run. A node that went on without them would hold their partitions, empty, and what they have kept be of no use.
func (k *Keeper) waitOthers(others []piece.Member) (all bool) {
	limit := time.NewTimer(k.cfg.Wait)
	defer limit.Stop()
	told := false
	for {
		missing, late := missing(others, k.cfg.Members())
		switch {
		case late:
			return false
		case len(missing) == 0:
			return true
		case !told:
			told = true
			k.cfg.Log.Info("waiting for the members that stopped with this one: without them its snapshot is not used", "missing", missing, "at_most", k.cfg.Wait)
		}
		select {
		case <-k.cfg.Changes():
		case <-limit.C:
			return false
		}
	}
}

// missing gives the runs that no member here comes next after; late: one of these members has run in between.
func missing(runs []piece.Member, members []membership.Member) (missing []piece.Member, late bool) {
	for _, run := range runs {
		if slices.ContainsFunc(members, func(m membership.Member) bool { return m.ID == run.ID && m.Former == run.Boot }) {
			continue
		}
		missing = append(missing, run)
		late = late || slices.ContainsFunc(members, func(m membership.Member) bool { return m.ID == run.ID && m.Boot > run.Boot })
	}
	return missing, late
}

// Begin says that this run may change what is in a snapshot from now on: none that there is will be read again.
func (k *Keeper) Begin() error {
	if k.place == nil {
		return nil
	}
	return k.place.begin(k.cfg.Self.Boot)
}

// Meet notes who is here while this node stops: he may keep what this one has not got, or go on with it.
func (k *Keeper) Meet() {
	for _, m := range k.cfg.Members() {
		run := piece.Member{ID: m.ID, Boot: m.Boot}
		if self := m.ID == k.cfg.Self.ID && m.Boot == k.cfg.Self.Boot; !self && !slices.Contains(k.others, run) {
			k.others = append(k.others, run)
		}
	}
}

// Plan says that nobody goes on with what this node holds, so that it is to be written down at the end.
func (k *Keeper) Plan() {
	if k.place == nil {
		return
	}
	k.Meet()
	k.plan = true
	k.cfg.Log.Info("nobody else goes on with what is here: it is kept in a snapshot, see --snapshot-dir", "stop_as_well", len(k.others))
}

// Write writes down what is here of the partitions that this node has held to the end, if that was planned. Nobody is served any more.
func (k *Keeper) Write(ctx context.Context, held func(part uint32) bool) {
	if !k.plan {
		return
	}
	parts := piece.NewSet(k.cfg.Self.Partitions)
	for part := range k.cfg.Self.Partitions {
		if held(uint32(part)) {
			parts.Add(part)
		}
	}
	if err := k.place.write(ctx, k.cfg.Store, about{Origin: k.cfg.Self, Others: k.others, Parts: parts}); err != nil {
		k.cfg.Log.Error("no snapshot: the next start is cold", "err", err)
	}
}
