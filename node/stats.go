package node

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/memring/memring/protocol"
)

// statsLines is the answer to "stats" and to its groups.
func (n *Node) statsLines(group string) (lines []protocol.ReportLine, known bool) {
	list := &statsList{}
	switch group {
	case "":
		n.generalStats(list)
	case "settings":
		n.settingsStats(list)
	case "items":
		n.itemsStats(list)
	default:
		return nil, false
	}
	return list.lines, true
}

// A statsList collects STAT lines.
type statsList struct{ lines []protocol.ReportLine }

func (l *statsList) add(name string, value any) {
	l.lines = append(l.lines, protocol.ReportLine{Label: "STAT", Name: name, Value: fmt.Sprint(value)})
}

func (l *statsList) yesNo(name string, yes bool) {
	if yes {
		l.add(name, "yes")
	} else {
		l.add(name, "no")
	}
}

// generalStats are memcached's, as far as they mean something here, then those of the cluster as this node sees it.
func (n *Node) generalStats(list *statsList) {
	now := n.clock.Now()
	list.add("pid", os.Getpid())
	list.add("uptime", int64(time.Since(n.started).Seconds()))
	list.add("time", now)
	list.add("version", n.cfg.Version)
	list.add("pointer_size", strconv.IntSize)
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		list.add("rusage_user", seconds(usage.Utime))
		list.add("rusage_system", seconds(usage.Stime))
	}
	conns, items := n.clients.Stats(), n.store.Stats()
	list.add("max_connections", n.cfg.MaxConns)
	list.add("curr_connections", conns.CurrConns.Load())
	list.add("total_connections", conns.TotalConns.Load())
	list.add("rejected_connections", conns.RefusedConns.Load())
	n.executor.Stats().Each(func(name string, counter *atomic.Uint64) { list.add(name, counter.Load()) })
	list.add("bytes_read", conns.BytesRead.Load())
	list.add("bytes_written", conns.BytesWritten.Load())
	list.add("limit_maxbytes", n.cfg.MaxBytes)
	list.add("accepting_conns", 1)
	list.add("threads", runtime.GOMAXPROCS(0))
	list.add("bytes", items.Bytes)
	list.add("curr_items", items.Items)
	list.add("total_items", items.TotalItems)
	list.add("expired_unfetched", items.ExpiredUnfetched)
	list.add("evicted_unfetched", items.EvictedUnfetched)
	list.add("evicted_active", items.EvictedActive)
	list.add("evictions", items.Evictions)
	list.add("reclaimed", items.Reclaimed)
	n.clusterStats(list)
}

func (n *Node) clusterStats(list *statsList) {
	table, lanes, stats := n.router.Table(), n.lanes.Stats(), n.peers.Stats()
	list.add("cluster_members", len(table.Members()))
	list.add("cluster_print", fmt.Sprintf("%016x", table.Print()))
	list.add("cluster_partitions_owned", table.Owned(table.Index(n.self.ID)))
	list.add("cluster_forwards", stats.Forwards.Load())
	list.add("cluster_forward_writes", stats.Writes.Load())
	list.add("cluster_forward_timeouts", stats.Timeouts.Load())
	list.add("cluster_forward_lost", stats.Lost.Load())
	list.add("cluster_forward_overloaded", stats.Overloaded.Load())
	list.add("cluster_lanes_in", lanes.CurrConns.Load())
}

func (n *Node) settingsStats(list *statsList) {
	list.add("maxbytes", n.cfg.MaxBytes)
	list.add("maxconns", n.cfg.MaxConns)
	list.add("tcpport", n.clientAddr().Port())
	list.add("udpport", 0)
	list.add("inter", n.clientAddr().Addr())
	list.add("evictions", onOff(!n.cfg.NoEvict))
	list.add("domain_socket", orNull(n.cfg.UnixSocket))
	list.add("umask", strconv.FormatUint(uint64(n.cfg.UnixSocketMode), 8))
	list.add("num_threads", runtime.GOMAXPROCS(0))
	list.yesNo("cas_enabled", true)
	list.add("item_size_max", n.cfg.MaxItemBytes)
	list.yesNo("flush_enabled", !n.cfg.NoFlush)
	list.add("client_flags_size", 4)
}

// itemsStats are one class, 1: this store does not sort items by size (storage/DESIGN.md).
func (n *Node) itemsStats(list *statsList) {
	items := n.store.Stats()
	if items.Items == 0 {
		return
	}
	list.add("items:1:number", items.Items)
	list.add("items:1:mem_requested", items.Bytes)
	list.add("items:1:evicted", items.Evictions)
	list.add("items:1:reclaimed", items.Reclaimed)
	list.add("items:1:expired_unfetched", items.ExpiredUnfetched)
	list.add("items:1:evicted_unfetched", items.EvictedUnfetched)
	list.add("items:1:evicted_active", items.EvictedActive)
}

func seconds(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func orNull(s string) string {
	if s == "" {
		return "NULL"
	}
	return s
}

// resetStats is the answer to "stats reset": what is counted starts again, what is there stays.
func (n *Node) resetStats() {
	n.executor.Stats().Reset()
	n.store.ResetStats()
}
