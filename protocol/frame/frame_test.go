package frame_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/frame"
	"github.com/memring/memring/protocol/session"
	"pgregory.net/rapid"
)

var _ session.Codec = (*frame.Codec)(nil)

// The bytes of the shortest frames.
var (
	requestHeadBytes  = frame.RequestBytes(&protocol.Request{})
	responseHeadBytes = len(frame.AppendResponse(nil, 0, &protocol.Response{}))
)

// opened gives the codec of a lane whose Hello has been answered.
func opened(t testing.TB) *frame.Codec {
	t.Helper()
	c := frame.NewCodec()
	var req protocol.Request
	if c.Parse(frame.AppendRequest(nil, 0, &protocol.Request{Op: protocol.Hello}), &req) <= 0 || req.Op != protocol.Hello {
		t.Fatal("a hello was not read")
	}
	c.Append(nil, &req, &protocol.Response{Status: protocol.OK})
	return c
}

// ops are those that travel after the Hello, each with and without a key as it may.
func ops() []protocol.Op {
	var all []protocol.Op
	for op := protocol.Op(0); op.Known(); op++ {
		if op != protocol.None && op != protocol.Reject && op != protocol.Quit && op != protocol.Hello {
			all = append(all, op)
		}
	}
	return all
}

// drawn gives bytes, or nil for none: empty and absent are the same on the wire.
func drawn(t *rapid.T, name string, least, most int) []byte {
	return rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name)
}

func drawRequest(t *rapid.T) protocol.Request {
	req := protocol.Request{
		Op:      rapid.SampledFrom(ops()).Draw(t, "op"),
		Reason:  protocol.Status(rapid.IntRange(0, int(protocol.PeerOverloaded)).Draw(t, "reason")),
		Options: protocol.Options(rapid.Uint32().Draw(t, "options")) &^ protocol.Hangup,
		Flags:   rapid.Uint32().Draw(t, "flags"),
		Exptime: rapid.Int64().Draw(t, "exptime"),
		CAS:     rapid.Uint64().Draw(t, "cas"), NewCAS: rapid.Uint64().Draw(t, "new cas"),
		Delta: rapid.Uint64().Draw(t, "delta"), Initial: rapid.Uint64().Draw(t, "initial"),
		VivifyExptime: rapid.Int64().Draw(t, "vivify exptime"), RecacheTTL: rapid.Int64().Draw(t, "recache ttl"),
		Value: drawn(t, "value", 0, 300),
	}
	least := 0
	if req.Op.Keyed() {
		least = 1
	}
	req.Key = drawn(t, "key", least, protocol.MaxKeyBytes)
	return req
}

func drawResponse(t *rapid.T) protocol.Response {
	resp := protocol.Response{
		Status: protocol.Status(rapid.IntRange(0, int(protocol.PeerOverloaded)).Draw(t, "status")),
		Marks:  protocol.Marks(rapid.Byte().Draw(t, "marks")),
		Flags:  rapid.Uint32().Draw(t, "flags"), CAS: rapid.Uint64().Draw(t, "cas"), Number: rapid.Uint64().Draw(t, "number"),
		TTL: rapid.Int64().Draw(t, "ttl"), Idle: rapid.Int64().Draw(t, "idle"), Size: rapid.Uint32().Draw(t, "size"),
		Value: drawn(t, "value", 0, 300),
	}
	for range rapid.IntRange(0, 5).Draw(t, "lines") {
		text := rapid.StringN(0, 20, 40)
		resp.Report = append(resp.Report, protocol.ReportLine{Label: text.Draw(t, "label"), Name: text.Draw(t, "name"), Value: text.Draw(t, "text")})
	}
	return resp
}

func TestRequestsArriveAsSent(t *testing.T) {
	codec := opened(t)
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(rapid.Custom(drawRequest), 1, 4).Draw(t, "requests")
		var wire []byte
		for i := range sent {
			if !frame.Fits(&sent[i]) {
				t.Fatalf("%v does not fit", sent[i].Op)
			}
			wire = frame.AppendRequest(wire, uint32(i), &sent[i])
		}
		cut := rapid.IntRange(0, len(wire)-1).Draw(t, "cut")
		for i, want := range sent {
			// What has not arrived yet is asked for, never misread.
			var got protocol.Request
			size := frame.RequestBytes(&want)
			if n := codec.Parse(wire[:min(cut, size-1)], &got); n > 0 || got.Op != protocol.None || -n > size {
				t.Fatalf("%d of %d bytes: used %d, op %v", min(cut, size-1), size, n, got.Op)
			}
			if n := codec.Parse(wire, &got); n != size {
				t.Fatalf("used %d bytes, want %d", n, size)
			}
			want.Opaque = uint32(i)
			if !bytes.Equal(got.Key, want.Key) || !bytes.Equal(got.Value, want.Value) {
				t.Fatalf("got key %q value %q, want %q %q", got.Key, got.Value, want.Key, want.Value)
			}
			got.Key, got.Value, want.Key, want.Value = nil, nil, nil, nil
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			wire = wire[size:]
		}
	})
}

