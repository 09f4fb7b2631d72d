package node

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strconv"

	"github.com/memring/memring/node/stats"
)

// settings is the answer to "stats settings": what was set, by memcached's names and in its order. Some of it has no effect here
// (Tuning), and is told as it was given.
func (n *Node) settings(list *stats.List) {
	cfg := &n.cfg
	list.Add("maxbytes", n.store.Stats().Limit)
	list.Add("maxconns", n.live.Load().MaxConns)
	list.Add("tcpport", n.clientAddr().Port())
	list.Add("udpport", n.datagramPort())
	list.Add("inter", n.clientAddr().Addr())
	list.Add("verbosity", n.verbosity())
	list.Add("oldest", 0)
	list.Add("evictions", either(!cfg.NoEvict, "on", "off"))
	list.Add("domain_socket", either(cfg.UnixSocket != "", cfg.UnixSocket, "NULL"))
	list.Add("umask", strconv.FormatUint(uint64(cfg.UnixSocketMode), 8))
	yesNo(list, "shutdown_command", cfg.EnableShutdown)
	list.Add("growth_factor", decimal(cfg.Tuning.GrowthFactor))
	list.Add("chunk_size", cfg.Tuning.ChunkBytes)
	list.Add("num_threads", runtime.GOMAXPROCS(0))
	list.Add("num_threads_per_udp", runtime.GOMAXPROCS(0))
	list.Add("stat_key_prefix", string(rune(cfg.Delimiter)))
	yesNo(list, "detail_enabled", n.executor.Prefixes().On())
	list.Add("reqs_per_event", cfg.MaxBatch)
	yesNo(list, "cas_enabled", !cfg.NoCAS)
	list.Add("tcp_backlog", cfg.Backlog)
	list.Add("binding_protocol", cfg.Wire)
	yesNo(list, "auth_enabled_sasl", cfg.SASL)
	list.Add("auth_enabled_ascii", either(cfg.AuthFile != "", cfg.AuthFile, "no"))
	list.Add("item_size_max", cfg.MaxItemBytes)
	yesNo(list, "maxconns_fast", !cfg.PauseAtLimit)
	n.tuningSettings(list)
	yesNo(list, "inline_ascii_response", false)
	n.tlsSettings(list)
	list.Add("num_napi_ids", cfg.Tuning.NAPIIDs)
	list.Add("memory_file", either(cfg.Tuning.MemoryFile != "", cfg.Tuning.MemoryFile, "(null)"))
	list.Add("client_flags_size", 4)
}

// tuningSettings are those of the hash table, the slabs and the LRU, and what memcached tells among them.
func (n *Node) tuningSettings(list *stats.List) {
	cfg, tuning := &n.cfg, &n.cfg.Tuning
	list.Add("hashpower_init", tuning.HashPower)
	yesNo(list, "slab_reassign", tuning.SlabReassign)
	list.Add("slab_automove", tuning.SlabAutomove)
	list.Add("slab_automove_ratio", decimal(tuning.SlabAutomoveRatio))
	list.Add("slab_automove_window", tuning.SlabAutomoveSeconds)
	list.Add("slab_chunk_max", tuning.SlabChunkMaxBytes)
	yesNo(list, "lru_crawler", n.crawler.On())
	list.Add("lru_crawler_sleep", tuning.LRUCrawlerSleep)
	list.Add("lru_crawler_tocrawl", tuning.LRUCrawlerToCrawl)
	list.Add("tail_repair_time", tuning.TailRepairSeconds)
	yesNo(list, "flush_enabled", !cfg.NoFlush)
	yesNo(list, "dump_enabled", !cfg.NoDump)
	list.Add("hash_algorithm", tuning.HashAlgorithm)
	yesNo(list, "lru_maintainer_thread", tuning.LRUMaintainer)
	yesNo(list, "lru_segmented", tuning.LRUSegmented)
	list.Add("hot_lru_pct", tuning.HotPercent)
	list.Add("warm_lru_pct", tuning.WarmPercent)
	list.Add("hot_max_factor", decimal(tuning.HotMaxFactor))
	list.Add("warm_max_factor", decimal(tuning.WarmMaxFactor))
	yesNo(list, "temp_lru", tuning.TempLRU)
	list.Add("temporary_ttl", tuning.TemporaryTTL)
	list.Add("idle_timeout", int(n.live.Load().IdleTimeout.Seconds()))
	list.Add("watcher_logbuf_size", tuning.WatcherBufferBytes)
	list.Add("worker_logbuf_size", tuning.WorkerBufferBytes)
	list.Add("read_buf_mem_limit", cfg.MaxBufferBytes)
	yesNo(list, "track_sizes", tuning.TrackSizes)
}

func yesNo(list *stats.List, name string, yes bool) { list.Add(name, either(yes, "yes", "no")) }

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func decimal(f float64) string { return fmt.Sprintf("%.2f", f) }

// datagramPort is that of the first UDP address; 0 without one.
func (n *Node) datagramPort() uint16 {
	if len(n.datagrams) == 0 {
		return 0
	}
	return netip.MustParseAddrPort(n.datagrams[0]).Port()
}

// verbosity is memcached's number for what the log tells.
func (n *Node) verbosity() int {
	if n.cfg.Level != nil && n.cfg.Level.Level() < slog.LevelInfo {
		return 1
	}
	return 0
}

// shared are the settings that are to be the same on all members: "cluster status", the console and a metric tell where they are not. (Of another --cluster, or other
// ring.Params, is nobody here: he is refused.)
func (n *Node) shared() string {
	c, live := &n.cfg, n.live.Load()
	return fmt.Sprintf("copies=%d,item_size=%d,ack=%v,read_from=%s,on_minority=%v,min_members=%d,rebalance_delay=%v",
		c.Ring.Copies, c.MaxItemBytes, c.Ack, either(c.ReadNearest, "nearest", "owner"), live.OnMinority, live.MinMembers, c.RebalanceDelay)
}
