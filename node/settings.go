package node

import (
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
)

// settingsStats is the answer to "stats settings": what was set, by memcached's names and in its order. Some of it has no effect here
// (Tuning), and is told as it was given.
func (n *Node) settingsStats(list *statsList) {
	cfg := &n.cfg
	list.add("maxbytes", n.store.Stats().Limit)
	list.add("maxconns", cfg.MaxConns)
	list.add("tcpport", n.clientAddr().Port())
	list.add("udpport", n.datagramPort())
	list.add("inter", n.clientAddr().Addr())
	list.add("verbosity", n.verbosity())
	list.add("oldest", 0)
	list.add("evictions", either(!cfg.NoEvict, "on", "off"))
	list.add("domain_socket", either(cfg.UnixSocket != "", cfg.UnixSocket, "NULL"))
	list.add("umask", strconv.FormatUint(uint64(cfg.UnixSocketMode), 8))
	list.yesNo("shutdown_command", cfg.EnableShutdown)
	list.add("growth_factor", decimal(cfg.Tuning.GrowthFactor))
	list.add("chunk_size", cfg.Tuning.ChunkBytes)
	list.add("num_threads", runtime.GOMAXPROCS(0))
	list.add("num_threads_per_udp", runtime.GOMAXPROCS(0))
	list.add("stat_key_prefix", string(rune(cfg.Delimiter)))
	list.yesNo("detail_enabled", n.executor.Prefixes().On())
	list.add("reqs_per_event", cfg.MaxBatch)
	list.yesNo("cas_enabled", !cfg.NoCAS)
	list.add("tcp_backlog", cfg.Backlog)
	list.add("binding_protocol", cfg.Wire)
	list.yesNo("auth_enabled_sasl", false)
	list.add("auth_enabled_ascii", "no")
	list.add("item_size_max", cfg.MaxItemBytes)
	list.yesNo("maxconns_fast", !cfg.PauseAtLimit)
	n.tuningSettings(list)
	list.yesNo("inline_ascii_response", false)
	list.add("num_napi_ids", cfg.Tuning.NAPIIDs)
	list.add("memory_file", either(cfg.Tuning.MemoryFile != "", cfg.Tuning.MemoryFile, "(null)"))
	list.add("client_flags_size", 4)
}

// tuningSettings are those of the hash table, the slabs and the LRU, and what memcached tells among them.
func (n *Node) tuningSettings(list *statsList) {
	cfg, tuning := &n.cfg, &n.cfg.Tuning
	list.add("hashpower_init", tuning.HashPower)
	list.yesNo("slab_reassign", tuning.SlabReassign)
	list.add("slab_automove", tuning.SlabAutomove)
	list.add("slab_automove_ratio", decimal(tuning.SlabAutomoveRatio))
	list.add("slab_automove_window", tuning.SlabAutomoveSeconds)
	list.add("slab_chunk_max", tuning.SlabChunkMaxBytes)
	list.yesNo("lru_crawler", n.crawler.on.Load())
	list.add("lru_crawler_sleep", tuning.LRUCrawlerSleep)
	list.add("lru_crawler_tocrawl", tuning.LRUCrawlerToCrawl)
	list.add("tail_repair_time", tuning.TailRepairSeconds)
	list.yesNo("flush_enabled", !cfg.NoFlush)
	list.yesNo("dump_enabled", !cfg.NoDump)
	list.add("hash_algorithm", tuning.HashAlgorithm)
	list.yesNo("lru_maintainer_thread", tuning.LRUMaintainer)
	list.yesNo("lru_segmented", tuning.LRUSegmented)
	list.add("hot_lru_pct", tuning.HotPercent)
	list.add("warm_lru_pct", tuning.WarmPercent)
	list.add("hot_max_factor", decimal(tuning.HotMaxFactor))
	list.add("warm_max_factor", decimal(tuning.WarmMaxFactor))
	list.yesNo("temp_lru", tuning.TempLRU)
	list.add("temporary_ttl", tuning.TemporaryTTL)
	list.add("idle_timeout", int(cfg.IdleTimeout.Seconds()))
	list.add("watcher_logbuf_size", tuning.WatcherBufferBytes)
	list.add("worker_logbuf_size", tuning.WorkerBufferBytes)
	list.add("read_buf_mem_limit", cfg.MaxBufferBytes)
	list.yesNo("track_sizes", tuning.TrackSizes)
}

func (l *statsList) yesNo(name string, yes bool) { l.add(name, either(yes, "yes", "no")) }

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func decimal(f float64) string { return fmt.Sprintf("%.2f", f) }

// datagramPort is that of the first UDP address; 0 without one.
func (n *Node) datagramPort() string {
	if len(n.datagrams) == 0 {
		return "0"
	}
	_, port, _ := net.SplitHostPort(n.datagrams[0]) // as bound, so it has one
	return port
}

// verbosity is memcached's number for what the log tells.
func (n *Node) verbosity() int {
	if n.cfg.Level != nil && n.cfg.Level.Level() < slog.LevelInfo {
		return 1
	}
	return 0
}
