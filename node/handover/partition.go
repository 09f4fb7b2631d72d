package handover

import (
	"runtime"
	"sync/atomic"
)

// The states of a partition.
const (
	foreign  = iota // another member's, or nobody's: there is nothing of it here
	wanted          // ours by the table, and nobody has given it to us yet
	held            // ours: requests are run
	arriving        // ours, and its former holder still has items of it
	doubted         // ours before this process stood still; perhaps another member's since
	given           // another member's since we gave it away; what it has not pulled yet is still here
	states
)

// A partition is a state, and the number of the move that a given one is part of, or that a held one bears until it is held no more (Handover.Held). It is read by every request, and changed with Handover.mu held.
type partition struct {
	word atomic.Uint64
}

func (p *partition) load() (state int, number uint64) {
	word := p.word.Load()
	return int(word % states), word / states
}

func (p *partition) store(state int, number uint64) { p.word.Store(number*states + uint64(state)) }

// A gate counts the writes that are being run, so that a partition is given away only when those that saw it held are done. It has two sides: while
// one is waited for, those who come take the other, so the wait is short however many come.
type gate struct {
	side  atomic.Uint32
	seats [2][gateSeats]seat
}

// gateSeats keeps sessions from writing to one line of memory.
const gateSeats = 64

type seat struct {
	count atomic.Int64
	_     [56]byte
}

func (g *gate) enter(origin uint32) *seat {
	s := &g.seats[g.side.Load()&1][origin%gateSeats]
	s.count.Add(1)
	return s
}

func (g *gate) leave(s *seat) { s.count.Add(-1) }

// wait returns when all that were inside have left. Who enters meanwhile, on either side, sees what was changed before the wait.
func (g *gate) wait() {
	for range 2 { // one may have read the side before the last turn, and entered after it
		side := g.side.Add(1) - 1
		for i := range g.seats[side&1] {
			for g.seats[side&1][i].count.Load() != 0 {
				runtime.Gosched()
			}
		}
	}
}
