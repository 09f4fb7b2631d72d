package metrics

import (
	"hash/fnv"
	"io"
	"slices"
	"strconv"

	"github.com/memring/memring/node/handover"
)

// ours are the families that memcached has nothing like.
func ours() []family {
	return slices.Concat(
		plain(gauge, []row{
			{"memring_table_copies", "cluster_copies", "Members that keep each item, by the table."},
			{"memring_partitions_owned", "cluster_partitions_owned", "Partitions that are this node's by the table."},
			{"memring_copies_kept", "cluster_copies_kept", "Partitions of which this node keeps a copy for another."},
			{"memring_copies_kept_whole", "cluster_copies_kept_whole", "Of these, those that are all here."},
			{"memring_copies_missing", "cluster_copies_missing", "Copies that the table wants of what this node holds, and nobody keeps whole."},
			{"memring_snapshot_items", "cluster_snapshot_items", "Items that this run began with, since the one before had kept them (--snapshot-dir)."},
			{"memring_snapshot_bytes", "cluster_snapshot_bytes", "Length of the file that they were in."},
			{"memring_snapshot_refused", "cluster_snapshots_refused", "Whether there was such a file, and it was not used: the log says why."},
			{"memring_minority", "cluster_minority", "Whether this node is on the small side of a split."},
			{"memring_tombstones", "cluster_tombstones", "Deletions that are remembered for members that are away."},
			{"memring_lanes_in", "cluster_lanes_in", "Connections of other members to this one."},
			{"memring_evicted_age_seconds", "items:1:evicted_time", "Seconds for which the item that was evicted last had not been used."},
			{"memring_certificate_expiry_timestamp_seconds", "tls_certificate_expires", "When the certificate that clients are shown ends, a second of Unix time."},
		}),
		plain(counter, []row{
			{"memring_tables_total", "cluster_tables", "Tables adopted that were not as the one before."},
			{"memring_forwards_total", "cluster_forwards", "Requests of this node's clients sent to their owners."},
			{"memring_forward_writes_total", "cluster_forward_writes", "Writes to sockets for them: one carries many."},
			{"memring_redirects_total", "cluster_redirected", "Requests sent after a partition on the move, each time."},
			{"memring_reads_from_copies_total", "cluster_reads_from_copies", "Gets answered here from a copy (--read-from nearest)."},
			{"memring_copied_total", "cluster_copied", "Writes sent to a replica, each."},
			{"memring_copies_stored_total", "cluster_copies_stored", "Writes of others stored here."},
			{"memring_copies_again_total", "cluster_copies_again", "Copies sent again since a replica did not acknowledge them."},
			{"memring_copies_overdue_total", "cluster_copies_overdue", "Writes answered with an error since a replica did not acknowledge them."},
			{"memring_copies_alone_total", "cluster_copies_alone", "Answers given without a replica, which is one no more since then."},
			{"memring_copies_bytes_total", "cluster_copies_bytes_in", "Bytes of items drawn from their holders, to copy what was there once only."},
			{"memring_fetches_total", "cluster_fetches", "Items asked for at their former holder, before they had arrived."},
			{"memring_fetch_hits_total", "cluster_fetch_hits", "Of these, those that were there."},
			{"memring_waits_total", "cluster_waits", "Requests that waited for a partition."},
			{"memring_minorities_total", "cluster_minorities", "Times that this node found itself on the small side of a split."},
			{"memring_answers_unread_total", "cluster_answers_unread", "Answers of members about what moves that could not be read: their build and this one cannot be in one cluster."},
			{"memring_clocks_ahead_total", "cluster_clocks_ahead", "Times that a member's clock was more than a second ahead of this one's."},
			{"memring_login_attempts_total", "auth_cmds", "Logins tried, by clients."},
			{"memring_login_failures_total", "auth_errors", "Of these, those refused, each some tenths of a second later."},
			{"memring_login_lockouts_total", "cluster_login_lockouts", "Connections ended since they had failed to log in too often."},
			{"memring_commands_denied_total", "cluster_commands_denied", "Commands refused, of users who may not ask that."},
			{"memring_refused_gossip_total", "cluster_gossip_refused", "Datagrams and streams refused at the port for gossip: of who has not this cluster's key."},
			{"memring_certificate_refresh_failures_total", "tls_refresh_failures", "Certificates refused since they were bad; those before stay in use."},
		}),
		[]family{
			{
				name: "memring_table_fingerprint", help: "The low 48 bits of the table's print: members that route alike have the same.",
				kind: gauge, series: of(fingerprint),
			},
			{
				name: "memring_settings_fingerprint", help: "A print of the settings that are to be the same on all members: those with the same have the same.",
				kind: gauge, series: of(settingsPrint),
			},
			{
				name: "memring_members", help: "Members of the cluster as this node sees them, by state.", kind: gauge, labels: []string{"state"},
				series: each(members, "active", "joining", "draining", "down", "minority"),
			},
			{
				name: "memring_partitions", help: "Partitions by what this node does with them: it has them, wants them, is taking them over, or gave them away and keeps them until they have arrived.",
				kind: gauge, labels: []string{"state"}, series: each(prefixed("cluster_partitions_"), "held", "wanted", "arriving", "given"),
			},
			{
				name: "memring_handover_items_total", help: "Items handed over in pieces, by direction.", kind: counter, labels: []string{"direction"},
				series: each(prefixed("cluster_handover_items_"), "in", "out"),
			},
			{
				name: "memring_handover_bytes_total", help: "Bytes of them, by direction.", kind: counter, labels: []string{"direction"},
				series: each(prefixed("cluster_handover_bytes_"), "in", "out"),
			},
			{
				name: "memring_handover_left_items", help: "Items that are still to be sent to new holders, about: partitions are taken to hold the same number each.",
				kind: gauge, series: of(func(now *reading) (float64, bool) { return now.left.items, true }),
			},
			{
				name: "memring_handover_left_bytes", help: "Bytes of them, about.", kind: gauge, series: of(func(now *reading) (float64, bool) { return now.left.bytes, true }),
			},
			{
				name: "memring_forward_failures_total", help: "Requests whose owner did not answer, by reason.", kind: counter, labels: []string{"reason"},
				series: []series{
					{line("cluster_forward_timeouts"), []string{"timeout"}},
					{line("cluster_forward_lost"), []string{"lost"}},
					{line("cluster_forward_overloaded"), []string{"overloaded"}},
				},
			},
			{
				name: "memring_minority_answers_total", help: "Requests told something else since this node is on the small side of a split, by what.", kind: counter,
				labels: []string{"answer"}, series: []series{{line("cluster_minority_misses"), []string{"miss"}}, {line("cluster_minority_refusals"), []string{"error"}}},
			},
			{
				name: "memring_refused_peers_total", help: "Connections of would-be members refused: of another cluster, version or setting.", kind: counter,
				series: of(func(now *reading) (float64, bool) { return float64(now.RefusedPeers()), true }),
			},
			{name: "memring_limit_hits_total", help: "Times that a limit was met, by limit.", kind: counter, labels: []string{"limit"}, series: limits()},
			{name: "memring_memory_bytes", help: "Memory in use, by what for.", kind: gauge, labels: []string{"kind"}, series: memory((*reading).used)},
			{name: "memring_memory_limit_bytes", help: "What it may be at most; overhead shares the limit of items.", kind: gauge, labels: []string{"kind"}, series: memory((*reading).limit)},
		},
	)
}

