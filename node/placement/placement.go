// Package placement says who has a place in the table, and who of these is here (CLUSTER.md 2.4).
//
//	here, lost --Of--> Here:   all who are alive -> links, hand-over's view
//	                   Placed: the active of them, and those who are down but within their grace -> ring.Build
//	                   who of Placed is down -> Table.Led
//
// With one copy nobody else has what a lost member held, so its places are given away at once. With more, others answer for it, and nothing moves before its
// grace is over: a member that is back by then finds its places as they were.
package placement

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/ring"
)

// A Placement is what a table is made of.
type Placement struct {
	Here   []membership.Member // by id
	Placed []membership.Member // by id
	Copies int                 // the most that one of them wants: so all agree on it while they are restarted with another number
	Until  time.Time           // when the first grace is over; zero: nobody is in it

	whole *ring.Table // with all who are placed alive, once it was made
}

// Of gives the placement of now; grace is how long a place is kept (node.Config, RebalanceDelay). Without a member that is active nobody is placed.
func Of(here []membership.Member, lost []membership.Lost, grace time.Duration, now time.Time) Placement {
	p := Placement{Here: here}
	for _, m := range here {
		if m.State == membership.Active {
			p.Placed = append(p.Placed, m)
		}
	}
	if len(p.Placed) == 0 {
		return p
	}
	all := p.Placed
	for _, l := range lost {
		over := l.Since.Add(grace)
		if l.State != membership.Active || !now.Before(over) || p.ByID(l.ID) != nil {
			continue
		}
		if all = append(all, l.Member); p.Until.IsZero() || over.Before(p.Until) {
			p.Until = over
		}
	}
	for _, m := range all {
		p.Copies = max(p.Copies, int(m.Copies)) // also of those who are down: perhaps only that one wants more
	}
	if p.Copies < 2 {
		p.Until = time.Time{}
		return p
	}
	slices.SortFunc(all, func(a, b membership.Member) int { return strings.Compare(a.ID, b.ID) })
	p.Placed = all
	return p
}

// ByID gives who is here under an id; nil if nobody is.
func (p *Placement) ByID(id string) *membership.Member {
	at, found := slices.BinarySearchFunc(p.Here, id, func(m membership.Member, id string) int { return strings.Compare(m.ID, id) })
	if !found {
		return nil
	}
	return &p.Here[at]
}

// Down reports whether a member that is placed is not here.
func (p *Placement) Down(id string) bool { return p.ByID(id) == nil }

// Same reports whether the same table, links and view come of both.
func (p *Placement) Same(q *Placement) bool {
	return p.Copies == q.Copies && slices.Equal(p.Here, q.Here) && slices.Equal(p.Placed, q.Placed)
}

// Table makes the table. What it has in common with the placement before is taken from there: when a member goes down nothing else is new, and that must be quick.
// While it is built rest is called, if nobody waits for it (ring.BuildAtEase).
func (p *Placement) Table(params ring.Params, before *Placement, rest func()) (*ring.Table, error) {
	members := make([]ring.Member, 0, len(p.Placed))
	for _, m := range p.Placed {
		members = append(members, m.Member)
	}
	params.Copies = max(p.Copies, 1)
	if p.whole = before.whole; p.whole == nil || p.whole.Copies() != params.Copies || !slices.Equal(p.whole.Members(), members) {
		if p.urgent(before) {
			rest = func() {}
		}
		var err error
		if p.whole, err = ring.BuildAtEase(members, params, rest); err != nil {
			return nil, err
		}
	}
	return p.whole.Led(func(member int) bool { return !p.Down(members[member].ID) })
}

// urgent reports whether requests may wait for the table: somebody is gone who answered until now, or nobody else is here to answer.
func (p *Placement) urgent(before *Placement) bool {
	return len(p.Here) < 2 || slices.ContainsFunc(before.Placed, func(m membership.Member) bool { return !before.Down(m.ID) && p.Down(m.ID) })
}

// Over gives a moment when a grace is over; nil, which never comes, when nobody is in it.
func (p *Placement) Over() <-chan time.Time {
	if p.Until.IsZero() {
		return nil
	}
	return time.After(time.Until(p.Until))
}

// Tell logs what becomes of members that went without a word.
func (p *Placement) Tell(before *Placement, grace time.Duration, log *slog.Logger) {
	for _, m := range p.Placed {
		if p.Down(m.ID) && !before.holds(m) {
			log.Warn("member down: others answer for what it holds, and take it over unless it is back in time", "member", m.ID, "within", grace)
		}
	}
	for _, m := range before.Placed {
		switch now := p.ByID(m.ID); {
		case !before.Down(m.ID) || p.holds(m):
		case now == nil:
			log.Warn("member not back in time: its partitions are placed anew", "member", m.ID)
		default:
			log.Info("member back in time: its place is as it was", "member", m.ID, "restarted", now.Boot != m.Boot)
		}
	}
}

// holds reports whether a place is kept for a member that is down.
func (p *Placement) holds(m membership.Member) bool {
	return slices.ContainsFunc(p.Placed, func(other membership.Member) bool { return other.ID == m.ID }) && p.Down(m.ID)
}
