package frame_test

import (
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

func TestNoAllocationPerRequest(t *testing.T) {
	trip := roundTrip(t)
	if got := testing.AllocsPerRun(100, trip); got != 0 {
		t.Fatalf("%v allocations per request, want 0", got)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	trip := roundTrip(b)
	b.ReportAllocs()
	for b.Loop() {
		trip()
	}
}

// roundTrip writes and reads one request and its answer of 100 bytes.
func roundTrip(tb testing.TB) func() {
	codec := opened(tb)
	sent := protocol.Request{Op: protocol.Get, Key: []byte("a-key-of-common-length")}
	answer := protocol.Response{Status: protocol.OK, Value: make([]byte, 100)}
	var wire []byte
	var req protocol.Request
	var resp protocol.Response
	return func() {
		wire = frame.AppendRequest(wire[:0], 1, &sent)
		if codec.Parse(wire, &req) != len(wire) {
			tb.Fatal("request not read")
		}
		wire = codec.Append(wire[:0], &req, &answer)
		if _, used, err := frame.ParseResponse(wire, &resp); used != len(wire) || err != nil {
			tb.Fatal("response not read", err)
		}
	}
}
