// Package operator answers what is asked of the node itself: its version, statistics, what an operator may do to it.
//
//	commands.go  lru_crawler, cache_memlimit, watch...: what an operator may do to a running node
//	stats.go     stats, in every form
//
// It stands before the router, and passes on what concerns a key.
package operator

import (
	"time"

	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
)

// Config says where the answers come from, and what may be asked. All its functions are called by many sessions at once.
type Config struct {
	Version string // three numbers with dots: clients parse it

	// Stats gives the lines of a group of statistics ("" for the general ones), and false if there is no such group.
	Stats      func(group string) (lines []protocol.ReportLine, known bool)
	ResetStats func()
	Verbosity  func(level uint64)

	// Cluster answers what is asked of the cluster: its members, their moves, who owns a key...
	Cluster protocol.Handler

	// Nodes appends what clients that look for the nodes are told (auto discovery).
	Nodes func(dst []byte) []byte

	SetLimit func(bytes int64) error // of the memory for items

	// Crawling tells whether expired items are looked for; SetCrawling starts that or ends it, and is false if it was so already; Crawl goes
	// through all of them before it returns.
	Crawling    func() bool
	SetCrawling func(on bool) (changed bool)
	Crawl       func()

	// NoDump refuses whatever lists keys (memcached's -X).
	NoDump bool
	// Dump begins to list the items whose owner this node is, written by write and ended by end.
	Dump func(write func(dst []byte, item Item) []byte, end string) protocol.Stream
	// Export begins to give the items themselves, of some partitions, a bit each, or of all if none are said, and with a span above 0 tells what has become of partitions within that; false for
	// bytes that are no partitions.
	Export func(parts []byte, span time.Duration) (protocol.Stream, bool)
	// Some lists the first of them, limit at most unless that is 0; no more than fit in maxBytes.
	Some func(limit, maxBytes int) []Item

	// SetDetail begins to count by prefix, or ends it; Detail gives what was counted.
	SetDetail func(on bool)
	Detail    func() []protocol.ReportLine

	// NoWatch refuses watch (memcached's -W). Watch begins one; false if there are too many.
	NoWatch bool
	Watch   func(kinds watch.Kinds) (protocol.Stream, bool)

	Shutdown     func(graceful bool) // ends the process, soon after it returns; nil refuses (memcached's -A is not given)
	RefreshCerts func() error        // nil: there are none
	Debug        func(d Debug)       // what only tests may do to the clock; nil refuses
}

// Debug is what "debugtime" asks for.
type Debug struct {
	Advance       int64 // seconds
	Pause, Resume bool  // the clock
}

// An Operator is the first link of the chain behind a client's session.
type Operator struct {
	cfg  Config
	next protocol.Handler
}

// New makes an operator before next.
func New(cfg Config, next protocol.Handler) *Operator { return &Operator{cfg: cfg, next: next} }

// nodesKey is where clients of old look for the nodes, in the version of ElastiCache before "config get".
const nodesKey = "AmazonElastiCache:cluster"

// Handle implements protocol.Handler.
func (o *Operator) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch req.Op {
	case protocol.Get:
		if string(req.Key) != nodesKey {
			return o.next.Handle(req, resp)
		}
		o.nodes(resp)
		resp.Size = uint32(len(resp.Value))
	case protocol.Version:
		resp.Status = protocol.OK
		resp.Scratch = append(resp.Scratch[:0], o.cfg.Version...)
		resp.Value = resp.Scratch
	case protocol.Verbosity:
		resp.Status = protocol.OK
		o.cfg.Verbosity(req.Delta)
	case protocol.Stats:
		o.stats(words(req.Key), resp)
	case protocol.ResetStats:
		resp.Status = protocol.OK
		o.cfg.ResetStats()
	case protocol.Operate:
		o.operate(string(req.Key), words(req.Value), resp)
	case protocol.Export:
		o.export(req, resp)
	case protocol.Configuration:
		if string(req.Key) == "cluster" {
			o.nodes(resp)
		} else {
			resp.Status = protocol.UnknownCommand // at once, and in these words: some clients ask for others first, and wait
		}
	case protocol.Members, protocol.Moves, protocol.Owner, protocol.ClusterStatus, protocol.Explain, protocol.Drain, protocol.Forget:
		return o.cfg.Cluster.Handle(req, resp)
	default:
		return o.next.Handle(req, resp)
	}
	return nil
}

func (o *Operator) nodes(resp *protocol.Response) {
	resp.Status = protocol.OK
	resp.Scratch = o.cfg.Nodes(resp.Scratch[:0])
	resp.Value = resp.Scratch
}
