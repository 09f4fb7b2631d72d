package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/memring/memring/cmd/settings"
)

// A word is one of memcached's extended options, NAME or NAME=VALUE: -o takes several, with commas.
type word struct {
	name  string
	value string // what the help calls its value; "" when it has none, [..] when it need not be given
	about string // for the help; "" says nothing there
	idle  bool   // accepted, and without effect here
	set   func(value string) error
}

// words gives all that -o knows; they change o. Those that only switch off what another switches on are not told in the help, as in
// memcached's: "most have a form with no_".
func (o *options) words() []word {
	t := &o.node.Tuning
	on := func(flag *bool, to bool) func(string) error { return func(string) error { *flag = to; return nil } }
	nothing := func(string) error { return nil }
	return append([]word{
		{name: "idle_timeout", value: "SECONDS", about: "as --idle-timeout", set: func(value string) error {
			seconds := 0
			err := whole(&seconds, 0, math.MaxInt32)(value)
			if o.set.Changed("idle-timeout") && o.node.IdleTimeout != time.Duration(seconds)*time.Second {
				err = errors.Join(err, errors.New("--idle-timeout says something else"))
			}
			o.node.IdleTimeout = time.Duration(seconds) * time.Second
			return err
		}},
		{name: "no_maxconns_fast", about: "at the limit of -c let new connections wait, instead of refusing them", set: on(&o.node.PauseAtLimit, true)},
		{name: "maxconns_fast", set: on(&o.node.PauseAtLimit, false)},
		{name: "read_buf_mem_limit", value: "MEGABYTES", about: "memory for half-read requests, and as much for answers not taken (default 0: a quarter of -m)", set: scaled(&o.node.MaxBufferBytes, 1<<20)},
		{name: "no_lru_crawler", about: "do not look for expired items in the background", set: on(&t.LRUCrawler, false)},
		{name: "lru_crawler", set: on(&t.LRUCrawler, true)},
		{name: "no_modern", about: "as memcached 1.4 was: no_maxconns_fast, no_lru_crawler, and fewer lines in stats", set: o.noModern},
		{name: "modern", set: nothing},
		{name: "relaxed_privileges", about: "allow the command debugtime, and UDP anywhere: only for memcached's own tests", set: on(&o.node.Debug, true)},

		{name: "hashpower", value: "12-32", idle: true, set: whole(&t.HashPower, 12, 32)},
		{name: "no_hashexpand", idle: true, set: nothing},
		{name: "hash_algorithm", value: "jenkins|murmur3|xxh3", idle: true, set: oneOf(&t.HashAlgorithm, "jenkins", "murmur3", "xxh3")},
		{name: "slab_reassign", idle: true, set: on(&t.SlabReassign, true)},
		{name: "no_slab_reassign", idle: true, set: on(&t.SlabReassign, false)},
		{name: "slab_automove", value: "[0-2]", idle: true, set: orElse("1", whole(&t.SlabAutomove, 0, 2))},
		{name: "no_slab_automove", idle: true, set: func(string) error { t.SlabAutomove = 0; return nil }},
		{name: "slab_automove_ratio", value: "RATIO", idle: true, set: fraction(&t.SlabAutomoveRatio, 1)},
		{name: "slab_automove_window", value: "3-1800", idle: true, set: whole(&t.SlabAutomoveSeconds, 3, 1800)},
		{name: "slab_chunk_max", value: "KILOBYTES", idle: true, set: func(value string) error {
			kilobytes := 0
			err := whole(&kilobytes, 1, 1024)(value)
			t.SlabChunkMaxBytes, o.chunkMaxGiven = kilobytes<<10, true
			return err
		}},
		{name: "no_chunked_items", idle: true, set: func(string) error { t.SlabChunkMaxBytes = slabPageBytes; return nil }},
		{name: "slab_sizes", value: "N-N-...", idle: true, set: func(value string) error { o.slabSizes = value; return nil }},
		{name: "lru_crawler_sleep", value: "MICROSECONDS", idle: true, set: whole(&t.LRUCrawlerSleep, 0, 1_000_000)},
		{name: "lru_crawler_tocrawl", value: "ITEMS", idle: true, set: whole(&t.LRUCrawlerToCrawl, 0, math.MaxUint32)},
		{name: "lru_maintainer", idle: true, set: func(string) error { t.LRUMaintainer, t.LRUSegmented = true, true; return nil }},
		{name: "no_lru_maintainer", idle: true, set: func(string) error { t.LRUMaintainer, t.LRUSegmented = false, false; return nil }},
		{name: "hot_lru_pct", value: "1-79", idle: true, set: whole(&t.HotPercent, 1, 79)},
		{name: "warm_lru_pct", value: "1-79", idle: true, set: whole(&t.WarmPercent, 1, 79)},
		{name: "hot_max_factor", value: "FACTOR", idle: true, set: fraction(&t.HotMaxFactor, math.MaxFloat64)},
		{name: "warm_max_factor", value: "FACTOR", idle: true, set: fraction(&t.WarmMaxFactor, math.MaxFloat64)},
		{name: "temporary_ttl", value: "SECONDS", idle: true, set: func(value string) error {
			t.TempLRU = true
			return whole(&t.TemporaryTTL, 0, math.MaxInt32)(value)
		}},
		{name: "tail_repair_time", value: "SECONDS", idle: true, set: whole(&t.TailRepairSeconds, 10, math.MaxInt32)},
		{name: "watcher_logbuf_size", value: "KILOBYTES", idle: true, set: scaled(&t.WatcherBufferBytes, 1<<10)},
		{name: "worker_logbuf_size", value: "KILOBYTES", idle: true, set: scaled(&t.WorkerBufferBytes, 1<<10)},
		{name: "track_sizes", idle: true, set: on(&t.TrackSizes, true)},
		{name: "inline_ascii_resp", idle: true, set: nothing},
		{name: "no_inline_ascii_resp", idle: true, set: nothing},
		{name: "drop_privileges", idle: true, set: nothing},
		{name: "no_drop_privileges", set: nothing},
		{name: "resp_obj_mem_limit", idle: true, value: "[MEGABYTES]", set: nothing},
	}, o.tlsWords()...)
}

