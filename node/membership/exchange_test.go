package membership

import (
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/ring"
)

var noon = time.Unix(1e9, 0)

// missed are two that went without a word, one of them with the longest of everything.
func missed() []Lost {
	small := config("a").Self
	small.Boot, small.Gossip = 7, addr(9)
	small.Client, small.Peer = addr(9), addr(10)
	return []Lost{{Member: small, Since: noon.Add(-time.Second)}, {Member: full(), Since: noon.Add(-time.Minute)}}
}

func TestTheLostAreTold(t *testing.T) {
	told := appendLost(nil, missed(), 7, noon)
	if got := parseLost(told, 7, noon); !reflect.DeepEqual(got, missed()) {
		t.Errorf("got %+v\nwant %+v", got, missed())
	}
	if got := parseLost(told, 8, noon); got != nil {
		t.Errorf("of other parameters: %+v", got)
	}
	if got := parseLost(told, 7, noon.Add(time.Hour)); !got[0].Since.Equal(noon.Add(time.Hour - time.Second)) {
		t.Errorf("a clock that is an hour off: since %v", got[0].Since)
	}
	for cut := range told {
		if got := parseLost(told[:cut], 7, noon); len(got) > 1 {
			t.Errorf("the first %d bytes tell of %+v", cut, got)
		}
	}
	old := missed()
	old[0].Since = noon.Add(-toldFor - time.Second)
	if got := parseLost(appendLost(nil, old, 7, noon), 7, noon); len(got) != 1 || got[0].ID != old[1].ID {
		t.Errorf("lost long ago: %+v", got)
	}
}

func TestHearOfTheLost(t *testing.T) {
	v := newView(Member{Member: ring.Member{ID: "self"}})
	f := func(id string, boot uint64, news bool) {
		t.Helper()
		l := Lost{Member: Member{Member: ring.Member{ID: id}, Boot: boot}, Since: noon}
		if got := v.hear([]Lost{l}); got != news {
			t.Errorf("%s of boot %d: news %v, want %v", id, boot, got, news)
		}
	}
	here := Member{Member: ring.Member{ID: "here"}, Boot: 3}
	v.join(gossipName(here), here)
	f("self", 9, false)
	f("here", 3, false)
	f("here", 9, false) // gossip will tell
	f("gone", 3, true)
	f("gone", 3, false)
	f("gone", 2, false)
	f("gone", 4, true)
	if got := v.everyLost(); len(got) != 1 || got[0].Boot != 4 {
		t.Errorf("%+v", got)
	}
}

func FuzzLost(f *testing.F) {
	f.Add(appendLost(nil, missed(), 7, noon))
	f.Add([]byte{lostVersion})
	f.Fuzz(func(t *testing.T, told []byte) {
		lost := parseLost(told, 7, noon)
		for _, l := range lost {
			if err := l.Validate(); err != nil || l.Since.After(noon) || noon.Sub(l.Since) > toldFor || l.Gossip.Port() == 0 {
				t.Fatalf("%+v, %v", l, err)
			}
		}
		again := parseLost(appendLost(nil, lost, 7, noon), 7, noon) // addresses that say "the same" have become that one
		if got := parseLost(appendLost(nil, again, 7, noon), 7, noon); len(got) != len(lost) || !reflect.DeepEqual(got, again) {
			t.Fatalf("%+v comes back as %+v", again, got)
		}
	})
}

// A newcomer misses whom the others miss, so that all keep the same places; and nobody misses who has come back or has said goodbye.
func TestANewcomerHearsOfTheLost(t *testing.T) {
	virtually(t, func(c *cluster) {
		c.startAll(3)
		c.nodes[2].Stop()
		c.within(4*time.Second, "the others to miss it", func() bool { return missing(c.nodes[:2]) == "m3 m3 " })
		newcomer := c.start(4, nil)
		c.within(time.Second, "the newcomer to miss it, too", func() bool { return newcomer.Joined() && missing([]*Membership{newcomer}) == "m3 " })
		_, ours := c.nodes[0].Everybody()
		_, his := newcomer.Everybody()
		if off := his[0].Since.Sub(ours[0].Since).Abs(); off > time.Second || his[0].Member != ours[0].Member {
			t.Errorf("it misses %+v, the others %+v", his[0], ours[0])
		}
		again := c.start(3, nil)
		c.within(time.Second, "nobody to miss it any more", func() bool { return missing(c.nodes) == "" })
		if err := again.Leave(2 * time.Second); err != nil {
			t.Error(err)
		}
		again.Stop()
		pass(time.Minute)
		if got := missing([]*Membership{c.nodes[0], c.nodes[1], newcomer}); got != "" {
			t.Errorf("missed after a goodbye: %s", got)
		}
	})
}

// missing lists whom members miss.
func missing(nodes []*Membership) (ids string) {
	for _, m := range nodes {
		_, lost := m.Everybody()
		for _, l := range lost {
			ids += l.ID + " "
		}
	}
	return ids
}

// A number goes along with every exchange, and is heard by both: when one joins, and again later, when it has changed.
func TestMarkGoesAlong(t *testing.T) {
	virtually(t, func(c *cluster) {
		var says, heard [2]atomic.Uint64
		says[0].Store(7)
		says[1].Store(1 << 60)
		for n := range says {
			c.start(n+1, func(cfg *Config) { cfg.Mark, cfg.Marked = says[n].Load, heard[n].Store })
		}
		c.within(time.Second, "both to hear it on joining", func() bool { return heard[0].Load() == 1<<60 && heard[1].Load() == 7 })
		says[0].Store(8)
		c.within(2*DefaultTimings().PushPullInterval, "it to be heard later", func() bool { return heard[1].Load() == 8 })
	})
}
