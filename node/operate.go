package node

import (
	"errors"
	"fmt"

	"github.com/memring/memring/node/dispatch"
	"github.com/memring/memring/node/dump"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
)

// operatorConfig is what an operator may ask of this node over the client port.
func (n *Node) operatorConfig() operator.Config {
	source := &dump.Source{Store: n.store, Holds: n.handover.Holds, Held: n.handover.Held, Short: n.handover.Short}
	cfg := operator.Config{
		Version:     n.cfg.Version,
		Stats:       n.statsLines,
		ResetStats:  n.resetStats,
		Verbosity:   n.setVerbosity,
		Cluster:     n.dispatch,
		Nodes:       n.discovery.Append,
		SetLimit:    n.store.SetLimit,
		Crawling:    n.crawler.On,
		SetCrawling: n.crawler.Set,
		Crawl:       n.crawler.All,
		NoDump:      n.cfg.NoDump,
		Dump:        source.All,
		Export:      source.Export,
		Some:        source.Some,
		NoWatch:     n.cfg.NoWatch,
		Watch:       n.executor.Watch().Watch,
		SetDetail:   n.executor.Prefixes().Set,
		Detail:      func() []protocol.ReportLine { return n.figures().Prefixes() },
	}
	cfg.RefreshCerts = n.cfg.TLS.Refresh
	if n.cfg.EnableShutdown {
		cfg.Shutdown = n.askShutdown
	}
	if n.cfg.Debug {
		cfg.Debug = n.debugClock
	}
	return cfg
}

// tell tells who watches what has happened on this node.
func (n *Node) tell(kind watch.Kinds, event fmt.Stringer) {
	if board := n.executor.Watch(); board.Wanted(kind) {
		board.Post(kind, n.clock.Milli(), event.String())
	}
}

// askShutdown tells whoever runs this node that a client wants its end.
func (n *Node) askShutdown(graceful bool) {
	select {
	case n.shutdowns <- graceful:
	default: // it has been told
	}
}

// Shutdowns gives what a client asks for by "shutdown" (false) and "shutdown graceful" (true). It comes once; the caller is to stop the node.
func (n *Node) Shutdowns() <-chan bool { return n.shutdowns }

// openDispatch makes what tells operators of the cluster, and drains this node for them.
func (n *Node) openDispatch() {
	cfg := dispatch.Config{
		Self:      membership.Member{Member: ring.Member{ID: n.cfg.ID}, Boot: uint64(n.started.UnixNano())},
		Cluster:   n.cfg.Cluster,
		Placement: n.placement,
		Lost:      func() []membership.Lost { _, lost := n.everybody(); return lost },
		Members:   n.eachMember,
		Table:     n.router.Table,
		Send: func(m membership.Member, req *protocol.Request) *protocol.Pending {
			return n.peers.Link(m.ID, m.Peer).Send(req)
		},
		Ask:        n.copyTo,
		Leaving:    n.leaving.Load,
		Figures:    func() []protocol.ReportLine { return n.figures().Own() },
		Now:        n.clock.Now,
		Milli:      n.clock.Milli,
		Store:      n.store,
		Handover:   n.handover,
		Replicator: n.replicator,
		Forget:     func(id string, boot uint64) (uint64, bool) { return n.members.Forget(id, boot) },
		Log:        n.log,
	}
	if n.cfg.EnableShutdown {
		cfg.Drain = n.askDrain
	}
	n.dispatch = dispatch.New(cfg)
}

// askDrain has this node hand over all it has and leave, or says why that would lose items.
func (n *Node) askDrain() error {
	if n.live.Load().DrainTimeout == 0 {
		return errors.New("started with --drain-timeout 0, it would leave without handing anything over")
	}
	n.log.Info("a client says cluster drain")
	n.askShutdown(true)
	return nil
}

func (n *Node) debugClock(d operator.Debug) {
	switch {
	case d.Pause, d.Resume:
		n.clock.Pause(d.Pause)
	default:
		n.clock.Advance(d.Advance)
	}
}
