package node

import (
	"context"
	"fmt"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/ring"
)

const (
	// quietTime is how long the members must stay the same before a table is built, so that many joins at once make one table.
	quietTime = 150 * time.Millisecond
	// maxWait bounds that: requests must be right within a second of a join.
	maxWait = 500 * time.Millisecond
	// lateTime is when everybody routes by the new table: what was sent by an older one has arrived.
	lateTime = 1500 * time.Millisecond
)

// startFollow adopts a new table whenever the members have changed, until the node stops.
func (n *Node) startFollow() {
	ctx, cancel := context.WithCancel(context.Background())
	n.endFollow = cancel
	n.following.Go(func() { n.dropWhenAdopted(ctx) })
	n.following.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.members.Changes():
			}
			if !n.waitQuiet(ctx) {
				return
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
		case <-limit.C:
			quiet.Stop()
			return true
		}
	}
}

// adopt builds the table of the members there are and routes by it.
func (n *Node) adopt() error {
	members := n.members.Members()
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
	ways, ids := make([]router.Send, 0, len(placed)), make([]string, 0, len(placed))
	for _, m := range table.Members() {
		// Of two processes started with one id the later holds the partitions, and the earlier sends it its clients' requests.
		if m.ID == n.self.ID && byID[m.ID].Boot == n.self.Boot {
			ways = append(ways, nil)
			continue
		}
		ways, ids = append(ways, n.peers.Link(m.ID, byID[m.ID].Peer).Send), append(ids, m.ID)
	}
	before := n.router.Table()
	n.router.Adopt(table, ways)
	n.peers.Keep(ids...)
	n.discovery.Follow(members)
	select {
	case n.adopted <- struct{}{}:
	default: // it is told already
	}
	if before == nil || before.Print() != table.Print() {
		n.log.Info("table adopted", "members", len(ways), "print", fmt.Sprintf("%016x", table.Print()))
	}
	return nil
}

// dropWhenAdopted drops what others own whenever a table is adopted, and once more when nobody sends by the former one any longer. It has a goroutine
// of its own: in a large store it takes seconds, and the next table must not wait for it.
func (n *Node) dropWhenAdopted(ctx context.Context) {
	again := time.NewTimer(lateTime)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.adopted:
			again.Reset(lateTime)
		case <-again.C:
		}
		n.dropForeign()
	}
}

// dropForeign drops the items whose partitions others own now. They would be found again, out of date, if the partitions ever came back
// (CLUSTER.md 4.3: never old).
func (n *Node) dropForeign() {
	table := n.router.Table()
	if len(table.Members()) == 1 && n.router.Owns(0) {
		return
	}
	partitions := uint64(table.Partitions())
	if dropped := n.store.Drop(func(hash uint64) bool { return !n.router.Owns(uint32(hash % partitions)) }); dropped > 0 {
		n.log.Info("dropped items that others own now", "items", dropped)
	}
}
