package storage

import "testing"

func TestPartsOfTheLock(t *testing.T) {
	f := func(stripes, processors, want int) {
		t.Helper()
		var l stripeLock
		l.divide(stripes, processors)
		seen := map[any]bool{}
		for i := range uint64(64) {
			seen[l.part(i<<50)] = true
		}
		if len(l.used()) != want || len(seen) != want {
			t.Errorf("%d stripes, %d processors: %d parts, %d of them used, want %d", stripes, processors, len(l.used()), len(seen), want)
		}
	}
	f(1, 1, 1)
	f(64, 1, 1)
	f(32, 2, 1)
	f(16, 2, 2)
	f(2, 2, 8)
	f(1, 64, 8)
	f(64, 64, 8)
}
