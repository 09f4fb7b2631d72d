package backup

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node/archive"
)

// A restoration is how far an archive has been brought back.
type restoration struct {
	c         *command
	path      string
	wholeOnly bool // go on behind a damage
	anew      bool // bring back what a flush_all has swept
	keys      [][]byte
	addresses []string

	items    int64 // that the archive has
	damages  []*archive.DamageError
	progress *output.Progress
	broken   chan struct{} // closed with the first error

	mu   sync.Mutex // guards the rest
	told tally
	err  error
}

// A tally counts how it went with items.
type tally struct {
	Stored  int64 `json:"stored"`
	Newer   int64 `json:"newer"`   // there is one as new, or newer
	Expired int64 `json:"expired"` // since the backup
	Flushed int64 `json:"flushed"` // since the backup
	Refused int64 `json:"refused"` // too large for this cluster, or no room with -M
}

func (t *tally) done() int64 { return t.Stored + t.Newer + t.Expired + t.Flushed + t.Refused }

// words tell what was not stored, and why.
func (t *tally) words() string {
	text := fmt.Sprintf("%d items restored", t.Stored)
	for _, w := range []struct {
		count int64
		about string
	}{
		{t.Newer, "left as they are, for they are as new or newer"},
		{t.Expired, "expired since"},
		{t.Flushed, "swept by a flush_all since (--anew brings them back)"},
		{t.Refused, "refused: too large, or no room"},
	} {
		if w.count > 0 {
			text += fmt.Sprintf("; %d %s", w.count, w.about)
		}
	}
	return text
}

func restoreCommand(c *command, port int) *cobra.Command {
	r := &restoration{c: c, broken: make(chan struct{})}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring the items of an archive back, unless they have expired, or the cluster has newer ones.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.path = args[0]
			return r.restore(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&r.wholeOnly, "whole-blocks-only", false, "restore what is whole of an archive that is damaged or cut off; exit code 1 if it was")
	cmd.Flags().BoolVar(&r.anew, "anew", false, "also bring back what a flush_all has swept since, with new CAS uniques")
	return c.flags(cmd, port)
}

// restore reads the archive twice: nothing of one that is damaged is restored unasked.
func (r *restoration) restore(w, warnings io.Writer) error {
	began := time.Now()
	var err error
	if r.keys, err = r.c.keys(warnings); err != nil {
		return err
	}
	file, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer file.Close()
	r.progress = output.NewProgress(w, "restore", r.c.asJSON)
	if err := r.check(file); err != nil {
		r.progress.GiveUp()
		return err
	}
	known, err := r.c.members([]string{r.c.node.Address})
	if err != nil {
		r.progress.GiveUp()
		return err
	}
	r.addresses = slices.Sorted(maps.Values(known))
	before, told := r.c.evictions()
	if err := r.send(file); err != nil {
		r.progress.GiveUp()
		return fmt.Errorf("%w; until then %s, of %d: to restore it again does no harm", err, r.told.words(), r.items)
	}
	after, toldAgain := r.c.evictions()
	evicted := int64(0)
	if told && toldAgain {
		evicted = max(after-before, 0)
	}
	took := time.Since(began).Round(100 * time.Millisecond)
	text := fmt.Sprintf("%s: %s, in %v", r.path, r.told.words(), took)
	if evicted > 0 {
		text += fmt.Sprintf("; the cluster had to evict %d items meanwhile: it is too small for all of them", evicted)
	}
	object := map[string]any{"file": r.path, "items": r.items, "result": r.told, "evicted": evicted, "damages": len(r.damages), "seconds": took.Seconds()}
	if err := r.progress.Done(text, object); err != nil {
		return err
	}
	switch {
	case len(r.damages) > 0:
		return fmt.Errorf("%s: %d damages, the first %w; what is whole was restored", r.path, len(r.damages), r.damages[0])
	case r.told.Refused > 0:
		return fmt.Errorf("%s: %d items were refused: they are larger than this cluster takes (-I), or there is no room and nothing is evicted (-M)", r.path, r.told.Refused)
	}
	return nil
}

