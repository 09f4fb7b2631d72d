// Package carrier carries gossip between members of one cluster: datagrams sealed, streams on TLS, and strangers' are refused.
//
//	memberlist -> WriteTo -> seal -> network -> open -> PacketCh -> memberlist
//	memberlist -> DialTimeout -> TLS -> network -> TLS, in the lobby until it is done -> StreamCh -> memberlist
package carrier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/lobby"
	"github.com/memring/memring/node/seal"
)

// Config says what to carry over, and for whom.
type Config struct {
	Under    memberlist.Transport // the network
	Identity *identity.Identity   // must have a cluster key
	Timeout  time.Duration        // the longest handshake of who calls us

	// Refused hears of every stranger. It must not wait.
	Refused func(from net.Addr, why error)
}

// Overhead is how much longer datagrams become.
const Overhead = seal.Overhead

// maxStrangers bounds the streams whose other side has not shown yet who it is. Members need one each at a time, and are through at once.
const maxStrangers = 128

// A Carrier is a memberlist.Transport.
type Carrier struct {
	cfg     Config
	seals   *seal.Seals
	lobby   *lobby.Lobby
	seats   lobby.Seats
	packets chan *memberlist.Packet
	streams chan net.Conn

	open    context.Context // until nobody takes what comes any more
	close   context.CancelFunc
	ended   chan struct{} // closed when nothing comes any more
	stop    sync.Once
	running sync.WaitGroup
}

// New makes a carrier. Shutdown ends it, and the network below.
func New(cfg Config) *Carrier {
	c := &Carrier{
		cfg: cfg, seals: seal.New(cfg.Identity.Datagrams), lobby: lobby.New(maxStrangers), seats: lobby.NewSeats(),
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn), ended: make(chan struct{}),
	}
	c.open, c.close = context.WithCancel(context.Background())
	c.running.Go(c.receive)
	return c
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (c *Carrier) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	return c.cfg.Under.FinalAdvertiseAddr(ip, port)
}

// PacketCh implements memberlist.Transport.
func (c *Carrier) PacketCh() <-chan *memberlist.Packet { return c.packets }

// StreamCh implements memberlist.Transport.
func (c *Carrier) StreamCh() <-chan net.Conn { return c.streams }

// WriteTo implements memberlist.Transport.
func (c *Carrier) WriteTo(datagram []byte, to string) (time.Time, error) {
	addr, err := netip.ParseAddrPort(to)
	if err != nil {
		return time.Time{}, fmt.Errorf("send gossip: %w", err)
	}
	return c.cfg.Under.WriteTo(c.seals.Seal(plainAddr(addr), datagram, time.Now()), to)
}

// DialTimeout implements memberlist.Transport.
func (c *Carrier) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	end := time.Now().Add(timeout)
	under, err := c.cfg.Under.DialTimeout(to, timeout)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	stream := tls.Client(under, c.cfg.Identity.CallAny())
	if err := stream.HandshakeContext(ctx); err != nil {
		under.Close()
		return nil, fmt.Errorf("prove who we are to %s: %w", to, err)
	}
	return closedBelow{stream, under}, nil
}

// A closedBelow is a stream that TLS says no goodbye on: gossip knows where a message ends, and who has stopped reading would be waited for.
type closedBelow struct {
	*tls.Conn
	under net.Conn
}

// Close closes the connection.
func (s closedBelow) Close() error { return s.under.Close() }

// Shutdown implements memberlist.Transport.
func (c *Carrier) Shutdown() (err error) {
	c.stop.Do(func() {
		c.close()
		err = c.cfg.Under.Shutdown() // which may wait until what it has is taken
		close(c.ended)
		c.running.Wait()
	})
	return err
}

// receive takes what comes.
func (c *Carrier) receive() {
	for {
		select {
		case packet := <-c.cfg.Under.PacketCh():
			c.read(packet)
		case stream := <-c.cfg.Under.StreamCh():
			c.running.Go(func() { c.meet(stream) })
		case <-c.ended:
			return
		}
	}
}

// read passes on what is in a datagram, or sends what it asks for.
func (c *Carrier) read(packet *memberlist.Packet) {
	from, ok := packet.From.(*net.UDPAddr)
	if !ok {
		return
	}
	opened, err := c.seals.Open(plainAddr(from.AddrPort()), packet.Buf, time.Now())
	if err != nil {
		c.cfg.Refused(from, err)
		return
	}
	if opened.Reply != nil {
		_, _ = c.cfg.Under.WriteTo(opened.Reply, opened.Whom.String()) // lost, as datagrams may be
	}
	if len(opened.Datagram) == 0 {
		return
	}
	select {
	case c.packets <- &memberlist.Packet{Buf: opened.Datagram, From: from, Timestamp: packet.Timestamp}:
	case <-c.open.Done():
	}
}

// meet passes on a stream once its other side has shown that it is a member.
func (c *Carrier) meet(under net.Conn) {
	until := time.Now().Add(c.cfg.Timeout)
	ctx, cancel := context.WithDeadline(c.open, until)
	defer cancel()
	host, _, _ := net.SplitHostPort(under.RemoteAddr().String())
	leave := c.lobby.Enter(host, func() { under.Close() })
	defer leave()
	shaking := c.seats.Over(under, until, c.open.Done())
	stream := tls.Server(shaking, c.cfg.Identity.MeetAny())
	err := stream.HandshakeContext(ctx)
	shaking.Done()
	if err != nil {
		if !errors.Is(err, io.EOF) && c.open.Err() == nil { // who says nothing only looks whether somebody is there
			c.cfg.Refused(under.RemoteAddr(), err)
		}
		under.Close()
		return
	}
	select {
	case c.streams <- closedBelow{stream, under}:
	case <-c.open.Done():
		under.Close()
	}
}

// plainAddr writes an address in one way only.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
