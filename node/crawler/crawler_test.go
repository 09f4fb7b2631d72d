package crawler

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/memring/memring/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Expired items go without being asked for, but only while it is on.
func TestCrawlerRemovesWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := storage.NewManualClock(1_800_000_000)
		store, err := storage.Open(storage.Config{MaxBytes: 1 << 20, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		put := func(key string) {
			held := store.Hold([]byte(key))
			defer held.Release()
			if _, err := held.Put(storage.Item{Expiry: clock.Now() + 5}); err != nil {
				t.Fatal(err)
			}
		}
		var rounds []Round
		c := New(store, false, func(r Round) { rounds = append(rounds, r) })
		c.Start()
		defer c.Stop()
		f := func(want int) {
			t.Helper()
			<-time.After(3 * pause)
			synctest.Wait()
			if got := store.Stats().Items; got != want {
				t.Errorf("%d items, want %d", got, want)
			}
		}
		put("a")
		put("b")
		clock.Advance(6)
		f(2)
		if !c.Set(true) || c.Set(true) || !c.On() {
			t.Error("it cannot be set")
		}
		f(0)
		c.Set(false)
		put("c")
		clock.Advance(6)
		f(1)
		c.All()
		f(0)
		if got := c.Stats().Checked.Load(); got == 0 || c.Stats().Busy.Load() {
			t.Errorf("%d checked", got)
		}
		// Told are the round that found two, and the one that was asked for; not those that found nothing.
		if len(rounds) != 2 || rounds[0].Removed != 2 || rounds[1].Removed != 1 || rounds[1].Checked == 0 || rounds[1].Since <= 0 {
			t.Errorf("%+v", rounds)
		}
	})
}
