// Package ease leaves the processors to requests while members change: tables are made with pauses, and whoever has the collector run is told when to have it run less.
package ease

import (
	"sync"
	"time"

	"github.com/memring/memring/node/piece"
)

// atLeast is how long items may be about to move after Begin.
const atLeast = 2 * time.Second

// An Ease tells when items begin to move and when they have moved. The zero Ease is ready for use.
type Ease struct {
	mu    sync.Mutex // guards the rest, and is held while somebody is told
	on    bool
	until time.Time
}

// Begin says that items may move from now on. tell is told if that is news.
func (e *Ease) Begin(tell func(moving bool)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.until = time.Now().Add(atLeast)
	if !e.on {
		e.on = true
		tell(true)
	}
}

// End looks whether they still do, and tells if not. It is to be called from time to time.
func (e *Ease) End(tell func(moving bool), moves func() bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.on && time.Now().After(e.until) && !moves() {
		e.on = false
		tell(false)
	}
}

// restsFor bounds by how much a table is late because it was made with pauses.
const restsFor = 150 * time.Millisecond

// Rest gives what is to be called again and again while a table is made: it pauses, so that no more of the processors is taken than the duty allows, unless there is hurry.
// All members make their tables at once.
func Rest(duty *piece.Duty, hurry func() bool) func() {
	began, left := duty.Begin(), restsFor
	return func() {
		if !duty.Over(began) {
			return
		}
		if pause := min(duty.Spend(began), left); pause > 0 && !hurry() {
			time.Sleep(pause)
			left -= pause
		}
		began = duty.Begin()
	}
}
