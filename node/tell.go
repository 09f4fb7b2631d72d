package node

import (
	"fmt"

	"github.com/memring/memring/node/crawler"
	"github.com/memring/memring/node/server"
	"github.com/memring/memring/node/watch"
)

// tellRound tells who watches of a round of the crawler, in memcached's line. The one class is 1, and there are no LRUs to be named; what
// memcached plans by (low_mark, next_reclaims, next_run) is not planned here: the next round has begun.
func (n *Node) tellRound(r crawler.Round) {
	n.post(watch.SysEvents, "type=lru_crawler crawler=1 lru=all low_mark=0 next_reclaims=0 since_run=%d next_run=0 elapsed=%d examined=%d reclaimed=%d",
		int(r.Since.Seconds()), int(r.Lasted.Seconds()), r.Checked, r.Removed)
}

// tellConn tells who watches of a connection to the client port.
func (n *Node) tellConn(e server.ConnEvent) {
	what, why := "conn_new", ""
	if e.Closed {
		what, why = "conn_close", " reason="+string(e.Reason)
	}
	n.post(watch.ConnEvents, "type=%s rip=%s rport=%d transport=%s%s cfd=%d", what, e.IP, e.Port, e.Transport, why, e.Origin)
}

func (n *Node) post(kind watch.Kinds, format string, args ...any) {
	if board := n.executor.Watch(); board.Wanted(kind) {
		board.Post(kind, n.clock.Milli(), fmt.Sprintf(format, args...))
	}
}
