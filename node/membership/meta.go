package membership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/memring/memring/ring"
)

// A Member is a process of the cluster.
type Member struct {
	ring.Member
	Boot   uint64 // rises with each start of the process
	State  State
	Copies uint8          // that it wants each item to have, 1 to ring.MaxCopies
	Client netip.AddrPort // where it serves clients; port 0: nowhere
	Peer   netip.AddrPort // where it serves other members
	Gossip netip.AddrPort // where its membership listens
	Former uint64         // the boot of the run before this one, if that is known; else 0
}

// A State is what a member is ready for.
type State uint8

// The states, in the order a member goes through them.
const (
	Joining  State = iota // what a member says of itself until it is ready; nobody gossips it, for it has its place from the first moment
	Active                // takes part
	Draining              // about to leave: gives its partitions away
	stateCount
)

// String is the state's name.
func (s State) String() string {
	switch s {
	case Joining:
		return "joining"
	case Active:
		return "active"
	case Draining:
		return "draining"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// gossipName is unique for each start, because memberlist refuses a known name from a new address until it has forgotten the old (43 s were measured).
func gossipName(m Member) string { return fmt.Sprintf("%s#%016x", m.ID, m.Boot) }

// What members tell each other of themselves goes along with every piece of news about them, so it is small, and of fixed layout:
//
//	version 1 | parameters' print 8 | boot 8 | state 1 | weight 1 | copies 1 | length 1, id | length 1, zone | client address | peer address | former boot 8, not by builds before it
//	address: family 1 (0: the one that gossip came from; 4; 6), 0, 4 or 16 bytes, port 2
//
// Numbers are big-endian. A later build may append fields under the same version, which earlier ones skip; what they would misread needs a new version.
const (
	metaVersion  = 2
	maxMetaBytes = 1 + 8 + 8 + 1 + 1 + 1 + (1 + ring.MaxIDBytes) + (1 + ring.MaxZoneBytes) + 2*(1+16+2) + 8 // 164; memberlist ends the process at 512
)

// appendMeta writes m, whose Member must be valid.
func appendMeta(b []byte, m Member, print uint64) []byte {
	b = append(b, metaVersion)
	b = binary.BigEndian.AppendUint64(b, print)
	b = binary.BigEndian.AppendUint64(b, m.Boot)
	b = append(b, byte(m.State), m.Weight, m.Copies)
	b = append(append(b, byte(len(m.ID))), m.ID...)
	b = append(append(b, byte(len(m.Zone))), m.Zone...)
	b = appendAddr(b, m.Client, m.Gossip.Addr())
	b = appendAddr(b, m.Peer, m.Gossip.Addr())
	return binary.BigEndian.AppendUint64(b, m.Former)
}

func appendAddr(b []byte, addr netip.AddrPort, gossip netip.Addr) []byte {
	ip := addr.Addr().Unmap()
	switch {
	case !ip.IsValid() || ip.IsUnspecified() || ip == gossip:
		b = append(b, 0)
	case ip.Is4():
		b = append(append(b, 4), ip.AsSlice()...)
	default:
		b = append(append(b, 6), ip.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, addr.Port())
}

// parseMeta reads what appendMeta wrote, from a member whose gossip comes from there. The bytes may be anybody's. The parameters' print is good
// even beside an error, unless it is 0.
func parseMeta(b []byte, gossip netip.AddrPort) (m Member, print uint64, err error) {
	if len(b) > 0 && b[0] != metaVersion {
		return Member{}, 0, fmt.Errorf("describes itself in version %d, this node knows %d: run builds that are not as far apart", b[0], metaVersion)
	}
	r := metaReader{rest: b[min(1, len(b)):], short: len(b) == 0}
	print = r.uint64()
	m.Boot = r.uint64()
	m.State = State(r.byte())
	m.Weight = r.byte()
	m.Copies = r.byte()
	m.ID = string(r.take(int(r.byte())))
	m.Zone = string(r.take(int(r.byte())))
	m.Client = r.addr(gossip.Addr())
	m.Peer = r.addr(gossip.Addr())
	if len(r.rest) > 0 {
		m.Former = r.uint64()
	}
	m.Gossip = gossip
	switch {
	case r.short:
		err = errors.New("describes itself in too few bytes")
	case m.State >= stateCount:
		err = fmt.Errorf("is in unknown %s", m.State)
	case m.Copies < 1 || m.Copies > ring.MaxCopies:
		err = fmt.Errorf("wants %d copies of each item: 1 to %d there can be", m.Copies, ring.MaxCopies)
	default:
		err = m.Validate()
	}
	return m, print, err
}

// A metaReader takes fields off the front. Once there are too few bytes it is short, and all that it gives is zero.
type metaReader struct {
	rest  []byte
	short bool
}

func (r *metaReader) take(n int) []byte {
	if r.short = r.short || len(r.rest) < n; r.short {
		return make([]byte, n)
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *metaReader) byte() byte     { return r.take(1)[0] }
func (r *metaReader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *metaReader) addr(gossip netip.Addr) netip.AddrPort {
	var ip netip.Addr
	switch r.byte() {
	case 0:
		ip = gossip
	case 4:
		ip = netip.AddrFrom4([4]byte(r.take(4)))
	case 6:
		ip = netip.AddrFrom16([16]byte(r.take(16))).Unmap()
	default:
		r.short = true
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(r.take(2)))
}
