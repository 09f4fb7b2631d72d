package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/durable"
)

// A place is where the snapshots of a node are.
type place struct {
	dir, id string
	log     *slog.Logger
}

// newPlace gives the place of a node in a directory, which is made if need be. An error says that files cannot be made there.
func newPlace(dir, id string, log *slog.Logger) (*place, error) {
	p := &place{dir: dir, id: url.PathEscape(id), log: log}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		var file *os.File
		if file, err = p.create(p.file()); err == nil { // what a former run may not have written to the end goes at the same time
			err = errors.Join(file.Close(), os.Remove(file.Name()))
		}
	}
	if err != nil {
		return nil, naming(err)
	}
	return p, nil
}

// naming has an error name the flag to change.
func naming(err error) error { return fmt.Errorf("%w (change it with --snapshot-dir)", err) }

func (p *place) file() string { return filepath.Join(p.dir, p.id+".snapshot") }
func (p *place) run() string  { return filepath.Join(p.dir, p.id+".run") }

// room is how many bytes a snapshot may have; known is false where the system does not tell.
func (p *place) room() (bytes int64, known bool) {
	bytes, known = freeBytes(p.dir)
	if info, err := os.Stat(p.file()); err == nil {
		bytes += info.Size() // it goes before the next is written
	}
	return bytes, known
}

// former gives the run before this one; 0: none is known.
func (p *place) former() (boot uint64, err error) {
	text, err := os.ReadFile(p.run())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		boot, err = strconv.ParseUint(strings.TrimSpace(string(text)), 16, 64)
	}
	if err != nil {
		return 0, naming(fmt.Errorf("%s: %w", p.run(), err))
	}
	return boot, nil
}

// begin says that this run may change what is in a snapshot from now on.
func (p *place) begin(boot uint64) error {
	if err := os.Remove(p.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return naming(err)
	}
	err := p.replace(p.run(), func(out io.Writer) error {
		_, err := fmt.Fprintf(out, "%016x\n", boot)
		return err
	})
	if err != nil {
		return naming(err)
	}
	return nil
}

// create makes the file that is to become the one of a path. Its owner alone can read it.
func (p *place) create(path string) (*os.File, error) {
	return os.OpenFile(path+".partial", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// replace writes a file, whole and on the disk or not at all.
func (p *place) replace(path string, write func(out io.Writer) error) error {
	file, err := p.create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err = write(file); err == nil {
		err = durable.Rename(file, path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

// tellEvery is how often a log is told how far writing or reading is.
const tellEvery = time.Second

// A teller lets something be told once in a while.
type teller struct {
	began time.Time
	told  atomic.Int64 // so many times
}

func newTeller() *teller { return &teller{began: time.Now()} }

// due reports whether it is time; of those who ask at once one is told so.
func (t *teller) due() bool {
	times := int64(time.Since(t.began) / tellEvery)
	told := t.told.Load()
	return times > told && t.told.CompareAndSwap(told, times)
}

// took is how long it has gone on.
func (t *teller) took() time.Duration { return time.Since(t.began).Round(time.Millisecond) }
