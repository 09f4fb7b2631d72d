package warm

import (
	"slices"
	"sync/atomic"
	"time"
)

// A Server is an address that clients know.
type Server struct {
	Addr   string
	Number uint8 // tells it apart in samples

	stopping atomic.Bool
	stops    atomic.Uint64 // how often it was stopped
}

// Stopping must be called before the server is told to end, and Started once it answers again: that is how a link lost with it is told
// from one that it should not have closed.
func (s *Server) Stopping() {
	s.stops.Add(1)
	s.stopping.Store(true)
}

// Started ends what Stopping began.
func (s *Server) Started() { s.stopping.Store(false) }

// excuses reports whether a link may be lost that was opened after so many stops.
func (s *Server) excuses(stops uint64) bool { return s.stopping.Load() || s.stops.Load() > stops }

// Servers is the list that clients are configured with. An operator may change it while they run.
type Servers struct {
	ketama bool
	list   atomic.Pointer[list]
}

// A list never changes; another takes its place.
type list struct {
	servers   []*Server
	continuum continuum // of ketama only
}

// NewServers makes a list. With ketama each key has its own server among them, else any of them takes every key.
func NewServers(ketama bool, servers ...*Server) *Servers {
	s := &Servers{ketama: ketama}
	s.Set(servers...)
	return s
}

// Set changes the list, for all clients at once.
func (s *Servers) Set(servers ...*Server) {
	l := &list{servers: slices.Clone(servers)}
	if s.ketama {
		l.continuum = newContinuum(servers)
	}
	s.list.Store(l)
}

// Server gives the one that a key belongs to while all are well; nil where any takes it.
func (s *Servers) Server(key string) *Server {
	if l := s.list.Load(); s.ketama {
		return l.continuum.find([]byte(key), func(*Server) bool { return true })
	}
	return nil
}

// A picker says whom a client asks. It is one client's own.
type picker interface {
	pick(l *list, key []byte, now time.Time) *Server
	failed(l *list, s *Server, now time.Time) // it did not answer
}

func (s *Servers) picker(client int) picker {
	if s.ketama {
		return &ejecting{until: map[*Server]time.Time{}}
	}
	return &sticking{client: client}
}

// sticking stays with one server of a cluster until that one does not answer. Clients are dealt to all servers, and those of a server that
// is gone to all others.
type sticking struct {
	client int
	with   *Server
}

func (p *sticking) pick(l *list, _ []byte, _ time.Time) *Server {
	if p.with == nil || !slices.Contains(l.servers, p.with) {
		p.with = l.servers[p.client%len(l.servers)]
	}
	return p.with
}

func (p *sticking) failed(l *list, s *Server, _ time.Time) {
	n := len(l.servers)
	if i := slices.Index(l.servers, s); i >= 0 && n > 1 {
		step := 1 + p.client/n%(n-1)
		p.client++ // were the next one gone too, step after step must meet all
		p.with = l.servers[(i+step)%n]
	}
}

// ejecting asks the server that ketama chooses among those that answer. One that does not is left out for a while, then tried again.
type ejecting struct{ until map[*Server]time.Time }

// ejectFor is libmemcached's: MEMCACHED_SERVER_FAILURE_RETRY_TIMEOUT.
const ejectFor = 2 * time.Second

func (p *ejecting) pick(l *list, key []byte, now time.Time) *Server {
	well := func(s *Server) bool { return !now.Before(p.until[s]) }
	if s := l.continuum.find(key, well); s != nil {
		return s
	}
	return l.continuum.find(key, func(*Server) bool { return true }) // all are out: then any is worth a try
}

func (p *ejecting) failed(_ *list, s *Server, now time.Time) { p.until[s] = now.Add(ejectFor) }
