package node

import (
	"fmt"

	"github.com/memring/memring/node/dump"
	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
)

// operatorConfig is what an operator may ask of this node over the client port.
func (n *Node) operatorConfig() operator.Config {
	source := &dump.Source{Store: n.store, Table: n.router.Table, Holds: n.handover.Holds}
	cfg := operator.Config{
		Version:     n.cfg.Version,
		Stats:       n.statsLines,
		ResetStats:  n.resetStats,
		Members:     n.memberLines,
		Moves:       n.moveLines,
		Owner:       n.ownerLines,
		Verbosity:   n.setVerbosity,
		Nodes:       n.discovery.Append,
		SetLimit:    n.store.SetLimit,
		Crawling:    n.crawler.On,
		SetCrawling: n.crawler.Set,
		Crawl:       n.crawler.All,
		NoDump:      n.cfg.NoDump,
		Dump:        source.All,
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

func (n *Node) debugClock(d operator.Debug) {
	switch {
	case d.Pause, d.Resume:
		n.clock.Pause(d.Pause)
	default:
		n.clock.Advance(d.Advance)
	}
}
