package handover

import (
	"fmt"
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// Requests come in for the first partition that arrives while the others are still being looked at: they must find the arrival complete. (The race
// detector tells; random input over 1,000 connections had found it.)
func TestAnArrivalIsCompleteBeforeItIsSeen(t *testing.T) {
	s := &stage{members: map[string]*Handover{}}
	s.enter(t, "b")
	b := s.members["b"]
	b.cfg.Send = func(string, *protocol.Request) *protocol.Pending { return protocol.Answered(protocol.PeerLost) }
	given := piece.NewSet(len(b.parts))
	for part := range b.parts {
		given.Add(part)
		if b.parts[part].store(wanted, 0); part > 0 {
			b.parts[part].store(held, 0)
		}
	}
	key := []byte("k")
	for n := 0; b.partOf(storage.Hash(key)) != 0; n++ {
		key = fmt.Appendf(nil, "k%d", n)
	}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for !b.Holds(0) { // without a lock, as a request looks
		}
		var resp protocol.Response
		pending := b.Handle(&protocol.Request{Op: protocol.Get, Key: key}, &resp)
		if pending == nil {
			t.Errorf("answered with %d, not fetched", resp.Status)
			return
		}
		pending.Release()
	}()
	b.mu.Lock()
	none := func() piece.Set { return piece.NewSet(len(b.parts)) }
	b.takeLocked(Member{ID: "a", Boot: 7}, &handout{boot: 7, move: 1, given: given, whole: none(), follows: none(), salvaged: none()}, piece.Base{Whole: none(), Some: none()})
	b.mu.Unlock()
	<-asked
	if a := b.arrivals[0]; !a.merges || a.parts != len(b.parts) {
		t.Errorf("merges %v, %d partitions of %d", a.merges, a.parts, len(b.parts))
	}
}
