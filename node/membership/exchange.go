package membership

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// What two members tell each other in a full exchange, beside what memberlist does: whom they miss. Numbers are big-endian.
//
//	version 1 | the lost, each: milliseconds since 8 | gossip address | length 1, what it told of itself (appendMeta)
//
// Ages, not times: clocks differ. What is no such thing is skipped, and what follows an unreadable one as well; it is good advice at most.
const lostVersion = 1

func appendLost(b []byte, lost []Lost, print uint64, now time.Time) []byte {
	b = append(b, lostVersion)
	for _, l := range lost {
		meta := appendMeta(make([]byte, 0, maxMetaBytes), l.Member, print)
		b = binary.BigEndian.AppendUint64(b, uint64(max(now.Sub(l.Since).Milliseconds(), 0)))
		b = appendAddr(b, l.Gossip, netip.Addr{})
		b = append(append(b, byte(len(meta))), meta...)
	}
	return b
}

// parseLost reads what appendLost wrote. The bytes may be anybody's; who is not of our parameters, or was lost too long ago to matter, is left out.
func parseLost(b []byte, print uint64, now time.Time) (lost []Lost) {
	if len(b) == 0 || b[0] != lostVersion {
		return nil
	}
	r := metaReader{rest: b[1:]}
	for len(r.rest) > 0 && len(lost) < maxLost {
		age := r.uint64()
		gossip := r.addr(netip.Addr{})
		meta := r.take(int(r.byte()))
		if r.short {
			return lost
		}
		m, theirs, err := parseMeta(meta, gossip)
		if err != nil || theirs != print || !gossip.Addr().IsValid() || gossip.Port() == 0 || age > uint64(toldFor.Milliseconds()) {
			continue
		}
		lost = append(lost, Lost{Member: m, Since: now.Add(-time.Duration(age) * time.Millisecond)})
	}
	return lost
}
