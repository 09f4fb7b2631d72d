// Package discovery tells clients that look for the nodes where they are: ElastiCache's auto discovery.
package discovery

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/memring/memring/node/membership"
)

// A Discovery is what clients are told: a version, and HOST|IP|PORT of every member.
//
// The version must rise with every change of the members, and should be the same on all nodes, though nobody counts the changes for all. So it is
// made of what all nodes know: the second in which the latest member was started, plus the number of members. A join raises that, on all nodes
// alike. A leave lowers it; then, and whenever it would not rise, the version of before goes on by one for each that has left. Nodes that have
// seen the same changes give the same version; one that has started since may be behind by a few, until the next join. It never falls on a node.
type Discovery struct {
	now atomic.Pointer[told]
}

type told struct {
	version int64
	boots   map[string]uint64 // of the members, by id
	text    []byte
}

// epoch is the Unix second from which a version counts, 2024-01-01: so that it fits in 31 bits, as some clients have it, until 2092.
const epoch = 1704067200

// Append adds the version and the nodes to dst, a line each.
func (d *Discovery) Append(dst []byte) []byte {
	if now := d.now.Load(); now != nil {
		dst = append(dst, now.text...)
	}
	return dst
}

// Follow takes in the members there are now. It is called by one goroutine at a time.
func (d *Discovery) Follow(members []membership.Member) {
	next := &told{boots: make(map[string]uint64, len(members))}
	nodes := make([]string, 0, len(members))
	var latest int64
	for _, m := range members {
		if m.State == membership.Active && m.Client.Port() != 0 {
			next.boots[m.ID] = m.Boot
			latest = max(latest, int64(m.Boot/1e9)-epoch)
			nodes = append(nodes, line(m.Client))
		}
	}
	next.version = latest + int64(len(nodes))
	if before := d.now.Load(); before != nil {
		gone, changed := before.compare(next)
		if !changed {
			return
		}
		next.version = max(next.version, before.version+max(1, gone))
	}
	slices.Sort(nodes)
	next.text = strconv.AppendInt(next.text, next.version, 10)
	next.text = append(next.text, '\n')
	next.text = append(next.text, strings.Join(nodes, " ")...)
	next.text = append(next.text, '\n')
	d.now.Store(next)
}

// compare counts the members that are gone, restarted ones among them, and reports whether anything has changed.
func (d *told) compare(next *told) (gone int64, changed bool) {
	for id, boot := range d.boots {
		if next.boots[id] != boot {
			gone++
		}
	}
	return gone, gone > 0 || len(next.boots) != len(d.boots)
}

// line is HOST|IP|PORT. The host is localhost or again the IP: members do not know names under which clients could find them.
func line(client netip.AddrPort) string {
	host := client.Addr().String()
	if client.Addr().IsLoopback() {
		host = "localhost" // some clients take a line that begins with a digit for the version
	}
	return fmt.Sprintf("%s|%s|%d", host, client.Addr(), client.Port())
}
