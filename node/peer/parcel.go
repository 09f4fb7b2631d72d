package peer

import (
	"sync"
	"time"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// parcels are the values, longer than frame.PartBytes, that are under way at their owner: come in part, or partly collected.
//
//	Deliver part | Deliver part | ... | Set, Delivered    the parts are put together, and the request is run
//	Get -> first part, Parted | Collect part | ...         the answer is kept until its last part has been asked for
//
// Each part is a request of its own, so others' requests get between them, and each has the usual deadline.
type parcels struct {
	maxValueBytes int

	mu   sync.Mutex // guards the rest
	left int        // of the bytes that all may have together
	kept map[ticket]*parcel
}

// A ticket tells a parcel from the others. Both sides of a lane number theirs.
type ticket struct {
	door   *Door
	number uint64
	coming bool // to the owner
}

// A parcel is one value. What was collected of it may still be on its way, so it is never changed: only added to.
type parcel struct {
	value []byte
	bytes int         // taken from what is left
	limit *time.Timer // drops it
}

// parcelPatience is how long a parcel is kept after its last part was asked for or came: the peer is gone then, or has given up. It is some times
// any sensible Deadline, which bounds the time between two parts.
const parcelPatience = 10 * time.Second

func newParcels(maxValueBytes int) *parcels {
	return &parcels{maxValueBytes: maxValueBytes, left: max(parcelsAtOnce*maxValueBytes, minParcelsBytes), kept: make(map[ticket]*parcel)}
}

const (
	// parcelsAtOnce of the largest values may be under way together, or as many smaller ones as need the same memory, but at least minParcelsBytes.
	parcelsAtOnce   = 4
	minParcelsBytes = 256 << 20
)

// deliver adds a part to a value that comes; the first part makes room for all of it.
func (p *parcels) deliver(t ticket, req *protocol.Request) protocol.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.kept[t]
	if one == nil && req.Initial == 0 {
		if req.CAS > uint64(p.maxValueBytes) {
			return protocol.TooLarge
		}
		if one = p.keepLocked(t, int(req.CAS)); one == nil {
			return protocol.PeerOverloaded
		}
		one.value = make([]byte, 0, one.bytes)
	}
	if one == nil || req.Initial != uint64(len(one.value)) || len(req.Value) > one.bytes-len(one.value) {
		p.dropLocked(t)
		return protocol.PeerLost // too late, or it makes no sense
	}
	one.value = append(one.value, req.Value...)
	one.limit.Reset(parcelPatience)
	return protocol.OK
}

// delivered gives the value that has come, whole or not at all. It still counts until drop.
func (p *parcels) delivered(t ticket) (value []byte, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.kept[t]
	if one == nil || len(one.value) < one.bytes {
		return nil, false
	}
	one.limit.Stop()
	return one.value, true
}

// keep keeps a value to be collected; false if there is no room.
func (p *parcels) keep(t ticket, value []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.keepLocked(t, len(value))
	if one == nil {
		return false
	}
	one.value = value
	return true
}

// part gives the part at so many bytes, and whether others follow it. With the last the parcel is gone; what was given stays good.
func (p *parcels) part(t ticket, at uint64) (part []byte, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.kept[t]
	if one == nil {
		return nil, false
	}
	if end := at + frame.PartBytes; end < uint64(len(one.value)) && at < end {
		one.limit.Reset(parcelPatience)
		return one.value[at:end], true
	}
	p.dropLocked(t)
	if at > uint64(len(one.value)) {
		return nil, false
	}
	return one.value[at:], false
}

func (p *parcels) keepLocked(t ticket, bytes int) *parcel {
	if bytes > p.left {
		return nil
	}
	p.dropLocked(t)
	p.left -= bytes
	one := &parcel{bytes: bytes}
	one.limit = time.AfterFunc(parcelPatience, func() { p.drop(t) })
	p.kept[t] = one
	return one
}

// drop forgets a parcel, if it is still there.
func (p *parcels) drop(t ticket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(t)
}

func (p *parcels) dropLocked(t ticket) {
	if one := p.kept[t]; one != nil {
		one.limit.Stop()
		p.left += one.bytes
		delete(p.kept, t)
	}
}