func TestResponsesArriveAsSent(t *testing.T) {
	codec := opened(t)
	rapid.Check(t, func(t *rapid.T) {
		want := drawResponse(t)
		wire := codec.Append(nil, &protocol.Request{Op: protocol.Get, Opaque: 77}, &want)
		cut := rapid.IntRange(0, len(wire)-1).Draw(t, "cut")
		var got protocol.Response
		if _, used, err := frame.ParseResponse(wire[:cut], &got); used > 0 || err != nil || -used > len(wire) {
			t.Fatalf("%d of %d bytes: used %d, %v", cut, len(wire), used, err)
		}
		sequence, used, err := frame.ParseResponse(append(wire, "next"...), &got)
		if err != nil || used != len(wire) || sequence != 77 {
			t.Fatalf("sequence %d, used %d of %d, %v", sequence, used, len(wire), err)
		}
		clear(wire) // the answer outlives the read buffer
		if !bytes.Equal(got.Value, want.Value) {
			t.Fatalf("value %q, want %q", got.Value, want.Value)
		}
		got.Value, want.Value, got.Scratch = nil, nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// A field that somebody adds to a Request or a Response must travel, or be named here as one that stays.
func TestEveryFieldTravels(t *testing.T) {
	f := func(sample any, stays ...string) {
		t.Helper()
		v := reflect.ValueOf(sample).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			one := reflect.New(v.Type())
			fill(one.Elem().Field(i))
			switch full := one.Interface().(type) {
			case *protocol.Request:
				if name != "Op" {
					full.Op = protocol.Noop
				}
				var got protocol.Request
				opened(t).Parse(frame.AppendRequest(nil, 0, full), &got)
				checkTravels(t, name, reflect.ValueOf(got).Field(i), one.Elem().Field(i), stays)
			case *protocol.Response:
				var got protocol.Response
				if _, _, err := frame.ParseResponse(frame.AppendResponse(nil, 0, full), &got); err != nil {
					t.Fatal(name, err)
				}
				checkTravels(t, name, reflect.ValueOf(got).Field(i), one.Elem().Field(i), stays)
			}
		}
	}
	f(&protocol.Request{}, "Verb", "Wire", "Origin", "View", "AfterWrite", "Share", "Bulk", "Opaque", "Raw")
	f(&protocol.Response{}, "Scratch")
}

func checkTravels(t *testing.T, name string, got, want reflect.Value, stays []string) {
	t.Helper()
	for _, s := range stays {
		if s == name {
			return
		}
	}
	if !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Errorf("%s: sent %v, got %v", name, want, got)
	}
}

// fill sets a field to something that is not zero and that is allowed.
func fill(v reflect.Value) {
	switch v.Interface().(type) {
	case protocol.Op:
		v.Set(reflect.ValueOf(protocol.Noop))
		return
	case protocol.Options:
		v.Set(reflect.ValueOf(protocol.Quiet | protocol.Compare))
		return
	}
	switch v.Kind() {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	case reflect.Int64:
		v.SetInt(-3)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

func TestWhatIsNoRequestIsHungUpOn(t *testing.T) {
	good := frame.AppendRequest(nil, 9, &protocol.Request{Op: protocol.Get, Key: []byte("key")})
	f := func(name string, change func([]byte) []byte) {
		t.Helper()
		var req protocol.Request
		wire := change(bytes.Clone(good))
		used := opened(t).Parse(wire, &req)
		if used != len(wire) || req.Op != protocol.Reject || !req.Options.Has(protocol.Hangup) || req.Reason != protocol.BadFormat {
			t.Errorf("%s: used %d of %d, op %v, options %b, reason %d", name, used, len(wire), req.Op, req.Options, req.Reason)
		}
	}
	at := func(i int, bytes ...byte) func([]byte) []byte {
		return func(wire []byte) []byte { copy(wire[i:], bytes); return wire }
	}
	f("length 0", at(0, 0, 0, 0, 0))
	f("length below the head's", at(0, byte(requestHeadBytes-1)))
	f("length below head and key", at(0, byte(requestHeadBytes+2)))
	f("length above the longest", at(0, 1, 0, 0, 4))
	f("length above the longest, and nothing more", func([]byte) []byte { return []byte{255, 255, 255, 255} })
	f("op none", at(8, byte(protocol.None)))
	f("op reject", at(8, byte(protocol.Reject)))
	f("op quit", at(8, byte(protocol.Quit)))
	f("op unknown", at(8, 255))
	f("reason unknown", at(9, 255))
	f("no key", at(10, 0, 0))
	f("key of 251 bytes", func([]byte) []byte {
		return frame.AppendRequest(nil, 0, &protocol.Request{Op: protocol.Get, Key: make([]byte, 251)})
	})
	f("hangup", at(12, byte(protocol.Hangup)))
	f("a second hello", at(8, byte(protocol.Hello)))
}

func TestHelloComesFirst(t *testing.T) {
	get := frame.AppendRequest(nil, 1, &protocol.Request{Op: protocol.Get, Key: []byte("key")})
	hello := frame.AppendRequest(nil, 0, &protocol.Request{Op: protocol.Hello})
	rejects := func(c *frame.Codec, wire []byte) bool {
		var req protocol.Request
		c.Parse(wire, &req)
		return req.Op == protocol.Reject && req.Options.Has(protocol.Hangup)
	}
	if !rejects(frame.NewCodec(), get) {
		t.Error("a get before the hello was read")
	}

	refused := frame.NewCodec()
	var req protocol.Request
	refused.Parse(hello, &req)
	refused.Append(nil, &req, &protocol.Response{Status: protocol.ServerError})
	if !rejects(refused, get) {
		t.Error("a get after a refused hello was read")
	}
	if !rejects(refused, hello) {
		t.Error("a second hello after a refused one was read")
	}
	if rejects(opened(t), get) {
		t.Error("a get after the hello was not read")
	}
}

func TestWhatDoesNotFit(t *testing.T) {
	f := func(want bool, req protocol.Request) {
		t.Helper()
		if got := frame.Fits(&req); got != want {
			t.Errorf("%v, key of %d, value of %d bytes: fits %v, want %v", req.Op, len(req.Key), len(req.Value), got, want)
		}
	}
	key, large := make([]byte, 250), make([]byte, frame.MaxBytes)
	f(true, protocol.Request{Op: protocol.Set, Key: key, Value: large[:frame.MaxBytes-requestHeadBytes-250]})
	f(false, protocol.Request{Op: protocol.Set, Key: key, Value: large[:frame.MaxBytes-requestHeadBytes-249]})
	f(false, protocol.Request{Op: protocol.Get})
	f(false, protocol.Request{Op: protocol.Get, Key: make([]byte, 251)})
	f(true, protocol.Request{Op: protocol.Flush})
	f(false, protocol.Request{Op: protocol.Quit})
	f(false, protocol.Request{Op: protocol.Reject})
	f(false, protocol.Request{})
}

func TestAnswerTooLongFails(t *testing.T) {
	wire := frame.AppendResponse(nil, 5, &protocol.Response{Status: protocol.OK, Value: make([]byte, frame.MaxBytes)})
	var resp protocol.Response
	sequence, used, err := frame.ParseResponse(wire, &resp)
	if sequence != 5 || used != len(wire) || err != nil || resp.Status != protocol.ServerError || !strings.Contains(string(resp.Value), "too long") {
		t.Fatalf("sequence %d, used %d, %v, status %d, %q", sequence, used, err, resp.Status, resp.Value)
	}
}

func TestWhatIsNoResponse(t *testing.T) {
	good := frame.AppendResponse(nil, 1, &protocol.Response{Status: protocol.OK, Value: []byte("v"), Report: []protocol.ReportLine{{Label: "a", Name: "b", Value: "c"}}})
	f := func(name string, i int, with ...byte) {
		t.Helper()
		wire := bytes.Clone(good)
		copy(wire[i:], with)
		if _, _, err := frame.ParseResponse(wire, &protocol.Response{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f("length 0", 0, 0, 0, 0, 0)
	f("length below the head's", 0, byte(responseHeadBytes-1))
	f("length above the longest", 0, 1, 0, 0, 4)
	f("unknown status", 8, 255)
	f("value over the end", responseHeadBytes-4, 255, 255, 255, 255)
	f("value over the report", responseHeadBytes-4, 2)
	f("line over the end", len(good)-5, 2)
	f("end within a line", 0, byte(len(good)-1))
}

func TestHello(t *testing.T) {
	want := frame.Hello{Version: frame.Version, Lane: frame.Copy, Boot: 1 << 60, Print: 1 << 61, Sender: "a", Receiver: "b", Cluster: "memring"}
	wire := frame.AppendHello(nil, &want)
	var got frame.Hello
	if err := frame.ParseHello(wire, &got); err != nil || got != want {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	for cut := range wire {
		if err := frame.ParseHello(wire[:cut], &got); err == nil {
			t.Fatalf("%d of %d bytes are a hello: %+v", cut, len(wire), got)
		}
	}
	if err := frame.ParseHello(append(wire, 0), &got); err == nil {
		t.Fatal("a byte too many is no error")
	}
	if err := frame.ParseHello([]byte{frame.Version + 1, 0xff}, &got); err != nil || got.Version != frame.Version+1 {
		t.Fatalf("another version: %+v, %v", got, err)
	}
	wire[1] = 3
	if err := frame.ParseHello(wire, &got); err == nil {
		t.Fatal("an unknown lane is no error")
	}
	for n, fits := range map[int]bool{255: true, 256: false} {
		long := want
		long.Cluster = strings.Repeat("c", n)
		if err := frame.ParseHello(frame.AppendHello(nil, &long), &got); (err == nil) != fits {
			t.Errorf("a name of %d bytes: %v", n, err)
		}
	}
}
