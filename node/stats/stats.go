// Package stats tells what a node has counted, in memcached's lines.
package stats

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/crawler"
	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/node/router"
	"github.com/memring/memring/node/server"
	"github.com/memring/memring/node/sides"
	"github.com/memring/memring/node/snapshot"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/login"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/storage"
)

// Sources are where the figures come from, and what decides which lines there are.
type Sources struct {
	Version  string
	ID       string
	Build    string        // what "memring version" says
	Settings func() string // those that are to be the same on all members
	State    func() string
	Started  time.Time
	MaxConns func() int
	Log      *slog.Logger

	PauseAtLimit  bool        // without the line rejected_connections
	IdleKicks     func() bool // with the line idle_kicks
	SlabReassign  bool        // with the lines slab_*
	LRUMaintainer bool        // with those of LRU lists

	Users      *login.Users // nil: nobody needs to log in
	Certs      *certs.Certs // nil: no TLS
	Clock      *storage.Clock
	Store      *storage.Store
	Executor   *executor.Executor
	Crawler    *crawler.Crawler
	Answers    *session.Answers
	Clients    *server.Server
	Lanes      *server.Server
	Peers      *peer.Peers
	Parcels    func() int64                        // those refused
	Strangers  func() (lanes int64, gossip uint64) // and those
	Handover   *handover.Handover
	Replicator *replicator.Replicator
	Router     *router.Router
	Sides      *sides.Sides
	Snapshots  *snapshot.Keeper
	Meter      *meter.Meter

	// Ask asks all other members at once, and waits for their answers, which are to be released.
	Ask func(req *protocol.Request) (ids []string, answers []*protocol.Pending)
}

// A List collects STAT lines.
type List struct{ Lines []protocol.ReportLine }

// Add adds a line.
func (l *List) Add(name string, value any) {
	l.Lines = append(l.Lines, protocol.ReportLine{Label: "STAT", Name: name, Value: fmt.Sprint(value)})
}

// Add adds the lines of a group; false if there is no such group.
func (s *Sources) Add(list *List, group string) (known bool) {
	switch group {
	case "":
		s.General(list)
	case "items":
		s.Items(list)
	case "slabs":
		s.Slabs(list)
	case "sizes":
		list.Add("sizes_status", "disabled")
	case "conns":
		s.Conns(list)
	case "tls":
		s.Certificates(list)
	case "hotkeys":
		s.HotKeys(list)
	case "cluster":
		Sum(list, s.gather())
	case "nodes":
		Nodes(list, s.gather())
	case "partitions":
		Partitions(list, s.gather())
	default:
		return false
	}
	return true
}

// Prefixes gives what was counted by the prefix of keys.
func (s *Sources) Prefixes() (lines []protocol.ReportLine) {
	for _, p := range s.Executor.Prefixes().List() {
		counted := fmt.Sprintf("%s get %d hit %d set %d del %d", p.Name, p.Gets, p.Hits, p.Sets, p.Deletes)
		lines = append(lines, protocol.ReportLine{Label: "PREFIX", Name: counted})
	}
	return lines
}

// zero adds lines of what memcached counts and does not happen here.
func (l *List) zero(names ...string) {
	for _, name := range names {
		l.Add(name, 0)
	}
}

// General gives memcached's, by the names and in the order it has them; as there, some are there only with what they tell of. Those of the
// cluster are a group of their own: tools count the lines.
func (s *Sources) General(list *List) {
	items := s.Store.Stats()
	list.Add("pid", os.Getpid())
	list.Add("uptime", int64(time.Since(s.Started).Seconds()))
	list.Add("time", s.Clock.Now())
	list.Add("version", s.Version)
	list.Add("libevent", "none")
	list.Add("pointer_size", strconv.IntSize)
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		s.Log.Warn("cannot tell the time used", "err", err) // the lines stay: a scrape fails without them
	}
	list.Add("rusage_user", seconds(usage.Utime))
	list.Add("rusage_system", seconds(usage.Stime))
	s.connections(list)
	s.requests(list)
	s.traffic(list, items)
	s.tuning(list)
	list.zero("malloc_fails", "log_worker_dropped")
	watched := s.Executor.Watch().Stats()
	list.Add("log_worker_written", watched.Posted)
	list.Add("log_watcher_skipped", watched.Missed)
	list.Add("log_watcher_sent", watched.Sent)
	list.Add("log_watchers", watched.Watchers)
	s.tls(list)
	list.zero("unexpected_napi_ids", "round_robin_fallback")
	s.items(list, items)
}

