// Package sides tells whether this node is on the small side of a split, and what clients are told there.
//
//	here, lost --Look--> how many of those who were together are gone at once -> Minority
//	others heard --Beat--> nobody for aloneTime: all are gone at once
//	client, lane -> gate -> minority? by the policy: a miss, an error -> else the handler behind it
//
// Both sides of a split see the same: half of the others went without a word. So the smaller one must find out by itself that it is the smaller one, and of two halves only
// that with the lowest id may go on (CLUSTER.md 4.2, 8). Who leaves in order, or whose process is known to be gone since its port refuses connections, is on no other side.
package sides

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/protocol"
)

// A Policy is what clients of the minority are told.
type Policy uint8

// The policies.
const (
	Serve  Policy = iota // what is here: it may be out of date, and what is stored may lose against the other side's
	Miss                 // reads find nothing, writes get an error: an application goes to its database
	Refuse               // an error, whatever is asked
)

// String gives the policy as --on-minority has it.
func (p Policy) String() string { return [...]string{"serve", "miss", "refuse"}[p] }

// Config says how to judge.
type Config struct {
	Self   string // our id
	Policy Policy
	// MinMembers is how many active members there must be, ourselves included; fewer are a minority. 0: any.
	MinMembers int
	Log        *slog.Logger
}

// window is within which time of each other members are lost that are behind one cut. Gossip needs 4 s to find the first of them out, and up to 2.4 s more for each of the others where few are left to look.
const window = 10 * time.Second

const (
	// Beat is called every BeatEvery.
	BeatEvery = 50 * time.Millisecond
	// aloneTime is how long this node hears nobody until it takes all others for lost. Gossip has found one of them dead by then, and needs 2.4 s for each of the others: who hears nobody finds his own
	// health bad, and is in no hurry to blame others.
	aloneTime = 4 * time.Second
)

// mourned is how long a member may be away and is still reckoned with: as long as tombstones are kept for it.
const mourned = time.Hour

// Sides know on which side this node is.
type Sides struct {
	cfg      Config        // mu guards MinMembers
	policy   atomic.Uint32 // a Policy
	minority atomic.Bool
	closed   atomic.Bool // in the minority, by a policy that does not serve
	stats    Stats

	mu      sync.Mutex        // guards the rest
	base    map[string]bool   // the ids of those who were together when all was well
	refused map[string]uint64 // of whom a process is known to be gone: its boot
	looked  bool
	heard   uint64    // until the last beat
	silent  int       // beats since
	alone   time.Time // when nobody had been heard for aloneTime; zero: somebody is
}

// Stats are counted since the start.
type Stats struct {
	Begun   atomic.Int64 // times that this node found itself in the minority
	Missed  atomic.Int64 // reads that were told a miss for it
	Refused atomic.Int64 // requests that were told an error for it
}

// New makes Sides that have seen nobody yet.
func New(cfg Config) *Sides {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sides{cfg: cfg, base: map[string]bool{}, refused: map[string]uint64{}}
	s.policy.Store(uint32(cfg.Policy))
	return s
}

// Judge changes the policy, and how many members there must be. The policy counts at once, the number when it is looked the next time.
func (s *Sides) Judge(policy Policy, minMembers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.MinMembers = minMembers
	s.policy.Store(uint32(policy))
	s.closed.Store(s.minority.Load() && policy != Serve)
}

func (s *Sides) now() Policy { return Policy(s.policy.Load()) }

// Minority reports whether this node is on the small side.
func (s *Sides) Minority() bool { return s.minority.Load() }

// Stats gives the live counters.
func (s *Sides) Stats() *Stats { return &s.stats }

// Beat is told every BeatEvery how often others were heard so far, in all, and reports whether that is a reason to Look. Beats are counted and not the time that passes: who stands still hears nobody, and is not alone.
func (s *Sides) Beat(heard uint64, now time.Time) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if heard != s.heard {
		news = !s.alone.IsZero()
		s.heard, s.silent, s.alone = heard, 0, time.Time{}
		return news
	}
	if s.silent++; s.silent != int(aloneTime/BeatEvery) {
		return false
	}
	s.alone = now
	return true
}