// noModern sets what memcached 1.5 has changed back to what it was.
func (o *options) noModern(string) error {
	t := &o.node.Tuning
	if !o.chunkMaxGiven {
		t.SlabChunkMaxBytes = slabPageBytes
	}
	t.SlabReassign, t.SlabAutomove, t.LRUSegmented, t.LRUCrawler, t.LRUMaintainer = false, 0, false, false, false
	t.HashAlgorithm = "jenkins"
	o.node.PauseAtLimit = true
	return nil
}

// resolveExtended obeys the words of -o, in their order: later ones win.
func (o *options) resolveExtended(wrong *complaints) {
	before := len(*wrong)
	known, names := make(map[string]word), []string{}
	for _, w := range o.words() {
		known[w.name], names = w, append(names, w.name)
	}
	for i, list := range o.extended {
		for _, given := range strings.Split(strings.TrimSuffix(list, ","), ",") {
			name, value, hasValue := strings.Cut(given, "=")
			w, ok := known[name]
			var err error
			switch {
			case !ok:
				if err = fmt.Errorf("-o %s: illegal suboption %q", list, given); settings.Nearest(name, names) != "" {
					err = fmt.Errorf("%w: is it %q?", err, settings.Nearest(name, names))
				}
			case w.value == "" && hasValue:
				err = fmt.Errorf("-o %s: takes no value", given)
			case w.value != "" && w.value[0] != '[' && value == "":
				err = fmt.Errorf("-o %s: missing argument, %s=%s", given, name, w.value)
			default:
				if err = w.set(value); err != nil {
					err = fmt.Errorf("-o %s: %w", given, err)
				}
			}
			if source := o.set.Source("extended", i); err != nil && source.Kind != settings.CommandLine {
				err = fmt.Errorf("%v: %w", source, err)
			}
			wrong.add(err)
			if w.idle {
				o.idle = append(o.idle, "-o "+name)
			}
		}
	}
	if len(*wrong) == before { // else the words do not say what was meant
		wrong.add(o.checkTuning())
	}
}

// slabPageBytes is the size of memcached's pages, which chunks must divide.
const slabPageBytes = 1 << 20

// checkTuning refuses, of what has no effect here, what memcached refuses since it contradicts itself.
func (o *options) checkTuning() error {
	t, size := o.node.Tuning, o.node.MaxItemBytes
	switch {
	case o.chunkMaxGiven && t.SlabChunkMaxBytes > size:
		return fmt.Errorf("-o slab_chunk_max=%d: cannot be larger than -I (%d bytes)", t.SlabChunkMaxBytes>>10, size)
	case o.chunkMaxGiven && (size%t.SlabChunkMaxBytes != 0 || slabPageBytes%t.SlabChunkMaxBytes != 0):
		return fmt.Errorf("-o slab_chunk_max=%d: must evenly divide -I (%d bytes) and %d bytes", t.SlabChunkMaxBytes>>10, size, slabPageBytes)
	case t.HotPercent+t.WarmPercent > 80:
		return fmt.Errorf("-o hot_lru_pct=%d,warm_lru_pct=%d: cannot be more than 80 combined", t.HotPercent, t.WarmPercent)
	case t.TempLRU && !t.LRUMaintainer:
		return fmt.Errorf("-o temporary_ttl=%d: requires lru_maintainer", t.TemporaryTTL)
	case o.slabSizes == "":
		return nil
	}
	last := 0
	for _, text := range strings.Split(o.slabSizes, "-") {
		size, err := strconv.Atoi(text)
		if err != nil || size < t.ChunkBytes || size > t.SlabChunkMaxBytes || size <= last {
			return fmt.Errorf("-o slab_sizes=%s: %q must be a size from %d to %d, above the one before", o.slabSizes, text, t.ChunkBytes, t.SlabChunkMaxBytes)
		}
		last = size
	}
	return nil
}

// whole reads a whole number from low to high.
func whole[N int | int64 | uint32](to *N, low, high int64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a number from %d to %d", low, high)
		}
		*to = N(n)
		return nil
	}
}

// scaled reads a number of units of so many bytes.
func scaled[N int | int64](to *N, unit int64) func(string) error {
	return func(value string) error {
		var n int64
		err := whole(&n, 0, math.MaxUint32)(value)
		*to = N(n * unit)
		return err
	}
}

// fraction reads a number above 0, up to high.
func fraction(to *float64, high float64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || !(n > 0 && n <= high) {
			return fmt.Errorf("must be above 0, at most %g", high)
		}
		*to = n
		return nil
	}
}

func oneOf(to *string, allowed ...string) func(string) error {
	return func(value string) error {
		for _, name := range allowed {
			if value == name {
				*to = name
				return nil
			}
		}
		return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
	}
}

// orElse gives a value that need not be given its default.
func orElse(usual string, set func(string) error) func(string) error {
	return func(value string) error {
		if value == "" {
			value = usual
		}
		return set(value)
	}
}
