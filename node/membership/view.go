package membership

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A view is what we believe of the others. It holds only values; Membership.mu guards it.
type view struct {
	self  Member
	alive map[string]Member // all but ourselves, by gossip name: so two boots of one id have their places
	left  map[string]uint64 // by id: the latest run that has left, while an earlier one is still believed alive
	lost  map[string]Lost   // by id: who went without leaving, and may be on the other side of a split
	over  map[string]Lost   // by id: who is forgotten though we have not found out yet that it is gone, and since when
}

// A Lost member went without a word, and is looked for. One whose State is Draining has been forgotten: nobody counts on it.
type Lost struct {
	Member
	Since time.Time // when that was found out, here or by who told us
}

const (
	maxMembers = 1024             // far above what the ring is made for; more is a mistake or an attack
	maxLost    = 1024             // the longest lost is given up first
	toldFor    = 10 * time.Minute // others are told of the lost: no place is kept longer (node.Config, RebalanceDelay)
	lostFor    = 24 * time.Hour   // whoever is gone that long comes back by itself, through a seed
	overFor    = 30 * time.Second // who is forgotten is found dead by all within that, or is not dead
)

func newView(self Member) view {
	return view{self: self, alive: map[string]Member{}, left: map[string]uint64{}, lost: map[string]Lost{}, over: map[string]Lost{}}
}

// members gives the latest boot of each id, by rising ID.
func (v *view) members() []Member {
	all := make([]Member, 0, len(v.alive)+1)
	all = append(all, v.self)
	for _, m := range v.alive {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(b.Boot, a.Boot)) })
	return slices.CompactFunc(all, func(a, b Member) bool { return a.ID == b.ID })
}

// full reports whether there is no room for one more.
func (v *view) full(name string) bool {
	_, known := v.alive[name]
	return !known && len(v.alive) >= maxMembers && name != gossipName(v.self)
}

// join takes in who is alive, or what has changed of it.
func (v *view) join(name string, m Member) {
	v.alive[name] = m
	delete(v.lost, m.ID)
}

// leave takes out who is not; it may have said goodbye. It reports who that was, and whether to look for it.
func (v *view) leave(name string, goodbye bool, now time.Time) (m Member, missed bool) {
	m, known := v.alive[name]
	delete(v.alive, name)
	// Who is leaving says Draining before: so it has left even if the goodbye itself was lost.
	goodbye = goodbye || m.State == Draining
	superseded := v.superseded(m)
	switch {
	case !v.hasID(m.ID):
		delete(v.left, m.ID)
	case goodbye:
		v.left[m.ID] = max(v.left[m.ID], m.Boot)
	}
	if !known || goodbye || superseded || m.ID == v.self.ID || v.hasID(m.ID) {
		return m, false
	}
	l := Lost{Member: m, Since: now}
	if over := v.over[m.ID]; over.Boot == m.Boot && now.Sub(over.Since) < overFor {
		l.State = Draining
	}
	delete(v.over, m.ID)
	v.miss(l)
	return m, true
}

// superseded reports whether a later run of a member was here and has left in order: then nobody is missed, when this one is found dead.
func (v *view) superseded(m Member) bool { return m.Boot < v.left[m.ID] }

func (v *view) miss(l Lost) {
	if _, known := v.lost[l.ID]; !known && len(v.lost) >= maxLost {
		v.giveUpOldest()
	}
	v.lost[l.ID] = l
}

// hear takes in whom another member misses, if we neither see them nor miss them, and reports whether there was such a one.
func (v *view) hear(missed []Lost) (news bool) {
	for _, l := range missed {
		before, known := v.lost[l.ID]
		forgotten := known && before.Boot == l.Boot && l.State == Draining && before.State != Draining
		if known && before.Boot >= l.Boot && !forgotten || l.ID == v.self.ID || v.hasID(l.ID) {
			continue
		}
		v.miss(l)
		news = true
	}
	return news
}

// forget takes one of the lost for one that has said goodbye, but that it is still looked for. A run that others miss and we do not yet is taken for that once we do.
func (v *view) forget(id string, boot uint64, now time.Time) (run uint64, missed bool) {
	l, known := v.lost[id]
	if !known || boot != 0 && l.Boot != boot {
		for _, m := range v.alive {
			if m.ID == id && m.Boot == boot {
				v.over[id] = Lost{Member: m, Since: now}
			}
		}
		return 0, false
	}
	l.State = Draining
	v.lost[id] = l
	return l.Boot, true
}

// everyLost gives the lost by rising ID.
func (v *view) everyLost() []Lost {
	return slices.SortedFunc(maps.Values(v.lost), func(a, b Lost) int { return strings.Compare(a.ID, b.ID) })
}

// recentlyLost gives those that others should know of.
func (v *view) recentlyLost(now time.Time) []Lost {
	return slices.DeleteFunc(v.everyLost(), func(l Lost) bool { return now.Sub(l.Since) > toldFor })
}

func (v *view) hasID(id string) bool {
	for _, m := range v.alive {
		if m.ID == id {
			return true
		}
	}
	return false
}

func (v *view) giveUpOldest() {
	oldest := ""
	for id, l := range v.lost {
		if oldest == "" || l.Since.Before(v.lost[oldest].Since) {
			oldest = id
		}
	}
	delete(v.lost, oldest)
}

// missing gives the addresses among seeds, and of the lost, where no member that we know is alive, each once.
func (v *view) missing(seeds []netip.AddrPort, now time.Time) []netip.AddrPort {
	seen := map[netip.AddrPort]bool{v.self.Gossip: true}
	for _, m := range v.alive {
		seen[m.Gossip] = true
	}
	var missing []netip.AddrPort
	add := func(addr netip.AddrPort) {
		if !seen[addr] {
			seen[addr] = true
			missing = append(missing, addr)
		}
	}
	for _, addr := range seeds {
		add(addr)
	}
	for id, l := range v.lost {
		if now.Sub(l.Since) > lostFor {
			delete(v.lost, id)
			continue
		}
		add(l.Gossip)
	}
	return missing
}
