package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// exported are the families of memcached_exporter (0.15), with its types, even where it calls a gauge a counter: what was made for it expects them. The texts are
// ours. Those of extstore and of the proxy are not there: it has none either where memcached runs without.
func exported(version string) []family {
	return slices.Concat(
		plain(gauge, []row{
			{"memcached_time_seconds", "time", "The time of this node, a second of Unix time."},
			{"memcached_current_bytes", "bytes", "Bytes of the items stored, as memcached counts: headers, keys and values."},
			{"memcached_limit_bytes", "limit_maxbytes", "Bytes that items and their index may take (-m)."},
			{"memcached_current_items", "curr_items", "Items stored."},
			{"memcached_current_connections", "curr_connections", "Connections of clients."},
			{"memcached_max_connections", "settings:maxconns", "Connections of clients that are served at once (-c)."},
			{"memcached_accepting_connections", "accepting_conns", "Whether new connections are served: 0 while some wait for others to end."},
			{"memcached_malloced_bytes", "total_malloced", "Bytes charged to -m: items, index and room to write."},
		}),
		plain(counter, []row{
			{"memcached_uptime_seconds", "uptime", "Seconds since the start."},
			{"memcached_process_user_cpu_seconds_total", "rusage_user", "Seconds of processors used by this process."},
			{"memcached_process_system_cpu_seconds_total", "rusage_system", "Seconds of processors used by the system for this process."},
			{"memcached_read_bytes_total", "bytes_read", "Bytes that clients have sent."},
			{"memcached_written_bytes_total", "bytes_written", "Bytes that clients were sent."},
			{"memcached_connections_total", "total_connections", "Connections of clients since the start."},
			{"memcached_connections_rejected_total", "rejected_connections", "Connections refused over -c."},
			{"memcached_connections_yielded_total", "conn_yields", "Times that a connection let others run since it had its share (-R)."},
			{"memcached_connections_listener_disabled_total", "listen_disabled_num", "Times that connections began to wait for others to end (-c)."},
			{"memcached_items_total", "total_items", "Items stored since the start."},
			{"memcached_items_evicted_total", "evictions", "Items that were still good and removed to make room."},
			{"memcached_items_reclaimed_total", "reclaimed", "Expired items whose room was won back for others."},
			{"memcached_item_too_large_total", "store_too_large", "Stores refused for the size of the item (-I)."},
			{"memcached_item_no_memory_total", "store_no_memory", "Stores refused since memory was full."},
			{"memcached_direct_reclaims_total", "direct_reclaims", "Always 0: no request here removes items of an LRU list."},
			{"memcached_lru_crawler_starts_total", "lru_crawler_starts", "Rounds of the crawler that removes expired items."},
			{"memcached_lru_crawler_reclaimed_total", "crawler_reclaimed", "Expired items that the crawler has removed."},
			{"memcached_lru_crawler_items_checked_total", "crawler_items_checked", "Items that the crawler has looked at."},
			{"memcached_lru_crawler_moves_to_cold_total", "moves_to_cold", "Always 0: there are no such LRU lists."},
			{"memcached_lru_crawler_moves_to_warm_total", "moves_to_warm", "Always 0: there are no such LRU lists."},
			{"memcached_lru_crawler_moves_within_lru_total", "moves_within_lru", "Items copied to be spared."},
		}),
		[]family{
			{name: "memcached_up", help: "Always 1: who answers is up.", kind: gauge, series: of(always)},
			{name: "memcached_version", help: "The memcached whose wire is spoken.", kind: gauge, labels: []string{"version"}, series: []series{{always, []string{version}}}},
			{name: "memcached_commands_total", help: "Requests for items of this node, by command and outcome.", kind: counter, labels: []string{"command", "status"}, series: commands("")},
			{
				name: "memcached_slab_commands_total", help: "The same, of the only slab class.", kind: counter, labels: []string{"slab", "command", "status"},
				series: commands(class + ":"),
			},
		},
		crawler(),
		classed(gauge, []row{
			{"memcached_slab_current_items", "items:1:number", "Items stored."},
			{"memcached_slab_items_age_seconds", "items:1:age", "Seconds since the item was used that was written first."},
			{"memcached_slab_chunk_size_bytes", "1:chunk_size", "The mean size of an item."},
			{"memcached_slab_current_pages", "1:total_pages", "Memory in use, in pages of memcached's size (1 MB)."},
			{"memcached_slab_current_chunks", "1:total_chunks", "Items stored."},
			{"memcached_slab_chunks_used", "1:used_chunks", "Items stored."},
			{"memcached_slab_chunks_free", "1:free_chunks", "Always 0: there are no chunks."},
			{"memcached_slab_chunks_free_end", "1:free_chunks_end", "Always 0: there are no chunks."},
		}),
		classed(counter, []row{
			{"memcached_slab_mem_requested_bytes", "items:1:mem_requested", "Bytes of the items stored. (Goes up and down, though memcached_exporter calls it a counter.)"},
			{"memcached_slab_items_crawler_reclaimed_total", "items:1:crawler_reclaimed", "Expired items that the crawler has removed."},
			{"memcached_slab_items_evicted_total", "items:1:evicted", "Items that were still good and removed to make room."},
			{"memcached_slab_items_evicted_nonzero_total", "items:1:evicted_nonzero", "Of these, with an expiry."},
			{"memcached_slab_items_evicted_time_seconds", "items:1:evicted_time", "Seconds for which the latest of these had not been used. (Goes up and down.)"},
			{"memcached_slab_items_evicted_unfetched_total", "items:1:evicted_unfetched", "Of those evicted, never used since they were stored."},
			{"memcached_slab_items_expired_unfetched_total", "items:1:expired_unfetched", "Items expired and never used since they were stored."},
			{"memcached_slab_items_outofmemory_total", "items:1:outofmemory", "Stores refused since memory was full."},
			{"memcached_slab_items_reclaimed_total", "items:1:reclaimed", "Expired items whose room was won back for others."},
		}),
	)
}

