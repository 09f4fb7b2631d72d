package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/memring/memring/node/admin"
	"github.com/memring/memring/node/metrics"
	"github.com/memring/memring/node/overview"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol"
)

// statsLines is the answer to "stats" and to its groups.
func (n *Node) statsLines(group string) (lines []protocol.ReportLine, known bool) {
	list := &stats.List{}
	if known = group == "settings"; known {
		n.settings(list)
	} else {
		known = n.figures().Add(list, group)
	}
	if group == "tls" {
		n.trustFigures(list)
	}
	return list.Lines, known
}

func (n *Node) figures() *stats.Sources {
	return &stats.Sources{
		Version:       n.cfg.Version,
		ID:            n.self.ID,
		Started:       n.started,
		MaxConns:      func() int { return n.live.Load().MaxConns },
		Log:           n.log,
		PauseAtLimit:  n.cfg.PauseAtLimit,
		IdleKicks:     func() bool { return n.live.Load().IdleTimeout > 0 },
		SlabReassign:  n.cfg.Tuning.SlabReassign,
		LRUMaintainer: n.cfg.Tuning.LRUMaintainer,
		Users:         n.cfg.Users,
		Certs:         n.cfg.TLS.Certs,
		Clock:         n.clock,
		Store:         n.store,
		Executor:      n.executor,
		Crawler:       n.crawler,
		Answers:       n.answers,
		Clients:       n.clients,
		Lanes:         n.lanes,
		Peers:         n.peers,
		Parcels:       func() int64 { return n.reception.RefusedParcels() },
		Strangers:     n.strangers,
		Handover:      n.handover,
		Replicator:    n.replicator,
		Router:        n.router,
		Sides:         n.sides,
		Snapshots:     n.snapshots,
		Meter:         n.meter,
		Build:         n.cfg.Build,
		Settings:      n.shared,
		State:         n.ownState,
		Ask:           n.askOthers,
	}
}

// adminConfig is what operators are shown over HTTP.
func (n *Node) adminConfig() admin.Config {
	view := overview.New(overview.Config{Cluster: n.cfg.Cluster, Self: n.self.ID, Figures: n.figures(), Members: n.eachMember, Table: n.router.Table})
	return admin.Config{Ready: n.Ready, Metrics: n.collector(), Cluster: func() any { return view.Now() }, PProf: n.cfg.AdminPProf, Log: n.log}
}

// collector gives what a scrape of the admin port asks.
func (n *Node) collector() prometheus.Collector {
	return metrics.New(metrics.Config{
		Figures: n.figures(),
		Settings: func() []protocol.ReportLine {
			lines, _ := n.statsLines("settings")
			return lines
		},
		Members:      n.memberStates,
		Moves:        n.handover.Moves,
		RefusedPeers: n.reception.Refused,
	})
}

// resetStats is the answer to "stats reset": what is counted starts again, what is there stays.
func (n *Node) resetStats() {
	n.executor.ResetStats()
	if n.cfg.Users != nil {
		n.cfg.Users.Stats().Reset()
	}
	n.executor.Prefixes().Reset()
	n.store.ResetStats()
	n.crawler.Stats().Checked.Store(0)
}
