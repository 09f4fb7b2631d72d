package nodetest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/seal"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/ring"
)

// Hostiles are who reaches the ports for members and is none. They try what they can think of, each from many goroutines, until Stop.
type Hostiles struct {
	t       testing.TB
	target  membership.Member
	cluster string
	key     string // that of the cluster: for what only looks right

	Tries    atomic.Int64
	Accepted atomic.Int64 // each is an error of the test as well

	cancel  context.CancelFunc
	running sync.WaitGroup
}

const (
	hostilesAtOnce  = 4                      // goroutines for each way
	hostilePatience = 300 * time.Millisecond // that one try has, for those who say nothing
	hostilePause    = 2 * time.Millisecond   // between tries, so that there is processor left to see whether others are served
)

// Attack begins to attack a member of a cluster of that name and key, whose ring is as by default (AllPartitions).
func Attack(t testing.TB, target membership.Member, cluster, key string) *Hostiles {
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hostiles{t: t, target: target, cluster: cluster, key: key, cancel: cancel}
	wrongKey, wrongName := h.member(cluster, "stranger", "a key that is not that of the cluster"), h.member("not "+cluster, "stranger", key)
	ways := map[string]func() error{
		"plain bytes":       func() error { return h.say(target.Peer, noise(1+rand.IntN(4000))) },
		"a plain hello":     func() error { return h.say(target.Peer, h.hello("stranger")) },
		"an endless record": func() error { return h.say(target.Peer, append([]byte{22, 3, 1, 255, 255}, noise(70_000)...)) },
		"an endless client hello": func() error {
			return h.say(target.Peer, append([]byte{22, 3, 1, 64, 0, 1, 255, 255, 255}, noise(16379)...))
		},
		"a frame too large":             func() error { return h.say(target.Peer, binary.LittleEndian.AppendUint32(nil, 1<<31)) },
		"silence":                       func() error { return h.say(target.Peer, nil) },
		"another key":                   func() error { return h.call(target.Peer, wrongKey.CallAny()) },
		"another name of the cluster":   func() error { return h.call(target.Peer, wrongName.CallAny()) },
		"no certificate":                func() error { return h.call(target.Peer, &tls.Config{InsecureSkipVerify: true}) },
		"another member's name":         func() error { return h.call(target.Peer, h.member(cluster, "stranger", key).CallAny()) },
		"a recorded handshake":          h.replayed(target.Peer),
		"gossip: plain bytes":           func() error { return h.say(target.Gossip, noise(1+rand.IntN(4000))) },
		"gossip: an endless state":      func() error { return h.say(target.Gossip, append([]byte{10, 1, 0, 0, 0}, noise(100_000)...)) },
		"gossip: another key":           func() error { return h.gossip(target.Gossip, wrongKey.CallAny()) },
		"gossip: a recorded handshake":  h.replayed(target.Gossip),
		"datagrams: noise":              func() error { return h.datagram(noise(1 + rand.IntN(1400))) },
		"datagrams: another key":        func() error { return h.datagram(h.letter(wrongKey)) },
		"datagrams: another name":       func() error { return h.datagram(h.letter(wrongName)) },
		"datagrams: recorded elsewhere": h.recorded(),
	}
	for way, try := range ways {
		for range hostilesAtOnce {
			h.running.Go(func() {
				for ctx.Err() == nil {
					if err := try(); err != nil {
						h.Accepted.Add(1)
						t.Errorf("%s: %v", way, err)
						return
					}
					h.Tries.Add(1)
					select {
					case <-ctx.Done():
					case <-time.After(hostilePause):
					}
				}
			})
		}
	}
	t.Cleanup(h.Stop)
	return h
}

