// Package metrics tells Prometheus what a node has counted: as memcached_exporter would, and under names of our own.
//
//	exporter.go  memcached_*: memcached_exporter's names, types and labels, so that what was made for it (dashboards, alerts) works unchanged
//	cluster.go   memring_*: what memcached has not
//	requests.go  memring_*: how long requests took, and how hot the hottest keys are (node/meter)
//
// Nothing is counted for it: a scrape reads the lines of "stats" (node/stats), so both faces of a figure are the same one. What does not exist here (LRU
// lists, slab classes but one) has the values that "stats" has for it (node/DESIGN.md, "Operating it").
package metrics

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/meter"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol"
)

// Config says where the figures come from.
type Config struct {
	// Figures gives the lines of the statistics, and their sources for what is no line of them.
	Figures *stats.Sources

	// Settings gives the lines of "stats settings".
	Settings func() []protocol.ReportLine

	// Members counts the members by their states, as "cluster members" has them.
	Members func() map[string]int

	// Moves reports the moves under way, from this node and to it.
	Moves func() []handover.Report

	// RefusedPeers counts the lanes that this node has refused since the start.
	RefusedPeers func() int64
}

// A Collector is asked at every scrape.
type Collector struct {
	cfg      Config
	families []family
	times    *prometheus.Desc
}

// New makes a Collector.
func New(cfg Config) *Collector {
	c := &Collector{cfg: cfg, times: durations()}
	for _, f := range slices.Concat(exported(cfg.Figures.Version), ours(), hot()) {
		f.desc = prometheus.NewDesc(f.name, f.help, f.labels, nil)
		c.families = append(c.families, f)
	}
	return c
}

// A family is all series of a name.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string // their names
	series     []series
	desc       *prometheus.Desc
}

// A series is a value of a family.
type series struct {
	value  source
	labels []string // their values, in the order of the names
}

// A source reads a value; false if there is none now, and so no series.
type source func(now *reading) (value float64, there bool)

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	to <- c.times
	for i := range c.families {
		to <- c.families[i].desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	now := c.read()
	c.collectTimes(to)
	for i := range c.families {
		f := &c.families[i]
		for _, s := range f.series {
			if value, there := s.value(now); there {
				to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, s.labels...)
			}
		}
	}
}

// A reading is what is known at one scrape.
type reading struct {
	*Config
	lines   map[string]string // of the statistics, by their names; of the groups items and slabs too, and of settings as "settings:NAME"
	members map[string]int
	left    left
	hot     []meter.HotKey
}

func (c *Collector) read() *reading {
	now := &reading{Config: &c.cfg, lines: map[string]string{}, members: c.cfg.Members(), hot: c.cfg.Figures.Meter.HotKeys(hotRanks)}
	list := &stats.List{}
	c.cfg.Figures.General(list)
	c.cfg.Figures.Cluster(list)
	c.cfg.Figures.Items(list)
	c.cfg.Figures.Slabs(list)
	c.cfg.Figures.Certificates(list)
	for _, l := range list.Lines {
		now.lines[l.Name] = l.Value
	}
	for _, l := range c.cfg.Settings() {
		now.lines["settings:"+l.Name] = l.Value
	}
	now.left = leftOf(c.cfg.Moves(), now)
	return now
}

// number reads a line: a number, or yes and no.
func (r *reading) number(name string) (value float64, there bool) {
	switch line := r.lines[name]; line {
	case "yes":
		return 1, true
	case "no":
		return 0, true
	default:
		value, err := strconv.ParseFloat(line, 64)
		return value, err == nil
	}
}

// line is the number that a line has.
func line(name string) source {
	return func(now *reading) (float64, bool) { return now.number(name) }
}

// of is the only series of its family.
func of(value source) []series { return []series{{value: value}} }

// A row is a family of one series that is a line: its name, the line's, and what it says.
type row struct{ name, line, help string }

// plain are families of one series each, of a line each.
func plain(kind prometheus.ValueType, rows []row) (families []family) {
	for _, r := range rows {
		families = append(families, family{name: r.name, help: r.help, kind: kind, series: of(line(r.line))})
	}
	return families
}
