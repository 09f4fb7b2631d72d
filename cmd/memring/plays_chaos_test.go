//go:build chaos && linux

package main

import (
	"slices"
	"sync"
	"time"
)

// What is between two things that happen: short enough that they meet, now and then.
func (r *trial) lull() { r.wait(r.between(50*time.Millisecond, 700*time.Millisecond)) }

func (r *trial) playJoin() {
	for range 1 + r.rnd.IntN(2) {
		if i := r.idle(); i >= 0 {
			r.start(i)
			r.lull()
		}
	}
}

func (r *trial) playDrain() {
	for _, i := range r.pick(1 + r.rnd.IntN(2)) {
		r.stop(i, func() {})
		r.lull()
	}
}

func (r *trial) playRestart() {
	for _, i := range r.pick(2 + r.rnd.IntN(2)) {
		r.restart(i)
		r.stopping.Wait()
		r.lull()
	}
}

// restart is a planned one.
func (r *trial) restart(i int) {
	r.stop(i, func() { r.start(i) })
}

// playMoves lets members come and go without waiting for what they cause. Two stay up at the least, so that there is somebody to take over.
func (r *trial) playMoves() {
	for range 3 + r.rnd.IntN(2) {
		r.moveOne()
		r.lull()
	}
}

func (r *trial) moveOne() {
	up, idle := r.pick(mostHosts), r.idle()
	switch lot := r.rnd.IntN(3); {
	case idle >= 0 && (lot == 0 || len(up) <= 2):
		r.start(idle)
	case len(up) <= 2:
	case lot == 1:
		r.stop(up[0], func() {})
	default:
		r.restart(up[0])
	}
}

func (r *trial) playFlush() {
	flusher := r.newTalker(talkers + 1)
	defer flusher.hangUp()
	for range 3 {
		r.moveOne()
		r.lull()
		r.tell("flush_all")
		flusher.flush()
	}
	r.mu.Lock()
	r.more = append(r.more, flusher.told...)
	r.mu.Unlock()
}

// playKill kills one after the other, and lets all settle between: more at once no copies are for.
func (r *trial) playKill() {
	for n := range r.kind.copies {
		if n > 0 {
			r.settle()
		}
		victim, owners := r.pick(1)[0], r.owners()
		r.mayTake(owners, victim)
		r.kill(victim)
		switch r.rnd.IntN(3) {
		case 0: // sooner than the others know
			r.wait(r.between(0, time.Second))
			r.start(victim)
		case 1:
			r.wait(r.between(2*time.Second, 5*time.Second))
			r.start(victim)
		}
	}
}

// playFlap lets one die again and again, sooner than the others know.
func (r *trial) playFlap() {
	victim, owners := r.pick(1)[0], r.owners()
	for range 3 {
		r.mayTake(owners, victim)
		r.kill(victim)
		r.start(victim)
		r.lull()
	}
}

// playSwarm starts all that are not there yet, at once.
func (r *trial) playSwarm() {
	var starting sync.WaitGroup
	for _, m := range r.nodes {
		if m.running.Load() == nil {
			starting.Go(func() { r.start(m.number) })
		}
	}
	starting.Wait()
}

func (r *trial) playPause() {
	victim, owners := r.pick(1)[0], r.owners()
	r.mayTake(owners, victim)
	r.pause(victim, r.between(2*time.Second, 6*time.Second))
}

// condemnedAfter is less than what a member must be silent for to be condemned (membership.DefaultTimings: 1.5 s of suspicion).
const condemnedAfter = 1200 * time.Millisecond

func (r *trial) playBlink() {
	for _, i := range r.pick(2) {
		r.cutOff([]int{i}, cut(r.rnd.IntN(int(cuts))), r.between(100*time.Millisecond, condemnedAfter))
		r.wait(r.between(time.Second, 2*time.Second)) // so that two are not one
	}
}

// cutOff takes nodes off the others for a while.
func (r *trial) cutOff(apart []int, how cut, d time.Duration) *split {
	r.cuts()
	s := &split{apart: slices.Clone(apart), how: how, from: r.now()}
	for _, i := range apart {
		r.tell("node-%d is cut off, %v", i+1, how)
		r.net.split(i, how)
	}
	s.done = r.now()
	r.wait(d)
	s.healed = r.now()
	for _, i := range apart {
		r.tell("node-%d is back", i+1)
		r.net.heal(i)
	}
	return s
}

func (r *trial) playSplit() {
	up := r.pick(mostHosts)
	apart, how, owners := up[:1+r.rnd.IntN((len(up)+1)/2)], cut(r.rnd.IntN(int(cutMute))), r.owners()
	if len(apart) > 1 {
		how = cutApart
	}
	r.split = r.cutOff(apart, how, r.between(3*time.Second, 6*time.Second))
	r.split.owner = owners
}

// playMinority cuts one off for longer than it takes to notice it.
func (r *trial) playMinority() {
	owners := r.owners()
	r.split = r.cutOff(r.pick(1), cut(r.rnd.IntN(int(cutMute))), r.between(10*time.Second, 11*time.Second))
	r.split.owner, r.split.silenced = owners, true
}

func (r *trial) playOneWay() {
	how, owners := cutMute+cut(r.rnd.IntN(int(cuts-cutMute))), r.owners()
	r.split = r.cutOff(r.pick(1), how, r.between(3*time.Second, 6*time.Second))
	r.split.owner = owners
}

func (r *trial) playSlow() {
	i := r.pick(1)[0]
	r.cuts()
	r.tell("node-%d sends slowly", i+1)
	r.net.slow(i)
	r.wait(r.between(2*time.Second, 3*time.Second))
	r.net.quick(i)
	r.tell("node-%d sends as before", i+1)
}

func (r *trial) playKillWhileMoving() {
	r.moveOne()
	r.wait(r.between(0, 300*time.Millisecond))
	r.moveOne()
	r.wait(r.between(0, 300*time.Millisecond))
	victim := r.pick(1)[0]
	r.mayTake(nil)
	r.kill(victim)
	if r.rnd.IntN(2) == 0 {
		r.wait(r.between(0, 4*time.Second))
		r.start(victim)
	}
}

// playStorm lets anything happen while the last is still going on. Two nodes stay well.
func (r *trial) playStorm() {
	for range 4 {
		up := r.pick(mostHosts)
		switch lot := r.rnd.IntN(4); {
		case len(up) < 3 || lot == 0:
			r.moveOne()
		case lot == 1:
			r.mayTake(nil)
			r.kill(up[0])
		case lot == 2:
			r.mayTake(nil)
			i := up[0]
			r.nodes[i].isUp.Store(false)
			d := r.between(2*time.Second, 4*time.Second)
			r.stopping.Go(func() { r.pause(i, d); r.nodes[i].isUp.Store(true) })
		default:
			r.restart(up[0])
		}
		r.lull()
	}
}
