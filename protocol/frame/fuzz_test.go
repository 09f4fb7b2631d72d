package frame_test

import (
	"bytes"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
)

// Whatever arrives: what is taken for a request is within its bounds, lies in what was given, and written again is the same bytes;
// all else is asked on, within the longest frame, or hung up on.
func FuzzRequests(f *testing.F) {
	f.Add(frame.AppendRequest(nil, 1, &protocol.Request{Op: protocol.Set, Key: []byte("key"), Value: []byte("value")}))
	f.Add(frame.AppendRequest(frame.AppendRequest(nil, 1, &protocol.Request{Op: protocol.Noop}), 2, &protocol.Request{Op: protocol.Hello}))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, in []byte) {
		codec := opened(t)
		for len(in) > 0 {
			var req protocol.Request
			n := codec.Parse(in, &req)
			switch {
			case n <= 0:
				if req.Op != protocol.None || -n <= len(in) || -n > frame.MaxBytes {
					t.Fatalf("used %d of %d bytes, op %v", n, len(in), req.Op)
				}
				return
			case req.Op == protocol.Reject:
				if !req.Options.Has(protocol.Hangup) || n != len(in) {
					t.Fatalf("rejected %d of %d bytes and went on", n, len(in))
				}
				return
			}
			if !frame.Fits(&req) || n > len(in) {
				t.Fatalf("read what could not be sent: %+v", req)
			}
			if again := frame.AppendRequest(nil, req.Opaque, &req); !bytes.Equal(again, in[:n]) {
				t.Fatalf("read %x, written again %x", in[:n], again)
			}
			in = in[n:]
		}
	})
}

func FuzzResponses(f *testing.F) {
	f.Add(frame.AppendResponse(nil, 1, &protocol.Response{Status: protocol.OK, Value: []byte("value"), CAS: 7}))
	f.Add(frame.AppendResponse(nil, 1, &protocol.Response{Status: protocol.OK, Report: []protocol.ReportLine{{Label: "STAT", Name: "pid", Value: "1"}, {}}}))
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, in []byte) {
		var resp protocol.Response
		for len(in) > 0 {
			size, sizeErr := frame.ResponseBytes(in)
			sequence, n, err := frame.ParseResponse(in, &resp)
			if n != size || sizeErr != nil && err == nil {
				t.Fatalf("%d bytes, %v; but as parsed %d, %v", size, sizeErr, n, err)
			}
			if err != nil {
				return
			}
			if n <= 0 {
				if n < 0 && (-n <= len(in) || -n > frame.MaxBytes) {
					t.Fatalf("used %d of %d bytes", n, len(in))
				}
				return
			}
			if again := frame.AppendResponse(nil, sequence, &resp); !bytes.Equal(again, in[:n]) {
				t.Fatalf("read %x, written again %x", in[:n], again)
			}
			in = in[n:]
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add(frame.AppendHello(nil, &frame.Hello{Version: frame.Version, Lane: frame.Forward, Sender: "a", Receiver: "b", Cluster: "c"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		var h frame.Hello
		if frame.ParseHello(in, &h) != nil || h.Version != frame.Version {
			return
		}
		if again := frame.AppendHello(nil, &h); !bytes.Equal(again, in) {
			t.Fatalf("read %x, written again %x", in, again)
		}
	})
}
