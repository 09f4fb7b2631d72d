package warm

import (
	"fmt"
	"testing"
	"time"
)

func someServers(n int) (all []*Server) {
	for i := range n {
		all = append(all, &Server{Addr: fmt.Sprintf("10.0.0.%d:11211", i+1), Number: uint8(i)})
	}
	return all
}

const someKeys = 20_000

func every(*Server) bool { return true }

func TestKetamaSpreads(t *testing.T) {
	servers := someServers(4)
	counts := map[*Server]int{}
	c := newContinuum(servers)
	for i := range someKeys {
		counts[c.find([]byte(KeyAt(i)), every)]++
	}
	for _, s := range servers {
		if share := float64(counts[s]) / someKeys; share < 0.15 || share > 0.35 {
			t.Errorf("%s has %.2f of the keys", s.Addr, share)
		}
	}
}

// TestKetamaMovesLittle: a server that comes takes keys from all, and no key moves between the others.
func TestKetamaMovesLittle(t *testing.T) {
	servers := someServers(4)
	three, four := newContinuum(servers[:3]), newContinuum(servers)
	from := map[*Server]int{}
	for i := range someKeys {
		key := []byte(KeyAt(i))
		before, after := three.find(key, every), four.find(key, every)
		if before != after && after != servers[3] {
			t.Fatalf("%s moves from %s to %s", key, before.Addr, after.Addr)
		}
		if before != after {
			from[before]++
		}
	}
	if len(from) != 3 {
		t.Errorf("keys came from %d servers", len(from))
	}
}

// TestKetamaPassesOver: to pass over a server is the same as to have none.
func TestKetamaPassesOver(t *testing.T) {
	servers := someServers(4)
	all, less := newContinuum(servers), newContinuum([]*Server{servers[0], servers[2], servers[3]})
	for i := range someKeys {
		key := []byte(KeyAt(i))
		if a, b := all.find(key, func(s *Server) bool { return s != servers[1] }), less.find(key, every); a != b {
			t.Fatalf("%s is at %s or at %s", key, a.Addr, b.Addr)
		}
	}
	if all.find([]byte("k"), func(*Server) bool { return false }) != nil || continuum(nil).find([]byte("k"), every) != nil {
		t.Error("a server was found where none is")
	}
}

// TestKetamaPoints: the ring is what other clients have too. The numbers are MD5("10.0.0.1:11211-0") in little-endian words, from md5sum.
func TestKetamaPoints(t *testing.T) {
	c := newContinuum(someServers(1))
	if len(c) != 160 {
		t.Fatalf("%d points", len(c))
	}
	at := map[uint32]bool{}
	for _, p := range c {
		at[p.at] = true
	}
	for _, want := range []uint32{0x62092476, 0x0fe39fe2, 0x5c597f40, 0x77757e51} {
		if !at[want] {
			t.Errorf("no point at %08x", want)
		}
	}
}

func TestEjecting(t *testing.T) {
	servers := someServers(3)
	l := NewServers(true, servers...).list.Load()
	p := NewServers(true, servers...).picker(0)
	key, now := []byte("a key"), time.Unix(1000, 0)
	first := p.pick(l, key, now)
	p.failed(l, first, now)
	second := p.pick(l, key, now)
	if second == first {
		t.Fatal("who failed is asked again at once")
	}
	p.failed(l, second, now)
	third := p.pick(l, key, now)
	if third == first || third == second {
		t.Fatal("who failed is asked again at once")
	}
	if p.failed(l, third, now); p.pick(l, key, now) != first {
		t.Error("when all have failed, the key's own is worth a try")
	}
	if p.pick(l, key, now.Add(ejectFor)) != first {
		t.Error("who failed is not asked again later")
	}
}

func TestSticking(t *testing.T) {
	servers := someServers(4)
	s := NewServers(false, servers...)
	if s.Server("a key") != nil {
		t.Error("a key has a server of its own in a cluster")
	}
	l, now := s.list.Load(), time.Time{}
	first, second := map[*Server]int{}, map[*Server]int{}
	for client := range 24 {
		p := s.picker(client)
		with := p.pick(l, nil, now)
		first[with]++
		if p.pick(l, nil, now) != with {
			t.Fatal("it moves without need")
		}
		if with == servers[1] {
			p.failed(l, with, now)
			second[p.pick(l, nil, now)]++
		}
		met := map[*Server]bool{}
		for range 12 {
			met[p.pick(l, nil, now)] = true
			p.failed(l, p.pick(l, nil, now), now)
		}
		if len(met) != len(servers) {
			t.Errorf("client %d tries %d servers", client, len(met))
		}
	}
	for _, server := range servers {
		if first[server] != 6 || server != servers[1] && second[server] != 2 {
			t.Errorf("%s has %d clients at first, and %d of the second's", server.Addr, first[server], second[server])
		}
	}
	p := s.picker(0)
	p.pick(l, nil, now)
	s.Set(servers[2])
	if p.pick(s.list.Load(), nil, now) != servers[2] {
		t.Error("it stays with who is not listed")
	}
	p.failed(s.list.Load(), servers[2], now)
	if p.pick(s.list.Load(), nil, now) != servers[2] {
		t.Error("there is only one")
	}
}

func TestExcuses(t *testing.T) {
	var s Server
	opened := s.stops.Load()
	if s.excuses(opened) {
		t.Error("it was never stopped")
	}
	if s.Stopping(); !s.excuses(opened) {
		t.Error("it is being stopped")
	}
	if s.Started(); !s.excuses(opened) || s.excuses(s.stops.Load()) {
		t.Error("only what was opened before may be lost")
	}
}