// Look judges by who is here and who went without a word; gone tells of whom it is known that its process has ended. apart reports whether somebody may be on another side.
//
// The minority ends when so many are back, or known to be gone, that it is none any more. No time ends it: a split of a day is one all the same. Membership gives up who is
// lost for a day, and so does this; an operator who knows better restarts the node.
func (s *Sides) Look(here []membership.Member, lost []membership.Lost, gone func(membership.Member) bool, now time.Time) (apart bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	active, away := s.sort(here, lost, gone)
	for _, since := range away {
		apart = apart || now.Sub(since) < mourned
	}
	if !s.looked { // who comes later takes the sides as they are
		s.looked = true
		for id := range away {
			s.base[id] = true
		}
		for id := range active {
			s.base[id] = s.base[id] || id != s.cfg.Self
		}
		maps.DeleteFunc(s.base, func(_ string, counts bool) bool { return !counts })
	}
	missing, last := s.missing(active, away)
	few := len(active) < s.cfg.MinMembers
	small := s.small(missing)
	if !small && (len(missing) == 0 || now.Sub(last) > window) {
		s.base = active
	}
	s.settle(small || few, len(missing), len(active))
	return apart
}

// sort tells who is active, and who may be on another side and since when. Whose process is gone is neither, until it is back.
func (s *Sides) sort(here []membership.Member, lost []membership.Lost, gone func(membership.Member) bool) (active map[string]bool, away map[string]time.Time) {
	active, away = map[string]bool{}, map[string]time.Time{}
	known := map[string]bool{}
	for _, m := range here {
		switch known[m.ID] = true; {
		case gone(m):
			s.refused[m.ID] = m.Boot
		case !s.alone.IsZero() && m.ID != s.cfg.Self && m.State == membership.Active:
			away[m.ID] = s.alone
		case m.State == membership.Active:
			active[m.ID] = true
			delete(s.refused, m.ID)
		}
	}
	for _, l := range lost {
		if known[l.ID] = true; l.State == membership.Active && !active[l.ID] && s.refused[l.ID] < l.Boot {
			away[l.ID] = l.Since
		}
	}
	maps.DeleteFunc(s.refused, func(id string, _ uint64) bool { return !known[id] })
	return active, away
}

// missing gives those of the base who went one within a window of the other, or while we were the minority already, and when the last one did. The others are not missed any more: who went
// alone has crashed.
func (s *Sides) missing(active map[string]bool, away map[string]time.Time) (missing []string, last time.Time) {
	for id := range s.base {
		_, is := away[id]
		switch {
		case active[id]:
		case !is: // it has left, or its process is gone
			delete(s.base, id)
		default:
			missing = append(missing, id)
		}
	}
	slices.SortFunc(missing, func(a, b string) int { return away[b].Compare(away[a]) })
	for i, id := range missing {
		if i > 0 && away[missing[i-1]].Sub(away[id]) > window && !s.minority.Load() {
			for _, id := range missing[i:] {
				delete(s.base, id)
			}
			missing = missing[:i]
			break
		}
	}
	if len(missing) > 0 {
		last = away[missing[0]]
	}
	return missing, last
}

// small reports whether those who are left of the base are fewer than those who are missing, or as many, and without the lowest id.
func (s *Sides) small(missing []string) bool {
	if left := len(s.base) - len(missing); len(missing) != left || left == 0 {
		return len(missing) > left
	}
	return slices.Contains(missing, slices.Min(slices.Collect(maps.Keys(s.base))))
}

func (s *Sides) settle(minority bool, missing, active int) {
	before := s.minority.Swap(minority)
	s.closed.Store(minority && s.now() != Serve)
	switch {
	case minority && !before:
		s.stats.Begun.Add(1)
		s.cfg.Log.Warn("in the minority: more of the cluster is out of reach than is here, or fewer are here than must be (--on-minority, --min-members)",
			"missing", missing, "here", active, "at_least", s.cfg.MinMembers, "clients", s.now())
	case before && !minority:
		s.cfg.Log.Info("in the minority no more", "missing", missing, "here", active)
	}
}

// told is what clients of the minority are told.
const told = "minority: this node is cut off from most of its cluster (--on-minority)"

// A gate lets requests through unless this node is in the minority.
type gate struct {
	sides *Sides
	next  protocol.Handler
	lane  bool
}

// Before gives the gate before a handler of clients' requests, Lane that before what other members forward: they may not have found out yet. These may flush.
func (s *Sides) Before(next protocol.Handler) protocol.Handler { return gate{s, next, false} }

// Lane: see Before.
func (s *Sides) Lane(next protocol.Handler) protocol.Handler { return gate{s, next, true} }

// Handle implements protocol.Handler.
func (g gate) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	switch s := g.sides; {
	case !s.closed.Load(), !req.Op.Keyed() && (req.Op != protocol.Flush || g.lane):
		return g.next.Handle(req, resp)
	case s.now() == Miss && (!req.Op.Writes() || req.Op == protocol.Gat):
		s.stats.Missed.Add(1)
		resp.Status = protocol.NotFound
	default:
		s.stats.Refused.Add(1)
		resp.Fail(told)
	}
	return nil
}
