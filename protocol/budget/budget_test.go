package budget

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestBudget(t *testing.T) {
	f := func(name string, between func(b *Budget, stop chan struct{}), want bool, wait time.Duration) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, stop := New(100), make(chan struct{})
				if !b.Take(80, stop) {
					t.Fatal("80 of 100 are not to be had")
				}
				start := time.Now()
				go between(b, stop)
				if got := b.Take(30, stop); got != want || time.Since(start) != wait {
					t.Fatalf("%v after %v; want %v after %v", got, time.Since(start), want, wait)
				}
				synctest.Wait()
				if want {
					b.Give(30)
				}
				if !b.TryTake(b.left) || b.left != 0 || b.Wanted() {
					t.Fatal("the sums are wrong")
				}
			})
		})
	}
	f("nothing comes back", func(*Budget, chan struct{}) {}, false, Patience)
	f("too little comes back", func(b *Budget, _ chan struct{}) { b.Give(5) }, false, Patience)
	f("some comes back", func(b *Budget, _ chan struct{}) { time.Sleep(time.Millisecond); b.Give(10) }, true, time.Millisecond)
	f("it comes back bit by bit", func(b *Budget, _ chan struct{}) {
		for range 10 {
			time.Sleep(time.Millisecond)
			b.Give(1)
		}
	}, true, 10*time.Millisecond)
	f("the server stops", func(_ *Budget, stop chan struct{}) { time.Sleep(time.Millisecond); close(stop) }, false, time.Millisecond)
}

// Of many who wait, those are served for whom there is enough, in the order in which they came; the others go on waiting.
func TestWaitersAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(100)
		if !b.TryTake(100) {
			t.Fatal("100 of 100 are not to be had")
		}
		got := make(chan int64, 4)
		for _, n := range []int64{30, 90, 20, 31} {
			go func() {
				if b.Take(n, nil) {
					got <- n
				}
			}()
			synctest.Wait()
		}
		b.Give(60)
		synctest.Wait()
		if first, second := <-got, <-got; first+second != 50 || len(got) != 0 || !b.Wanted() || b.Left() != 10 {
			t.Errorf("%d and %d were served, and %d more; %d bytes are left", first, second, len(got), b.Left())
		}
		b.Give(30)
		synctest.Wait()
		if len(got) != 1 || <-got != 31 || b.Left() != 9 {
			t.Errorf("the last was not served; %d bytes are left", b.Left())
		}
		time.Sleep(Patience)
		synctest.Wait()
		if len(got) != 0 || b.Wanted() || b.Left() != 9 {
			t.Errorf("who gave up waits still, or %d bytes are left", b.Left())
		}
	})
}
