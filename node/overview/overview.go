// Package overview is the whole cluster as one node sees it: members, partitions and moves, for /cluster and the console.
//
// Members are asked for their figures over the forward lanes, all at once; who does not answer in time is shown silent.
package overview

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/ring"
)

// Config says where it comes from.
type Config struct {
	Cluster string // its name
	Self    string // our id
	Figures *stats.Sources

	// Members visits the members and their states, as "cluster members" has them.
	Members func(visit func(m membership.Member, state string))

	// Table gives the table of now.
	Table func() *ring.Table
}

// An Overview is made when it is asked for.
type Overview struct {
	cfg Config

	mu   sync.Mutex // guards the rest: who comes while one is made waits for that one
	last *Cluster
	made time.Time
}

// goodFor is how long one is shown: so many may look on, and the members are asked no more often than twice a second.
const goodFor = 500 * time.Millisecond

// New makes an Overview.
func New(cfg Config) *Overview { return &Overview{cfg: cfg} }

// A Cluster is what /cluster shows, as JSON.
type Cluster struct {
	Name    string    `json:"cluster"`
	Self    string    `json:"self"` // the id of the node that tells
	Time    time.Time `json:"time"`
	Table   Table     `json:"table"`
	Members []Member  `json:"members"`
	Moves   []Move    `json:"moves"`
	Differ  []Differs `json:"differ"` // from what the node that tells has set
}

// Differs is a member with a setting that should be the same on all.
type Differs struct {
	Member string `json:"member"`
	stats.Difference
}

// A Table is what requests are routed by.
type Table struct {
	Print      string `json:"print"` // members that route alike have the same
	Partitions int    `json:"partitions"`
	Copies     int    `json:"copies"`
}

// A Member is one of the cluster.
type Member struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Client string `json:"client"`
	Peer   string `json:"peer"`
	Gossip string `json:"gossip"`
	Zone   string `json:"zone"`
	Weight int    `json:"weight"`
	Copies int    `json:"copies"` // that it wants
	Owned  int    `json:"owned"`  // partitions, by the table

	// Partitions are those that it has, wants, is taking over, and has given away and not sent yet, as it says itself.
	Partitions map[string]int64 `json:"partitions,omitempty"`

	// Stats are all its lines of "stats" and "stats cluster" that are numbers.
	Stats  map[string]float64 `json:"stats,omitempty"`
	Silent string             `json:"silent,omitempty"` // why there are none
}

// A Move is a hand-over under way, as its new holder sees it, or if that is silent, its former one.
type Move struct {
	Name       string `json:"name"` // the former holder and his number
	From       string `json:"from"`
	To         string `json:"to"`
	Partitions int64  `json:"partitions"`
	Items      int64  `json:"items"` // so far
	Bytes      int64  `json:"bytes"`
}

// Now gives the cluster of now.
func (o *Overview) Now() *Cluster {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || time.Since(o.made) >= goodFor {
		o.last = o.look()
		o.made = time.Now()
	}
	return o.last
}

func (o *Overview) look() *Cluster {
	table := o.cfg.Table()
	c := &Cluster{
		Name: o.cfg.Cluster, Self: o.cfg.Self, Time: time.Now().UTC(), Members: []Member{}, Moves: []Move{},
		Table: Table{Print: fmt.Sprintf("%016x", table.Print()), Partitions: table.Partitions(), Copies: table.Copies()},
	}
	told := map[string]*stats.Member{}
	figures := o.cfg.Figures.Gather()
	for i := range figures {
		told[figures[i].ID] = &figures[i]
	}
	c.Differ = differsOf(figures, o.cfg.Figures.Settings())
	o.cfg.Members(func(m membership.Member, state string) {
		member := Member{
			ID: m.ID, State: state, Client: m.Client.String(), Peer: m.Peer.String(), Gossip: m.Gossip.String(),
			Zone: m.Zone, Weight: int(m.Weight), Copies: int(m.Copies),
		}
		if place := table.Index(m.ID); place >= 0 {
			member.Owned = table.Owned(place)
		}
		switch of := told[m.ID]; {
		case of == nil:
			member.Silent = "not in the table"
		case of.Silent != "":
			member.Silent = of.Silent
		default:
			member.take(of)
		}
		c.Members = append(c.Members, member)
	})
	c.Moves = movesOf(figures)
	return c
}

// differsOf tells who has set otherwise what should be the same on all.
func differsOf(figures []stats.Member, here string) []Differs {
	all := []Differs{}
	for i := range figures {
		for _, l := range figures[i].Lines {
			if l.Name != "cluster_settings" {
				continue
			}
			for _, d := range stats.Differing(here, l.Value) {
				all = append(all, Differs{figures[i].ID, d})
			}
		}
	}
	return all
}

// take takes over what a member says of itself.
func (m *Member) take(told *stats.Member) {
	m.Stats, m.Partitions = make(map[string]float64, len(told.Lines)), map[string]int64{}
	for _, l := range told.Lines {
		n, err := strconv.ParseFloat(l.Value, 64)
		if err != nil {
			continue
		}
		m.Stats[l.Name] = n
		if state, ok := strings.CutPrefix(l.Name, stats.PartitionsOf); ok {
			m.Partitions[state] = int64(n)
		}
	}
}

// movesOf gives each move once, though both its ends tell of it.
func movesOf(figures []stats.Member) []Move {
	moves, at := []Move{}, map[string]int{}
	for i := range figures {
		for _, r := range figures[i].Moves {
			m := Move{Name: fmt.Sprintf("%s/%d", r.From, r.Number), From: r.From, To: r.To, Partitions: int64(r.Partitions), Items: r.Items, Bytes: r.Bytes}
			k, known := at[m.Name]
			switch {
			case !known:
				at[m.Name] = len(moves)
				moves = append(moves, m)
			case figures[i].ID == r.To:
				moves[k] = m
			}
		}
	}
	return moves
}