func (s *Sources) connections(list *List) {
	conns := s.Clients.Stats()
	list.Add("max_connections", s.MaxConns())
	list.Add("curr_connections", conns.CurrConns.Load())
	list.Add("total_connections", conns.TotalConns.Load())
	if !s.PauseAtLimit {
		list.Add("rejected_connections", conns.RefusedConns.Load())
	}
	list.Add("connection_structures", conns.CurrConns.Load())
	list.Add("response_obj_oom", s.Answers.Refused.Load())
	list.zero("response_obj_count", "response_obj_bytes")
	list.zero("read_buf_count", "read_buf_bytes", "read_buf_bytes_free")
	list.Add("read_buf_oom", conns.NoMemoryConns.Load())
	list.zero("reserved_fds")
}

// requests are the executor's, and among them what the store knows of the misses.
func (s *Sources) requests(list *List) {
	expired := s.Store.Stats().GetExpired
	s.Executor.Stats().Each(func(name string, count uint64) {
		if list.Add(name, count); name == "get_misses" {
			list.Add("get_expired", expired)
			list.zero("get_flushed") // what is flushed is gone at once, and so a plain miss
		}
	})
	if s.Users == nil {
		list.zero("auth_cmds", "auth_errors")
		return
	}
	list.Add("auth_cmds", s.Users.Stats().Cmds.Load())
	list.Add("auth_errors", s.Users.Stats().Errors.Load())
}

func (s *Sources) traffic(list *List, items storage.Stats) {
	conns := s.Clients.Stats()
	if s.IdleKicks() {
		list.Add("idle_kicks", conns.IdleKicks.Load())
	}
	list.Add("bytes_read", conns.BytesRead.Load())
	list.Add("bytes_written", conns.BytesWritten.Load())
	list.Add("limit_maxbytes", items.Limit)
	accepting := 0
	if conns.Accepting.Load() {
		accepting = 1
	}
	list.Add("accepting_conns", accepting)
	list.Add("listen_disabled_num", conns.ListenDisabled.Load())
	list.Add("time_in_listen_disabled_us", conns.ListenDisabledMicros.Load())
	list.Add("threads", runtime.GOMAXPROCS(0))
	list.Add("conn_yields", conns.Yields.Load())
}

// tls are of clients' connections.
func (s *Sources) tls(list *List) {
	if s.Certs == nil {
		return
	}
	conns := s.Clients.Stats()
	if s.Certs.Resume() {
		list.Add("ssl_new_sessions", conns.NewSessions.Load())
	}
	list.Add("ssl_handshake_errors", conns.HandshakeErrors.Load())
	list.Add("ssl_proto_errors", conns.TLSErrors.Load())
	list.Add("time_since_server_cert_refresh", int64(time.Since(s.Certs.Status().Refreshed).Seconds()))
}

// Certificates gives when the certificate that clients are shown was loaded and when it ends, in seconds of Unix time. It is ours: memcached does
// not look.
func (s *Sources) Certificates(list *List) {
	if s.Certs == nil {
		return
	}
	status := s.Certs.Status()
	list.Add("tls_certificate_refreshed", status.Refreshed.Unix())
	list.Add("tls_certificate_begins", status.Begins.Unix())
	list.Add("tls_certificate_expires", status.Expires.Unix())
	list.Add("tls_refresh_failures", status.Failures)
}

