package membership

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/memring/memring/ring"
)

// full is a member with the longest of everything.
func full() Member {
	v6 := netip.MustParseAddr("2001:db8:1:2:3:4:5:6")
	return Member{
		Member: ring.Member{ID: strings.Repeat("i", ring.MaxIDBytes), Zone: strings.Repeat("z", ring.MaxZoneBytes), Weight: ring.MaxWeight},
		Boot:   math.MaxUint64,
		State:  Draining,
		Copies: ring.MaxCopies,
		Client: netip.AddrPortFrom(v6, 11211),
		Peer:   netip.AddrPortFrom(v6.Next(), 11212),
		Gossip: netip.MustParseAddrPort("[2001:db8::1]:7946"),
		Former: math.MaxUint64,
	}
}

func TestMetaComesBack(t *testing.T) {
	f := func(m Member, print uint64) {
		t.Helper()
		b := appendMeta(nil, m, print)
		if len(b) > maxMetaBytes || len(b) > 164 {
			t.Errorf("%d bytes for %+v", len(b), m)
		}
		got, gotPrint, err := parseMeta(b, m.Gossip)
		if err != nil || got != m || gotPrint != print {
			t.Errorf("got %+v, print %x, %v; want %+v, print %x", got, gotPrint, err, m, print)
		}
		// A later build may say more.
		if got, _, err := parseMeta(append(b, 1, 2, 3), m.Gossip); err != nil || got != m {
			t.Errorf("with more behind it: %+v, %v", got, err)
		}
		// Earlier builds said nothing of their former run.
		earlier, whole := m, len(b)-8
		earlier.Former = 0
		if got, _, err := parseMeta(b[:whole], m.Gossip); err != nil || got != earlier {
			t.Errorf("by an earlier build: %+v, %v", got, err)
		}
		// A part is no member.
		for cut := range b {
			if cut == whole {
				continue
			}
			if got, _, err := parseMeta(b[:cut], m.Gossip); err == nil {
				t.Errorf("the first %d bytes are taken for %+v", cut, got)
			}
		}
	}
	f(full(), math.MaxUint64)
	f(Member{
		Member: ring.Member{ID: "a", Weight: 1},
		Copies: 1,
		Client: netip.MustParseAddrPort("10.0.0.1:11211"), Peer: netip.MustParseAddrPort("10.0.0.2:0"), Gossip: netip.MustParseAddrPort("10.0.0.1:7946"),
	}, 1)
}

// Members are upgraded one by one, so what a build says of itself under a version stays as it is: another layout is another version, and a cluster that is stopped whole. See
// protocol/DESIGN.md, "Versions".
func TestBytesOfTheMetaVersion(t *testing.T) {
	if metaVersion != 2 || lostVersion != 1 {
		t.Fatalf("the versions are %d and %d: say here what their bytes are", metaVersion, lostVersion)
	}
	m := Member{
		Member: ring.Member{ID: "a", Zone: "z", Weight: 1}, Boot: 2, State: Draining, Copies: 3,
		Client: netip.MustParseAddrPort("10.0.0.1:4"), Peer: netip.MustParseAddrPort("[2001:db8::1]:5"), Gossip: netip.MustParseAddrPort("10.0.0.1:6"), Former: 8,
	}
	const told = "02" + "0000000000000007" + "0000000000000002" + "02" + "01" + "03" + "0161" + "017a" + "000004" + "0620010db80000000000000000000000010005" + "0000000000000008"
	if got := fmt.Sprintf("%x", appendMeta(nil, m, 7)); got != told {
		t.Errorf("what a member tells of itself is changed: got %s, want %s", got, told)
	}
	const lost = "01" + "00000000000003e8" + "040a000001" + "0006" + "36" + told
	if got := fmt.Sprintf("%x", appendLost(nil, []Lost{{Member: m, Since: noon.Add(-time.Second)}}, 7, noon)); got != lost {
		t.Errorf("what is told of the lost is changed: got %s, want %s", got, lost)
	}
}

func TestUnspecifiedAddressesBecomeThatOfGossip(t *testing.T) {
	f := func(given, want string) {
		t.Helper()
		m := full()
		m.Client = netip.AddrPort{}
		if given != "" {
			m.Client = netip.MustParseAddrPort(given)
		}
		got, _, err := parseMeta(appendMeta(nil, m, 1), netip.MustParseAddrPort("10.0.0.9:7946"))
		if err != nil || got.Client != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v, %v; want %s", given, got.Client, err, want)
		}
	}
	f("0.0.0.0:11211", "10.0.0.9:11211")
	f("[::]:11211", "10.0.0.9:11211")
	f("", "10.0.0.9:0")
	f("10.1.1.1:11211", "10.1.1.1:11211")
	f("[::ffff:10.1.1.1]:11211", "10.1.1.1:11211")
}

