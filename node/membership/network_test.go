package membership

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A network carries gossip between the nodes of one test, inside its bubble of time. memberlist ships one too, but it blocks for good on who has stopped.
type network struct {
	mu    sync.Mutex // guards all below
	wires map[netip.AddrPort]*wire
	sides [][]netip.Addr                   // while split: who still reaches whom
	loss  float64                          // of packets, 0 to 1
	dial  map[netip.AddrPort]time.Duration // how long it takes to reach it
	taped []recorded                       // while it is not nil: all packets
}

// A recorded packet can be sent again.
type recorded struct {
	from   netip.AddrPort
	packet []byte
}

// record begins to record all packets.
func (n *network) record() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taped = []recorded{}
}

// recorded ends that, and gives what was recorded.
func (n *network) recorded() []recorded {
	n.mu.Lock()
	defer n.mu.Unlock()
	taped := n.taped
	n.taped = nil
	return taped
}

// replay sends recorded packets again, to everybody.
func (n *network) replay(taped []recorded) {
	n.mu.Lock()
	wires := slices.Collect(maps.Values(n.wires))
	n.mu.Unlock()
	for _, r := range taped {
		for _, w := range wires {
			select {
			case w.packets <- &memberlist.Packet{Buf: bytes.Clone(r.packet), From: net.UDPAddrFromAddrPort(r.from), Timestamp: time.Now()}:
			default:
			}
		}
	}
}

func newNetwork() *network { return &network{wires: map[netip.AddrPort]*wire{}} }

// split lets only those of one side reach each other; without sides the split is over.
func (n *network) split(sides ...[]netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sides = sides
}

// find gives the wire at to, or why from does not reach it.
func (n *network) find(from *wire, to string) (*wire, error) {
	addr, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, side := range n.sides {
		if slices.Contains(side, from.addr.Addr()) != slices.Contains(side, addr.Addr()) {
			return nil, errSilent
		}
	}
	if w := n.wires[addr]; w != nil {
		return w, nil
	}
	return nil, errRefused
}

// far gives how long it takes to reach a node.
func (n *network) far(addr netip.AddrPort) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dial[addr]
}

// lose makes the network drop a part of the packets.
func (n *network) lose(part float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = part
}

func (n *network) drops() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return rand.Float64() < n.loss
}

var (
	errSilent  = errors.New("no answer")
	errRefused = errors.New("connection refused")
)

// A wire is one node's end of the network, a memberlist.Transport.
type wire struct {
	net     *network
	addr    netip.AddrPort
	packets chan *memberlist.Packet
	streams chan net.Conn
}

func (n *network) plug(addr netip.AddrPort) *wire {
	w := &wire{net: n, addr: addr, packets: make(chan *memberlist.Packet, 1024), streams: make(chan net.Conn, 64)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wires[addr] = w
	return w
}

func (w *wire) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return w.addr.Addr().AsSlice(), int(w.addr.Port()), nil
}

func (w *wire) WriteTo(b []byte, to string) (time.Time, error) {
	if peer, err := w.net.find(w, to); err == nil && !w.net.drops() {
		w.net.mu.Lock()
		if w.net.taped != nil {
			w.net.taped = append(w.net.taped, recorded{w.addr, bytes.Clone(b)})
		}
		w.net.mu.Unlock()
		select {
		case peer.packets <- &memberlist.Packet{Buf: bytes.Clone(b), From: net.UDPAddrFromAddrPort(w.addr), Timestamp: time.Now()}:
		default: // as UDP does
		}
	}
	return time.Now(), nil
}

func (w *wire) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	peer, err := w.net.find(w, to)
	if err == nil {
		if far := w.net.far(peer.addr); far > 0 {
			<-time.After(far)
		}
		ours, theirs := net.Pipe()
		select {
		case peer.streams <- theirs:
			return ours, nil
		default:
			err = errRefused
		}
	}
	if err == errSilent {
		<-time.After(timeout)
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
}

func (w *wire) PacketCh() <-chan *memberlist.Packet { return w.packets }
func (w *wire) StreamCh() <-chan net.Conn           { return w.streams }

func (w *wire) Shutdown() error {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	if w.net.wires[w.addr] == w {
		delete(w.net.wires, w.addr)
	}
	return nil
}

// A journal keeps what was logged.
type journal struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(line)
}

// lines gives the lines that have all of words.
func (j *journal) lines(words ...string) (found []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range bytes.Lines(j.buf.Bytes()) {
		has := true
		for _, word := range words {
			has = has && bytes.Contains(line, []byte(word))
		}
		if has {
			found = append(found, string(line))
		}
	}
	return found
}
