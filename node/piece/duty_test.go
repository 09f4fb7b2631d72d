package piece

import (
	"testing"
	"time"
)

// TestDuty: whoever spends of it, and however long what they do takes, in the long run it is no more than the share.
func TestDuty(t *testing.T) {
	now := time.Hour
	d := NewDuty(1./8, func() time.Duration { return now })
	f := func(cost, want time.Duration) {
		t.Helper()
		began := d.Begin()
		now += cost
		if got := d.Spend(began); got != want {
			t.Errorf("pause %v after %v, want %v", got, cost, want)
		}
	}
	f(0, 0)
	f(time.Millisecond, 7*time.Millisecond)
	f(time.Millisecond, 14*time.Millisecond) // by somebody else, who has not waited for the first
	now += 14 * time.Millisecond
	f(time.Millisecond, 7*time.Millisecond)
	now += time.Hour // what was not used is not saved up
	f(time.Millisecond, 7*time.Millisecond)
	now += time.Hour
	f(time.Second, 0) // most of it was not ours
	f(0, 0)
}

// TestSlicesEnd: a slice is over when a request that waits for its processor should have it.
func TestSlicesEnd(t *testing.T) {
	now := time.Duration(0)
	d := NewDuty(1, func() time.Duration { return now })
	began := d.Begin()
	now += sliceTime - 1
	if d.Over(began) {
		t.Error("over at once")
	}
	if now++; !d.Over(began) {
		t.Error("not over in time")
	}
}
