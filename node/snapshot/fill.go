package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/storage"
)

const kind = "snapshot"

// fill puts the snapshot that a run wrote into a store that is empty, and says what it is about; nil if there is none. On an error the store is empty, as before; it
// tells the byte where a file is damaged.
func (p *place) fill(store *storage.Store, from Origin) (*about, error) {
	file, err := os.Open(p.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found, err := p.fillFrom(store, file, from)
	if err != nil {
		store.Drop(storage.All)
		return nil, fmt.Errorf("%s: %w", p.file(), err)
	}
	return found, nil
}

func (p *place) fillFrom(store *storage.Store, file *os.File, from Origin) (*about, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	in, err := archive.NewReader(file, info.Size(), nil)
	if err != nil {
		return nil, err
	}
	told, err := in.About()
	if err != nil {
		return nil, err
	}
	about := &about{}
	if err := json.Unmarshal(told, about); err != nil {
		return nil, err
	}
	run := about.Boot
	about.Boot = from.Boot
	switch {
	case about.Kind != kind || about.Origin != from || !about.Parts.Fits(from.Partitions):
		return nil, errors.New("it is no snapshot of this node, in this cluster")
	case run != from.Boot:
		return nil, errors.New("this node has run since, so it is out of date")
	}
	store.Witness(about.Latest)
	store.FlushBefore(about.Flushed)
	if about.FlushAt != 0 {
		store.FlushAll(max(about.FlushAt-store.Now(), 0), about.FlushMark)
	}
	t := newTeller()
	about.bytes = info.Size()
	if about.items, err = p.fillAll(store, in, t); err != nil {
		return nil, err
	}
	p.log.Info("snapshot read", "partitions", about.Parts.Len(), "items", about.items, "bytes", about.bytes, "took", t.took())
	return about, nil
}

// fillAll has each processor decompress and install blocks.
func (p *place) fillAll(store *storage.Store, in *archive.Reader, t *teller) (items int64, err error) {
	var (
		blocks  = make(chan *archive.Block)
		broken  = make(chan struct{})
		failing sync.Once
		failure error
		filling sync.WaitGroup
		count   atomic.Int64
	)
	for range runtime.GOMAXPROCS(0) {
		filling.Go(func() {
			var memory []byte
			for block := range blocks {
				var installed int64
				var err error
				if installed, memory, err = install(store, block, memory); err != nil {
					failing.Do(func() { failure = err; close(broken) })
					return
				}
				count.Add(installed)
			}
		})
	}
	for err == nil {
		var block *archive.Block
		if block, err = in.Next(); err == nil {
			select {
			case blocks <- block:
			case <-broken:
				err = io.ErrUnexpectedEOF // failure tells more
			}
		}
		if t.due() {
			p.log.Info("reading the snapshot", "items", count.Load(), "bytes", in.Read())
		}
	}
	close(blocks)
	filling.Wait()
	switch {
	case failure != nil:
		return 0, failure
	case !errors.Is(err, io.EOF):
		return 0, err
	}
	return count.Load(), nil
}

// install stores the items of a block that have not expired meanwhile, and those there is room for. It gives back the memory that it was given, or more.
func install(store *storage.Store, block *archive.Block, memory []byte) (items int64, used []byte, err error) {
	found, used, err := block.Each(memory)
	if err != nil {
		return 0, memory, err
	}
	for key, it := range found {
		if it.Expiry != 0 && it.Expiry <= store.Now() {
			continue
		}
		held := store.Hold(key)
		if installed, _ := held.Install(it); installed && !it.Buried { // no room: as if it had been evicted
			items++
		}
		held.Release()
	}
	return items, used, nil
}
