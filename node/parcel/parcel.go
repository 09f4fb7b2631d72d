// Package parcel keeps values, too long for one frame, that are under way between a member and their owner.
//
//	Deliver part | Deliver part | ... | Set, Delivered    the parts are put together, and the request is run
//	Get -> first part, Parted | Collect part | ...         the answer is kept until its last part has been asked for
//
// Each part is a request of its own, so others' requests get between them, and each has the usual deadline.
package parcel

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// A Depot holds the values, longer than frame.PartBytes, that are under way at their owner: come in part, or partly collected.
type Depot struct {
	maxValueBytes int

	refused atomic.Int64

	mu   sync.Mutex // guards the rest
	left int        // of the bytes that all may have together
	kept map[Ticket]*parcel
}

// A Ticket tells a parcel from the others. Both sides of a lane number theirs.
type Ticket struct {
	Lane   uint64 // the lane's number, among those of a Depot
	Number uint64
	Coming bool // to the owner
}

// A parcel is one value. What was collected of it may still be on its way, so it is never changed: only added to.
type parcel struct {
	value []byte      // its lane's alone, so it is made and copied to without the lock
	bytes int         // taken from what is left
	limit *time.Timer // drops it
}

// patience is how long a parcel is kept after its last part was asked for or came: the peer is gone then, or has given up. It is some times
// any sensible Deadline, which bounds the time between two parts.
const patience = 10 * time.Second

// New makes an empty Depot for values up to that length, which has so many bytes for all together, or as many as atOnce of the largest need.
func New(maxValueBytes, bytes int) *Depot {
	return &Depot{maxValueBytes: maxValueBytes, left: max(atOnce*maxValueBytes, bytes), kept: make(map[Ticket]*parcel)}
}

// atOnce of the largest values may be under way together, or as many smaller ones as need the same memory.
const atOnce = 4

// Refused is how many values there was no room for, coming or to be collected, since the start.
func (d *Depot) Refused() int64 { return d.refused.Load() }

// Deliver adds a part to a value that comes; the first part makes room for all of it. A part that makes no sense, one behind its end for example, gives it up.
func (d *Depot) Deliver(t Ticket, req *protocol.Request) protocol.Status {
	one := d.awaited(t)
	if one == nil && req.Initial == 0 {
		if req.CAS > uint64(d.maxValueBytes) {
			return protocol.TooLarge
		}
		if one = d.keep(t, int(req.CAS)); one == nil {
			return protocol.PeerOverloaded
		}
		one.value = make([]byte, 0, one.bytes)
	}
	if one == nil || req.Initial != uint64(len(one.value)) || len(req.Value) > one.bytes-len(one.value) {
		d.Drop(t)
		return protocol.PeerLost // too late, or it makes no sense
	}
	one.value = append(one.value, req.Value...)
	return protocol.OK
}

// Delivered gives the value that has come, whole or not at all. It still counts until Drop.
func (d *Depot) Delivered(t Ticket) (value []byte, whole bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.kept[t]
	if one == nil || len(one.value) < one.bytes {
		return nil, false
	}
	one.limit.Stop()
	return one.value, true
}

// Keep keeps a value to be collected; false if there is no room.
func (d *Depot) Keep(t Ticket, value []byte) bool {
	one := d.keep(t, len(value))
	if one == nil {
		return false
	}
	one.value = value
	return true
}

// Part gives the part at so many bytes, and whether others follow it. With the last the parcel is gone; what was given stays good.
func (d *Depot) Part(t Ticket, at uint64) (part []byte, more bool) {
	one := d.awaited(t)
	if one == nil {
		return nil, false
	}
	if end := at + frame.PartBytes; end < uint64(len(one.value)) && at < end {
		return one.value[at:end], true
	}
	d.Drop(t)
	if at > uint64(len(one.value)) {
		return nil, false
	}
	return one.value[at:], false
}

// Leave forgets all parcels of a lane that has ended.
func (d *Depot) Leave(lane uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for t := range d.kept {
		if t.Lane == lane {
			d.dropLocked(t)
		}
	}
}

// awaited gives a parcel that is there, with its patience from now on.
func (d *Depot) awaited(t Ticket) *parcel {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.kept[t]
	if one != nil {
		one.limit.Reset(patience)
	}
	return one
}

// keep gives a new parcel; nil if there is no room.
func (d *Depot) keep(t Ticket, bytes int) *parcel {
	d.mu.Lock()
	defer d.mu.Unlock()
	if bytes > d.left {
		d.refused.Add(1)
		return nil
	}
	d.dropLocked(t)
	d.left -= bytes
	one := &parcel{bytes: bytes}
	one.limit = time.AfterFunc(patience, func() { d.Drop(t) })
	d.kept[t] = one
	return one
}

// Drop forgets a parcel, if it is still there.
func (d *Depot) Drop(t Ticket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropLocked(t)
}

func (d *Depot) dropLocked(t Ticket) {
	if one := d.kept[t]; one != nil {
		one.limit.Stop()
		d.left += one.bytes
		delete(d.kept, t)
	}
}
