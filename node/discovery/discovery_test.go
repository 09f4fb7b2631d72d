package discovery

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/ring"
)

func TestVersions(t *testing.T) {
	member := func(id string, startedAt uint64) membership.Member {
		return membership.Member{
			Member: ring.Member{ID: id},
			Boot:   (epoch + startedAt) * 1e9,
			State:  membership.Active,
			Client: netip.MustParseAddrPort("10.0.0.1:11211"),
		}
	}
	a, b, c := member("a", 1000), member("b", 1000), member("c", 1005)
	var first, second Discovery
	f := func(d *Discovery, want string, members ...membership.Member) {
		t.Helper()
		d.Follow(members)
		if version, _, _ := strings.Cut(string(d.Append(nil)), "\n"); version != want {
			t.Errorf("version %s, want %s", version, want)
		}
	}
	f(&first, "1001", a)
	f(&first, "1002", a, b) // started in the same second
	f(&first, "1002", b, a) // nothing new
	f(&first, "1003", a)
	f(&first, "1004", a, b)
	f(&first, "1008", a, b, c)
	f(&second, "1008", a, b, c) // who comes later tells the same
	f(&first, "1009", a, c)
	f(&second, "1009", a, c)
	f(&first, "1010", a)
	f(&second, "1010", a)
	restarted := member("a", 900) // by a clock that is behind
	f(&first, "1011", restarted)
	f(&first, "1012", restarted, c)
	f(&first, "2002", restarted, member("c", 2000))

	if got, want := line(netip.MustParseAddrPort("127.0.0.1:1")), "localhost|127.0.0.1|1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := line(netip.MustParseAddrPort("[fd00::1]:2")), "fd00::1|fd00::1|2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
