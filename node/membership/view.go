package membership

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A view is what we believe of the others. It holds only values; Membership.mu guards it.
type view struct {
	self  Member
	alive map[string]Member // all but ourselves, by gossip name: so two boots of one id have their places
	lost  map[string]lost   // by id: who went without leaving, and may be on the other side of a split
}

// A lost member is looked for.
type lost struct {
	addr  netip.AddrPort
	since time.Time
}

const (
	maxMembers = 1024           // far above what the ring is made for; more is a mistake or an attack
	maxLost    = 1024           // the longest lost is given up first
	lostFor    = 24 * time.Hour // whoever is gone that long comes back by itself, through a seed
)

func newView(self Member) view {
	return view{self: self, alive: map[string]Member{}, lost: map[string]lost{}}
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

// leave takes out who is not. It reports who that was, and whether to look for it.
func (v *view) leave(name string, now time.Time) (m Member, missed bool) {
	m, known := v.alive[name]
	delete(v.alive, name)
	// Gossip does not tell us who said goodbye, but who is leaving says Draining before.
	if !known || m.State == Draining || m.ID == v.self.ID || v.hasID(m.ID) {
		return m, false
	}
	if len(v.lost) >= maxLost {
		v.giveUpOldest()
	}
	v.lost[m.ID] = lost{addr: m.Gossip, since: now}
	return m, true
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
		if oldest == "" || l.since.Before(v.lost[oldest].since) {
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
		if now.Sub(l.since) > lostFor {
			delete(v.lost, id)
			continue
		}
		add(l.addr)
	}
	return missing
}
