package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/piece"
)

// A collection is how far the items have been collected, of all members at once.
//
//	round  all members are asked for the partitions that are missing, and by each for what has become of them
//	       complete     -> not missing any more, unless somebody else had it as well and does not any more: what he had may have come to the other since
//	       short, gone  -> it may lack items that there were when the collection began
//	next   the members of now are asked for what is missing still
//
// A member that went without a word shortly before the collection began, and is not back, may have items that nobody else has, or be taken for dead by mistake. So what has become short since then counts as well. Who
// is missed for longer has died long ago, and what it alone had is no part of the cluster: only a warning tells of it.
type collection struct {
	c        *command
	out      *archive.Writer
	start    time.Time
	known    map[string]string        // the members' client addresses
	lost     map[string]time.Duration // who went without a word, and how long ago
	progress *output.Progress

	mu         sync.Mutex // guards the rest
	partitions int
	missing    piece.Set // partitions of which not all has come; nil: all, and nobody has said yet how many there are
	gone       piece.Set // in this round, from somebody who had them
	short      piece.Set // partitions that came with less than there was of them
	complete   int
	expected   int64     // bytes, about
	came       int64     // bytes
	moved      time.Time // when something came last that had not come before
	inRound    int64     // bytes that came since all members were asked
	farthest   int64     // the most of that, in a round since a partition was whole
}

// lostBefore is how much earlier others may have begun without a lost member than the one who tells us has missed it: gossip needs four seconds at most, and is slower on a machine that is too busy.
const lostBefore = 10 * time.Second

// missedFor is how long a lost member is believed to come back with what it had.
const missedFor = 30 * time.Minute

// collect asks all members for what they hold, until each partition has come whole from somebody. Of one that moves meanwhile something may have come before: it is in the archive
// twice, and of two versions of an item the newer is restored. lacks says what may be missing of what came; nil if nothing is.
func (b *collection) collect(ctx context.Context) (lacks, err error) {
	for {
		failures := b.round(ctx)
		b.mu.Lock()
		done, idle := b.missing != nil && b.missing.Empty(), time.Since(b.moved)
		b.mu.Unlock()
		switch fatal := (fatalError{}); {
		case errors.As(failures, &fatal):
			return nil, fatal.error
		case done:
			return b.shortOf(), nil
		case ctx.Err() != nil:
			return nil, errors.New("interrupted: nothing is left of this backup")
		case idle >= b.c.timeout:
			return output.Exit(output.Timeout, fmt.Errorf("%d of %d partitions are with nobody who gives them, for %v (--timeout): %w",
				b.partitions-b.complete, b.partitions, b.c.timeout, errors.Join(failures, errors.New("`memring cluster status` tells more")))), nil
		}
		select {
		case <-time.After(passing):
		case <-ctx.Done():
			continue
		}
		if now, err := b.c.members(b.addresses()); err == nil {
			b.known = now
		}
	}
}

// addresses gives who may be asked for the cluster, first the one that was named.
func (b *collection) addresses() []string {
	return append([]string{b.c.node.Address}, slices.Sorted(maps.Values(b.known))...)
}

// shortOf says what items may be missing though all partitions have come.
func (b *collection) shortOf() error {
	count := b.short.Len()
	if count == 0 {
		return nil
	}
	var who []string
	for _, id := range slices.Sorted(maps.Keys(b.lost)) {
		if ago := b.lost[id]; ago <= missedFor {
			who = append(who, fmt.Sprintf("%s went without a word %v ago", id, ago))
		}
	}
	if who == nil {
		who = append(who, "a member may have crashed, or have left before it had handed over all it had")
	}
	return fmt.Errorf("%d of %d partitions began with less than there was of them: %s. Of these only what the cluster has still, or has anew, is in it (`memring cluster forget MEMBER` says that a member is not to come back)",
		count, b.partitions, strings.Join(who, ", "))
}

// A fatalError is one that does not pass.
type fatalError struct{ error }

// round asks each member once.
func (b *collection) round(ctx context.Context) error {
	b.inRound = 0
	clear(b.gone)
	b.lost = b.c.lost(b.addresses())
	since := b.start
	for _, ago := range b.lost {
		if before := time.Now().Add(-ago - lostBefore); ago <= missedFor && before.Before(since) {
			since = before
		}
	}
	wanted := slices.Clone(b.missing) // the same of all: two may hold a partition, until they have found each other
	var asking sync.WaitGroup
	failures := make([]error, 0, len(b.known))
	for _, id := range slices.Sorted(maps.Keys(b.known)) {
		asking.Go(func() {
			if err := b.take(ctx, b.known[id], wanted, since); err != nil {
				b.mu.Lock()
				failures = append(failures, fmt.Errorf("%s: %w", id, err))
				b.mu.Unlock()
			}
		})
	}
	asking.Wait()
	return errors.Join(failures...)
}

// take takes what a member has of what is wanted, and hears what has become of it since a moment.
func (b *collection) take(ctx context.Context, address string, wanted piece.Set, since time.Time) error {
	conn, err := b.c.dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "export %d %d\r\n%s\r\n", len(wanted), time.Since(since).Milliseconds()+1, wanted); err != nil {
		return err
	}
	batch := b.out.Batch()
	x := exported{expect: conn.expect, in: bufio.NewReaderSize(conn, 256<<10)}
	err = x.read(b.began, func(items []byte) error { return b.add(batch, items) })
	if err := batch.Flush(); err != nil { // what has come is as good as any, even if the rest of it has not
		return fatalError{fmt.Errorf("--to: %w", err)}
	}
	if err == nil {
		b.finish(&x)
	}
	return err
}

// began notes what a member is about to give.
func (b *collection) began(partitions int, bytes int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected += bytes
	switch {
	case b.partitions == 0:
		b.partitions = partitions
		b.missing, b.gone, b.short = piece.NewSet(partitions), piece.NewSet(partitions), piece.NewSet(partitions)
		for part := range partitions {
			b.missing.Add(part)
		}
	case b.partitions != partitions:
		return fatalError{fmt.Errorf("it has %d partitions, and another member %d: they are of two clusters", partitions, b.partitions)}
	}
	return nil
}

// add writes some items.
func (b *collection) add(batch *archive.Batch, encoded []byte) error {
	items, _, ok := piece.Items(encoded)
	if !ok {
		return errors.New("what it gives are no items")
	}
	for key, it := range items {
		if err := batch.Add(key, it); err != nil {
			return fatalError{fmt.Errorf("--to: %w", err)}
		}
	}
	count, _ := b.out.Written()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.came += int64(len(encoded))
	if b.inRound += int64(len(encoded)); b.inRound > b.farthest { // else it has come before, in vain
		b.moved, b.farthest = time.Now(), b.inRound
	}
	share := min(float64(b.came)/float64(max(b.expected, 1)), 0.99)
	b.progress.Tell(share, fmt.Sprintf("%d items, %d MB", count, b.came>>20), map[string]any{"percent": int(100 * share), "items": count, "bytes_read": b.came})
	return nil
}

// finish notes what has become of the partitions that a member was asked for.
func (b *collection) finish(x *exported) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for part := range x.short.All() {
		if b.missing.Has(part) {
			b.short.Add(part)
		}
	}
	for part := range x.gone.All() {
		b.gone.Add(part)
		if !b.missing.Has(part) {
			b.missing.Add(part)
			b.complete--
		}
	}
	for part := range x.complete.All() {
		if b.missing.Has(part) && !b.gone.Has(part) {
			b.missing.Remove(part)
			b.complete++
			b.moved, b.farthest = time.Now(), 0
		}
	}
}
