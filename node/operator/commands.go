package operator

import (
	"math"
	"strconv"
	"strings"

	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
)

// operate does what a command says. Where memcached tunes what does not exist here (slab classes, its LRU), what can be said is accepted without
// effect, so that scripts go on working, and what cannot be is refused in its words.
func (o *Operator) operate(command string, said []string, resp *protocol.Response) {
	switch command {
	case "cache_memlimit":
		o.memlimit(said, resp)
	case "lru_crawler":
		o.crawler(said, resp)
	case "lru":
		answer(resp, tuneLRU(said))
	case "slabs":
		answer(resp, tuneSlabs(said))
	case "watch":
		o.watch(said, resp)
	case "shutdown":
		o.shutdown(said, resp)
	case "refresh_certs":
		o.refreshCerts(resp)
	case "debugtime":
		o.debugTime(said, resp)
	default:
		resp.Status = protocol.UnknownCommand
	}
}

// What is answered in many places.
const (
	ok            = "OK"
	unknown       = "ERROR"
	badFormat     = "CLIENT_ERROR bad command line format"
	badClass      = "BADCLASS invalid class id"
	badClasses    = "BADCLASS invalid src or dst class id"
	noCrawler     = "CLIENT_ERROR lru crawler disabled"
	maxClass      = 63      // of memcached; ours has number 1
	maxSleep      = 1000000 // microseconds
	leastMemlimit = 8       // megabytes, and
	mostMemlimit  = 1000000000
)

// answer says line.
func answer(resp *protocol.Response, line string) {
	resp.Status = protocol.Verbatim
	resp.Scratch = append(resp.Scratch[:0], line...)
	resp.Value = resp.Scratch
}

// words splits what was said. Only blanks part words.
func words(said []byte) []string {
	return strings.FieldsFunc(string(said), func(r rune) bool { return r == ' ' })
}

// means reports whether word stands for name: memcached asks for no more than its beginning.
func means(word, name string) bool { return strings.HasPrefix(name, word) }

func number(word string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(word, 10, 32)
	return n, err == nil
}

