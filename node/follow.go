package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/memring/memring/node/ease"
	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/placement"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/node/suspicion"
	"github.com/memring/memring/node/uses"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// startFollow adopts a new table whenever the members have changed, or the grace of one that is down is over, until the node stops.
func (n *Node) startFollow() {
	ctx, cancel := context.WithCancel(context.Background())
	n.endFollow = cancel
	n.beaten.Store(int64(time.Since(n.started)))
	n.following.Go(func() { n.beat(ctx) })
	n.following.Go(func() { n.dispatch.WatchClocks(ctx) })
	n.following.Go(func() { uses.New(n.usesConfig()).Run(ctx) })
	n.following.Go(func() {
		pace := placement.Pace{Changes: n.members.Changes(), Hasten: n.hasten, Urgent: n.urgent}
		for pace.Next(ctx, n.adopted.Over()) {
			if err := n.adopt(); err != nil {
				n.log.Error("keeping the old table: the members make no new one", "err", err)
			}
		}
	})
}

// adopt builds the table of the members there are and routes by it.
func (n *Node) adopt() error {
	n.lookAround()
	if n.placed.Load() {
		_ = n.pulled() // what the table until now wanted has come, or not: nobody may have asked
	}
	joined := n.members.Joined()
	now, before := n.placement(), n.adopted
	if now.Same(&before) {
		n.adopted.Until = now.Until
		n.placed.Store(joined)
		return nil
	}
	n.adopted = now
	next := &n.adopted
	next.Tell(&before, n.cfg.RebalanceDelay, n.log)
	former := n.router.Table()
	if len(next.Placed) == 0 && former != nil {
		return nil // all are leaving at once: somebody must answer until the end
	}
	if len(next.Here) > 1 {
		n.ease.Begin(n.cfg.Moving)
	}
	table, err := next.Table(n.cfg.Ring, &before, ease.Rest(n.duty, func() bool { return len(n.urgent) > 0 }))
	if err != nil {
		return fmt.Errorf("build table: %w", err)
	}
	ways, more, self := n.waysOf(next, table)
	ids, others := make([]string, 0, len(next.Here)), make([]handover.Member, 0, len(next.Here))
	for _, m := range next.Here {
		if !n.isSelf(m) {
			ids, others = append(ids, m.ID), append(others, handover.Member{ID: m.ID, Boot: m.Boot})
			n.copies.Link(m.ID, m.Peer)
		}
	}
	n.replicator.Adopt(table, self, others) // first: handover may ask it at once whose holders are gone
	n.handover.Adopt(table, self, others)
	n.router.Adopt(table, ways, more...)
	n.placed.Store(joined)
	n.peers.Keep(ids...)
	n.copies.Keep(ids...)
	n.discovery.Follow(next.Here)
	if former == nil || former.Print() != table.Print() {
		n.log.Info("table adopted", "members", len(ways), "print", fmt.Sprintf("%016x", table.Print()))
	}
	return nil
}

// moves reports whether items are on their way to this node or from it.
func (n *Node) moves() bool {
	copies := n.replicator.Count()
	return copies.Kept > copies.Whole || copies.Fed > copies.Full || len(n.handover.Moves()) > 0
}

// placement tells whose places there are.
func (n *Node) placement() placement.Placement {
	here, lost := n.everybody()
	return placement.Of(here, lost, n.cfg.RebalanceDelay, time.Now())
}

// everybody gives who is here, and who went without a word. Whom gossip still believes in, and is known to be gone, has just been lost. The run of an id of which a later one has left in order
// is not here until it shows that it is.
func (n *Node) everybody() (here []membership.Member, lost []membership.Lost) {
	alive, lost := n.members.Everybody()
	here = alive[:0]
	for _, m := range alive {
		_, missed := n.members.Believes(m)
		switch {
		case !missed && !n.isSelf(m) && n.suspicion.Doubts(m):
		case !n.suspicion.Down(m):
			here = append(here, m)
		case missed:
			lost = append(lost, membership.Lost{Member: m, Since: time.Now()})
		}
	}
	return here, lost
}

