package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/memring/memring/node/archive"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

const (
	second     = 1_800_000_000
	partitions = 97
)

var origin = Origin{Cluster: "test", ID: "n/1", Boot: 7, Partitions: partitions, Print: 5}

func open(t *testing.T, now int64) *storage.Store {
	t.Helper()
	store, err := storage.Open(storage.Config{MaxBytes: 16 << 20, MaxItemBytes: 1 << 20, Clock: storage.NewManualClock(now), NodeTag: 3, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func at(t *testing.T, dir string) *place {
	t.Helper()
	p, err := newPlace(dir, origin.ID, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func everything() piece.Set {
	all := piece.NewSet(partitions)
	for part := range partitions {
		all.Add(part)
	}
	return all
}

func put(t *testing.T, store *storage.Store, key string, it storage.Item) storage.Item {
	t.Helper()
	held := store.Hold([]byte(key))
	defer held.Release()
	cas, err := held.Put(it)
	if err != nil {
		t.Fatal(err)
	}
	it.CAS, it.Version = cas, cas
	return it
}

// items gives all that a store has, tombstones too, as lines.
func items(store *storage.Store) map[string]string {
	all := map[string]string{}
	for c, more := (storage.Cursor{}), true; more; {
		c, more = store.WalkAll(c, storage.All, func(key []byte, it storage.Item) bool {
			all[string(key)] = fmt.Sprintf("%.20q %d %d %d %d %v %v", it.Value, it.Flags, it.Expiry, it.CAS, it.Version, it.Buried, it.Fetched)
			return true
		})
	}
	return all
}

// filled has items of all kinds.
func filled(t *testing.T) *storage.Store {
	t.Helper()
	store := open(t, second)
	for n := range 500 {
		put(t, store, fmt.Sprintf("key-%d", n), storage.Item{Value: fmt.Append(nil, "value-", n), Flags: uint32(n)})
	}
	put(t, store, "long", storage.Item{Value: []byte(strings.Repeat("0123456789", 60_000))})
	put(t, store, "expires", storage.Item{Value: []byte("v"), Expiry: second + 100})
	store.Mourn(1000)
	held := store.Hold([]byte("key-7"))
	held.Delete()
	held.Release()
	return store
}

func TestAllIsBack(t *testing.T) {
	store := filled(t)
	held := store.Hold([]byte("chosen"))
	if err := held.PutWithCAS(storage.Item{Value: []byte("v"), CAS: 55}); err != nil {
		t.Fatal(err)
	}
	held.Release()
	want := items(store)
	p := at(t, filepath.Join(t.TempDir(), "made", "if need be"))
	others := []piece.Member{{ID: "n2", Boot: 1<<63 + 1}}
	if err := p.write(t.Context(), store, about{Origin: origin, Others: others, Parts: everything()}); err != nil {
		t.Fatal(err)
	}
	f := func(now int64, without ...string) *storage.Store {
		t.Helper()
		next := open(t, now)
		about, err := p.fill(next, origin)
		if err != nil || about == nil {
			t.Fatal(about, err)
		}
		if about.Origin != origin || len(about.Others) != 1 || about.Others[0] != others[0] || about.Parts.Len() != partitions {
			t.Errorf("it says of itself %+v", about)
		}
		left := maps.Clone(want)
		for _, key := range without {
			delete(left, key)
		}
		if got := items(next); !maps.Equal(got, left) {
			t.Errorf("at %d: %d items are back, want %d", now, len(got), len(left))
		}
		return next
	}
	f(second)
	f(second+100, "expires")
	f(second+1000, "expires", "key-7")

	behind := f(second - 100) // the clock has been set back: what is stored now is newer all the same
	if it := put(t, behind, "newest", storage.Item{}); it.Version <= store.Latest()-1<<9 {
		t.Errorf("version %d after %d", it.Version, store.Latest())
	}
}

func TestOnlyWhatWasHeldIsKept(t *testing.T) {
	store, p := filled(t), at(t, t.TempDir())
	parts := piece.NewSet(partitions)
	parts.Add(3)
	want := items(store)
	maps.DeleteFunc(want, func(key, _ string) bool { return ring.PartitionOf(storage.Hash([]byte(key)), partitions) != 3 })
	if err := p.write(t.Context(), store, about{Origin: origin, Parts: parts}); err != nil {
		t.Fatal(err)
	}
	next := open(t, second)
	if _, err := p.fill(next, origin); err != nil {
		t.Fatal(err)
	}
	if got := items(next); len(want) == 0 || !maps.Equal(got, want) {
		t.Errorf("%d items are back, want %d", len(got), len(want))
	}
}

func TestFlushesStay(t *testing.T) {
	store, p := filled(t), at(t, t.TempDir())
	old := put(t, store, "old", storage.Item{Value: []byte("v")})
	store.FlushAll(0, 0)
	put(t, store, "new", storage.Item{Value: []byte("v")})
	store.FlushAll(60, 0)
	if err := p.write(t.Context(), store, about{Origin: origin, Parts: everything()}); err != nil {
		t.Fatal(err)
	}
	f := func(now int64, there bool, planned int64) {
		t.Helper()
		next := open(t, now)
		if _, err := p.fill(next, origin); err != nil {
			t.Fatal(err)
		}
		if in, _ := next.FlushPlan(); in != planned || len(items(next)) > 0 != there {
			t.Errorf("at %d: a flush in %d seconds, %d items", now, in, len(items(next)))
		}
		held := next.Hold([]byte("old"))
		defer held.Release()
		if installed, err := held.Install(old); installed || err != nil {
			t.Errorf("at %d: what was flushed is back: %v", now, err)
		}
	}
	f(second, true, 60)
	f(second+59, true, 1)
	f(second+60, false, 0)
}

func TestUsedOnce(t *testing.T) {
	store, dir := filled(t), t.TempDir()
	p := at(t, dir)
	f := func(from Origin, want string) {
		t.Helper()
		next := open(t, second)
		about, err := p.fill(next, from)
		if about != nil || len(items(next)) > 0 || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v, want %q", about, err, want)
		}
	}
	f(origin, "") // there is none
	if boot, err := p.former(); boot != 0 || err != nil {
		t.Error(boot, err)
	}
	if err := p.begin(origin.Boot); err != nil {
		t.Fatal(err)
	}
	if err := p.write(t.Context(), store, about{Origin: origin, Parts: everything()}); err != nil {
		t.Fatal(err)
	}
	if boot, err := p.former(); boot != origin.Boot || err != nil {
		t.Error(boot, err)
	}
	for _, change := range []func(o *Origin){
		func(o *Origin) { o.Cluster = "another" }, func(o *Origin) { o.ID = "n2" }, func(o *Origin) { o.Partitions++ }, func(o *Origin) { o.Print++ },
	} {
		from := origin
		change(&from)
		f(from, "no snapshot of this node")
	}
	from := origin
	from.Boot++
	f(from, "out of date")
	if err := p.begin(from.Boot); err != nil {
		t.Fatal(err)
	}
	f(origin, "") // it is gone
	if boot, err := p.former(); boot != from.Boot || err != nil {
		t.Error(boot, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

// spoil changes a byte in the middle of a file.
func spoil(t *testing.T, path string) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)/2] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamagesAreRefused cuts and spoils a snapshot in many places: it is refused whole, and the byte told.
func TestDamagesAreRefused(t *testing.T) {
	store, p := filled(t), at(t, t.TempDir())
	if err := p.write(t.Context(), store, about{Origin: origin, Parts: everything()}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(p.file())
	if err != nil {
		t.Fatal(err)
	}
	f := func(what string, hurt []byte) {
		t.Helper()
		if err := os.WriteFile(p.file(), hurt, 0o600); err != nil {
			t.Fatal(err)
		}
		next := open(t, second)
		about, err := p.fill(next, origin)
		damage := (*archive.DamageError)(nil)
		if about != nil || !errors.As(err, &damage) || !strings.Contains(err.Error(), "at byte") || !strings.Contains(err.Error(), p.file()) || len(items(next)) > 0 {
			t.Errorf("%s: %+v, %v, %d items", what, about, err, len(items(next)))
		}
	}
	for n := range 50 {
		at := n * len(whole) / 50
		f(fmt.Sprintf("cut at %d", at), whole[:at])
		hurt := append([]byte(nil), whole...)
		hurt[at] ^= 1 << (n % 8)
		f(fmt.Sprintf("changed at %d", at), hurt)
	}
}

// A run that is killed while it writes leaves a part under another name.
func TestHalvesAreNotTaken(t *testing.T) {
	store, dir := filled(t), t.TempDir()
	p := at(t, dir)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.write(over, store, about{Origin: origin, Parts: everything()}); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left of what was given up, %v", left, err)
	}
	half, err := p.create(p.file())
	if err == nil {
		_, err = io.WriteString(half, "half a snapshot")
	}
	if err != nil || half.Close() != nil {
		t.Fatal(err)
	}
	p = at(t, dir)
	if about, err := p.fill(open(t, second), origin); about != nil || err != nil {
		t.Error(about, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left of what was not written to the end, %v", left, err)
	}
}

// What is wrong with the directory is told with the flag that names it.
func TestTheFlagIsNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "--snapshot-dir") {
			t.Error(err)
		}
	}
	_, err := newPlace(file, "n", slog.New(slog.DiscardHandler))
	f(err)
	_, err = newPlace(filepath.Join(file, "below"), "n", slog.New(slog.DiscardHandler))
	f(err)
	p := at(t, dir)
	if err := os.WriteFile(p.run(), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = p.former()
	f(err)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	f(p.begin(1))
}
