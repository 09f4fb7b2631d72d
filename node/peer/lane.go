package peer

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/protocol"
)

// A lane is one connection at a time to one member, in which answers come in the order of the requests. It is dialed when there is
// something to send, and after a failure not again before a pause: meanwhile requests fail at once.
type lane struct {
	link  *Link
	conn  atomic.Pointer[conn] // nil before the first request
	ships chan struct{}        // holds a note while somebody ships

	mu        sync.Mutex // guards the rest, and changes of conn
	closed    bool
	failures  int           // connections in a row that came to nothing
	notBefore time.Duration // on the clock of Peers: no dialing before
}

const (
	// The pause after a connection that came to nothing: short enough that a restarted member is found again within a client's patience,
	// doubled so that a dead one costs little.
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second

	// provenAfter is how long a connection must have held to be dialed again at once when it is lost.
	provenAfter = time.Second
)

func (l *lane) send(req *protocol.Request) *protocol.Pending {
	for {
		c := l.conn.Load()
		if c != nil {
			if pending := c.send(req); pending != nil {
				return pending
			}
		}
		if !l.redial(c) {
			l.link.peers.stats.Lost.Add(1)
			return protocol.Answered(protocol.PeerLost)
		}
	}
}

// redial puts a new connection in the place of lost, unless somebody has done so, or reports false: not now.
func (l *lane) redial(lost *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if l.conn.Load() != lost {
		return true
	}
	if l.link.peers.now() < l.notBefore {
		return false
	}
	c := newConn(l)
	l.conn.Store(c)
	l.link.peers.running.Go(c.run)
	return true
}

// lost is told by a conn that it takes no more requests, before it refuses any.
func (l *lane) lost(held time.Duration, why error) {
	if !l.note(held, why) && !l.link.retired.Load() {
		l.link.peers.cfg.Lost(l.link.id)
	}
}

// note takes in that a connection was lost, unless that was meant.
func (l *lane) note(held time.Duration, why error) (meant bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return true
	}
	log := l.link.peers.cfg.Log.With("peer", l.link.id, "addr", l.link.addr, "lane", l.link.peers.cfg.Lane)
	if held >= provenAfter {
		l.failures = 0
		level := slog.LevelWarn
		if l.link.retired.Load() {
			level = slog.LevelDebug // the peer has left, and closes its doors
		}
		log.Log(context.Background(), level, "lane lost", "err", why)
		return false
	}
	pause := min(firstPause<<min(l.failures, 10), maxPause)
	pause -= rand.N(pause / 4) // so that the lanes of many members do not knock all at once
	l.notBefore = l.link.peers.now() + pause
	level := slog.LevelDebug
	if l.failures++; l.failures == 1 {
		level = slog.LevelWarn // the first of a row only
	}
	log.Log(context.Background(), level, "no lane to peer", "err", why)
	return false
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if c := l.conn.Load(); c != nil {
		c.close()
	}
}
