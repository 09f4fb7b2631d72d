package peer_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/memring/memring/node/peer"
	"github.com/memring/memring/protocol"
)

// A notebook is a log that may be read while it is written.
type notebook struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (n *notebook) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notebook) says(words ...string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, word := range words {
		if !bytes.Contains(n.text.Bytes(), []byte(word)) {
			return false
		}
	}
	return true
}

// Whoever is not of the cluster gets no answer but the refusal, and its requests fail.
func TestWrongMemberIsNotTalkedTo(t *testing.T) {
	var log notebook
	h := member(t, echo{})
	p := peersOf(t, peer.Config{Self: peer.Self{ID: "here", Cluster: "other", Print: 7}, Lanes: 1, Deadline: slack, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if status, _ := ask(t, p.Link("there", h.addr), get("k")); status != protocol.PeerLost {
		t.Fatalf("status %d", status)
	}
	until(t, "the reason is logged", func() bool { return log.says("peer refuses us", "memring", "other") })
}