// class is the number of the only slab class there is.
const class = "1"

func always(*reading) (float64, bool) { return 1, true }

// commands are the requests, of all or, with a prefix of lines, of a slab class: there what is not found belongs to no class, and nor does a flush.
func commands(prefix string) (all []series) {
	add := func(value source, command, status string) {
		labels := []string{command, status}
		if prefix != "" {
			labels = slices.Insert(labels, 0, class)
		}
		all = append(all, series{value, labels})
	}
	for _, command := range []string{"get", "delete", "incr", "decr", "cas", "touch"} {
		add(line(prefix+command+"_hits"), command, "hit")
		if prefix == "" {
			add(line(command+"_misses"), command, "miss")
		}
	}
	add(line(prefix+"cas_badval"), "cas", "badval")
	cas := []string{prefix + "cas_hits", prefix + "cas_badval"}
	if prefix == "" {
		add(line("cmd_flush"), "flush", "hit")
		cas = append(cas, "cas_misses")
	}
	add(func(now *reading) (float64, bool) {
		sets, there := now.number(prefix + "cmd_set")
		for _, name := range cas { // memcached counts each as a set as well
			n, _ := now.number(name)
			sets -= n
		}
		return sets, there
	}, "set", "hit")
	return all
}

// crawler are the settings of the crawler and of the LRU, which memcached_exporter tells only where there is a crawler.
func crawler() []family {
	families := plain(gauge, []row{
		{"memcached_lru_crawler_enabled", "settings:lru_crawler", "Whether expired items are looked for."},
		{"memcached_lru_crawler_sleep", "settings:lru_crawler_sleep", "As set (-o lru_crawler_sleep); without effect."},
		{"memcached_lru_crawler_to_crawl", "settings:lru_crawler_tocrawl", "As set (-o lru_crawler_tocrawl); without effect."},
		{"memcached_lru_crawler_maintainer_thread", "settings:lru_maintainer_thread", "As set (-o lru_maintainer); without effect."},
		{"memcached_lru_crawler_hot_percent", "settings:hot_lru_pct", "As set (-o hot_lru_pct); without effect."},
		{"memcached_lru_crawler_warm_percent", "settings:warm_lru_pct", "As set (-o warm_lru_pct); without effect."},
		{"memcached_lru_crawler_hot_max_factor", "settings:hot_max_factor", "As set (-o hot_max_factor); without effect."},
		{"memcached_lru_crawler_warm_max_factor", "settings:warm_max_factor", "As set (-o warm_max_factor); without effect."},
	})
	for i := range families {
		read := families[i].series[0].value
		families[i].series = of(func(now *reading) (float64, bool) {
			value, there := read(now)
			return value, there && now.lines["settings:lru_crawler"] == "yes"
		})
	}
	return families
}

// classed are families of one series each, of the only slab class.
func classed(kind prometheus.ValueType, rows []row) []family {
	families := plain(kind, rows)
	for i := range families {
		families[i].labels, families[i].series[0].labels = []string{"slab"}, []string{class}
	}
	return families
}
