package server

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
)

// A ConnInfo is what "stats conns" tells of a connection, a listener or a UDP socket, in memcached's words.
type ConnInfo struct {
	ID       int64  // its own for as long as the process runs; listeners, bound first, have the lowest
	UDP      bool   // a UDP socket, for all who send to it
	Addr     string // the client's, or where a listener or a UDP socket is bound: tcp:IP:PORT, tcp6:[IP]:PORT, udp:IP:PORT, udp6:[IP]:PORT, unix:PATH
	Listener string // the address of ours that the client came to; "" for listeners and UDP sockets
	State    string
	Idle     int64 // seconds since its last request
}

// What a conn does. The names are those of memcached's states.
const (
	reading      = iota // and has no part of a data block
	readingBlock        // of which a part has come
	answering

	stateBits = 2 // that these need
)

// state gives a conn's state in memcached's words.
func state(doing int64) string {
	switch doing {
	case readingBlock:
		return "conn_nread"
	case answering:
		return "conn_parse_cmd"
	default:
		return "conn_read"
	}
}

// mark notes what c does and the second of its last request, in one word so that a batch costs two stores.
func (c *conn) mark(doing, since int64) { c.doing.Store(since<<stateBits | doing) }

func (c *conn) marked() (doing, since int64) {
	mark := c.doing.Load()
	return mark & (1<<stateBits - 1), mark >> stateBits
}

// Conns lists what is open: listeners first, then in the order of their coming.
func (s *Server) Conns() []ConnInfo {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ConnInfo, 0, len(s.listeners)+len(s.sockets)+len(s.conns))
	for _, l := range s.listeners {
		list = append(list, ConnInfo{ID: l.id, Addr: addrText(l.Addr()), State: "conn_listening", Idle: now - l.since})
	}
	for _, u := range s.sockets {
		list = append(list, ConnInfo{ID: u.id, UDP: true, Addr: addrText(u.net.LocalAddr()), State: "conn_read", Idle: now - u.last.Load()})
	}
	for c := range s.conns {
		doing, since := c.marked()
		list = append(list, ConnInfo{
			ID: c.id, Addr: addrText(c.net.RemoteAddr()), Listener: addrText(c.net.LocalAddr()), State: state(doing), Idle: now - since,
		})
	}
	slices.SortFunc(list, func(a, b ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// addrText writes an address as memcached does. A client of a unix socket has no path of its own.
func addrText(addr net.Addr) string {
	switch a := addr.(type) {
	case *net.TCPAddr:
		return portText("tcp", a.AddrPort())
	case *net.UDPAddr:
		return portText("udp", a.AddrPort())
	case *net.UnixAddr:
		if a.Name == "@" {
			return "unix:"
		}
		return "unix:" + a.Name
	default:
		return addr.Network() + ":" + addr.String()
	}
}

func portText(kind string, a netip.AddrPort) string {
	ip := a.Addr().Unmap()
	if ip.Is6() {
		kind += "6"
	}
	return kind + ":" + netip.AddrPortFrom(ip, a.Port()).String()
}