// waysOf gives the ways to the members of a table, where nil is this node and who is down cannot be reached; those to all others who are here; and this
// node's place, -1 for none.
func (n *Node) waysOf(p *placement.Placement, table *ring.Table) (ways, more []router.Send, self int) {
	self = -1
	for i, placed := range table.Members() {
		switch m := p.ByID(placed.ID); {
		case m == nil:
			ways = append(ways, unreachable)
		case n.isSelf(*m):
			ways, self = append(ways, nil), i
		default: // of two processes started with one id the later holds the partitions, and the earlier sends it its clients' requests
			ways = append(ways, n.peers.Link(m.ID, m.Peer).Send)
		}
	}
	for _, m := range p.Here {
		if !n.isSelf(m) && table.Index(m.ID) < 0 {
			more = append(more, n.peers.Link(m.ID, m.Peer).Send)
		}
	}
	return ways, more, self
}

// unreachable is the way to a member that is down: nothing waits for it.
func unreachable(*protocol.Request) *protocol.Pending { return protocol.Answered(protocol.PeerLost) }

// isSelf tells this process from another of its id.
func (n *Node) isSelf(m membership.Member) bool { return m.ID == n.self.ID && m.Boot == n.self.Boot }

// openHandover makes what holds the partitions. Its members are reached once there are links.
func (n *Node) openHandover() {
	n.handover = handover.New(handover.Config{
		Self:     handover.Member{ID: n.cfg.ID, Boot: uint64(n.started.UnixNano())},
		Store:    n.store,
		Next:     n.replicator,
		Send:     n.copyTo,
		Await:    n.errands.Await,
		After:    n.errands.After,
		Go:       n.errands.Go,
		Missed:   n.missed,
		Hasten:   note(n.hasten),
		Mourning: n.mourning,
		Mourn:    func(span time.Duration) { n.mourn(min(span, healTime)) },
		Copies: handover.Copies{
			Take: n.replicator.Take, Yield: n.replicator.Yield, Spoil: n.replicator.Spoil, Copied: n.replicator.Copied, Clean: n.replicator.Clean,
			Receive: n.replicator.Receive, Feed: n.replicator.Feed, Keeps: n.replicator.Keeps, Release: n.replicator.Release,
			Part: n.replicator.Part, Settle: n.replicator.Settle, Stalled: n.replicator.Stalled,
		},
		Duty:     n.duty,
		Rate:     n.handoverRate,
		Leaving:  n.leavesIn,
		Patience: n.peerDeadline,
		Log:      n.log,
	})
}

// missed reports whether a member went without a word, and its process is not known to be gone.
func (n *Node) missed(run handover.Member) bool {
	_, lost := n.members.Everybody()
	return slices.ContainsFunc(lost, func(l membership.Lost) bool {
		return l.ID == run.ID && l.Boot == run.Boot && l.State == membership.Active && !n.gone(l.Member)
	})
}

// leavesIn is how long this node will be here still, if it drains; else 0.
func (n *Node) leavesIn() time.Duration {
	if until := n.drainEnd.Load(); until != 0 {
		return max(time.Until(time.Unix(0, until)), time.Millisecond)
	}
	return 0
}

// openSuspicion makes what finds out at once that a process is gone.
func (n *Node) openSuspicion() {
	n.suspicion = suspicion.New(suspicion.Config{
		Self:     n.self,
		Members:  n.members.Members,
		Believes: func(m membership.Member) bool { alive, _ := n.members.Believes(m); return alive },
		Send: func(m membership.Member, req *protocol.Request) *protocol.Pending {
			return n.copies.Link(m.ID, m.Peer).Send(req)
		},
		Changed: note(n.urgent),
		Log:     n.log,
	})
}

// note gives what leaves a note in a channel that holds one, unless there is one already.
func note(notes chan<- struct{}) func() {
	return func() {
		select {
		case notes <- struct{}{}:
		default:
		}
	}
}

// wayTo gives the forward lanes to a member; nil if there is no such other one.
func (n *Node) wayTo(id string) router.Send {
	if m, found := n.other(id); found {
		return n.peers.Link(m.ID, m.Peer).Send
	}
	return nil
}