func (o *Operator) memlimit(said []string, resp *protocol.Response) {
	if len(said) == 0 {
		answer(resp, unknown)
		return
	}
	megabytes, isNumber := number(said[0])
	switch {
	case !isNumber:
		answer(resp, unknown)
	case megabytes < leastMemlimit:
		answer(resp, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
	case megabytes > mostMemlimit:
		answer(resp, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes")
	case o.cfg.SetLimit(int64(megabytes)<<20) != nil:
		answer(resp, "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
	default:
		answer(resp, ok)
	}
}

func (o *Operator) crawler(said []string, resp *protocol.Response) {
	switch {
	case len(said) == 1 && means(said[0], "enable"):
		if answer(resp, ok); !o.cfg.SetCrawling(true) {
			answer(resp, "ERROR failed to start lru crawler thread")
		}
	case len(said) == 1 && means(said[0], "disable"):
		o.cfg.SetCrawling(false)
		answer(resp, ok)
	case len(said) != 2:
		answer(resp, unknown)
	case means(said[0], "crawl"):
		o.crawl(said[1], resp)
	case means(said[0], "metadump"):
		o.dump(dump{"metadump", "metadump", writeMeta, "END\r\n"}, said[1], resp)
	case means(said[0], "mgdump"):
		o.dump(dump{"mgdump", "key dump", writeGet, "EN\r\n"}, said[1], resp)
	case means(said[0], "tocrawl"):
		answer(resp, tune(said[1], math.MaxUint32, ""))
	case means(said[0], "sleep"):
		answer(resp, tune(said[1], maxSleep, "CLIENT_ERROR sleep must be one second or less"))
	default:
		answer(resp, unknown)
	}
}

// tune accepts a number up to limit, without effect.
func tune(word string, limit uint64, above string) string {
	switch n, isNumber := number(word); {
	case !isNumber:
		return badFormat
	case n > limit:
		return above
	}
	return ok
}

func (o *Operator) crawl(classes string, resp *protocol.Response) {
	listed, fine := ours(classes)
	switch {
	case !o.cfg.Crawling():
		answer(resp, noCrawler)
	case !fine:
		answer(resp, badClass)
	default:
		if answer(resp, ok); listed {
			o.cfg.Crawl()
		}
	}
}

// ours reports whether a list of classes is fine, and whether ours, number 1, is among them.
func ours(classes string) (listed, fine bool) {
	if classes == "all" || classes == "hash" {
		return true, true
	}
	for word := range strings.SplitSeq(classes, ",") {
		n, isNumber := number(word)
		if !isNumber || n < 1 || n > maxClass {
			return false, false
		}
		listed = listed || n == 1
	}
	return listed, true
}

// tuneLRU is "lru": there are no such LRUs here.
func tuneLRU(said []string) string {
	switch {
	case len(said) >= 5 && means(said[0], "tune"):
		return tuneSizes(said[1:])
	case len(said) >= 2 && means(said[0], "mode") && (said[1] == "flat" || said[1] == "segmented"):
		return ok
	case len(said) >= 2 && means(said[0], "temp_ttl"):
		if _, err := strconv.ParseInt(said[1], 10, 32); err == nil {
			return ok
		}
	}
	return unknown
}

func tuneSizes(said []string) string {
	hot, hotOK := number(said[0])
	warm, warmOK := number(said[1])
	hotFactor, err1 := strconv.ParseFloat(said[2], 64)
	warmFactor, err2 := strconv.ParseFloat(said[3], 64)
	switch {
	case !hotOK || !warmOK || err1 != nil || err2 != nil:
		return unknown
	case hot+warm > 80:
		return "ERROR hot and warm pcts must not exceed 80"
	case hotFactor <= 0 || warmFactor <= 0:
		return "ERROR hot/warm age factors must be greater than 0"
	}
	return ok
}

// tuneSlabs is "slabs": there is one class, whose pages nobody else can have.
func tuneSlabs(said []string) string {
	switch {
	case len(said) == 3 && means(said[0], "reassign"):
		return reassign(said[1], said[2])
	case len(said) >= 2 && means(said[0], "automove"):
		return automove(said[1:])
	}
	return unknown
}

func reassign(source, destination string) string {
	from, err1 := strconv.ParseInt(source, 10, 32)
	to, err2 := strconv.ParseInt(destination, 10, 32)
	switch {
	case err1 != nil || err2 != nil:
		return badFormat
	case from == to:
		return "SAME src and dst class are identical"
	case from < -1 || from > maxClass || to < 0 || to > maxClass || from == -1 && to == -1:
		return badClasses
	}
	return "NOSPARE source class has no spare pages"
}

func automove(said []string) string {
	value := ""
	if len(said) > 1 {
		value = said[1]
	}
	switch word := said[0]; {
	case means(word, "ratio"), means(word, "freeratio"):
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return unknown
		}
		return ok
	case means(word, "window"):
		n, isNumber := number(value)
		switch {
		case !isNumber:
			return badFormat
		case n < 3 || n > 1800:
			return "CLIENT_ERROR automove window too low or too high"
		}
		return ok
	default:
		return tuneLevel(word)
	}
}

func tuneLevel(word string) string {
	switch level, isNumber := number(word); {
	case !isNumber:
		return badFormat
	case level > 2:
		return unknown
	}
	return ok
}

// watch tells what happens to items, until the connection ends.
func (o *Operator) watch(said []string, resp *protocol.Response) {
	if o.cfg.NoWatch {
		answer(resp, "CLIENT_ERROR watch commands not allowed")
		return
	}
	if len(said) == 0 {
		said = []string{"fetchers"}
	}
	var kinds watch.Kinds
	for _, word := range said {
		kind, known := watchable(word)
		if kinds |= kind; !known {
			answer(resp, unknown)
			return
		}
	}
	stream, accepted := o.cfg.Watch(kinds)
	if !accepted {
		answer(resp, "WATCHER_TOO_MANY log watcher limit reached")
		return
	}
	answer(resp, "watch")
	resp.Stream = stream
}

// watchable gives the kind that a word means, in memcached's order: "p" is proxyreqs. Of proxies there is nothing to tell, nor of rawcmds: no
// version of memcached logs them.
func watchable(word string) (kind watch.Kinds, known bool) {
	switch {
	case means(word, "rawcmds"), means(word, "proxyreqs"), means(word, "proxyevents"), means(word, "proxyuser"):
		return 0, true
	case means(word, "evictions"):
		return watch.Evictions, true
	case means(word, "fetchers"):
		return watch.Fetchers, true
	case means(word, "mutations"):
		return watch.Mutations, true
	case means(word, "sysevents"):
		return watch.SysEvents, true
	case means(word, "connevents"):
		return watch.ConnEvents, true
	case means(word, "deletions"):
		return watch.Deletions, true
	}
	return 0, false
}

// shutdown says nothing when it does what it was asked for: the connection ends with the process.
func (o *Operator) shutdown(said []string, resp *protocol.Response) {
	graceful := len(said) == 1 && said[0] == "graceful"
	switch {
	case o.cfg.Shutdown == nil:
		answer(resp, "SERVER_ERROR: shutdown not enabled")
	case len(said) > 0 && !graceful:
		answer(resp, "CLIENT_ERROR invalid shutdown mode")
	default:
		answer(resp, "")
		o.cfg.Shutdown(graceful)
	}
}

func (o *Operator) refreshCerts(resp *protocol.Response) {
	if o.cfg.RefreshCerts == nil {
		resp.Status = protocol.UnknownCommand
		return
	}
	if err := o.cfg.RefreshCerts(); err != nil {
		resp.Fail(err.Error())
		return
	}
	answer(resp, ok)
}

func (o *Operator) debugTime(said []string, resp *protocol.Response) {
	if o.cfg.Debug == nil || len(said) == 0 {
		answer(resp, unknown)
		return
	}
	var d Debug
	switch said[0] {
	case "p":
		d.Pause = true
	case "r":
		d.Resume = true
	default:
		seconds, err := strconv.ParseInt(said[0], 10, 64)
		if err != nil {
			answer(resp, unknown)
			return
		}
		d.Advance = seconds
	}
	o.cfg.Debug(d)
	answer(resp, ok)
}
