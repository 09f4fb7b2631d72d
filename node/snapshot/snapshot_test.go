package snapshot

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A run is a node from its start to its end.
type run struct {
	*Keeper
	store   *storage.Store
	members atomic.Pointer[[]membership.Member]
	changes chan struct{}
	logged  bytes.Buffer
}

// begin starts a run; the members are the others that are here.
func begin(t *testing.T, dir string, boot uint64, members ...membership.Member) *run {
	t.Helper()
	self := origin
	self.Boot = boot
	r := &run{store: open(t, second), changes: make(chan struct{}, 1)}
	r.members.Store(&members)
	var err error
	r.Keeper, err = Open(Config{
		Dir: dir, Self: self, Store: r.store, Wait: 10 * time.Second, Log: slog.New(slog.NewTextHandler(&r.logged, nil)),
		Members: func() []membership.Member { return append(slices.Clone(*r.members.Load()), member(origin.ID, boot, 0)) },
		Changes: func() <-chan struct{} { return r.changes },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// end stops a run when nobody goes on with what it holds.
func (r *run) end(t *testing.T) {
	t.Helper()
	r.Plan()
	r.Write(t.Context(), func(part uint32) bool { return part != 3 })
}

func member(id string, boot, former uint64) membership.Member {
	return membership.Member{Member: ring.Member{ID: id}, Boot: boot, Former: former}
}

// serve begins to change what is here.
func (r *run) serve(t *testing.T) {
	t.Helper()
	if err := r.Begin(); err != nil {
		t.Fatal(err)
	}
}

func TestRunsFollowEachOther(t *testing.T) {
	dir := t.TempDir()
	first := begin(t, dir, 1)
	if parts := first.Back(); parts != nil || first.Former() != 0 || !first.On() {
		t.Errorf("%d partitions of run %d", parts.Len(), first.Former())
	}
	first.serve(t)
	put(t, first.store, "key", storage.Item{})
	first.end(t)

	begin(t, dir, 2) // which does not come so far as to serve
	third := begin(t, dir, 3)
	if parts := third.Back(); parts.Len() != partitions-1 || parts.Has(3) || third.Former() != 1 {
		t.Errorf("%d partitions of run %d", parts.Len(), third.Former())
	}
	if parts := third.Back(); parts != nil {
		t.Error("twice")
	}
	if used := third.Used(); used.Items != 1 || used.Bytes == 0 || used.Refused {
		t.Errorf("%+v was used", used)
	}
	third.serve(t)
	third.Write(t.Context(), func(uint32) bool { return true }) // not planned: somebody goes on

	fourth := begin(t, dir, 4)
	if parts := fourth.Back(); parts != nil || fourth.Former() != 3 {
		t.Errorf("%d partitions of run %d", parts.Len(), fourth.Former())
	}
	none := begin(t, "", 5)
	none.serve(t)
	none.end(t)
	if none.On() || none.Back() != nil || none.Former() != 0 {
		t.Error("something is kept nowhere")
	}
}

// TestOthersMustBeBack: who stopped with a run is waited for, and without him what it has kept is of no use.
func TestOthersMustBeBack(t *testing.T) {
	dir := t.TempDir()
	f := func(back bool, patience time.Duration, soon, now []membership.Member) {
		t.Helper()
		first := begin(t, dir, 1, member("left", 10, 0))
		first.serve(t)
		put(t, first.store, "key", storage.Item{})
		first.Meet()
		first.members.Store(&[]membership.Member{member("n2", 20, 0)})
		first.end(t)
		synctest.Test(t, func(t *testing.T) {
			next := begin(t, dir, 2, now...)
			change := time.AfterFunc(time.Second, func() {
				next.members.Store(&soon)
				next.changes <- struct{}{}
			})
			defer change.Stop()
			began := time.Now()
			parts := next.Back()
			if parts != nil != back || len(items(next.store)) > 0 != back || time.Since(began) != patience {
				t.Errorf("%d partitions and %d items are back after %v\n%s", parts.Len(), len(items(next.store)), time.Since(began), &next.logged)
			}
			if told := strings.Contains(next.logged.String(), "the snapshot is not used"); told == back || next.Used().Refused == back || next.Used().Items > 0 != back {
				t.Errorf("logged:\n%s", &next.logged)
			}
		})
	}
	here := func(members ...membership.Member) []membership.Member { return members }
	left, other := member("left", 11, 10), member("n2", 21, 20)
	all := here(left, other)
	f(true, 0, nil, all)
	f(true, 0, nil, here(left, other, member("n3", 31, 30)))
	f(true, time.Second, all, here(left))
	f(true, time.Second, all, here(left, member("n2", 20, 0))) // gossip still believes in the run before
	f(false, 10*time.Second, here(left), here(left))
	f(false, 10*time.Second, here(other), here(other, member("n3", 31, 10)))
	f(false, 0, nil, here(left, member("n2", 22, 21))) // it has run in between
	f(false, 0, nil, here(left, member("n2", 22, 0)))  // and this one may have
	f(false, time.Second, here(left, member("n2", 22, 21)), here(left))
}

// What cannot be used is told, and costs no more than the items.
func TestSpoiledSnapshotsAreTold(t *testing.T) {
	dir := t.TempDir()
	first := begin(t, dir, 1)
	first.serve(t)
	put(t, first.store, "key", storage.Item{Value: make([]byte, 1000)})
	first.end(t)
	spoil(t, first.place.file())
	next := begin(t, dir, 2)
	if parts := next.Back(); parts != nil || len(items(next.store)) > 0 || !strings.Contains(next.logged.String(), "damaged at byte") || !next.Used().Refused {
		t.Errorf("%d partitions, %d items, logged:\n%s", parts.Len(), len(items(next.store)), &next.logged)
	}
	next.serve(t)
}

// A directory with less room than the store may need is told of.
func TestLittleRoomIsTold(t *testing.T) {
	var logged bytes.Buffer
	_, known := at(t, t.TempDir()).room()
	_, err := Open(Config{Dir: t.TempDir(), Self: origin, Store: open(t, second), Room: 1 << 62, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if told := strings.Contains(logged.String(), "--snapshot-dir"); err != nil || told != known {
		t.Errorf("%v, known %v, logged:\n%s", err, known, &logged)
	}
}