// Stop ends the attack.
func (h *Hostiles) Stop() {
	h.cancel()
	h.running.Wait()
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// member gives the identity of a member that there may not be.
func (h *Hostiles) member(cluster, id, key string) *identity.Identity {
	i := identity.New(identity.Config{Cluster: cluster, ID: id})
	if err := i.LoadKeys(certs.File{Content: []byte(key)}); err != nil {
		h.t.Error(err)
	}
	return i
}

// hello gives the frame that a lane to the target begins with, and a request.
func (h *Hostiles) hello(sender string) []byte {
	frames := frame.AppendRequest(nil, 0, &protocol.Request{Op: protocol.Hello, Value: frame.AppendHello(nil, &frame.Hello{
		Version: frame.Version, Lane: frame.Forward, Boot: 1, Print: ring.DefaultParams().Print(),
		Sender: sender, Receiver: h.target.ID, Cluster: h.cluster,
	})})
	return frame.AppendRequest(frames, 1, &protocol.Request{Op: protocol.Get, Key: []byte("secret")})
}

// dial connects; nil: the port is too busy, which is no answer.
func (h *Hostiles) dial(to netip.AddrPort) net.Conn {
	conn, err := net.DialTimeout("tcp", to.String(), hostilePatience)
	if err != nil {
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(hostilePatience))
	return conn
}

// say sends bytes to a port, which may answer with no more than an alert of TLS (RFC 8446, section 6).
func (h *Hostiles) say(to netip.AddrPort, what []byte) error {
	conn := h.dial(to)
	if conn == nil {
		return nil
	}
	defer conn.Close()
	_, _ = conn.Write(what)
	answer, _ := io.ReadAll(io.LimitReader(conn, 100))
	if len(answer) > 7 || len(answer) > 0 && answer[0] != 21 {
		return fmt.Errorf("answered with %q", answer)
	}
	return nil
}

// call opens a lane in the name of a member that there is, or of one that there is not.
func (h *Hostiles) call(to netip.AddrPort, config *tls.Config) error {
	return h.converse(to, config, h.hello(h.target.ID+"-neighbour"))
}

// gossip asks for all that the target knows, in as far as one need not know how: any answer is too much.
func (h *Hostiles) gossip(to netip.AddrPort, config *tls.Config) error {
	return h.converse(to, config, []byte{6, 1, 2, 3})
}

func (h *Hostiles) converse(to netip.AddrPort, config *tls.Config, what []byte) error {
	conn := h.dial(to)
	if conn == nil {
		return nil
	}
	defer conn.Close()
	config.InsecureSkipVerify, config.VerifyConnection = true, nil
	secure := tls.Client(conn, config)
	_, _ = secure.Write(what)
	in := make([]byte, 1<<10)
	n, _ := secure.Read(in)
	var resp protocol.Response
	if n == 0 {
		return nil
	}
	if _, used, err := frame.ParseResponse(in[:n], &resp); err != nil || used == 0 || resp.Status == protocol.OK {
		return fmt.Errorf("answered with %q", in[:n])
	}
	return nil // a refusal, to whom has shown the key of the cluster
}

// A tape records what is written to a connection.
type tape struct {
	net.Conn
	mu   sync.Mutex // guards said
	said []byte
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.said = append(t.said, p...)
	return t.Conn.Write(p)
}

// replayed gives a way to send again what a member has once said.
func (h *Hostiles) replayed(to netip.AddrPort) func() error {
	conn, err := net.DialTimeout("tcp", to.String(), patience)
	if err != nil {
		h.t.Error(err)
		return func() error { return nil }
	}
	defer conn.Close()
	recorder := &tape{Conn: conn}
	secure := tls.Client(recorder, h.member(h.cluster, "recorded", h.key).CallAny())
	if err := secure.Handshake(); err != nil {
		h.t.Errorf("record a handshake: %v", err)
	}
	_, _ = secure.Write(h.hello("recorded"))
	recorder.mu.Lock()
	defer recorder.mu.Unlock()
	said := recorder.said
	return func() error {
		conn := h.dial(to)
		if conn == nil {
			return nil
		}
		defer conn.Close()
		_, _ = conn.Write(said)
		answer, _ := io.ReadAll(io.LimitReader(conn, 1<<16))
		// The other side says its half of a handshake, seven records, and in an eighth that it cannot read ours.
		for record := 1; len(answer) >= 5; record++ {
			size := 5 + int(binary.BigEndian.Uint16(answer[3:]))
			if record == 8 && size != 24 || record > 8 {
				return fmt.Errorf("goes on talking: %d bytes more", len(answer))
			}
			answer = answer[min(len(answer), size):]
		}
		return nil
	}
}

// letter gives a datagram, sealed by somebody.
func (h *Hostiles) letter(by *identity.Identity) []byte {
	return seal.New(by.Datagrams).Seal(h.target.Gossip, noise(100), time.Now())
}

// datagram sends one, to which there must be no answer.
func (h *Hostiles) datagram(letter []byte) error {
	conn, err := net.Dial("udp", h.target.Gossip.String())
	if err != nil {
		return nil
	}
	defer conn.Close()
	return exchange(conn, letter, 0)
}

// recorded gives a way to send what a member may have sent to another: at most it is told to send it again. All tries are from one port, which is kept to the end of the test: given
// back, it might be another way's when an answer comes late.
func (h *Hostiles) recorded() func() error {
	letter := h.letter(h.member(h.cluster, "recorded", h.key))
	conn, err := net.Dial("udp", h.target.Gossip.String())
	if err != nil {
		h.t.Error(err)
		return func() error { return nil }
	}
	h.t.Cleanup(func() { conn.Close() })
	return func() error { return exchange(conn, letter, len(letter)) }
}

// exchange sends a letter, and gives an error if it is answered with more bytes than that.
func exchange(conn net.Conn, letter []byte, harmless int) error {
	_, _ = conn.Write(letter)
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, _ := conn.Read(make([]byte, 1<<16)); n > harmless {
		return fmt.Errorf("answered with %d bytes", n)
	}
	return nil
}
