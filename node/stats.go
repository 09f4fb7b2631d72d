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
	"github.com/memring/memring/storage"
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
	case "slabs":
		n.slabsStats(list)
	case "sizes":
		list.add("sizes_status", "disabled")
	case "conns":
		n.connsStats(list)
	case "cluster":
		n.clusterStats(list)
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

// zero adds lines of what memcached counts and does not happen here.
func (l *statsList) zero(names ...string) {
	for _, name := range names {
		l.add(name, 0)
	}
}

// generalStats are memcached's, by the names and in the order it has them; as there, some are there only with what they tell of. Those of the
// cluster are a group of their own: tools count the lines.
func (n *Node) generalStats(list *statsList) {
	items := n.store.Stats()
	list.add("pid", os.Getpid())
	list.add("uptime", int64(time.Since(n.started).Seconds()))
	list.add("time", n.clock.Now())
	list.add("version", n.cfg.Version)
	list.add("libevent", "none")
	list.add("pointer_size", strconv.IntSize)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		n.log.Warn("cannot tell the time used", "err", err) // the lines stay: a scrape fails without them
	}
	list.add("rusage_user", seconds(usage.Utime))
	list.add("rusage_system", seconds(usage.Stime))
	n.connStats(list)
	n.requestStats(list)
	n.serverStats(list, items)
	n.tuningStats(list)
	list.zero("malloc_fails", "log_worker_dropped", "log_worker_written", "log_watcher_skipped", "log_watcher_sent", "log_watchers")
	list.zero("unexpected_napi_ids", "round_robin_fallback")
	n.storeStats(list, items)
}

func (n *Node) connStats(list *statsList) {
	conns := n.clients.Stats()
	list.add("max_connections", n.cfg.MaxConns)
	list.add("curr_connections", conns.CurrConns.Load())
	list.add("total_connections", conns.TotalConns.Load())
	if !n.cfg.PauseAtLimit {
		list.add("rejected_connections", conns.RefusedConns.Load())
	}
	list.add("connection_structures", conns.CurrConns.Load())
	list.zero("response_obj_oom", "response_obj_count", "response_obj_bytes")
	list.zero("read_buf_count", "read_buf_bytes", "read_buf_bytes_free")
	list.add("read_buf_oom", conns.NoMemoryConns.Load())
	list.zero("reserved_fds")
}

// requestStats are the executor's, and among them what the store knows of the misses.
func (n *Node) requestStats(list *statsList) {
	expired := n.store.Stats().GetExpired
	n.executor.Stats().Each(func(name string, counter *atomic.Uint64) {
		switch list.add(name, counter.Load()); name {
		case "cmd_touch":
			list.zero("cmd_meta") // below the session nobody knows which wire a request came on
		case "get_misses":
			list.add("get_expired", expired)
			list.zero("get_flushed") // what is flushed is gone at once, and so a plain miss
		}
	})
	list.zero("auth_cmds", "auth_errors")
}

func (n *Node) serverStats(list *statsList, items storage.Stats) {
	conns := n.clients.Stats()
	if n.cfg.IdleTimeout > 0 {
		list.add("idle_kicks", conns.IdleKicks.Load())
	}
	list.add("bytes_read", conns.BytesRead.Load())
	list.add("bytes_written", conns.BytesWritten.Load())
	list.add("limit_maxbytes", items.Limit)
	accepting := 0
	if conns.Accepting.Load() {
		accepting = 1
	}
	list.add("accepting_conns", accepting)
	list.add("listen_disabled_num", conns.ListenDisabled.Load())
	list.add("time_in_listen_disabled_us", conns.ListenDisabledMicros.Load())
	list.add("threads", runtime.GOMAXPROCS(0))
	list.add("conn_yields", conns.Yields.Load())
}

