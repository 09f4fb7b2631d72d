package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/durable"
	"github.com/memring/memring/node/piece"
)

func backupCommand(c *command, port int) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "backup --to FILE|DIR",
		Short: "Write all items of the cluster to a new file, or to one named by the time in a directory.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends it at once
			return c.backup(ctx, to, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`FILE` that is not there yet, or DIR")
	_ = cmd.MarkFlagRequired("to")
	return c.flags(cmd, port)
}

// About is what an archive says of itself, as JSON.
type About struct {
	Kind    string    `json:"kind"` // "backup"
	Began   time.Time `json:"began"`
	Members []string  `json:"members"`
	Build   string    `json:"build"`
}

// backup writes the archive under another name, and gives it its own when it is whole and on the disk. When ctx ends before that nothing is left.
func (c *command) backup(ctx context.Context, to string, w io.Writer) (err error) {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	began := time.Now()
	addresses, err := c.members([]string{c.node.Address})
	if err != nil {
		return err
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, "memring-"+began.UTC().Format("20060102T150405Z")+".archive")
	}
	if err := isFree(to); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".partial-*") // readable by its owner alone
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	defer file.Close()
	told, err := json.Marshal(About{Kind: "backup", Began: began.UTC(), Members: slices.Sorted(maps.Keys(addresses)), Build: c.build})
	if err != nil {
		return err
	}
	var secret []byte
	if len(keys) > 0 {
		secret = keys[0]
	}
	out := bufio.NewWriterSize(file, 1<<20)
	archived, err := archive.NewWriter(out, told, secret)
	if err != nil {
		return err
	}
	b := &collection{c: c, out: archived, known: addresses, progress: output.NewProgress(w, "backup", c.asJSON), moved: time.Now()}
	if err := b.collect(ctx); err != nil {
		b.progress.GiveUp()
		return err
	}
	if err := errors.Join(archived.Close(), out.Flush()); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if err := isFree(to); err != nil { // somebody may have taken the name meanwhile
		return err
	}
	if err := durable.Rename(file, to); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	items, bytes := archived.Written()
	took := time.Since(began).Round(100 * time.Millisecond)
	return b.progress.Done(
		fmt.Sprintf("%s: %d items of %d members, %d bytes, in %v", to, items, len(addresses), bytes, took),
		map[string]any{"file": to, "items": items, "bytes": bytes, "members": len(addresses), "seconds": took.Seconds()},
	)
}

// isFree refuses a name that something has.
func isFree(to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("--to %s: it is there already, and is not overwritten", to)
	}
	return nil
}

// A collection is how far the items have been collected, of all members at once.
type collection struct {
	c        *command
	out      *archive.Writer
	known    map[string]string // the members' client addresses
	progress *output.Progress

	mu         sync.Mutex // guards the rest
	partitions int
	missing    piece.Set // partitions of which not all has come; nil: all
	complete   int
	expected   int64     // bytes, about
	came       int64     // bytes
	moved      time.Time // when something came last that had not come before
	inRound    int64     // bytes that came since all members were asked
	farthest   int64     // the most of that, in a round since a partition was whole
}

// collect asks all members for what they hold, until each partition has come whole from somebody. Of one that moves meanwhile something may have come before: it is in the archive
// twice, and of two versions of an item the newer is restored.
func (b *collection) collect(ctx context.Context) error {
	for {
		failures := b.round(ctx)
		b.mu.Lock()
		done, idle, left := b.missing != nil && b.missing.Empty(), time.Since(b.moved), b.partitions-b.complete
		b.mu.Unlock()
		switch fatal := (fatalError{}); {
		case done:
			return nil
		case ctx.Err() != nil:
			return errors.New("interrupted: nothing is left of this backup")
		case errors.As(failures, &fatal):
			return fatal.error
		case idle >= b.c.timeout:
			return output.Exit(output.Timeout, fmt.Errorf("%d partitions are with nobody who gives them, for %v (--timeout): %w",
				left, b.c.timeout, errors.Join(failures, errors.New("`memring cluster status` tells more"))))
		}
		select {
		case <-time.After(passing):
		case <-ctx.Done():
			continue
		}
		if now, err := b.c.members(append([]string{b.c.node.Address}, slices.Sorted(maps.Values(b.known))...)); err == nil {
			b.known = now
		}
	}
}

// A fatalError is one that does not pass.
type fatalError struct{ error }

