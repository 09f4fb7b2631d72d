package backup

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/durable"
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
			return c.backup(ctx, to, cmd.OutOrStdout(), cmd.ErrOrStderr())
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

// backup writes the archive under another name, and gives it its own when it is whole and on the disk; if items may be missing it gets one that says so, and that is the error. When ctx ends
// before that nothing is left.
func (c *command) backup(ctx context.Context, to string, w, warnings io.Writer) error {
	keys, err := c.keys(warnings)
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
	t, err := create(to, About{Kind: "backup", Began: began.UTC(), Members: slices.Sorted(maps.Keys(addresses)), Build: c.build}, keys)
	if err != nil {
		return err
	}
	defer t.discard()
	b := &collection{c: c, out: t.archived, start: began, known: addresses, progress: output.NewProgress(w, "backup", c.asJSON), moved: time.Now()}
	lacks, err := b.collect(ctx)
	for id, ago := range b.lost {
		if ago > missedFor {
			fmt.Fprintf(warnings, "warning: %s went without a word %v ago, and is not back: what it alone had is not in the backup\n", id, ago)
		}
	}
	items, _ := t.archived.Written()
	if err == nil && items == 0 {
		err = lacks
	}
	if err == nil && lacks != nil {
		to += incomplete
	}
	if err == nil {
		err = t.name(to)
	}
	if err != nil {
		b.progress.GiveUp()
		return err
	}
	_, bytes := t.archived.Written()
	took := time.Since(began).Round(100 * time.Millisecond)
	err = b.progress.Done(
		fmt.Sprintf("%s: %d items of %d members, %d bytes, in %v", to, items, len(addresses), bytes, took),
		map[string]any{
			"file": to, "items": items, "bytes": bytes, "members": len(addresses), "seconds": took.Seconds(),
			"partitions": b.partitions, "partitions_missing": b.missing.Len(), "partitions_short": b.short.Len(),
		},
	)
	if lacks != nil {
		return fmt.Errorf("it is not complete, and so named %s: %w", to, lacks)
	}
	return err
}

// incomplete ends the name of a backup that may lack items: whoever looks for backups does not take it for one that does not.
const incomplete = ".incomplete"

// A target is the archive that is being written, under another name than it is to have.
type target struct {
	file     *os.File
	out      *bufio.Writer
	archived *archive.Writer
}

// create begins an archive beside the name that it is to have, encrypted with the first of keys, if there is one.
func create(to string, about About, keys [][]byte) (t *target, err error) {
	if err := cmp.Or(isFree(to), isFree(to+incomplete)); err != nil {
		return nil, err
	}
	told, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	var secret []byte
	if len(keys) > 0 {
		secret = keys[0]
	}
	t = &target{}
	if t.file, err = os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".partial-*"); err != nil { // readable by its owner alone
		return nil, fmt.Errorf("--to: %w", err)
	}
	t.out = bufio.NewWriterSize(t.file, 1<<20)
	if t.archived, err = archive.NewWriter(t.out, told, secret); err != nil {
		t.discard()
		return nil, fmt.Errorf("--to: %w", err)
	}
	return t, nil
}

// name ends the archive and gives it its name, when it is on the disk.
func (t *target) name(to string) error {
	if err := errors.Join(t.archived.Close(), t.out.Flush()); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if err := isFree(to); err != nil { // somebody may have taken the name meanwhile
		return err
	}
	if err := durable.Rename(t.file, to); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	return nil
}

// discard removes what has not got its name.
func (t *target) discard() {
	_ = t.file.Close()
	_ = os.Remove(t.file.Name())
}

// isFree refuses a name that something has.
func isFree(to string) error {
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("--to %s: it is there already, and is not overwritten", to)
	}
	return nil
}
