package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

const (
	// quietTime is how long the members must stay the same before a table is built, so that many joins at once make one table.
	quietTime = 150 * time.Millisecond
	// maxWait bounds that: requests must be right within a second of a join.
	maxWait = 500 * time.Millisecond
)

// startFollow adopts a new table whenever the members have changed, until the node stops.
func (n *Node) startFollow() {
	ctx, cancel := context.WithCancel(context.Background())
	n.endFollow = cancel
	n.beaten.Store(int64(time.Since(n.started)))
	n.following.Go(func() { n.beat(ctx) })
	n.following.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.members.Changes():
				if !n.waitQuiet(ctx) {
					return
				}
			case <-n.hasten:
			}
			if err := n.adopt(); err != nil {
				n.log.Error("keeping the old table: the members make no new one", "err", err)
			}
		}
	})
}

// waitQuiet returns when the members have been the same for quietTime, or after maxWait; false when ctx is done.
func (n *Node) waitQuiet(ctx context.Context) bool {
	limit := time.NewTimer(maxWait)
	defer limit.Stop()
	for {
		quiet := time.NewTimer(quietTime)
		select {
		case <-ctx.Done():
			quiet.Stop()
			return false
		case <-n.members.Changes():
			quiet.Stop()
		case <-quiet.C:
			return true
		case <-n.hasten:
			quiet.Stop()
			return true
		case <-limit.C:
			quiet.Stop()
			return true
		}
	}
}

// adopt builds the table of the members there are and routes by it.
func (n *Node) adopt() error {
	members := n.members.Members()
	if slices.Equal(members, n.adopted) {
		return nil
	}
	n.adopted = members
	byID := make(map[string]membership.Member, len(members))
	placed := make([]ring.Member, 0, len(members))
	for _, m := range members {
		byID[m.ID] = m
		if m.State == membership.Active {
			placed = append(placed, m.Member)
		}
	}
	if len(placed) == 0 && n.router.Table() != nil {
		return nil // all are leaving at once: somebody must answer until the end
	}
	table, err := ring.Build(placed, n.cfg.Ring)
	if err != nil {
		return fmt.Errorf("build table: %w", err)
	}
	ways, self := make([]router.Send, 0, len(placed)), -1
	for i, m := range table.Members() {
		// Of two processes started with one id the later holds the partitions, and the earlier sends it its clients' requests.
		if m.ID == n.self.ID && byID[m.ID].Boot == n.self.Boot {
			ways, self = append(ways, nil), i
			continue
		}
		ways = append(ways, n.peers.Link(m.ID, byID[m.ID].Peer).Send)
	}
	ids, others := make([]string, 0, len(members)), make([]handover.Member, 0, len(members))
	var more []router.Send
	for _, m := range members {
		if m.ID == n.self.ID && m.Boot == n.self.Boot {
			continue
		}
		ids, others = append(ids, m.ID), append(others, handover.Member{ID: m.ID, Boot: m.Boot})
		if table.Index(m.ID) < 0 {
			more = append(more, n.peers.Link(m.ID, m.Peer).Send)
		}
	}
	before := n.router.Table()
	n.handover.Adopt(table, self, others)
	n.router.Adopt(table, ways, more...)
	n.peers.Keep(ids...)
	n.copies.Keep(ids...)
	n.discovery.Follow(members)
	if before == nil || before.Print() != table.Print() {
		n.log.Info("table adopted", "members", len(ways), "print", fmt.Sprintf("%016x", table.Print()))
	}
	return nil
}

// openHandover makes what holds the partitions. Its members are reached once there are links.
func (n *Node) openHandover() {
	n.handover = handover.New(handover.Config{
		Self:     handover.Member{ID: n.cfg.ID, Boot: uint64(n.started.UnixNano())},
		Store:    n.store,
		Next:     n.executor,
		Send:     n.copyTo,
		Await:    n.errands.Await,
		After:    n.errands.After,
		Go:       n.errands.Go,
		Hasten:   n.adoptSoon,
		Rate:     n.cfg.HandoverRate,
		Patience: n.cfg.PeerDeadline,
		Log:      n.log,
	}, n.cfg.Ring.Partitions)
}

// adoptSoon has a table adopted without waiting for quiet.
func (n *Node) adoptSoon() {
	select {
	case n.hasten <- struct{}{}:
	default:
	}
}

// wayTo gives the forward lanes to a member; nil if there is no such other one.
func (n *Node) wayTo(id string) router.Send {
	if m, found := n.other(id); found {
		return n.peers.Link(m.ID, m.Peer).Send
	}
	return nil
}

// copyTo sends a request on the copy lanes to a member.
func (n *Node) copyTo(id string, req *protocol.Request) *protocol.Pending {
	if m, found := n.other(id); found {
		return n.copies.Link(m.ID, m.Peer).Send(req)
	}
	return protocol.Answered(protocol.PeerLost)
}

// other gives another member by its id.
func (n *Node) other(id string) (membership.Member, bool) {
	for _, m := range n.members.Members() {
		if m.ID == id {
			return m, m.ID != n.self.ID || m.Boot != n.self.Boot
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
	began, told := time.Now(), time.Time{}
	limit := time.NewTimer(n.cfg.DrainTimeout)
	defer limit.Stop()
	if err := n.members.SetState(membership.Draining); err != nil {
		n.log.Warn("not all members heard that this one drains", "err", err)
	}
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		left := n.handover.Count()
		switch {
		case n.handover.Empty():
			n.log.Info("drained", "took", time.Since(began).Round(time.Millisecond))
			return
		case !n.othersActive():
			n.log.Warn("no other active member takes what is here: it is lost", "partitions", left.Left())
			return
		case time.Since(told) >= drainTell:
			told = time.Now()
			n.log.Info("draining: handing partitions over, see --drain-timeout", "left", left.Left(), "not_asked_for", left.Held, "on_their_way", left.Given,
				"items_sent", n.handover.Stats().ItemsOut.Load(), "at_most", (n.cfg.DrainTimeout - time.Since(began)).Round(time.Second))
		}
		select {
		case <-look.C:
		case <-limit.C:
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
