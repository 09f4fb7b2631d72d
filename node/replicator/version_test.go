package replicator

import (
	"fmt"
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol/frame"
)

// See frame's TestBytesOfTheVersion: what holders and replicas say to each other stays as it is while the frames' version does.
func TestBytesOfTheVersion(t *testing.T) {
	const version, want = 1, "01000000000000000200000000000000" + "0008" + "61"
	if frame.Version != version {
		t.Fatalf("the version is %d: say here what its bytes are", frame.Version)
	}
	parts := piece.NewSet(16)
	parts.Add(11)
	a := ask{from: piece.Member{ID: "a", Boot: 1}, number: 2, parts: parts}
	if got := fmt.Sprintf("%x", a.append(nil)); got != want {
		t.Errorf("a Follow of version %d is changed (see protocol/DESIGN.md, \"Versions\"): got %s, want %s", version, got, want)
	}
}
