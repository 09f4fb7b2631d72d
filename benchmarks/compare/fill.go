package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"

	"github.com/memring/memring/benchmarks/trace"
)

const (
	// allowance is what memring may take above -m, and above that for each connection.
	allowance        = 16 << 20
	allowancePerConn = 16 << 10

	// sampled is how many items are asked for, at most, to know how many are held; and how many bytes.
	sampledItems = 400_000
	sampledBytes = 2 << 30
)

// fill gives both servers more than they can hold, of one size, then counts what they hold by asking, and reads how much memory they took.
type fill struct {
	*bench
	laps  float64
	sizes []fillSize
}

type fillSize struct {
	name string
	mean uint64                  // bytes of key and value
	of   func(key uint32) uint32 // the size of a key's item, key and value
}

func newFill(b *bench, flags *flag.FlagSet) *fill {
	f := &fill{bench: b, sizes: fillSizes()}
	flags.Float64Var(&f.laps, "laps", 2, "`TIMES` -m that are written, counting keys and values")
	flags.Func("only", "fill with values of one size only: 50 B, 200 B, 1 KB, 10 KB, 100 KB, 1 MB or mixed", func(s string) error {
		for _, size := range fillSizes() {
			if size.name == s {
				f.sizes = []fillSize{size}
				return nil
			}
		}
		return fmt.Errorf("there is no %q", s)
	})
	return f
}

func fillSizes() []fillSize {
	fixed := func(name string, value int) fillSize {
		size := uint32(value + trace.KeyBytes)
		return fillSize{name: name, mean: uint64(size), of: func(uint32) uint32 { return size }}
	}
	const mixed = "mixed"
	return []fillSize{
		fixed("50 B", 50), fixed("200 B", 200), fixed("1 KB", 1<<10), fixed("10 KB", 10<<10), fixed("100 KB", 100<<10), fixed("1 MB", 1<<20),
		{name: mixed, mean: 22_000, of: trace.MixedSize},
	}
}

// held is what one server made of a fill.
type held struct {
	items, told uint64 // found by asking; curr_items
	rss, peak   uint64
	refused     uint64
}

// perGigabyte is how many items there are for each GB of RSS.
func (h held) perGigabyte() float64 { return float64(h.items) / float64(h.rss) * (1 << 30) }

// run writes what it has also when it is interrupted, or a fill fails: the results then say so.
func (f *fill) run(ctx context.Context) error {
	if !(f.laps > 0) {
		return errors.New("-laps must be above 0")
	}
	t := table{title: "Memory beside memcached", columns: []string{
		"value", "-m", "items memcached", "items memring", "RSS MB memcached", "RSS MB memring", "peak memring", "bound", "within",
		"items per GB memcached", "items per GB memring", "ratio", "refused memcached", "refused memring",
	}}
	marks, err := f.fillAll(ctx, &t)
	if len(marks) == 0 {
		return err
	}
	before := "![items in the same memory](fill.svg)\n\n" + partial(ctx, err) + f.circumstances()
	if err2 := t.write(f.out, "fill", before, fmt.Sprintf(fillNotes, f.laps)); err2 != nil {
		return errors.Join(err, err2)
	}
	f.progress.Say("%s", filepath.Join(f.out, "fill.md"))
	return errors.Join(err, plotRatios(filepath.Join(f.out, "fill.svg"), "Items per GB of RSS beside memcached (right of 1: memring holds more)", "memring's items per GB / memcached's", marks))
}

// fillAll adds a row for each limit and size.
func (f *fill) fillAll(ctx context.Context, t *table) (marks []mark, err error) {
	for _, limit := range f.limits {
		for _, size := range f.sizes {
			var got [2]held
			for i, rival := range f.rivals() {
				f.progress.Begin("-m %d, values of %s to %s", limit, size.name, rival.name)
				if got[i], err = f.fill(ctx, rival, limit, size); err != nil {
					return marks, fmt.Errorf("-m %d, values of %s to %s: %w", limit, size.name, rival.name, err)
				}
			}
			a, b := got[0], got[1]
			bound := uint64(limit)<<20 + allowance + allowancePerConn
			within := "yes"
			if b.peak > bound {
				within = "NO"
			}
			ratio := b.perGigabyte() / a.perGigabyte()
			t.rows = append(t.rows, []string{
				size.name, strconv.Itoa(limit), strconv.FormatUint(a.items, 10), strconv.FormatUint(b.items, 10), megabytes(a.rss), megabytes(b.rss), megabytes(b.peak),
				megabytes(bound), within, fmt.Sprintf("%.0f", a.perGigabyte()), fmt.Sprintf("%.0f", b.perGigabyte()), fmt.Sprintf("%.3f", ratio),
				strconv.FormatUint(a.refused, 10), strconv.FormatUint(b.refused, 10),
			})
			f.progress.Say("-m %-4d %-6s items %d  %d (say %d, %d)  RSS %s  %s MB, peak %s of %s MB  items per GB x %.3f", limit, size.name, a.items, b.items, a.told, b.told,
				megabytes(a.rss), megabytes(b.rss), megabytes(b.peak), megabytes(bound), ratio)
			marks = append(marks, mark{line: size.name, series: fmt.Sprintf("-m %d", limit), value: ratio})
		}
	}
	return marks, nil
}

// fill writes laps times the limit, then asks for a sample of all keys.
func (f *fill) fill(ctx context.Context, r recipe, limit int, size fillSize) (h held, err error) {
	s, err := r.start(ctx, "-m", strconv.Itoa(limit), "-I", "2m") // a value of 1 MB is above memcached's own limit, with its key
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p, err := trace.Dial(s.addr)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()

	keys := uint64(f.laps*float64(limit)*(1<<20)) / size.mean
	step := max(1, keys/sampledItems, keys*size.mean/sampledBytes)
	p.Played = func(n uint64) { f.progress.At(n, keys+keys/step) }
	written, err := p.Play(ctx, requests(trace.Set, keys, 1, size))
	if err != nil {
		return h, err
	}
	if h.rss, _, err = s.memory(); err != nil {
		return h, err
	}
	// A miss would set the key again: Peek does not.
	read, err := p.Play(ctx, requests(trace.Peek, keys, step, size))
	if err != nil {
		return h, err
	}
	if read.Wrong > 0 {
		return h, fmt.Errorf("%d answers hold another value than was set", read.Wrong)
	}
	if _, h.peak, err = s.memory(); err != nil {
		return h, err
	}
	h.items, h.refused = read.Hits*step, written.Refused
	h.told, err = s.stat("", "curr_items")
	return h, err
}

// requests gives one for every step-th key.
func requests(op trace.Op, keys, step uint64, size fillSize) iter.Seq[trace.Request] {
	return func(yield func(trace.Request) bool) {
		for key := uint64(0); key < keys; key += step {
			if !yield(trace.Request{Key: uint32(key), Size: size.of(uint32(key)), Op: op}) {
				return
			}
		}
	}
}

const fillNotes = `Each server is started with the -m of the row and -I 2m, and given %g times -m (keys of 30 bytes and values) over one connection; "mixed" are sizes of 50 B to 180 KB, evenly
over their logarithm. "items" are counted by asking for every key, or for every n-th where there are many, not taken from what the server tells. RSS is what the kernel says after
the fill; "peak" is the most there ever was, reads included, and "bound" what memring promises: -m + 16 MB + 16 KB for the connection. "items per GB" is items by RSS.
`
