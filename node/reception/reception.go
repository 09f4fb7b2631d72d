// Package reception receives other members' lanes.
//
//	Hello -> Reception.admit -> the handler of that kind of lane, or a refusal
//	Deliver, Collect -> parcel.Depot; a Delivered request is put together, an answer too long for a frame is cut
package reception

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/parcel"
	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// Config says who receives, and within which bounds. Zero fields take their defaults.
type Config struct {
	// Self is this member, as others must address it.
	Self peer.Self

	// MaxValueBytes is the longest value that comes from or goes to a peer. Default 1 GiB.
	MaxValueBytes int

	// ParcelBytes is what all values together may take here that come or go in parts, or as much as four of the longest need.
	ParcelBytes int64

	Log *slog.Logger
}

// A Reception receives other members' lanes: it lets in who has said a proper Hello, to the handler of that kind of lane.
type Reception struct {
	self    peer.Self
	log     *slog.Logger
	handler map[frame.Lane]protocol.Handler
	depot   *parcel.Depot
	doors   atomic.Uint64 // given: their numbers

	began   time.Time
	logged  atomic.Int64 // when a refusal was last logged, since began; 0 never
	refused atomic.Int64 // since the start
}

// logEvery is how often a refusal is logged at most: a member that is set up wrongly knocks again and again, and whoever reaches the port can.
const logEvery = 10 * time.Second

// New makes the Reception of cfg.Self. forward answers requests for this member's own items, copies keeps copies of others';
// a nil one refuses its lanes.
func New(cfg Config, forward, copies protocol.Handler) *Reception {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Reception{
		self: cfg.Self, log: cfg.Log, began: time.Now(),
		handler: map[frame.Lane]protocol.Handler{frame.Forward: forward, frame.Copy: copies},
		depot:   parcel.New(cmp.Or(cfg.MaxValueBytes, 1<<30), int(cfg.ParcelBytes)),
	}
}

// RefusedParcels is the number of values too long for a frame that there was no room for since the start.
func (r *Reception) RefusedParcels() int64 { return r.depot.Refused() }

// Door gives the door of one new lane: of a peer that must prove who it is, or nil.
func (r *Reception) Door(with *identity.Peer) *Door {
	return &Door{reception: r, with: with, lane: r.doors.Add(1)}
}

// Refused is the number of peers refused since the start.
func (r *Reception) Refused() int64 { return r.refused.Load() }

// A Door lets requests through once a Hello has opened it, and puts together what comes in parts. One session at a time uses it.
type Door struct {
	// BeforeWait, when set, is called before a wait for an answer that comes later.
	BeforeWait func()

	reception *Reception
	with      *identity.Peer   // nil: nobody proves anything
	lane      uint64           // its number among the lanes
	next      protocol.Handler // nil: closed
	sender    string           // who opened it
	parcels   uint64           // how many values were kept to be collected: their numbers
	whole     protocol.Request // one that was put together
}

// Handle implements protocol.Handler.
func (d *Door) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if d.next != nil && d.with != nil && !d.with.Holds() {
		d.next = nil // for good: a new lane is made with what holds now
		d.reception.Refuse(d.sender, errOutdated)
	}
	if d.next != nil && req.Op != protocol.Hello {
		return d.pass(req, resp)
	}
	if d.next != nil || req.Op != protocol.Hello {
		resp.Fail("a lane begins with one hello")
		return nil
	}
	var hello frame.Hello
	if err := d.reception.admit(req.Value, &hello, d.with); err != nil {
		d.reception.Refuse(hello.Sender, err)
		resp.Fail(err.Error())
		return nil
	}
	d.next, d.sender, resp.Status = d.reception.handler[hello.Lane], hello.Sender, protocol.OK
	return nil
}

// Close ends its lane: what is kept of it is wanted by nobody any more.
func (d *Door) Close() { d.reception.depot.Leave(d.lane) }

