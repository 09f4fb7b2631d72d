package piece

import (
	"sync"
	"time"
)

// A Duty keeps what a node does about moves to a share of its processors, so that requests find them free. Whatever gives, takes, copies or drops items spends
// of one Duty.
//
//	began := duty.Begin() ... a slice of work ... pause := duty.Spend(began) ... the next slice
//
// A slice costs the time that passes: when requests want the processors too it takes longer, and less is done.
type Duty struct {
	share float64
	now   func() time.Duration

	mu   sync.Mutex    // guards paid
	paid time.Duration // when all that was spent has been waited for
}

const (
	// sliceTime is when a slice of work ends at the latest: a request that needs its processor waits for no longer.
	sliceTime = 300 * time.Microsecond

	// maxCost bounds what a slice is taken to have cost: what passed beyond it was somebody else's, and on a machine that has too much to do moves must end as well.
	maxCost = 2 * time.Millisecond
)

// NewDuty makes a Duty of such a share of one processor, above 0 and at most 1. now is a clock that only moves forward; nil: the system's.
func NewDuty(share float64, now func() time.Duration) *Duty {
	if began := time.Now(); now == nil {
		now = func() time.Duration { return time.Since(began) }
	}
	return &Duty{share: share, now: now}
}

// Begin begins a slice.
func (d *Duty) Begin() (began time.Duration) { return d.now() }

// Over reports whether a slice is to end.
func (d *Duty) Over(began time.Duration) bool { return d.now()-began >= sliceTime }

// Spend ends a slice, and says how long to pause before the next.
func (d *Duty) Spend(began time.Duration) (pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	d.paid = max(d.paid, began) + time.Duration(float64(min(now-began, maxCost))/d.share)
	return max(d.paid-now, 0)
}
