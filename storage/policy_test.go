package storage

import (
	"fmt"
	"testing"
)

// TestSmallItemsStayLonger: what is used as rarely, but takes a hundredth of the room, goes round some more times.
func TestSmallItemsStayLonger(t *testing.T) {
	const maxBytes, large, few = 16 << 20, 10_000, 1000
	s := openStore(t, Config{MaxBytes: maxBytes})
	for i := range few {
		put(t, s, fmt.Sprint("few ", i), Item{Value: make([]byte, 50)})
	}
	for i := range 5 * maxBytes / large {
		put(t, s, fmt.Sprint(i), Item{Value: make([]byte, large)})
	}
	left := 0
	for i := range few {
		if _, _, ok := s.Get(nil, fmt.Append(nil, "few ", i)); ok {
			left++
		}
	}
	if left < few*9/10 {
		t.Errorf("%d of %d left after five turns", left, few)
	}
	check(t, s)
}

// TestAllSizesAlike: no item is small among its like, and what is not used goes at the end of its first lap. (But for a few that the ghost
// takes for others.)
func TestAllSizesAlike(t *testing.T) {
	s := openStore(t, Config{MaxBytes: 16 << 20})
	for i := range 40_000 {
		put(t, s, fmt.Sprintf("%08d", i), Item{Value: make([]byte, 1000)})
	}
	left := 0
	for i := range 20_000 {
		if _, _, ok := s.Get(nil, fmt.Appendf(nil, "%08d", i)); ok {
			left++
		}
	}
	if left > 40 {
		t.Errorf("%d of the first 20,000 of 40,000 items are there still", left)
	}
	check(t, s)
}

func TestUsesNeeded(t *testing.T) {
	s := openStore(t, Config{})
	st := s.stripe[0]
	st.items, st.bytes = 1000, 1000*1000 // 1000 bytes in the mean
	defer func() { st.items, st.bytes = 0, 0 }()
	f := func(bytes int, wantMean float64) {
		t.Helper()
		const rounds = 10_000
		sum := 0
		for i := range rounds {
			st.laps++
			sum += int(st.usesNeeded(bytes-recordToMC, Hash(fmt.Append(nil, i%100))))
		}
		if mean := float64(sum) / rounds; mean < wantMean-.03 || mean > wantMean+.03 {
			t.Errorf("%d bytes: %.3f uses, wanted %.3f", bytes, mean, wantMean)
		}
	}
	f(100, .01)
	f(500, .25)
	f(1000, 1)
	f(4000, 1)
	f(6000, 1.5)
	f(10_000, 2.5)
	f(12_000, 3)
	f(1<<30, 3)
}

// TestGoodBytes: where few items take most of the room, those that are some times the mean are small as well.
func TestGoodBytes(t *testing.T) {
	f := func(want int, sizes ...int) {
		t.Helper()
		st := &stripe{}
		for _, bytes := range sizes {
			st.items++
			st.bytes += int64(bytes)
			st.squares += squareOf(bytes - recordToMC)
		}
		if good := st.goodBytes(); good < want*99/100 || good > want*101/100 {
			t.Errorf("sizes %v: good is %d, want about %d", sizes, good, want)
		}
	}
	f(1)
	f(100, 100)
	f(1000, 1000, 1000, 1000)
	f(5000, 1000, 9000)
	f(1<<20, 1<<20, 1<<20)
	small := make([]int, 100, 101)
	for i := range small {
		small[i] = 100
	}
	f(100_000*100_000/(100*100+100_000)/spreadPart, append(small, 100_000)...)
}

// TestOwnBytes: what is said to be the process's own is not for items, and it is never more than an eighth.
func TestOwnBytes(t *testing.T) {
	f := func(maxBytes, own, wantLess int64) {
		t.Helper()
		all, less := openStore(t, Config{MaxBytes: maxBytes}), openStore(t, Config{MaxBytes: maxBytes, OwnBytes: own})
		if got := int64(all.stripe[0].limit-less.stripe[0].limit) * int64(all.stripes); got < wantLess-4096 || got > wantLess+4096 {
			t.Errorf("of %d, with %d its own: %d bytes less for items, wanted %d", maxBytes, own, got, wantLess)
		}
		if n := less.Stats().Limit; n != maxBytes {
			t.Errorf("limit told: %d of %d", n, maxBytes)
		}
	}
	f(256<<20, 8<<20, 8<<20)
	f(64<<20, 8<<20, 8<<20)
	f(16<<20, 8<<20, 2<<20)
}

// TestAges: how long what is evicted, and what would be next, has not been used.
func TestAges(t *testing.T) {
	clock := NewManualClock(testStart)
	s := openStore(t, Config{MaxBytes: 4 << 20, Clock: clock})
	put(t, s, "first", Item{Value: make([]byte, 1000), Expiry: testStart + 10_000})
	clock.Advance(10)
	if st := s.Stats(); st.Age != 10 || st.EvictedTime != 0 {
		t.Errorf("with one item, stored 10 seconds ago: age %d, evicted after %d", st.Age, st.EvictedTime)
	}
	i := 0
	evict := func() { // puts items until some more are evicted
		for before := s.Stats().Evictions; s.Stats().Evictions == before; i++ {
			put(t, s, fmt.Sprint(i), Item{Value: make([]byte, 1000)})
		}
	}
	evict()
	clock.Advance(7)
	evict()
	if st := s.Stats(); st.EvictedTime != 7 || st.EvictedNonzero != 1 || st.Age != 7 {
		t.Errorf("what was 7 seconds old was evicted: %+v", st)
	}
	s.ResetStats()
	if st := s.Stats(); st.EvictedTime != 0 || st.EvictedNonzero != 0 {
		t.Errorf("after a reset: %+v", st)
	}
}