func TestWhoIsRefusedAndWhy(t *testing.T) {
	m := &Membership{cfg: config("self"), view: newView(config("self").Self)}
	c := callbacks{m}
	member := full()
	member.Gossip = addr(9)
	f := func(want string, change func(node *memberlist.Node)) {
		t.Helper()
		node := &memberlist.Node{
			Name: gossipName(member), Addr: net.IP{10, 0, 0, 9}, Port: defaultPort,
			Meta: appendMeta(nil, member, ring.DefaultParams().Print()),
		}
		change(node)
		_, err := c.read(node)
		if want == "" && err != nil {
			t.Errorf("refused: %v", err)
		} else if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", func(*memberlist.Node) {})
	f("in version 1, this node knows 2", func(node *memberlist.Node) { node.Meta[0] = 1 })
	f("its ring parameters are 0000000000000007, ours ", func(node *memberlist.Node) { node.Meta = appendMeta(nil, member, 7) })
	f("too few bytes", func(node *memberlist.Node) { node.Meta = nil })
	f("too few bytes", func(node *memberlist.Node) { node.Meta = node.Meta[:100] })
	f("no address", func(node *memberlist.Node) { node.Addr = net.IP{1, 2, 3} })
	f("no address", func(node *memberlist.Node) { node.Port = 0 })
	f("unknown state 9", func(node *memberlist.Node) { node.Meta[17] = 9 })
	f("weight 0", func(node *memberlist.Node) { node.Meta[18] = 0 })
	f("wants 0 copies", func(node *memberlist.Node) { node.Meta[19] = 0 })
	f("wants 9 copies", func(node *memberlist.Node) { node.Meta[19] = 9 })
	f("blanks", func(node *memberlist.Node) { node.Meta[21] = ' ' })
	f(`calls itself "other"`, func(node *memberlist.Node) { node.Name = "other" })
	for n := range maxMembers {
		m.view.alive[string(rune(n))] = Member{}
	}
	f("1024 members already", func(*memberlist.Node) {})
	m.view.alive[gossipName(member)] = member
	f("", func(*memberlist.Node) {})
}

// A side of a join with a stranger among its living is strange; one with a dead stranger is not.
func TestMergeLooksAtTheLiving(t *testing.T) {
	cfg := config("self")
	if _, err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	c := callbacks{&Membership{cfg: cfg, log: cfg.Log, view: newView(cfg.Self)}}
	stranger := &memberlist.Node{Name: "stranger", Addr: net.IP{10, 0, 0, 9}, Port: 7946, State: memberlist.StateDead}
	if err := c.NotifyMerge([]*memberlist.Node{stranger}); err != nil {
		t.Errorf("dead: %v", err)
	}
	stranger.State = memberlist.StateSuspect
	if err := c.NotifyMerge([]*memberlist.Node{stranger}); err == nil {
		t.Error("a living stranger is let in")
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(appendMeta(nil, full(), 7))
	f.Add(appendMeta(nil, config("a").Self, 7))
	f.Add([]byte{})
	f.Add([]byte{2})
	gossip := netip.MustParseAddrPort("10.0.0.1:7946")
	small := ring.DefaultParams()
	small.Partitions = 271
	f.Fuzz(func(t *testing.T, b []byte) {
		given := bytes.Clone(b)
		m, print, err := parseMeta(b, gossip)
		if !bytes.Equal(b, given) {
			t.Fatal("the bytes are changed")
		}
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil || m.State >= stateCount || !m.Client.IsValid() || !m.Peer.IsValid() {
			t.Fatalf("accepted %+v: %v", m, err)
		}
		if _, err := ring.Build([]ring.Member{m.Member}, small); err != nil {
			t.Fatalf("accepted, but the ring refuses it: %v", err)
		}
		again := appendMeta(nil, m, print)
		if len(again) > maxMetaBytes {
			t.Fatalf("%d bytes", len(again))
		}
		if m2, print2, err := parseMeta(again, gossip); err != nil || !reflect.DeepEqual(m2, m) || print2 != print {
			t.Fatalf("%+v became %+v, %v", m, m2, err)
		}
	})
}

func BenchmarkParseMeta(b *testing.B) {
	m := full()
	meta := appendMeta(nil, m, 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := parseMeta(meta, m.Gossip); err != nil {
			b.Fatal(err)
		}
	}
}

// A node that was killed and is back at once hears of itself before it hears of anybody else.
func TestAFormerStartOfOurselvesIsNobodyToJoin(t *testing.T) {
	cfg := config("self")
	cfg.Self.Boot, cfg.Log = 2, slog.New(slog.DiscardHandler)
	m := &Membership{cfg: cfg, log: cfg.Log, view: newView(cfg.Self), changes: make(chan struct{}, 1)}
	f := func(id string, want bool) {
		t.Helper()
		heard := full()
		heard.ID, heard.Boot = id, 1
		callbacks{m}.NotifyJoin(&memberlist.Node{
			Name: gossipName(heard), Addr: net.IP{10, 0, 0, 9}, Port: defaultPort, Meta: appendMeta(nil, heard, cfg.Params.Print()),
		})
		if m.Joined() != want {
			t.Errorf("joined, having heard of %s: %v", id, m.Joined())
		}
	}
	m.asked.Store(true)
	f("self", false)
	f("other", true)
}
