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
	"github.com/memring/memring/node/piece"
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
		if err := p.writeAll(ctx, w, store, about.Parts, t); err != nil {
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

// writeAll has each processor walk through tables of its own.
func (p *place) writeAll(ctx context.Context, w *archive.Writer, store *storage.Store, parts piece.Set, t *teller) error {
	var (
		next    atomic.Int64
		writing sync.WaitGroup
		errs    = make([]error, runtime.GOMAXPROCS(0))
	)
	for n := range errs {
		writing.Go(func() {
			batch := w.Batch()
			for errs[n] == nil {
				table := int(next.Add(1) - 1)
				if table >= store.Tables() {
					break
				}
				errs[n] = p.writeTable(ctx, w, batch, store, table, parts, t)
			}
			errs[n] = errors.Join(errs[n], batch.Flush())
		})
	}
	writing.Wait()
	return errors.Join(errs...)
}

// writeTable writes what a table has of these partitions.
func (p *place) writeTable(ctx context.Context, w *archive.Writer, batch *archive.Batch, store *storage.Store, table int, parts piece.Set, t *teller) (err error) {
	for c, more := (storage.Cursor{Table: table}), true; more && c.Table == table; {
		c, more = store.WalkAll(c, parts.Has, func(key []byte, it storage.Item) bool {
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
			p.log.Info("writing the snapshot", "items", items, "bytes", bytes, "percent", 100*table/store.Tables())
		}
	}
	return nil
}
