package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/memring/memring/node/meter"
)

// durations describes the histograms of requests' times.
func durations() *prometheus.Desc {
	return prometheus.NewDesc("memring_request_duration_seconds",
		"Time from the reading of a client's request until its answer was there, by command, result and where the answer came from. "+
			"One of --measure-every requests is measured and counts for so many, so the counts are estimates; memcached_commands_total is exact.",
		[]string{"command", "result", "route"}, nil)
}

// collectTimes gives the histograms of what was asked.
func (c *Collector) collectTimes(to chan<- prometheus.Metric) {
	every := uint64(c.cfg.Figures.Meter.Every())
	for of, h := range c.cfg.Figures.Meter.Times() {
		total, below := uint64(0), make(map[float64]uint64, len(meter.Buckets))
		for i, n := range h.Counts {
			if total += n * every; i < len(meter.Buckets) {
				below[meter.Buckets[i].Seconds()] = total
			}
		}
		to <- prometheus.MustNewConstHistogram(c.times, total, h.Sum.Seconds()*float64(every), below, of.Op.String(), of.Result.String(), of.Route.String())
	}
}

// hotRanks is of how many of the hottest keys the series tell, never which they are.
const hotRanks = 10

// hot are the series of the hottest keys by their rank: 0 where there are not so many.
func hot() []family {
	var rates, shares []series
	for i := range hotRanks {
		rank := []string{strconv.Itoa(i + 1)}
		read := func(of func(k meter.HotKey) float64) source {
			return func(now *reading) (float64, bool) {
				if i >= len(now.hot) {
					return 0, true
				}
				return of(now.hot[i]), true
			}
		}
		rates = append(rates, series{read(func(k meter.HotKey) float64 { return k.Rate }), rank})
		shares = append(shares, series{read(func(k meter.HotKey) float64 { return k.Share }), rank})
	}
	return []family{
		{name: "memring_hot_key_requests_per_second", help: "Requests for the hottest keys of this node, by rank; \"stats hotkeys\" tells which they are.", kind: gauge, labels: []string{"rank"}, series: rates},
		{name: "memring_hot_key_share", help: "The part of this node's requests that is for them, from 0 to 1.", kind: gauge, labels: []string{"rank"}, series: shares},
	}
}