// pass hands a request through the open door.
func (d *Door) pass(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch {
	case req.Op == protocol.Deliver:
		resp.Status = d.reception.depot.Deliver(parcel.Ticket{Lane: d.lane, Number: req.Delta, Coming: true}, req)
		return nil
	case req.Op == protocol.Collect:
		part, more := d.reception.depot.Part(parcel.Ticket{Lane: d.lane, Number: req.Delta}, req.Initial)
		if resp.Status, resp.Value, resp.Number = protocol.OK, part, req.Delta; more {
			resp.Marks = protocol.Parted
		}
		return nil
	case req.Options.Has(protocol.Delivered):
		return d.passDelivered(req, resp)
	}
	pending := d.next.Handle(req, resp)
	d.Cut(resp)
	return pending
}

// passDelivered runs a request whose value has come before it.
func (d *Door) passDelivered(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	t := parcel.Ticket{Lane: d.lane, Number: req.Delta, Coming: true}
	defer d.reception.depot.Drop(t)
	value, whole := d.reception.depot.Delivered(t)
	if !whole {
		resp.Status = protocol.PeerLost
		return nil
	}
	d.whole = *req
	d.whole.Value, d.whole.Options, d.whole.Delta = value, req.Options&^protocol.Delivered, 0
	defer func() { d.whole = protocol.Request{} }()
	pending := d.next.Handle(&d.whole, resp)
	if pending != nil {
		if d.BeforeWait != nil {
			d.BeforeWait()
		}
		pending = pending.Resolve(&d.whole) // here, since the value is kept no longer; the lane would wait for it in any case
		d.Cut(&pending.Response)
	}
	d.Cut(resp)
	return pending
}

// Cut leaves of a long value its first part, and keeps the rest to be collected. It is for every answer that is sent; those at once are cut already.
func (d *Door) Cut(resp *protocol.Response) {
	if len(resp.Value) <= frame.PartBytes || uint64(resp.Size) != uint64(len(resp.Value)) {
		return
	}
	if d.parcels++; !d.reception.depot.Keep(parcel.Ticket{Lane: d.lane, Number: d.parcels}, resp.Value) {
		resp.Reset()
		resp.Status = protocol.PeerOverloaded
		return
	}
	resp.Value, resp.Scratch = resp.Value[:frame.PartBytes], nil // the value lies there, and stays
	resp.Marks, resp.Number = resp.Marks|protocol.Parted, d.parcels
}

// admit reads the Hello that a lane begins with, and says what is wrong with it.
func (r *Reception) admit(value []byte, h *frame.Hello, with *identity.Peer) error {
	if err := frame.ParseHello(value, h); err != nil {
		return err
	}
	if err := r.check(h); err != nil || with == nil {
		return err
	}
	return with.Is(h.Sender)
}

// Refuse counts a peer that is refused, by the name it has given or its address, and logs it if that has not been done lately.
func (r *Reception) Refuse(who string, why error) {
	n := r.refused.Add(1)
	now := int64(time.Since(r.began)) + 1
	if last := r.logged.Load(); (last == 0 || now-last >= int64(logEvery)) && r.logged.CompareAndSwap(last, now) {
		r.log.Warn("peer refused", "peer", who, "err", why, "refused", n)
	}
}

var errOutdated = errors.New("the key or the authority that it was let in by is accepted no more")

func (r *Reception) check(h *frame.Hello) error {
	switch {
	case h.Version != frame.Version:
		return fmt.Errorf("version %d of the frames is spoken here, not %d: run builds that are not as far apart", frame.Version, h.Version)
	case h.Cluster != r.self.Cluster:
		return fmt.Errorf("this is cluster %q, not %q", r.self.Cluster, h.Cluster)
	case h.Print != r.self.Print:
		return fmt.Errorf("the ring's parameters differ: print %x here, %x there", r.self.Print, h.Print)
	case h.Receiver != r.self.ID:
		return fmt.Errorf("this is member %q, not %q", r.self.ID, h.Receiver)
	case h.Sender == r.self.ID && h.Boot == r.self.Boot:
		return fmt.Errorf("member %q is this one", h.Sender)
	case r.handler[h.Lane] == nil:
		return fmt.Errorf("no %s lanes are taken here", h.Lane)
	}
	return nil
}
