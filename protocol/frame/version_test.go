package frame_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// A cluster is upgraded node by node, so builds of one version must write the same bytes and mean the same by every number in them: protocol/DESIGN.md, "Versions",
// says what to do about a change. testdata/version-1.txt is what version 1 says.
func TestBytesOfTheVersion(t *testing.T) {
	file := fmt.Sprintf("testdata/version-%d.txt", frame.Version)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("what does version %d say? %v", frame.Version, err)
	}
	var said strings.Builder
	line := func(what string, is any) { fmt.Fprintf(&said, "%s: %v\n", what, is) }
	for op := protocol.Op(0); op.Known(); op++ {
		line(fmt.Sprint("op ", uint8(op)), op)
	}
	line("statuses", []protocol.Status{
		protocol.Unset, protocol.OK, protocol.Verbatim, protocol.NotFound, protocol.NotStored, protocol.Exists, protocol.Challenge, protocol.AskAgain,
		protocol.UnknownCommand, protocol.BadFormat, protocol.BadChunk, protocol.BadExptime, protocol.BadDelta, protocol.NonNumeric, protocol.ClientError, protocol.Pipelined,
		protocol.TooLarge, protocol.OutOfMemory, protocol.NotAllowed, protocol.Denied, protocol.ServerError,
		protocol.PeerTimeout, protocol.PeerLost, protocol.PeerOverloaded, protocol.PeerMoved,
	})
	count := 0
	for protocol.Status(count).Known() {
		count++
	}
	line("count of statuses", count)
	line("options", []protocol.Options{
		protocol.Quiet, protocol.Last, protocol.Compare, protocol.NoValue, protocol.NoBump, protocol.Lease, protocol.Vivify, protocol.Recache, protocol.SetExptime,
		protocol.FormerTTL, protocol.SetCAS, protocol.Invalidate, protocol.Clear, protocol.Brief, protocol.Again, protocol.AfterAll, protocol.Delivered, protocol.FromCopy,
	})
	line("marks", []protocol.Marks{protocol.Fetched, protocol.Won, protocol.Stale, protocol.Leased, protocol.Parted, protocol.Withheld})
	line("lanes", []uint8{uint8(frame.Forward), uint8(frame.Copy)})
	bytes := func(what string, b []byte) { line(what, fmt.Sprintf("%x", b)) }
	bytes("hello", frame.AppendHello(nil, &frame.Hello{
		Version: frame.Version, Lane: frame.Copy, Boot: 1, Print: 2, Sender: "here", Receiver: "there", Cluster: "memring",
	}))
	bytes("request", frame.AppendRequest(nil, 3, &protocol.Request{
		Op: protocol.Set, Reason: 4, Options: 5 &^ protocol.Hangup, Flags: 6, Exptime: 7, CAS: 8, NewCAS: 9, Delta: 10, Initial: 11, VivifyExptime: 12, RecacheTTL: 13,
		Key: []byte("k"), Value: []byte("v"),
	}))
	bytes("response", frame.AppendResponse(nil, 14, &protocol.Response{
		Status: 15, Marks: 16, Flags: 17, CAS: 18, Number: 19, TTL: 20, Idle: 21, Size: 1, Value: []byte("v"),
		Report: []protocol.ReportLine{{Label: "STAT", Name: "n", Value: "1"}},
	}))
	if said.String() != string(want) {
		t.Errorf("version %d of the frames is changed: see protocol/DESIGN.md, \"Versions\". %s says\n%s\nand now it is\n%s", frame.Version, file, want, said.String())
	}
}
