package node

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// A node that waits for its partitions says so, until it has had all of them once: later ones make it wait, and not its clients go elsewhere.
func TestNotReadyUntilPartitionsAreTakenOver(t *testing.T) {
	store, err := storage.Open(storage.Config{MaxBytes: 4 << 20, MaxItemBytes: 1 << 16, Clock: storage.NewManualClock(1_700_000_000), Partitions: ring.DefaultParams().Partitions})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var first func(*protocol.Response)
	n := &Node{log: slog.New(slog.DiscardHandler)}
	n.handover = handover.New(handover.Config{
		Self: handover.Member{ID: "a"}, Store: store, Hasten: func() {},
		Send:  func(string, *protocol.Request) *protocol.Pending { return nil },
		Await: func(_ *protocol.Pending, then func(*protocol.Response)) { first = then }, // nobody answers
		After: func(time.Duration, func()) {},
		Go:    func(func()) {},
	})
	two, err := ring.Build([]ring.Member{{ID: "a", Weight: 1}, {ID: "b", Weight: 1}}, ring.DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	other := []handover.Member{{ID: "b"}}
	n.handover.Adopt(two, 0, other)
	if err := n.pulled(); err == nil || !strings.Contains(err.Error(), "not taken over yet") || first == nil {
		t.Fatalf("nobody has answered: %v", err)
	}
	n.handover.Adopt(two, -1, other) // nothing is to be waited for
	if err := n.pulled(); err != nil {
		t.Errorf("nothing wanted: %v", err)
	}
	n.handover.Adopt(two, 0, other)
	if err := n.pulled(); err != nil || n.handover.Count().Wanted == 0 {
		t.Errorf("wanted again: %v, %+v", err, n.handover.Count())
	}
}