// each is a series for each value of the only label.
func each(of func(value string) source, values ...string) (all []series) {
	for _, value := range values {
		all = append(all, series{of(value), []string{value}})
	}
	return all
}

// prefixed reads the line that is named by a label's value, behind prefix.
func prefixed(prefix string) func(string) source {
	return func(value string) source { return line(prefix + value) }
}

func members(state string) source {
	return func(now *reading) (float64, bool) { return float64(now.members[state]), true }
}

// fingerprint is so much of the print as a float64 holds.
func fingerprint(now *reading) (float64, bool) {
	whole, err := strconv.ParseUint(now.lines["cluster_print"], 16, 64)
	return float64(whole & (1<<48 - 1)), err == nil
}

// settingsPrint is a hash of the settings.
func settingsPrint(now *reading) (float64, bool) {
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, now.lines["cluster_settings"])
	return float64(hash.Sum32()), true
}

// limits are how often each was met. Which flag moves them is told by node/DESIGN.md, "Limits".
func limits() []series {
	return []series{
		{line("rejected_connections"), []string{"connections"}},
		{line("listen_disabled_num"), []string{"connections_paused"}},
		{line("store_too_large"), []string{"item_size"}},
		{line("store_no_memory"), []string{"memory"}},
		{line("read_buf_oom"), []string{"read_buffers"}},
		{line("response_obj_oom"), []string{"answers"}},
		{line("cluster_slow_kicks"), []string{"slow_client"}},
		{line("cluster_parcels_refused"), []string{"parcels"}},
	}
}

// The kinds of memory.
const (
	items       = "items"        // headers, keys and values
	overhead    = "overhead"     // their index, and room to write; shares the limit of items
	readBuffers = "read_buffers" // that have grown, for long requests
	answers     = "answers"      // that clients have not taken
)

func memory(read func(now *reading, kind string) (float64, bool)) []series {
	return each(func(kind string) source {
		return func(now *reading) (float64, bool) { return read(now, kind) }
	}, items, overhead, readBuffers, answers)
}

func (r *reading) used(kind string) (float64, bool) {
	switch kind {
	case items:
		return r.number("bytes")
	case overhead:
		charged, there := r.number("total_malloced")
		stored, _ := r.number("bytes")
		return max(0, charged-stored), there
	case readBuffers:
		return float64(r.Figures.Clients.Budget().Used()), true
	default:
		return float64(r.Figures.Answers.Budget().Used()), true
	}
}

func (r *reading) limit(kind string) (float64, bool) {
	switch kind {
	case items:
		return r.number("limit_maxbytes")
	case overhead:
		return 0, false
	case readBuffers:
		return float64(r.Figures.Clients.Budget().Limit()), true
	default:
		return float64(r.Figures.Answers.Budget().Limit()), true
	}
}

// left is what is still to be sent to new holders.
type left struct{ items, bytes float64 }

// leftOf reckons it from the mean of the partitions whose items are here: to count them would be to look at every item.
func leftOf(moves []handover.Report, now *reading) (sum left) {
	parts := 0.0
	for _, state := range []string{"held", "given"} {
		n, _ := now.number("cluster_partitions_" + state)
		parts += n
	}
	kept, _ := now.number("cluster_copies_kept")
	if parts += kept; parts == 0 {
		return left{}
	}
	stored, _ := now.number("curr_items")
	bytes, _ := now.number("bytes")
	for _, m := range moves {
		if m.From == now.Figures.ID {
			share := float64(m.Partitions) / parts
			sum.items += max(0, stored*share-float64(m.Items))
			sum.bytes += max(0, bytes*share-float64(m.Bytes))
		}
	}
	return sum
}
