package warm

import (
	"cmp"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"slices"
)

// A continuum is ketama's ring (R. Jones: "libketama", 2007): of every server 160 points, four from each of 40 MD5 sums of its address
// and a number, in little-endian order; a key belongs to the first point at or after its own. Memcached clients of most languages can do it.
//
// Points of a server do not depend on those of others, so to pass over a server's points is the same as a ring without it.
type continuum []point

type point struct {
	at     uint32
	server *Server
}

const (
	sumsOfServer = 40
	pointsOfSum  = 4
)

func newContinuum(servers []*Server) continuum {
	c := make(continuum, 0, len(servers)*sumsOfServer*pointsOfSum)
	for _, s := range servers {
		for i := range sumsOfServer {
			sum := md5.Sum(fmt.Appendf(nil, "%s-%d", s.Addr, i))
			for j := range pointsOfSum {
				c = append(c, point{at: binary.LittleEndian.Uint32(sum[4*j:]), server: s})
			}
		}
	}
	slices.SortFunc(c, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.server.Addr, b.server.Addr))
	})
	return c
}

// find gives a key's server among those that are well, nil if none is.
func (c continuum) find(key []byte, well func(*Server) bool) *Server {
	sum := md5.Sum(key)
	first, _ := slices.BinarySearchFunc(c, binary.LittleEndian.Uint32(sum[:]), func(p point, at uint32) int { return cmp.Compare(p.at, at) })
	for i := range c {
		if p := c[(first+i)%len(c)]; well(p.server) {
			return p.server
		}
	}
	return nil
}
