package membership

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/ring"
)

func TestParseSeed(t *testing.T) {
	f := func(text, host, ip string, port uint16) {
		t.Helper()
		want := seed{host: host, port: port}
		if ip != "" {
			want.ip = netip.MustParseAddr(ip)
		}
		if got, err := parseSeed(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	f("cache-0", "cache-0", "", 7946)
	f("cache-0:1", "cache-0", "", 1)
	f("memring.default.svc.cluster.local.:65535", "memring.default.svc.cluster.local.", "", 65535)
	f("under_score", "under_score", "", 7946)
	f("10.0.0.1", "10.0.0.1", "10.0.0.1", 7946)
	f("10.0.0.1:7000", "10.0.0.1", "10.0.0.1", 7000)
	f("::1", "::1", "::1", 7946)
	f("[::1]", "::1", "::1", 7946)
	f("[2001:db8::1]:7000", "2001:db8::1", "2001:db8::1", 7000)

	bad := func(text string) {
		t.Helper()
		if got, err := parseSeed(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
	bad("")
	bad(":7946")
	bad("a:")
	bad("a:0")
	bad("a:65536")
	bad("a:-1")
	bad("a:b")
	bad("a b")
	bad("a/b")
	bad("a,b")
	bad("http://a")
	bad("[a]")
	bad("[::1")
	bad("::1]")
	bad("[::1]x")
	bad("[::1]:")
	bad("1:2:3")
	bad(string(make([]byte, 300)))
	bad(string(append(make([]byte, 0, 300), "a\nb"...)))
}

func FuzzParseSeed(f *testing.F) {
	for _, text := range []string{"a:1", "[::1]:2", "::1", "10.0.0.1", "[", "]", ":", "a:b:c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSeed(text)
		if err != nil {
			return
		}
		if s.port == 0 || s.host == "" || len(s.host) > maxHostBytes && !s.ip.IsValid() {
			t.Fatalf("%q is taken for %+v", text, s)
		}
	})
}

func TestViewForgetsTheLongestLost(t *testing.T) {
	v := newView(Member{Gossip: addr(1)})
	now := time.Unix(1e9, 0)
	name := func(n int) Member {
		m := Member{Boot: 1, State: Active, Gossip: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 7946)}
		m.ID = string(rune('a' + n))
		return m
	}
	for n := range maxLost + 10 {
		m := name(n)
		v.join(gossipName(m), m)
		if _, missed := v.leave(gossipName(m), false, now.Add(time.Duration(n)*time.Second)); !missed {
			t.Fatalf("%d is not missed", n)
		}
	}
	if _, kept := v.lost[name(9).ID]; kept || len(v.lost) != maxLost {
		t.Errorf("%d are looked for, the oldest among them: %v", len(v.lost), kept)
	}
	if got := len(v.missing(nil, now.Add(time.Hour))); got != maxLost {
		t.Errorf("%d missing after an hour", got)
	}
	if got := len(v.missing(nil, now.Add(lostFor+time.Hour))); got != 0 || len(v.lost) != 0 {
		t.Errorf("%d missing after a day, %d remembered", got, len(v.lost))
	}
}

func TestMissingLeavesOutTheLivingAndOurselves(t *testing.T) {
	v := newView(Member{Gossip: addr(1)})
	alive, gone := Member{Boot: 1, Gossip: addr(2)}, Member{Boot: 1, Gossip: addr(3)}
	alive.ID, gone.ID = "alive", "gone"
	v.join("alive", alive)
	v.join("gone", gone)
	v.leave("gone", false, time.Now())
	got := v.missing([]netip.AddrPort{addr(1), addr(2), addr(3), addr(4), addr(4)}, time.Now())
	if len(got) != 2 || got[0] != addr(3) || got[1] != addr(4) {
		t.Errorf("missing %v", got)
	}
	// Whoever comes back is no longer looked for, under whatever address.
	gone.Gossip, gone.Boot = addr(5), 2
	v.join("gone again", gone)
	if got := v.missing(nil, time.Now()); len(got) != 0 {
		t.Errorf("missing %v", got)
	}
}

func TestRefusalsAreSpokenOfNowAndThen(t *testing.T) {
	var r refusals
	now := time.Unix(1e9, 0)
	f := func(offender string, after time.Duration, want bool) {
		t.Helper()
		if got := r.due(offender, now.Add(after)); got != want {
			t.Errorf("%s after %v: %v", offender, after, got)
		}
	}
	f("a", 0, true)
	f("a", time.Second, false)
	f("b", time.Second, true)
	f("a", refusalEvery, true)
	// Of many names the oldest are forgotten.
	const flood = 2 * time.Hour
	for n := range 10 * maxRefusals {
		f(string(rune(1000+n)), flood+time.Duration(n), true)
		if len(r.said) > maxRefusals {
			t.Fatalf("%d offenders remembered", len(r.said))
		}
	}
	f(string(rune(1000+10*maxRefusals-1)), flood+time.Second, false)
	f("a", flood+time.Second, true)
}

// All that memberlist says is one message, so that the log bounds how often it is written; what is told elsewhere, and its chatter, are for debugging.
func TestMemberlistSaysOneMessage(t *testing.T) {
	j := &journal{}
	log := &gossipLog{log: slog.New(slog.NewTextHandler(j, nil)), strangers: new(atomic.Uint64)}
	for _, line := range []string{
		"[ERR] memberlist: Received invalid msgType (9)\n",
		"[WARN] memberlist: discarding stream with unacceptable label\n",
		"[DEBUG] memberlist: Stream connection\n",
		"[WARN] memberlist: ignoring alive message for 'a': no\n",
	} {
		if n, err := log.Write([]byte(line)); n != len(line) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if len(j.lines()) != 2 || len(j.lines("level=WARN", "msg=memberlist", `says="Received invalid msgType (9)"`)) != 1 || log.strangers.Load() != 1 {
		t.Errorf("%d strangers; %q", log.strangers.Load(), j.lines())
	}
}

func TestReachable(t *testing.T) {
	f := func(bind string) {
		t.Helper()
		ip := netip.MustParseAddr(bind)
		got, err := Reachable(ip)
		if err != nil || !got.IsValid() || got.IsUnspecified() || !ip.IsUnspecified() && got != ip {
			t.Errorf("%s: %v, %v", bind, got, err)
		}
	}
	f("127.0.0.1")
	f("0.0.0.0")
	f("::")
}

// A later run that has left in order takes its former runs with it: nobody is missed when gossip finds out about these.
func TestARunThatHasLeftTakesItsFormerRunsWithIt(t *testing.T) {
	v := newView(Member{Gossip: addr(1)})
	run := func(boot uint64) Member {
		return Member{Member: ring.Member{ID: "a"}, Boot: boot, State: Active, Gossip: addr(2)}
	}
	f := func(boot uint64, goodbye, missed bool) {
		t.Helper()
		if _, got := v.leave(gossipName(run(boot)), goodbye, time.Now()); got != missed {
			t.Errorf("run %d, goodbye %v: missed %v, want %v", boot, goodbye, got, missed)
		}
	}
	for boot := range uint64(4) {
		v.join(gossipName(run(boot)), run(boot))
	}
	f(3, false, false) // another run is there
	f(2, true, false)
	if !v.superseded(run(1)) || v.superseded(run(3)) {
		t.Error("earlier runs are missed, or later ones are not")
	}
	f(1, false, false)
	f(0, false, false)
	v.join(gossipName(run(1)), run(1))
	f(1, false, true) // all is forgotten
	if len(v.left) != 0 {
		t.Errorf("remembered for ever: %v", v.left)
	}
}

// Whoever is told that a member is forgotten may find out a moment later only that it is gone. That it is not gone after all, and goes long after, is another matter.
func TestViewForgetsWhoIsNotMissedYet(t *testing.T) {
	now := time.Now()
	gone := Member{Member: ring.Member{ID: "gone"}, Gossip: addr(2), Boot: 7}
	after := func(boot uint64, wait time.Duration) State {
		v := newView(Member{Gossip: addr(1)})
		v.join("gone", gone)
		if run, missed := v.forget("gone", boot, now); missed {
			t.Errorf("run %d is missed while it is here", run)
		}
		if _, missed := v.leave("gone", false, now.Add(wait)); !missed {
			t.Error("nobody looks for it")
		}
		return v.everyLost()[0].State
	}
	if got := after(7, 2*time.Millisecond); got != Draining {
		t.Errorf("forgotten a moment before: %v", got)
	}
	if got := after(6, 2*time.Millisecond); got == Draining {
		t.Error("another run was forgotten")
	}
	if got := after(7, time.Hour); got == Draining {
		t.Error("an hour before")
	}
}
