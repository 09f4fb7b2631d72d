package placement

import (
	"context"
	"time"
)

const (
	// quietTime is how long the members must stay the same before a table is made, so that many joins at once make one table.
	quietTime = 150 * time.Millisecond
	// maxWait bounds that: requests must be right within a second of a join.
	maxWait = 500 * time.Millisecond
	// stormWait is the bound for who has made a table within stormTime: members still come or go one after the other.
	stormWait = 800 * time.Millisecond
	stormTime = time.Second
	// hastenPause is how long after a table no other member hastens the next one: in a storm somebody is always ahead.
	hastenPause = 400 * time.Millisecond
)

// A Pace says when a table is due: not with every news of a member, but soon.
//
//	a change  -> quietTime without another -> due; after maxWait in any case, or stormWait in a storm
//	a hasten  -> due, but not within hastenPause of the last one
//	an urgent -> due
type Pace struct {
	Changes <-chan struct{} // holds a note when the members have changed
	Hasten  <-chan struct{} // when another member knows a later table
	Urgent  <-chan struct{} // when there is nothing to wait for

	last time.Time // when a table was due
}

// Next waits until a table is due: at the latest when over comes, nil for never. It is false when ctx is done.
func (p *Pace) Next(ctx context.Context, over <-chan time.Time) bool {
	var quiet, limit, hastened <-chan time.Time // nil until something has happened
	for {
		select {
		case <-ctx.Done():
			return false
		case <-p.Changes:
			if quiet = time.After(quietTime); limit == nil {
				limit = time.After(p.patience())
			}
			continue
		case <-p.Hasten:
			if left := time.Until(p.last.Add(hastenPause)); left > 0 {
				hastened = time.After(left)
				continue
			}
		case <-p.Urgent:
		case <-over:
		case <-quiet:
		case <-limit:
		case <-hastened:
		}
		p.last = time.Now()
		return true
	}
}

// patience is how long changes may follow each other before a table is due all the same.
func (p *Pace) patience() time.Duration {
	if time.Since(p.last) < stormTime {
		return stormWait
	}
	return maxWait
}
