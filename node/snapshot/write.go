package snapshot

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// bufferBytes is what is written at a time: blocks are shorter, and come from all processors.
const bufferBytes = 1 << 20

// write writes what the store has of the partitions that it is about. Nobody may change the store meanwhile. It is given up when ctx is done; whatever goes wrong, nothing is left of
// it then.
func (p *place) write(ctx context.Context, store *storage.Store, about about) error {
	about.Kind, about.Latest, about.Flushed = kind, store.Latest(), store.Flushed()
	if in, mark := store.FlushPlan(); in > 0 {
		about.FlushAt, about.FlushMark = store.Now()+in, mark
	}
	told, err := json.Marshal(about)
	if err != nil {
		return err
	}
	var items, bytes int64
	t := newTeller()
	err = p.replace(p.file(), func(file io.Writer) error {
		out := bufio.NewWriterSize(file, bufferBytes)
		w, err := archive.NewWriter(out, told, nil)
		if err != nil {
			return err
		}
		wants := func(hash uint64) bool { return about.Parts.Has(int(ring.PartitionOf(hash, about.Partitions))) }
		if err := p.writeAll(ctx, w, store, wants, t); err != nil {
			return err
		}
		err = errors.Join(w.Close(), out.Flush())
		items, bytes = w.Written()
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", p.file(), err)
	}
	p.log.Info("snapshot written", "partitions", about.Parts.Len(), "items", items, "bytes", bytes, "took", t.took())
	return nil
}

// writeAll has each processor walk through stripes of its own.
func (p *place) writeAll(ctx context.Context, w *archive.Writer, store *storage.Store, wants func(hash uint64) bool, t *teller) error {
	var (
		next    atomic.Int64
		writing sync.WaitGroup
		errs    = make([]error, runtime.GOMAXPROCS(0))
	)
	for n := range errs {
		writing.Go(func() {
			batch := w.Batch()
			for errs[n] == nil {
				stripe := int(next.Add(1) - 1)
				if stripe >= store.Stripes() {
					break
				}
				errs[n] = p.writeStripe(ctx, w, batch, store, stripe, wants, t)
			}
			errs[n] = errors.Join(errs[n], batch.Flush())
		})
	}
	writing.Wait()
	return errors.Join(errs...)
}

// writeStripe writes what a stripe has that is wanted.
func (p *place) writeStripe(ctx context.Context, w *archive.Writer, batch *archive.Batch, store *storage.Store, stripe int, wants func(hash uint64) bool, t *teller) (err error) {
	for c, more := (storage.Cursor{Stripe: stripe}), true; more && c.Stripe == stripe; {
		c, more = store.WalkAll(c, wants, func(key []byte, it storage.Item) bool {
			err = batch.Add(key, it)
			return err == nil
		})
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if t.due() {
			items, bytes := w.Written()
			p.log.Info("writing the snapshot", "items", items, "bytes", bytes, "percent", 100*stripe/store.Stripes())
		}
	}
	return nil
}
