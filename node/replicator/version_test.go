package replicator

import (
	"testing"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol/frametest"
)

// See frametest: what holders and replicas say to each other stays as it is while the frames' version does.
func TestBytesOfTheVersion(t *testing.T) {
	parts := piece.NewSet(16)
	parts.Add(11)
	a := ask{from: piece.Member{ID: "a", Boot: 1}, number: 2, parts: parts}
	var said frametest.Said
	said.Add("a Follow", a.append(nil))
	said.Check(t)
}