// tuning are of memcached's hash table, slabs and LRU. There is none of them here, but a crawler.
func (s *Sources) tuning(list *List) {
	list.zero("hash_power_level", "hash_bytes", "hash_is_expanding")
	if s.SlabReassign {
		list.zero("slab_reassign_rescues", "slab_reassign_chunk_rescues", "slab_reassign_inline_reclaim")
		list.zero("slab_reassign_busy_items", "slab_reassign_busy_deletes", "slab_reassign_busy_nomem")
		list.Add("slab_reassign_last_busy_status", "none")
		list.zero("slab_reassign_running", "slabs_moved")
	}
	if s.Crawler.On() {
		running := 0
		if s.Crawler.Stats().Busy.Load() {
			running = 1
		}
		list.Add("lru_crawler_running", running)
		list.Add("lru_crawler_starts", s.Store.CrawlRounds())
	}
	if s.LRUMaintainer {
		list.zero("lru_maintainer_juggles")
	}
}

func (s *Sources) items(list *List, items storage.Stats) {
	list.Add("bytes", items.Bytes)
	list.Add("curr_items", items.Items)
	list.Add("total_items", items.TotalItems)
	list.zero("slab_global_page_pool")
	list.Add("expired_unfetched", items.ExpiredUnfetched)
	list.Add("evicted_unfetched", items.EvictedUnfetched)
	if s.LRUMaintainer {
		list.Add("evicted_active", items.EvictedActive)
	}
	list.Add("evictions", items.Evictions)
	list.Add("reclaimed", items.Reclaimed)
	list.Add("crawler_reclaimed", items.Crawled)
	list.Add("crawler_items_checked", s.Crawler.Stats().Checked.Load())
	list.zero("lrutail_reflocked")
	if s.LRUMaintainer {
		list.zero("moves_to_cold", "moves_to_warm")
		list.Add("moves_within_lru", items.Moved)
		list.zero("direct_reclaims", "lru_bumps_dropped")
	}
}

