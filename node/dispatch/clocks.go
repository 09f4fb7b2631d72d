package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxSkew is how far a member's clock may be from the median of all, beside half of what its answer took. When it is further, items that are handed over
// expire at the wrong time.
const maxSkew = time.Second

// A member that comes asks for the others' clocks once it knows them, and then again every so often: it costs each an answer to "stats" for every other one.
const firstLook, lookEvery = time.Second, 10 * time.Second

// WatchClocks looks soon, and then from time to time, whether a member's clock is wrong, and tells the log, until ctx is done. To be called once.
func (d *Dispatch) WatchClocks(ctx context.Context) {
	next := time.NewTimer(firstLook)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			d.lookAtClocks()
			next.Reset(lookEvery)
		}
	}
}

// lookAtClocks asks all members for their time, and tells the log whose clock has gone wrong or come right since the last look. It waits for the answers.
func (d *Dispatch) lookAtClocks() {
	answers, said := d.askFigures(d.cfg.Placement())
	wrong, here := wrongClocks(answers, said), map[string]bool{}
	for _, a := range answers {
		id := a.member.ID
		here[id] = true
		off, is := wrong[id]
		switch was := d.wrong[id]; {
		case a.silent != "" || is == was:
		case is:
			d.wrong[id] = true
			d.cfg.Log.Warn("a clock is more than a second from the others': items expire at the wrong time, until it is set right and its node restarted",
				"member", id, "ahead", off, "this_node", id == d.cfg.Self.ID)
		default:
			delete(d.wrong, id)
			d.cfg.Log.Info("a clock agrees with the others' again", "member", id)
		}
	}
	maps.DeleteFunc(d.wrong, func(id string, _ bool) bool { return !here[id] })
}

// wrongClocks tells whose clocks are far from the median, and how far they are ahead of it; of an even number, from the farther of the two in the middle. So of
// two members that are apart, where nobody knows which one is wrong, both are told of.
func wrongClocks(answers []answer, said []figures) map[string]time.Duration {
	ahead, all := map[string]time.Duration{}, []time.Duration{}
	for i, a := range answers {
		var clock int64
		if _, err := fmt.Sscan(said[i]["cluster_clock_milliseconds"], &clock); err == nil {
			ahead[a.member.ID] = time.Duration(clock-(a.asked+a.heard)/2) * time.Millisecond
			all = append(all, ahead[a.member.ID])
		}
	}
	slices.Sort(all)
	wrong := map[string]time.Duration{}
	for _, a := range answers {
		own, known := ahead[a.member.ID]
		if !known {
			continue
		}
		off := own - all[len(all)/2]
		if other := own - all[(len(all)-1)/2]; other.Abs() > off.Abs() {
			off = other
		}
		if took := time.Duration(a.heard-a.asked) * time.Millisecond; off.Abs() > maxSkew+took/2 {
			wrong[a.member.ID] = off
		}
	}
	return wrong
}
