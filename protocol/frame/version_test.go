package frame_test

import (
	"fmt"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/frametest"
)

// A cluster is upgraded node by node, so builds of one version must write the same bytes and mean the same by every number in them: protocol/DESIGN.md, "Versions",
// says what to do about a change. testdata/version-1.txt is what version 1 says.
func TestBytesOfTheVersion(t *testing.T) {
	var said frametest.Said
	for op := protocol.Op(0); op.Known(); op++ {
		said.Add(fmt.Sprint("op ", uint8(op)), op)
	}
	said.Add("statuses", []protocol.Status{
		protocol.Unset, protocol.OK, protocol.Verbatim, protocol.NotFound, protocol.NotStored, protocol.Exists, protocol.Challenge, protocol.AskAgain,
		protocol.UnknownCommand, protocol.BadFormat, protocol.BadChunk, protocol.BadExptime, protocol.BadDelta, protocol.NonNumeric, protocol.ClientError, protocol.Pipelined,
		protocol.TooLarge, protocol.OutOfMemory, protocol.NotAllowed, protocol.Denied, protocol.ServerError,
		protocol.PeerTimeout, protocol.PeerLost, protocol.PeerOverloaded, protocol.PeerMoved,
	})
	count := 0
	for protocol.Status(count).Known() {
		count++
	}
	said.Add("count of statuses", count)
	said.Add("options", []protocol.Options{
		protocol.Quiet, protocol.Last, protocol.Compare, protocol.NoValue, protocol.NoBump, protocol.Lease, protocol.Vivify, protocol.Recache, protocol.SetExptime,
		protocol.FormerTTL, protocol.SetCAS, protocol.Invalidate, protocol.Clear, protocol.Brief, protocol.Again, protocol.AfterAll, protocol.Delivered, protocol.FromCopy,
	})
	said.Add("marks", []protocol.Marks{protocol.Fetched, protocol.Won, protocol.Stale, protocol.Leased, protocol.Parted, protocol.Withheld})
	said.Add("lanes", []int{int(frame.Forward), int(frame.Copy)})
	said.Add("hello", frame.AppendHello(nil, &frame.Hello{
		Version: frame.Version, Lane: frame.Copy, Boot: 1, Print: 2, Sender: "here", Receiver: "there", Cluster: "memring",
	}))
	said.Add("request", frame.AppendRequest(nil, 3, &protocol.Request{
		Op: protocol.Set, Reason: 4, Options: 5 &^ protocol.Hangup, Flags: 6, Exptime: 7, CAS: 8, NewCAS: 9, Delta: 10, Initial: 11, VivifyExptime: 12, RecacheTTL: 13,
		Key: []byte("k"), Value: []byte("v"),
	}))
	said.Add("response", frame.AppendResponse(nil, 14, &protocol.Response{
		Status: 15, Marks: 16, Flags: 17, CAS: 18, Number: 19, TTL: 20, Idle: 21, Size: 1, Value: []byte("v"),
		Report: []protocol.ReportLine{{Label: "STAT", Name: "n", Value: "1"}},
	}))
	said.Check(t)
}