// Cluster gives what this node knows of the cluster, and its lanes.
func (s *Sources) Cluster(list *List) {
	table, lanes, stats := s.Router.Table(), s.Lanes.Stats(), s.Peers.Stats()
	parts, moved := s.Handover.Count(), s.Handover.Stats()
	copies, copied := s.Replicator.Count(), s.Replicator.Stats()
	down := 0
	for i := range table.Members() {
		if !table.Alive(i) {
			down++
		}
	}
	list.Add("cluster_members", len(table.Members())-down)
	list.Add("cluster_members_down", down)
	list.Add("cluster_copies", table.Copies())
	s.sides(list)
	list.Add("cluster_state", s.State())
	list.Add("cluster_build", s.Build)
	list.Add("cluster_clock_milliseconds", s.Clock.Milli())
	list.Add("cluster_settings", s.Settings())
	list.Add("cluster_tables", s.Router.Stats().Tables.Load())
	list.Add("cluster_print", fmt.Sprintf("%016x", table.Print()))
	list.Add("cluster_partitions_owned", table.Owned(table.Index(s.ID)))
	list.Add("cluster_partitions_held", parts.Held)
	list.Add("cluster_partitions_wanted", parts.Wanted)
	list.Add("cluster_partitions_arriving", parts.Arriving)
	list.Add("cluster_partitions_given", parts.Given)
	list.Add("cluster_copies_kept", copies.Kept)
	list.Add("cluster_copies_kept_whole", copies.Whole)
	list.Add("cluster_copies_missing", copies.Missing)
	list.Add("cluster_copied", copied.Copied.Load())
	list.Add("cluster_copies_again", copied.Again.Load())
	list.Add("cluster_copies_stored", copied.Stored.Load())
	list.Add("cluster_copies_overdue", copied.Overdue.Load())
	list.Add("cluster_copies_alone", copied.Alone.Load())
	list.Add("cluster_copies_bytes_in", copied.BytesIn.Load())
	list.Add("cluster_reads_from_copies", copied.Reads.Load())
	s.snapshot(list)
	list.Add("cluster_forwards", stats.Forwards.Load())
	list.Add("cluster_forward_writes", stats.Writes.Load())
	list.Add("cluster_forward_timeouts", stats.Timeouts.Load())
	list.Add("cluster_forward_lost", stats.Lost.Load())
	list.Add("cluster_forward_overloaded", stats.Overloaded.Load())
	list.Add("cluster_parcels_refused", s.Parcels())
	list.Add("cluster_answers_withheld", stats.Withheld.Load()+s.Answers.Withheld.Load())
	list.Add("cluster_slow_kicks", s.Clients.Stats().SlowKicks.Load()+lanes.SlowKicks.Load())
	if s.Users == nil {
		list.zero("cluster_login_lockouts", "cluster_commands_denied")
	} else {
		list.Add("cluster_login_lockouts", s.Users.Stats().Lockouts.Load())
		list.Add("cluster_commands_denied", s.Users.Stats().Denied.Load())
	}
	list.Add("cluster_lanes_in", lanes.CurrConns.Load())
	refused, unheard := s.Strangers()
	list.Add("cluster_peers_refused", refused)
	list.Add("cluster_gossip_refused", unheard)
	list.Add("cluster_handover_items_in", moved.ItemsIn.Load())
	list.Add("cluster_handover_items_out", moved.ItemsOut.Load())
	list.Add("cluster_handover_bytes_in", moved.BytesIn.Load())
	list.Add("cluster_handover_bytes_out", moved.BytesOut.Load())
	list.Add("cluster_answers_unread", moved.Unread.Load())
	list.Add("cluster_clocks_ahead", moved.ClocksAhead.Load())
	list.Add("cluster_fetches", moved.Fetches.Load())
	list.Add("cluster_fetch_hits", moved.FetchedHits.Load())
	list.Add("cluster_waits", moved.Waits.Load())
	list.Add("cluster_redirected", s.Router.Stats().Redirected.Load())
	hottest := int64(0)
	for _, k := range s.Meter.HotKeys(1) {
		hottest = int64(k.Rate)
	}
	list.Add("cluster_hottest_rate", hottest)
	s.times(list)
}

// times tells how many of the requests that clients asked here were answered in so many microseconds at most, and how many in all: estimates, since one of
// --measure-every is measured and counts for so many.
func (s *Sources) times(list *List) {
	var counts [len(meter.Buckets) + 1]uint64
	for _, h := range s.Meter.Times() {
		for i, n := range h.Counts {
			counts[i] += n * uint64(s.Meter.Every())
		}
	}
	total := uint64(0)
	for i, n := range counts {
		name := TimesOf + "all"
		if i < len(meter.Buckets) {
			name = fmt.Sprintf("%s%dus", TimesOf, meter.Buckets[i].Microseconds())
		}
		total += n
		list.Add(name, total)
	}
}

// TimesOf is what the names of the lines about answers' times begin with, "cluster_times_100us".
const TimesOf = "cluster_times_"

// Items gives one class, 1, of all items: this store does not sort them by size. The age is that of the item which
// is longest in its log (storage/DESIGN.md).
func (s *Sources) Items(list *List) {
	items := s.Store.Stats()
	if items.Items == 0 {
		return
	}
	list.Add("items:1:number", items.Items)
	list.Add("items:1:age", items.Age)
	list.Add("items:1:mem_requested", items.Bytes)
	list.Add("items:1:evicted", items.Evictions)
	list.Add("items:1:evicted_nonzero", items.EvictedNonzero)
	list.Add("items:1:evicted_time", items.EvictedTime)
	list.Add("items:1:outofmemory", s.Executor.Stats().NoMemory.Load())
	list.Add("items:1:reclaimed", items.Reclaimed)
	list.Add("items:1:expired_unfetched", items.ExpiredUnfetched)
	list.Add("items:1:evicted_unfetched", items.EvictedUnfetched)
	list.Add("items:1:evicted_active", items.EvictedActive)
	list.Add("items:1:crawler_reclaimed", items.Crawled)
	list.Add("items:1:crawler_items_checked", s.Crawler.Stats().Checked.Load())
}