// askOthers asks at once all who are in the table or here, and waits for the answers, which are to be released.
func (n *Node) askOthers(req *protocol.Request) (ids []string, answers []*protocol.Pending) {
	now, table := n.placement(), n.router.Table()
	for _, m := range table.Members() {
		if now.Down(m.ID) {
			ids, answers = append(ids, m.ID), append(answers, protocol.Answered(protocol.PeerLost))
		}
	}
	for _, m := range now.Here {
		if !n.isSelf(m) {
			ids, answers = append(ids, m.ID), append(answers, n.peers.Link(m.ID, m.Peer).Send(req))
		}
	}
	for _, pending := range answers {
		pending.Flush()
	}
	for _, pending := range answers {
		pending.Wait()
	}
	return ids, answers
}

// copyTo sends a request on the copy lanes to a member, or to one that was lost a moment ago.
func (n *Node) copyTo(id string, req *protocol.Request) *protocol.Pending {
	if link := n.copies.Known(id); link != nil {
		return link.Send(req)
	}
	if m, found := n.other(id); found {
		return n.copies.Link(m.ID, m.Peer).Send(req)
	}
	_, lost := n.members.Everybody()
	for _, m := range lost { // perhaps it is only taken for dead
		if m.ID == id {
			return n.copies.Link(m.ID, m.Peer).Send(req)
		}
	}
	return protocol.Answered(protocol.PeerLost)
}

// other gives another member by its id.
func (n *Node) other(id string) (membership.Member, bool) {
	for _, m := range n.members.Members() {
		if m.ID == id {
			return m, !n.isSelf(m)
		}
	}
	return membership.Member{}, false
}

// Settled reports whether nothing is being handed over to or from this node.
func (n *Node) Settled() bool {
	count := n.handover.Count()
	return count.Wanted+count.Arriving+count.Given == 0 && count.Held == n.owned()
}

// owned counts the partitions that the table of now gives to this node.
func (n *Node) owned() int {
	table := n.router.Table()
	if at := table.Index(n.self.ID); at >= 0 {
		return table.Owned(at)
	}
	return 0
}

const (
	// drainLook is how often a node that drains looks whether it is done.
	drainLook = 20 * time.Millisecond
	// drainTell is how often it tells whoever waits for its end how much is left.
	drainTell = time.Second
)

// drain hands all partitions over to the others, as long as ctx and DrainTimeout allow. Without another active member there is nobody to take them.
func (n *Node) drain(ctx context.Context) {
	began, told, limit := time.Now(), time.Time{}, n.live.Load().DrainTimeout
	n.drainEnd.Store(began.Add(limit).UnixNano())
	over := time.NewTimer(limit)
	defer over.Stop()
	n.following.Go(func() { // it waits until gossip has told it on; the first who have heard begin to take
		if err := n.members.SetState(membership.Draining); err != nil {
			n.log.Info("perhaps not all members heard yet that this one drains", "err", err)
		}
	})
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		n.snapshots.Meet()
		left := n.handover.Count()
		switch {
		case n.handover.Empty() && n.replicator.Idle():
			n.log.Info("drained", "took", time.Since(began).Round(time.Millisecond))
			return
		case !n.othersActive() && n.snapshots.On() && left.Arriving+left.Given > 0: // all stop at once: what is on its way arrives before it is written down
		case !n.othersActive() && n.snapshots.On():
			return
		case !n.othersActive():
			n.log.Warn("no other active member takes what is here: it is lost", "partitions", left.Left())
			return
		case time.Since(told) >= drainTell:
			told = time.Now()
			n.log.Info("draining: handing partitions over, see --drain-timeout", "left", left.Left(), "not_asked_for", left.Held, "on_their_way", left.Given,
				"items_sent", n.handover.Stats().ItemsOut.Load(), "at_most", (limit - time.Since(began)).Round(time.Second))
		}
		select {
		case <-look.C:
		case <-over.C:
			n.log.Warn("leaving before all was handed over: the rest is lost (see --drain-timeout)", "partitions_left", left.Left(), "of_them_on_their_way", left.Given)
			return
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) othersActive() bool {
	for _, m := range n.members.Members() {
		if m.State == membership.Active && m.ID != n.self.ID {
			return true
		}
	}
	return false
}
