package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/memring/memring/cmd/dial"
)

// A sample is what all nodes have counted at one time.
type sample struct {
	at    time.Time
	nodes map[string]figures
}

// figures are what one node says, by the names of its lines.
type figures map[string]string

// silent is the name of the line that says why a node says nothing.
const silent = "silent"

// maxLines bounds an answer: some two hundred lines of each of some thousand nodes.
const maxLines = 1 << 18

// read reads the answer to "stats nodes": STAT n1:get_hits 5.
func read(in *dial.Conn, at time.Time) (s sample, err error) {
	s = sample{at: at, nodes: map[string]figures{}}
	for range maxLines {
		line, err := in.Line()
		if err != nil || line == "END" {
			return s, err
		}
		words := strings.SplitN(line, " ", 3)
		colon := -1
		if len(words) == 3 && words[0] == "STAT" {
			colon = strings.LastIndexByte(words[1], ':')
		}
		if colon < 0 {
			return s, in.Refused(line)
		}
		id := words[1][:colon]
		if s.nodes[id] == nil {
			s.nodes[id] = figures{}
		}
		s.nodes[id][words[1][colon+1:]] = words[2]
	}
	return s, in.Wrap(fmt.Errorf("answered more than %d lines", maxLines))
}

func (f figures) number(names ...string) (sum float64) {
	for _, name := range names {
		n, _ := strconv.ParseFloat(f[name], 64)
		sum += n
	}
	return sum
}

// requests are the lines that together count them, where they are answered.
var requests = []string{
	"cmd_get", "cmd_set", "cmd_touch", "cmd_meta", "delete_hits", "delete_misses", "incr_hits", "incr_misses", "decr_hits", "decr_misses",
}

// A row is what is shown of one node, or of all.
type row struct {
	Node  string `json:"node"`
	State string `json:"state"`

	// Rates are a second's, between two samples; without a sample before they are not known.
	Known     bool    `json:"-"`
	Requests  float64 `json:"requests_per_second"`
	Evictions float64 `json:"evictions_per_second"`
	gets      float64
	hits      float64
	times     map[float64]float64 // answers since the sample before that took no longer, by microseconds; all of them at 0

	HitRatio *float64 `json:"hit_ratio"` // null: nothing was asked for
	P99      *float64 `json:"p99_us"`    // microseconds; null: nothing was measured
	Items    float64  `json:"items"`     // copies included
	Bytes    float64  `json:"bytes"`     // of items
	Limit    float64  `json:"limit"`     // of memory
	Conns    float64  `json:"connections"`
	Coming   float64  `json:"partitions_coming"`
	Going    float64  `json:"partitions_going"`
}

// timesOf is what the names of lines about times begin with.
const timesOf = "cluster_times_"

// rows gives what is shown: each node by its id, and all together. before is the sample before, if there is one.
func (s sample) rows(before sample) (nodes []row, all row) {
	seconds := s.at.Sub(before.at).Seconds()
	all = row{Node: "all", times: map[float64]float64{}}
	active := 0
	for id, now := range s.nodes {
		r := rowOf(id, now, before.nodes[id], seconds)
		nodes = append(nodes, r)
		if r.State == "active" {
			active++
		}
		all.add(r)
	}
	slices.SortFunc(nodes, func(a, b row) int { return cmp.Compare(a.Node, b.Node) })
	all.State = fmt.Sprintf("%d of %d active", active, len(nodes))
	all.finish()
	return nodes, all
}

func rowOf(id string, now, before figures, seconds float64) row {
	r := row{Node: id, State: now["cluster_state"], times: map[float64]float64{}}
	if why := now[silent]; why != "" {
		r.State = "silent: " + why
		return r
	}
	r.Items, r.Bytes, r.Limit, r.Conns = now.number("curr_items"), now.number("bytes"), now.number("limit_maxbytes"), now.number("curr_connections")
	r.Coming, r.Going = now.number("cluster_partitions_wanted", "cluster_partitions_arriving"), now.number("cluster_partitions_given")
	// Another run of the node counts from the beginning.
	if seconds > 0 && before != nil && before[silent] == "" && before["pid"] == now["pid"] && now.number("uptime") >= before.number("uptime") {
		r.Known = true
		since := func(names ...string) float64 { return max(now.number(names...)-before.number(names...), 0) } // stats reset
		r.Requests, r.Evictions = since(requests...)/seconds, since("evictions")/seconds
		r.gets, r.hits = since("cmd_get"), since("get_hits")
		for name := range now {
			if bound, ok := strings.CutPrefix(name, timesOf); ok {
				us, _ := strconv.ParseFloat(strings.TrimSuffix(bound, "us"), 64)
				r.times[us] = since(name)
			}
		}
	}
	r.finish()
	return r
}

// add adds what is known of a node.
func (r *row) add(node row) {
	r.Known = r.Known || node.Known
	r.Requests += node.Requests
	r.Evictions += node.Evictions
	r.gets += node.gets
	r.hits += node.hits
	for us, n := range node.times {
		r.times[us] += n
	}
	r.Items += node.Items
	r.Bytes += node.Bytes
	r.Limit += node.Limit
	r.Conns += node.Conns
	r.Coming += node.Coming
	r.Going += node.Going
}

// finish makes ratios of what was counted.
func (r *row) finish() {
	if r.gets > 0 {
		ratio := min(r.hits/r.gets, 1) // the two are not read at the same moment
		r.HitRatio = &ratio
	}
	if p99, ok := quantile(0.99, r.times); ok {
		r.P99 = &p99
	}
}

// quantile tells what share of all take no longer than, as even as each bucket's answers lie in it (Prometheus, histogram_quantile). What is above the last bound
// is given as that.
func quantile(share float64, times map[float64]float64) (us float64, ok bool) {
	total := times[0]
	if total == 0 {
		return 0, false
	}
	bounds := make([]float64, 0, len(times))
	for bound := range times {
		if bound > 0 {
			bounds = append(bounds, bound)
		}
	}
	slices.Sort(bounds)
	wanted, below, from := share*total, 0.0, 0.0
	for _, bound := range bounds {
		if n := times[bound]; n >= wanted {
			return from + (bound-from)*(wanted-below)/max(n-below, 1), true
		}
		below, from = times[bound], bound
	}
	return from, len(bounds) > 0
}