// maxHotKeys bounds the list of hot keys; there cannot be more than a hundred.
const maxHotKeys = 20

// HotKeys gives the keys that take more than a hundredth of this node's requests each, the hottest first, as they were in the last ten seconds.
func (s *Sources) HotKeys(list *List) {
	list.Add("measured_every", s.Meter.Every())
	for i, k := range s.Meter.HotKeys(maxHotKeys) {
		rank := strconv.Itoa(i + 1)
		list.Add(rank+":key", watch.Escape([]byte(k.Key)))
		list.Add(rank+":share", fmt.Sprintf("%.3f", k.Share))
		list.Add(rank+":rate", int64(k.Rate))
	}
}

// slabPageBytes is the size of memcached's slab pages, which its tools count.
const slabPageBytes = 1 << 20

// Slabs gives the same class. There are neither pages nor chunks here: what memcached-tool and dashboards look for is said of what comes nearest,
// each item being a chunk as large as the mean of all, and the memory in use being so many pages.
func (s *Sources) Slabs(list *List) {
	items, counted := s.Store.Stats(), s.Executor.Stats()
	active := 0
	if items.Segments > 0 { // as in memcached, a class has pages for good
		active = 1
		count := max(1, int64(items.Items))
		list.Add("1:chunk_size", (items.Bytes+count-1)/count)
		list.Add("1:total_pages", (items.Memory+slabPageBytes-1)/slabPageBytes)
		list.Add("1:total_chunks", items.Items)
		list.Add("1:used_chunks", items.Items)
		list.zero("1:free_chunks", "1:free_chunks_end")
		list.Add("1:get_hits", counted.GetHits.Load())
		list.Add("1:cmd_set", counted.Sets.Load())
		list.Add("1:delete_hits", counted.DeleteHits.Load())
		list.Add("1:incr_hits", counted.IncrHits.Load())
		list.Add("1:decr_hits", counted.DecrHits.Load())
		list.Add("1:cas_hits", counted.CasHits.Load())
		list.Add("1:cas_badval", counted.CasBadval.Load())
		list.Add("1:touch_hits", counted.TouchHits.Load())
	}
	list.Add("active_slabs", active)
	list.Add("total_malloced", items.Memory)
}

// Conns gives what is open on the client ports.
func (s *Sources) Conns(list *List) {
	for _, c := range s.Clients.Conns() {
		name := strconv.FormatInt(c.ID, 10)
		if c.UDP {
			list.Add(name+":UDP", "UDP")
		}
		list.Add(name+":addr", c.Addr)
		if c.Listener != "" {
			list.Add(name+":listen_addr", c.Listener)
		}
		list.Add(name+":state", c.State)
		list.Add(name+":secs_since_last_cmd", c.Idle)
	}
}

func seconds(t syscall.Timeval) string { return fmt.Sprintf("%d.%06d", t.Sec, t.Usec) }

// snapshot tells what this run began with.
func (s *Sources) snapshot(list *List) {
	used, refused := s.Snapshots.Used(), 0
	if used.Refused {
		refused = 1
	}
	list.Add("cluster_snapshot_items", used.Items)
	list.Add("cluster_snapshot_bytes", used.Bytes)
	list.Add("cluster_snapshots_refused", refused)
}

// sides tells of splits.
func (s *Sources) sides(list *List) {
	minority, counted := 0, s.Sides.Stats()
	if s.Sides.Minority() {
		minority = 1
	}
	list.Add("cluster_minority", minority) // in the sum of all members: how many are
	list.Add("cluster_minorities", counted.Begun.Load())
	list.Add("cluster_minority_misses", counted.Missed.Load())
	list.Add("cluster_minority_refusals", counted.Refused.Load())
	list.Add("cluster_tombstones", s.Store.Tombstones())
}