// round asks each member once.
func (b *collection) round(ctx context.Context) error {
	b.inRound = 0
	var asking sync.WaitGroup
	failures := make([]error, 0, len(b.known))
	for _, id := range slices.Sorted(maps.Keys(b.known)) {
		asking.Go(func() {
			if err := b.take(ctx, b.known[id]); err != nil {
				b.mu.Lock()
				failures = append(failures, fmt.Errorf("%s: %w", id, err))
				b.mu.Unlock()
			}
		})
	}
	asking.Wait()
	return errors.Join(failures...)
}

// take takes what a member has of what is missing.
func (b *collection) take(ctx context.Context, address string) error {
	conn, err := b.c.dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	b.mu.Lock()
	wanted := slices.Clone(b.missing)
	b.mu.Unlock()
	if _, err := fmt.Fprintf(conn, "export %d\r\n%s\r\n", len(wanted), wanted); err != nil {
		return err
	}
	batch := b.out.Batch()
	x := exported{expect: conn.expect, in: bufio.NewReaderSize(conn, 256<<10)}
	err = x.read(b.began, func(items []byte) error { return b.add(batch, items) })
	if err := batch.Flush(); err != nil { // what has come is as good as any, even if the rest of it has not
		return fatalError{fmt.Errorf("--to: %w", err)}
	}
	if err == nil {
		b.finish(x.complete)
	}
	return err
}

// began notes what a member is about to give.
func (b *collection) began(partitions int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected += bytes
	if b.missing == nil {
		b.partitions = partitions
	}
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

// finish notes partitions that have come whole.
func (b *collection) finish(complete piece.Set) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.missing == nil {
		b.missing = piece.NewSet(b.partitions)
		for part := range b.partitions {
			b.missing.Add(part)
		}
	}
	for part := range complete.All() {
		if part < b.partitions && b.missing.Has(part) {
			b.missing.Remove(part)
			b.complete++
			b.moved, b.farthest = time.Now(), 0
		}
	}
}

// An exported is what a member answers to "export": see node/dump.
type exported struct {
	expect   func() error // before what is read next
	in       *bufio.Reader
	complete piece.Set
	memory   []byte
}

// maxPieceBytes bounds what is believed of a length: the largest item, and what stands before it.
const maxPieceBytes = 1<<30 + 1<<20

func (x *exported) read(began func(partitions int, bytes int64), took func(items []byte) error) error {
	var partitions, held int
	var bytes int64
	if err := x.expect(); err != nil {
		return err
	}
	first, err := x.in.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	answer := strings.TrimSpace(string(first))
	if n, _ := fmt.Sscanf(answer, "EXPORT %d %d %d", &partitions, &held, &bytes); n != 3 || partitions < 1 || partitions > 1<<16 {
		return refusal(answer)
	}
	began(partitions, bytes)
	for {
		items, err := x.piece()
		switch {
		case err != nil:
			return fmt.Errorf("what it gives ends early: %w", err)
		case len(items) == 0:
			if err := x.expect(); err != nil {
				return err
			}
			if x.complete = piece.NewSet(partitions); x.complete.Fits(partitions) {
				_, err = io.ReadFull(x.in, x.complete)
			}
			return err
		}
		if err := took(items); err != nil {
			return err
		}
	}
}

// piece reads the next items; none at the end.
func (x *exported) piece() ([]byte, error) {
	if err := x.expect(); err != nil {
		return nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(x.in, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(length[:]))
	if n > maxPieceBytes {
		return nil, fmt.Errorf("a piece of %d bytes is announced", n)
	}
	x.memory = x.memory[:0]
	for len(x.memory) < n { // it grows with what comes, not with what is announced
		part := min(n-len(x.memory), partBytes)
		x.memory = slices.Grow(x.memory, part)
		if err := x.expect(); err != nil {
			return nil, err
		}
		got, err := io.ReadFull(x.in, x.memory[len(x.memory):len(x.memory)+part])
		if x.memory = x.memory[:len(x.memory)+got]; err != nil {
			return nil, err
		}
	}
	return x.memory, nil
}

// refusal is the error of an answer that is none.
func refusal(answer string) error {
	if err := dial.Refusal(answer); err != nil {
		return fatalError{err}
	}
	switch {
	case answer == "ERROR export not allowed":
		return fatalError{errors.New("it was started with -X, which refuses what lists keys")}
	case strings.HasPrefix(answer, "SERVER_ERROR "):
		return errors.New(answer[len("SERVER_ERROR "):])
	default:
		return fatalError{fmt.Errorf("answered %q: is it a memring node, of a build that knows backups?", answer)}
	}
}