// evictions gives how many items the members have had to evict so far, for want of room; ok is false if that is not told.
func (c *command) evictions() (count int64, ok bool) {
	lines, _ := cluster.Ask(&c.node, c.node.Address, "stats cluster")
	for _, l := range lines {
		if l.Label == "STAT" && l.ID == "evictions" && len(l.Fields) == 1 {
			count, err := strconv.ParseInt(l.Fields[0][0], 10, 64)
			return count, err == nil
		}
	}
	return 0, false
}

// each reads the archive and gives its blocks; with wholeOnly those that are whole, and it notes the damages.
func (r *restoration) each(file *os.File, take func(block *archive.Block, share float64) error) error {
	r.damages = nil
	info, err := file.Stat()
	if err != nil {
		return err
	}
	in, err := archive.NewReader(file, info.Size(), r.keys)
	if err != nil {
		return r.refused(err)
	}
	_, err = in.About()
	for {
		var block *archive.Block
		if err == nil {
			block, err = in.Next()
		}
		if err == nil {
			err = take(block, float64(in.Read())/float64(max(info.Size(), 1)))
		}
		damage := (*archive.DamageError)(nil)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case !r.wholeOnly || !errors.As(err, &damage):
			return r.refused(err)
		default:
			r.damages = append(r.damages, damage)
			more, failure := in.Skip()
			if failure != nil || !more {
				return failure
			}
			err = nil
		}
	}
}

// refused says which flag to change, if one helps.
func (r *restoration) refused(err error) error {
	damage := (*archive.DamageError)(nil)
	switch {
	case errors.Is(err, archive.ErrKeyNeeded), errors.Is(err, archive.ErrWrongKey), errors.Is(err, archive.ErrNotEncrypted):
		return fmt.Errorf("%s: %w (--key-file)", r.path, err)
	case errors.As(err, &damage) && damage.Offset > 0 && !r.wholeOnly:
		return fmt.Errorf("%s: %w; nothing was restored: --whole-blocks-only restores what is whole", r.path, err)
	}
	return fmt.Errorf("%s: %w", r.path, err)
}

// check reads all of it once, and counts.
func (r *restoration) check(file *os.File) error {
	var memory []byte
	return r.each(file, func(block *archive.Block, share float64) (err error) {
		if _, memory, err = block.Each(memory); err == nil {
			r.items += int64(block.Items)
		}
		r.progress.Tell(share, "checking", map[string]any{"phase": "check", "percent": int(100 * share)})
		return err
	})
}

// sendersEach is how many conversations there are with each member: while one waits for answers another is read by the node.
const sendersEach = 2

// send reads it again and has the cluster store the items.
func (r *restoration) send(file *os.File) error {
	blocks := make(chan *archive.Block)
	var sending sync.WaitGroup
	for n := range sendersEach * len(r.addresses) {
		s := &sender{r: r, turn: n}
		sending.Go(func() { s.run(blocks) })
	}
	err := r.each(file, func(block *archive.Block, _ float64) error {
		select {
		case blocks <- block:
			return nil
		case <-r.broken:
			return r.err
		}
	})
	close(blocks)
	sending.Wait()
	return cmp.Or(r.err, err)
}

// fail ends all with the first error.
func (r *restoration) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		close(r.broken)
	}
}

// add counts how it went with some.
func (r *restoration) add(t tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told.Stored += t.Stored
	r.told.Newer += t.Newer
	r.told.Expired += t.Expired
	r.told.Flushed += t.Flushed
	r.told.Refused += t.Refused
	share := float64(r.told.done()) / float64(max(r.items, 1))
	r.progress.Tell(share, fmt.Sprintf("%d of %d items", r.told.done(), r.items),
		map[string]any{"phase": "restore", "percent": int(100 * share), "items": r.told.done(), "of": r.items})
}