// tuningStats are of memcached's hash table, slabs and LRU. There is none of them here, but a crawler.
func (n *Node) tuningStats(list *statsList) {
	list.zero("hash_power_level", "hash_bytes", "hash_is_expanding")
	if n.cfg.Tuning.SlabReassign {
		list.zero("slab_reassign_rescues", "slab_reassign_chunk_rescues", "slab_reassign_inline_reclaim")
		list.zero("slab_reassign_busy_items", "slab_reassign_busy_deletes", "slab_reassign_busy_nomem")
		list.add("slab_reassign_last_busy_status", "none")
		list.zero("slab_reassign_running", "slabs_moved")
	}
	if n.crawler.on.Load() {
		running := 0
		if n.crawler.busy.Load() {
			running = 1
		}
		list.add("lru_crawler_running", running)
		list.add("lru_crawler_starts", n.store.CrawlRounds())
	}
	if n.cfg.Tuning.LRUMaintainer {
		list.zero("lru_maintainer_juggles")
	}
}

func (n *Node) storeStats(list *statsList, items storage.Stats) {
	list.add("bytes", items.Bytes)
	list.add("curr_items", items.Items)
	list.add("total_items", items.TotalItems)
	list.zero("slab_global_page_pool")
	list.add("expired_unfetched", items.ExpiredUnfetched)
	list.add("evicted_unfetched", items.EvictedUnfetched)
	if n.cfg.Tuning.LRUMaintainer {
		list.add("evicted_active", items.EvictedActive)
	}
	list.add("evictions", items.Evictions)
	list.add("reclaimed", items.Reclaimed)
	list.add("crawler_reclaimed", items.Crawled)
	list.add("crawler_items_checked", n.crawler.checked.Load())
	list.zero("lrutail_reflocked")
	if n.cfg.Tuning.LRUMaintainer {
		list.zero("moves_to_cold", "moves_to_warm")
		list.add("moves_within_lru", items.Moved)
		list.zero("direct_reclaims", "lru_bumps_dropped")
	}
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

// itemsStats are one class, 1, of all items: this store does not sort them by size, and has no LRU whose ages could be told
// (storage/DESIGN.md).
func (n *Node) itemsStats(list *statsList) {
	items := n.store.Stats()
	if items.Items == 0 {
		return
	}
	list.add("items:1:number", items.Items)
	list.add("items:1:mem_requested", items.Bytes)
	list.add("items:1:evicted", items.Evictions)
	list.add("items:1:outofmemory", n.executor.Stats().NoMemory.Load())
	list.add("items:1:reclaimed", items.Reclaimed)
	list.add("items:1:expired_unfetched", items.ExpiredUnfetched)
	list.add("items:1:evicted_unfetched", items.EvictedUnfetched)
	list.add("items:1:evicted_active", items.EvictedActive)
	list.add("items:1:crawler_reclaimed", items.Crawled)
	list.add("items:1:crawler_items_checked", n.crawler.checked.Load())
}

// slabsStats are the same class. It has neither pages nor chunks, so nothing is said of them.
func (n *Node) slabsStats(list *statsList) {
	items, counted := n.store.Stats(), n.executor.Stats()
	active := 0
	if items.Items > 0 {
		active = 1
		list.add("1:get_hits", counted.GetHits.Load())
		list.add("1:cmd_set", counted.Sets.Load())
		list.add("1:delete_hits", counted.DeleteHits.Load())
		list.add("1:incr_hits", counted.IncrHits.Load())
		list.add("1:decr_hits", counted.DecrHits.Load())
		list.add("1:cas_hits", counted.CasHits.Load())
		list.add("1:cas_badval", counted.CasBadval.Load())
		list.add("1:touch_hits", counted.TouchHits.Load())
	}
	list.add("active_slabs", active)
	list.add("total_malloced", items.Memory)
}

func (n *Node) connsStats(list *statsList) {
	for _, c := range n.clients.Conns() {
		name := strconv.FormatInt(c.ID, 10)
		if c.UDP {
			list.add(name+":UDP", "UDP")
		}
		list.add(name+":addr", c.Addr)
		if c.Listener != "" {
			list.add(name+":listen_addr", c.Listener)
		}
		list.add(name+":state", c.State)
		list.add(name+":secs_since_last_cmd", c.Idle)
	}
}

func seconds(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

// resetStats is the answer to "stats reset": what is counted starts again, what is there stays.
func (n *Node) resetStats() {
	n.executor.Stats().Reset()
	n.executor.Prefixes().Reset()
	n.store.ResetStats()
	n.crawler.checked.Store(0)
}
