package peer_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memring/memring/node/certs"
	"github.com/memring/memring/node/identity"
	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/node/reception"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/session"
)

var aKey, newKey = strings.Repeat("a key ", 8), strings.Repeat("a new key ", 8)

// keyed gives the identity of a member with cluster keys.
func keyed(tb testing.TB, id string, keys ...string) *identity.Identity {
	tb.Helper()
	i := identity.New(identity.Config{Cluster: there.Cluster, ID: id})
	loadKeys(tb, i, keys...)
	return i
}

func loadKeys(tb testing.TB, i *identity.Identity, keys ...string) {
	tb.Helper()
	if err := i.LoadKeys(certs.File{Content: []byte(strings.Join(keys, "\n"))}); err != nil {
		tb.Fatal(err)
	}
}

// secureMember serves as another member would who proves who he is, and wants the same.
func secureMember(tb testing.TB, handler protocol.Handler, who *identity.Identity) *host {
	door := reception.New(reception.Config{Self: there}, handler, nil)
	return newHost(tb, func(nc net.Conn) {
		config, with := who.Meet()
		if secure := tls.Server(nc, config); secure.Handshake() == nil {
			converse(secure, session.New(door.Door(with), frame.NewCodec(), 1))
		}
	})
}

func TestLanesAreEncrypted(t *testing.T) {
	f := func(name string, us, them *identity.Identity, plain bool, want protocol.Status) {
		t.Helper()
		h := secureMember(t, echo{}, them)
		if plain {
			h = member(t, echo{})
		}
		p := peersOf(t, peer.Config{Deadline: 5 * time.Second, Identity: us})
		pending := p.Link("there", h.addr).Send(get("key"))
		defer pending.Release()
		if pending.Wait(); pending.Response.Status != want {
			t.Errorf("%s: status %d", name, pending.Response.Status)
		}
	}
	us := keyed(t, here.ID, aKey)
	f("one key", us, keyed(t, "there", aKey), false, protocol.OK)
	f("another key", us, keyed(t, "there", newKey), false, protocol.PeerLost)
	f("another member", us, keyed(t, "elsewhere", aKey), false, protocol.PeerLost)
	f("not who the hello says", keyed(t, "elsewhere", aKey), keyed(t, "there", aKey), false, protocol.PeerLost)
	f("a peer without a key", us, nil, true, protocol.PeerLost)
	f("no key", nil, keyed(t, "there", aKey), false, protocol.PeerLost)
}

// An ordered handler answers OK while requests of one origin come in their order, over whatever connections.
type ordered struct{ last [8]atomic.Uint64 }

func (o *ordered) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	if last := o.last[req.Initial].Swap(req.Delta); req.Delta != last+1 {
		resp.Fail("out of order")
		return nil
	}
	resp.Status = protocol.OK
	return nil
}

// Keys are replaced under load: lanes with it, no request is lost or overtakes another, and nobody takes the peer for gone.
func TestLanesAreReplacedWithTheirKeys(t *testing.T) {
	var log bytes.Buffer
	var lost, asked atomic.Int64
	us, them := keyed(t, here.ID, aKey), keyed(t, "there", aKey)
	h := secureMember(t, &ordered{}, them)
	p := peersOf(t, peer.Config{
		Deadline: 20 * time.Second, Lanes: 2, Identity: us, Lost: func(string) { lost.Add(1) }, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	link := p.Link("there", h.addr)
	ended := make(chan struct{})
	var running sync.WaitGroup
	for origin := range uint32(8) {
		running.Go(func() {
			waiting := [10]*protocol.Pending{}
			for n := uint64(1); ; {
				select {
				case <-ended:
					return
				default:
				}
				for i := range waiting {
					waiting[i] = link.Send(&protocol.Request{Op: protocol.Incr, Key: []byte("k"), Delta: n, Initial: uint64(origin), Origin: origin})
					n++
				}
				for _, pending := range waiting {
					if pending.Wait(); pending.Response.Status != protocol.OK {
						t.Errorf("status %d %s", pending.Response.Status, pending.Response.Value)
					}
					pending.Release()
					asked.Add(1)
				}
			}
		})
	}
	until(t, "the lanes", func() bool { return p.Stats().Dials.Load() == 2 })
	made := int64(2)
	for _, step := range [][]string{{aKey, newKey}, {newKey, aKey}, {newKey}} {
		for _, i := range []*identity.Identity{them, us} {
			loadKeys(t, i, step...)
			before := asked.Load()
			until(t, "some requests with what each has now", func() bool { return asked.Load() > before+500 })
			if i == us {
				made += 2
				until(t, "lanes with it", func() bool { return p.Stats().Dials.Load() == made })
			}
		}
	}
	close(ended)
	running.Wait()
	if n := p.Stats().Dials.Load(); n != 4*2 {
		t.Errorf("%d lanes made, want two, and each anew three times", n)
	}
	if lost.Load() > 0 || strings.Contains(log.String(), "lane") {
		t.Errorf("%d times told that the peer is lost; logged:\n%s", lost.Load(), &log)
	}
}
