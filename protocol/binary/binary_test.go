package binary_test

import (
	"bytes"
	stdbinary "encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/binary"
	"github.com/memring/memring/protocol/session"
)

const (
	headBytes    = 24
	maxItemBytes = 1000
)

// packet is a request of a verb, well built whatever its parts.
func packet(verb byte, extras []byte, key, value string) []byte {
	p := make([]byte, headBytes, headBytes+len(extras)+len(key)+len(value))
	p[0], p[1], p[4] = 0x80, verb, byte(len(extras))
	stdbinary.BigEndian.PutUint16(p[2:], uint16(len(key)))
	stdbinary.BigEndian.PutUint32(p[8:], uint32(len(extras)+len(key)+len(value)))
	copy(p[12:16], "opaq")
	return append(append(append(p, extras...), key...), value...)
}

// with changes a byte of a packet.
func with(p []byte, at int, b byte) []byte {
	p = bytes.Clone(p)
	p[at] = b
	return p
}

// flagged are the extras of a set.
func flagged(flags, exptime uint32) []byte {
	return stdbinary.BigEndian.AppendUint32(stdbinary.BigEndian.AppendUint32(nil, flags), exptime)
}

// counted are the extras of an incr.
func counted(delta, initial uint64, exptime uint32) []byte {
	extras := stdbinary.BigEndian.AppendUint64(stdbinary.BigEndian.AppendUint64(nil, delta), initial)
	return stdbinary.BigEndian.AppendUint32(extras, exptime)
}

// asked gives what in asks for, fed to the codec as an engine does: step bytes at a time.
func asked(t testing.TB, in []byte, step int) (all []string, ended bool) {
	t.Helper()
	c := binary.New(binary.Config{MaxItemBytes: maxItemBytes})
	var buf []byte
	for len(in) > 0 && !ended {
		n := min(step, len(in))
		buf, in = append(buf, in[:n]...), in[n:]
		for !ended {
			var req protocol.Request
			used := c.Parse(buf, &req)
			if used > len(buf) {
				t.Fatalf("used %d of %d bytes: %.100q", used, len(buf), buf)
			}
			if used < 0 && -used <= len(buf) {
				t.Fatalf("needs %d bytes, and has %d: %.100q", -used, len(buf), buf)
			}
			if used < 0 && -used > headBytes+maxItemBytes {
				t.Fatalf("needs %d bytes", -used)
			}
			if used <= 0 {
				break
			}
			check(t, c, &req)
			if req.Op != protocol.None {
				all = append(all, described(&req))
			}
			ended = req.Options.Has(protocol.Hangup) || req.Op == protocol.Quit
			buf = buf[used:]
		}
	}
	return all, ended
}

// check holds a request to what the rooms below the session rely on, and its answer to what its client does.
func check(t testing.TB, c *binary.Codec, req *protocol.Request) {
	t.Helper()
	switch {
	case !req.Op.Known():
		t.Fatalf("%+v", req)
	case req.Op.Keyed() && (len(req.Key) == 0 || len(req.Key) > protocol.MaxKeyBytes):
		t.Fatalf("%s: a key of %d bytes", req.Op, len(req.Key))
	case len(req.Key) > protocol.MaxKeyBytes:
		t.Fatalf("%s: an argument of %d bytes", req.Op, len(req.Key))
	case len(req.Value) > maxItemBytes:
		t.Fatalf("%s: a value of %d bytes", req.Op, len(req.Value))
	case (req.Op == protocol.Reject || req.Op == protocol.Discard) == (req.Reason == protocol.Unset):
		t.Fatalf("%s: reason %d", req.Op, req.Reason)
	case req.Op == protocol.None && req.Options != 0 && req.Options != protocol.Hangup:
		t.Fatalf("none: options %b", req.Options)
	case req.Options.Has(protocol.Compare) == (req.CAS == 0):
		t.Fatalf("%s: compare with %d", req.Op, req.CAS)
	}
	for status := protocol.OK; status.Known(); status++ {
		checkAnswer(t, c.Append(nil, req, &protocol.Response{Status: status, Value: []byte("value"), Number: 1, CAS: 2}), req)
	}
}

// checkAnswer wants one whole packet that bears the opcode and the opaque of its request; or none, if that is quiet.
func checkAnswer(t testing.TB, answer []byte, req *protocol.Request) {
	t.Helper()
	if len(answer) == 0 {
		if req.Op != protocol.None && !req.Options.Has(protocol.Quiet) {
			t.Fatalf("%s: no answer", req.Op)
		}
		return
	}
	if len(answer) < headBytes {
		t.Fatalf("%s: an answer of %d bytes", req.Op, len(answer))
	}
	body := int(stdbinary.BigEndian.Uint32(answer[8:]))
	parts := int(stdbinary.BigEndian.Uint16(answer[2:])) + int(answer[4])
	switch {
	case answer[0] != 0x81 || answer[1] != req.Verb || stdbinary.BigEndian.Uint32(answer[12:]) != req.Opaque:
		t.Fatalf("%s: %q", req.Op, answer)
	case body != len(answer)-headBytes || parts > body:
		t.Fatalf("%s: its lengths are wrong: %q", req.Op, answer)
	}
}

func described(req *protocol.Request) string {
	s := fmt.Sprintf("%02x %s key=%q value=%q", req.Verb, req.Op, req.Key, req.Value)
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"options", int64(req.Options)},
		{"reason", int64(req.Reason)},
		{"flags", int64(req.Flags)},
		{"exptime", req.Exptime},
		{"cas", int64(req.CAS)},
		{"delta", int64(req.Delta)},
		{"initial", int64(req.Initial)},
		{"vivify", req.VivifyExptime},
	} {
		if n.value != 0 {
			s += fmt.Sprintf(" %s=%d", n.name, n.value)
		}
	}
	if want := stdbinary.BigEndian.Uint32([]byte("opaq")); req.Opaque != want {
		s += fmt.Sprintf(" opaque=%x", req.Opaque)
	}
	return s
}

func TestParse(t *testing.T) {
	f := func(in []byte, want ...string) {
		t.Helper()
		if got, _ := asked(t, in, len(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%.60q: %q, want %q", in, got, want)
		}
	}
	options := func(o protocol.Options) string { return fmt.Sprint(" options=", int(o)) }
	reason := func(s protocol.Status) string { return fmt.Sprint(" reason=", int(s)) }
	quiet, compare, touch := options(protocol.Quiet), options(protocol.Compare), options(protocol.SetExptime)

	f(packet(0x00, nil, "k", ""), `00 get key="k" value=""`)
	f(packet(0x09, nil, "k", ""), `09 get key="k" value=""`+quiet)
	f(packet(0x0c, nil, "k", ""), `0c get key="k" value=""`)
	f(packet(0x0d, nil, "k", ""), `0d get key="k" value=""`+quiet)
	f(with(packet(0x00, nil, "k", ""), 23, 9), `00 get key="k" value=""`)
	f(packet(0x1c, make([]byte, 4), "k", ""), `1c gat key="k" value=""`+options(protocol.SetExptime|protocol.NoValue))
	f(packet(0x1d, []byte{0xff, 0xff, 0xff, 0xff}, "k", ""), `1d gat key="k" value=""`+touch+" exptime=4294967295")
	f(packet(0x1e, make([]byte, 4), "k", ""), `1e gat key="k" value=""`+options(protocol.SetExptime|protocol.Quiet))
	f(packet(0x23, make([]byte, 4), "k", ""), `23 gat key="k" value=""`+touch)
	f(packet(0x24, make([]byte, 4), "k", ""), `24 gat key="k" value=""`+options(protocol.SetExptime|protocol.Quiet))

	set := packet(0x01, flagged(7, math.MaxUint32), "k", "abc")
	f(set, `01 set key="k" value="abc" flags=7 exptime=4294967295`)
	f(with(set, 23, 9), `01 set key="k" value="abc"`+compare+" flags=7 exptime=4294967295 cas=9")
	f(with(set, 1, 0x11), `11 set key="k" value="abc"`+quiet+" flags=7 exptime=4294967295")
	f(with(set, 1, 0x02), `02 add key="k" value="abc" flags=7 exptime=4294967295`)
	f(with(with(set, 1, 0x02), 23, 9), `02 set key="k" value="abc"`+compare+" flags=7 exptime=4294967295 cas=9")
	f(with(set, 1, 0x13), `13 replace key="k" value="abc"`+quiet+" flags=7 exptime=4294967295")
	f(with(with(set, 1, 0x03), 23, 9), `03 set key="k" value="abc"`+compare+" flags=7 exptime=4294967295 cas=9")
	f(packet(0x0e, nil, "k", "abc"), `0e append key="k" value="abc"`)
	f(with(packet(0x0f, nil, "k", "abc"), 23, 9), `0f prepend key="k" value="abc"`+compare+" cas=9")
	f(packet(0x19, nil, "k", ""), `19 append key="k" value=""`+quiet)

	large := strings.Repeat("x", maxItemBytes)
	get := packet(0x00, nil, "k", "")
	f(append(packet(0x01, flagged(7, 5), "k", large), get...),
		`01 discard key="k" value=""`+reason(protocol.TooLarge)+" flags=7 exptime=5", `00 get key="k" value=""`)
	f(packet(0x02, flagged(0, 0), "k", large), `02 reject key="" value=""`+reason(protocol.TooLarge))
	f(packet(0x19, nil, "k", large), `19 reject key="" value=""`+reason(protocol.TooLarge))

	f(packet(0x04, nil, "k", ""), `04 delete key="k" value=""`)
	f(with(packet(0x14, nil, "k", ""), 23, 9), `14 delete key="k" value=""`+options(protocol.Quiet|protocol.Compare)+" cas=9")
	f(packet(0x05, counted(1, 2, 3), "k", ""), `05 incr key="k" value=""`+options(protocol.Vivify)+" delta=1 initial=2 vivify=3")
	f(packet(0x06, counted(1, 2, math.MaxUint32), "k", ""), `06 decr key="k" value="" delta=1 initial=2`)
	f(packet(0x15, counted(math.MaxUint64, 0, 0), "k", ""), `15 incr key="k" value=""`+options(protocol.Vivify|protocol.Quiet)+" delta=-1")

	f(packet(0x08, nil, "", ""), `08 flush_all key="" value=""`)
	f(packet(0x08, []byte{0, 0, 0, 10}, "", ""), `08 flush_all key="" value="" exptime=10`)
	f(packet(0x18, nil, "", ""), `18 flush_all key="" value=""`+quiet)
	f(packet(0x0a, nil, "", ""), `0a noop key="" value=""`)
	f(packet(0x0b, nil, "", ""), `0b version key="" value=""`)
	f(packet(0x10, nil, "", ""), `10 stats key="" value=""`)
	f(packet(0x10, nil, "detail on", ""), `10 stats key="detail on" value=""`)
	f(packet(0x10, nil, "reset", ""), `10 stats reset key="" value=""`)
	f(packet(0x60, nil, "cluster", ""), `60 config get key="cluster" value=""`)
	f(append(packet(0x07, nil, "", ""), get...), `07 quit key="" value=""`)
	f(append(packet(0x17, nil, "", ""), get...), `17 quit key="" value=""`+quiet)

	unknown := reason(protocol.UnknownCommand)
	f(append(packet(0x1b, make([]byte, 4), "", ""), get...), `1b reject key="" value=""`+unknown, `00 get key="k" value=""`)
	f(append(packet(0x21, nil, "PLAIN", large), get...), `21 reject key="" value=""`+unknown, `00 get key="k" value=""`)
	f(append(packet(0xff, make([]byte, 99), "k", large), get...), `ff reject key="" value=""`+unknown, `00 get key="k" value=""`)

	lost := options(protocol.Hangup) + reason(protocol.BadFormat)
	f(append(packet(0x00, nil, "", ""), get...), `00 reject key="" value=""`+lost)
	f(packet(0x00, nil, strings.Repeat("k", 251), ""), `00 reject key="" value=""`+lost)
	f(packet(0x00, nil, strings.Repeat("k", math.MaxUint16), ""), `00 reject key="" value=""`+lost)
	f(packet(0x00, nil, "k", "v"), `00 reject key="" value=""`+lost)
	f(packet(0x10, nil, "k", "v"), `10 reject key="" value=""`+lost)
	f(packet(0x1c, make([]byte, 4), "k", "v"), `1c reject key="" value=""`+lost)
	f(packet(0x60, nil, "", ""), `60 reject key="" value=""`+lost)
	f(with(set, 8, 0xff), `01 reject key="" value=""`+lost)
	f(with(with(set, 8, 0x40), 11, 1), `01 reject key="" value=""`+lost)
	f(with(set, 11, 8), `01 reject key="" value=""`+options(protocol.Hangup)+unknown)
	f(with(get, 0, 0x81))
	f([]byte("get k\r\n"))
}

// What is asked for does not depend on how the bytes arrive.
func TestCuts(t *testing.T) {
	f := func(packets ...[]byte) {
		t.Helper()
		in := bytes.Join(packets, nil)
		want, wantEnded := asked(t, in, len(in))
		for _, step := range []int{1, 2, 3, 7, 23, 24, 25, 251, 2048} {
			if got, ended := asked(t, in, step); !reflect.DeepEqual(got, want) || ended != wantEnded {
				t.Errorf("%.60q in pieces of %d: %.1000q, %v; want %.1000q, %v", in, step, got, ended, want, wantEnded)
			}
		}
	}
	get, set := packet(0x0d, nil, "k", ""), packet(0x01, flagged(1, 2), "key", "value")
	large := strings.Repeat("x", 3000)
	f(get, set, get, packet(0x0a, nil, "", ""))
	f(set, packet(0x01, flagged(1, 2), "key", large), get, packet(0x11, flagged(1, 2), "key", large), set)
	f(packet(0x0e, nil, "key", large), set, packet(0x33, make([]byte, 200), "key", large), get)
	f(packet(0x05, counted(1, 2, 3), "key", ""), packet(0x1b, nil, "", ""), packet(0x10, nil, "settings", ""), get)
	f(packet(0x20, nil, "", ""), packet(0x22, nil, "PLAIN", large), get, packet(0x17, nil, "", ""), get)
	f(get, packet(0x04, nil, "", ""), get)
	f(get, with(set, 8, 0xff), get)
	f(get, with(set, 11, 1), get)
	f(get, []byte("get k\r\n"), get)
	f(with(get, 0, 0x81), get)
}

// Missing bytes are announced, so that an engine reads a large value at once.
func TestNeed(t *testing.T) {
	f := func(in []byte, want int) {
		t.Helper()
		var req protocol.Request
		if used := binary.New(binary.Config{MaxItemBytes: maxItemBytes}).Parse(in, &req); used != want {
			t.Errorf("%q: %d, want %d", in, used, want)
		}
	}
	set := packet(0x01, flagged(1, 2), "key", strings.Repeat("x", 100))
	f(nil, 0)
	f(set[:1], -24)
	f(set[:23], -24)
	f(set[:24], -35)
	f(set[:34], -35)
	f(set[:35], -135)
	f(set[:134], -135)
	f(set, 135)
	f(packet(0x01, flagged(1, 2), "key", strings.Repeat("x", 1000))[:36], 35)
	f([]byte("get k\r\n"), 7)
}

func TestAppend(t *testing.T) {
	f := func(req protocol.Request, resp protocol.Response, want string) {
		t.Helper()
		req.Opaque = 0x6f706171
		got := string(binary.New(binary.Config{}).Append([]byte("x"), &req, &resp))
		if want != "" {
			want = string([]byte{0x81, req.Verb}) + want
		}
		if got != "x"+want {
			t.Errorf("%02x %s, status %d: %q, want %q", req.Verb, req.Op, resp.Status, got, "x"+want)
		}
	}
	const opaque, cas, none = "opaq", "\x01\x02\x03\x04\x05\x06\x07\x08", "\x00\x00\x00\x00\x00\x00\x00\x00"
	fails := func(status byte, text string) string {
		return "\x00\x00\x00\x00\x00" + string([]byte{status, 0, 0, 0, byte(len(text))}) + opaque + none + text
	}
	done := protocol.Response{Status: protocol.OK, CAS: 0x0102030405060708}
	found := protocol.Response{Status: protocol.OK, Flags: 0xfffefdfc, CAS: 0x0102030405060708, Value: []byte("value")}
	status := func(s protocol.Status) protocol.Response { return protocol.Response{Status: s} }

	f(protocol.Request{Op: protocol.Get, Key: []byte("key")}, found,
		"\x00\x00\x04\x00\x00\x00\x00\x00\x00\x09"+opaque+cas+"\xff\xfe\xfd\xfcvalue")
	f(protocol.Request{Op: protocol.Gat, Verb: 0x24, Options: protocol.Quiet, Key: []byte("key")}, found,
		"\x00\x03\x04\x00\x00\x00\x00\x00\x00\x0c"+opaque+cas+"\xff\xfe\xfd\xfckeyvalue")
	f(protocol.Request{Op: protocol.Get, Verb: 0x00, Key: []byte("key")}, status(protocol.NotFound), fails(0x01, "Not found"))
	f(protocol.Request{Op: protocol.Gat, Verb: 0x1c, Key: []byte("key")}, status(protocol.NotFound), fails(0x01, "Not found"))
	f(protocol.Request{Op: protocol.Get, Verb: 0x0c, Key: []byte("key")}, status(protocol.NotFound),
		"\x00\x03\x00\x00\x00\x01\x00\x00\x00\x03"+opaque+none+"key")
	f(protocol.Request{Op: protocol.Get, Verb: 0x0d, Options: protocol.Quiet, Key: []byte("key")}, status(protocol.NotFound), "")
	f(protocol.Request{Op: protocol.Get, Verb: 0x0d, Options: protocol.Quiet, Key: []byte("key")}, status(protocol.PeerLost),
		fails(0x86, "peer unreachable"))

	stored := "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + opaque + cas
	for _, op := range []protocol.Op{protocol.Set, protocol.Add, protocol.Replace, protocol.Append, protocol.Prepend} {
		f(protocol.Request{Op: op, Verb: 0x01}, done, stored)
		f(protocol.Request{Op: op, Verb: 0x11, Options: protocol.Quiet}, done, "")
		f(protocol.Request{Op: op, Verb: 0x11, Options: protocol.Quiet}, status(protocol.Exists), fails(0x02, "Data exists for key."))
		f(protocol.Request{Op: op}, status(protocol.NotFound), fails(0x01, "Not found"))
		f(protocol.Request{Op: op}, status(protocol.OutOfMemory), fails(0x82, "Out of memory allocating item"))
		f(protocol.Request{Op: op}, status(protocol.TooLarge), fails(0x03, "Too large."))
	}
	f(protocol.Request{Op: protocol.Add}, status(protocol.NotStored), fails(0x02, "Data exists for key."))
	f(protocol.Request{Op: protocol.Replace}, status(protocol.NotStored), fails(0x01, "Not found"))
	f(protocol.Request{Op: protocol.Append}, status(protocol.NotStored), fails(0x05, "Not stored."))
	f(protocol.Request{Op: protocol.Discard, Reason: protocol.TooLarge}, status(protocol.PeerLost), fails(0x03, "Too large."))

	f(protocol.Request{Op: protocol.Incr, Verb: 0x05}, protocol.Response{Status: protocol.OK, Number: 0x1112131415161718, CAS: 0x0102030405060708},
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08"+opaque+cas+"\x11\x12\x13\x14\x15\x16\x17\x18")
	f(protocol.Request{Op: protocol.Decr}, status(protocol.NonNumeric), fails(0x06, "Non-numeric server-side value for incr or decr"))
	f(protocol.Request{Op: protocol.Decr}, status(protocol.OutOfMemory), fails(0x82, "Out of memory incrementing value"))
	f(protocol.Request{Op: protocol.Flush}, status(protocol.NotAllowed), fails(0x20, "Auth failure."))
	f(protocol.Request{Op: protocol.Version, Verb: 0x0b}, protocol.Response{Status: protocol.OK, Value: []byte("1.6.45")},
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x06"+opaque+none+"1.6.45")
	f(protocol.Request{Op: protocol.Configuration, Verb: 0x60, Key: []byte("cluster")}, protocol.Response{Status: protocol.OK, Value: []byte("1\nnodes\n")},
		"\x00\x00\x04\x00\x00\x00\x00\x00\x00\x0c"+opaque+none+"\x00\x00\x00\x001\nnodes\n")
	f(protocol.Request{Op: protocol.Quit, Verb: 0x07}, status(protocol.OK), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+opaque+none)
	f(protocol.Request{Op: protocol.Quit, Verb: 0x17, Options: protocol.Quiet}, status(protocol.OK), "")
	f(protocol.Request{Op: protocol.None, Options: protocol.Hangup}, status(protocol.OK), "")
	f(protocol.Request{Op: protocol.Reject, Reason: protocol.BadFormat}, status(protocol.BadFormat), fails(0x04, "Invalid arguments"))
	f(protocol.Request{Op: protocol.Reject, Reason: protocol.UnknownCommand}, status(protocol.UnknownCommand), fails(0x81, "Unknown command"))

	for _, op := range []protocol.Op{protocol.Get, protocol.Set, protocol.Flush} {
		f(protocol.Request{Op: op}, status(protocol.PeerTimeout), fails(0x86, "peer timeout"))
		f(protocol.Request{Op: op}, status(protocol.PeerOverloaded), fails(0x85, "peer overloaded"))
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.ServerError, Value: []byte("why")}, fails(0x86, "why"))
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.ClientError, Value: []byte("why")}, fails(0x04, "why"))
		f(protocol.Request{Op: op}, protocol.Response{Value: []byte("nobody answered")}, fails(0x84, "no answer"))
	}
}

// "stat detail dump" is a report in one packet; what is said of it beyond OK is no group's.
func TestDetail(t *testing.T) {
	f := func(key string, resp protocol.Response, want string) {
		t.Helper()
		req := protocol.Request{Op: protocol.Stats, Verb: 0x10, Opaque: 1, Key: []byte(key)}
		if got := binary.New(binary.Config{}).Append([]byte("x"), &req, &resp); string(got) != "x"+want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	packet := func(keyBytes, status, bodyBytes byte, body string) string {
		return "\x81\x10\x00" + string([]byte{keyBytes}) + "\x00\x00\x00" + string([]byte{status}) + "\x00\x00\x00" + string([]byte{bodyBytes}) +
			"\x00\x00\x00\x01" + strings.Repeat("\x00", 8) + body
	}
	report := []protocol.ReportLine{{Label: "PREFIX", Name: "a", Value: "get 1 hit 0 set 0 del 0"}}
	end := packet(0, 0, 0, "")
	f("detail dump", protocol.Response{Status: protocol.OK, Report: report},
		packet(8, 0, 47, "detailedPREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n")+end)
	f("detail dump", protocol.Response{Status: protocol.OK}, packet(8, 0, 13, "detailedEND\r\n")+end)
	f("detail on", protocol.Response{Status: protocol.Verbatim, Value: []byte("OK")}, end)
	f("detail bogus", protocol.Response{Status: protocol.Verbatim, Value: []byte("CLIENT_ERROR usage")}, packet(0, 1, 9, "Not found"))
}

// A report is a packet a line, and an empty one: none but the last is without a key.
func TestReports(t *testing.T) {
	f := func(lines []protocol.ReportLine, want ...string) {
		t.Helper()
		c := binary.New(binary.Config{})
		answer := c.Append(nil, &protocol.Request{Op: protocol.Stats, Verb: 0x10}, &protocol.Response{Status: protocol.OK, Report: lines})
		var got []string
		for len(answer) >= headBytes {
			key, body := int(stdbinary.BigEndian.Uint16(answer[2:])), int(stdbinary.BigEndian.Uint32(answer[8:]))
			checkAnswer(t, answer[:headBytes+body], &protocol.Request{Op: protocol.Stats, Verb: 0x10})
			got = append(got, string(answer[headBytes:headBytes+key])+"="+string(answer[headBytes+key:headBytes+body]))
			answer = answer[headBytes+body:]
		}
		if !reflect.DeepEqual(got, want) || len(answer) > 0 {
			t.Errorf("%v: %q, want %q", lines, got, want)
		}
	}
	f(nil, "=")
	f([]protocol.ReportLine{{Label: "STAT", Name: "pid", Value: "42"}, {Label: "STAT", Name: "empty"}}, "pid=42", "empty=", "=")
	f([]protocol.ReportLine{{Label: "ITEM", Value: "k"}, {Value: "nameless"}, {Name: strings.Repeat("x", 70000)}, {Name: "n"}}, "ITEM=k", "n=", "=")
}

func TestNoGroupOfStatistics(t *testing.T) {
	c := binary.New(binary.Config{})
	got := c.Append(nil, &protocol.Request{Op: protocol.Stats, Verb: 0x10}, &protocol.Response{Status: protocol.UnknownCommand})
	if !bytes.HasSuffix(got, []byte("Not found")) || got[7] != 1 {
		t.Errorf("%q", got)
	}
}

func FuzzParse(f *testing.F) {
	get, set := packet(0x0d, nil, "k", ""), packet(0x01, flagged(1, 2), "key", "value")
	f.Add(append(get, set...), 3)
	f.Add(append(packet(0x11, flagged(1, 2), "key", strings.Repeat("x", 1000)), get...), 5)
	f.Add(append(packet(0x15, counted(1, 2, 3), "key", ""), packet(0x17, nil, "", "")...), 24)
	f.Add(append(packet(0x44, make([]byte, 9), "key", "value"), get...), 1)
	f.Add(append(packet(0x21, nil, "PLAIN", "value"), with(set, 11, 1)...), 1)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = max(step, len(in)/1000, 1)
		want, wantEnded := asked(t, in, max(len(in), 1))
		if got, ended := asked(t, in, step); !reflect.DeepEqual(got, want) || ended != wantEnded {
			t.Fatalf("in pieces of %d: %q, want %q", step, got, want)
		}
		c, req := binary.New(binary.Config{MaxItemBytes: maxItemBytes}), &protocol.Request{}
		parse := func() {
			for buf := in; len(buf) > 0; {
				*req = protocol.Request{}
				used := c.Parse(buf, req)
				if used <= 0 || req.Options.Has(protocol.Hangup) {
					return
				}
				buf = buf[used:]
			}
		}
		n := testing.AllocsPerRun(1, parse)
		if n != 0 {
			n = testing.AllocsPerRun(100, parse) // the fuzzer's own goroutines allocate now and then
		}
		if n != 0 {
			t.Fatalf("%v allocations", n)
		}
	})
}

func TestNothingAllocated(t *testing.T) {
	f := func(in []byte, resp protocol.Response) {
		t.Helper()
		c, dst := binary.New(binary.Config{MaxItemBytes: maxItemBytes}), make([]byte, 0, 1<<10)
		var req protocol.Request
		if n := testing.AllocsPerRun(100, func() {
			for rest := in; len(rest) > 0; {
				req = protocol.Request{}
				rest = rest[c.Parse(rest, &req):]
				dst = c.Append(dst[:0], &req, &resp)
			}
		}); n != 0 {
			t.Errorf("%.40q: %v allocations", in, n)
		}
	}
	found := protocol.Response{Status: protocol.OK, Value: []byte("v"), CAS: 1, Number: 2}
	f(packet(0x00, nil, "k", ""), found)
	f(packet(0x24, make([]byte, 4), "k", ""), found)
	f(packet(0x0c, nil, "k", ""), protocol.Response{Status: protocol.NotFound})
	f(with(packet(0x01, flagged(1, 2), "k", "v"), 23, 1), found)
	f(packet(0x01, flagged(1, 2), "k", strings.Repeat("x", 1000)), found)
	f(packet(0x05, counted(1, 2, 3), "k", ""), found)
	f(packet(0x99, counted(1, 2, 3), "k", "v"), found)
	f(packet(0x00, nil, "", ""), found)
	f(packet(0x10, nil, "items", ""), protocol.Response{Status: protocol.OK, Report: []protocol.ReportLine{{Label: "STAT", Name: "a", Value: "b"}}})
	f(packet(0x00, nil, "k", ""), protocol.Response{Status: protocol.ServerError, Value: []byte("why")})
}

func BenchmarkParse(b *testing.B) {
	f := func(name string, in []byte) {
		b.Run(name, func(b *testing.B) {
			c := binary.New(binary.Config{MaxItemBytes: 1 << 20})
			var req protocol.Request
			for b.Loop() {
				req = protocol.Request{}
				c.Parse(in, &req)
			}
		})
	}
	const key = "some:key:of:usual:length"
	f("get", packet(0x00, nil, key, ""))
	f("set", packet(0x01, flagged(1, 86400), key, strings.Repeat("x", 100)))
	f("incr", packet(0x05, counted(1, 0, 0), key, ""))
}

func BenchmarkAppend(b *testing.B) {
	c, dst := binary.New(binary.Config{}), make([]byte, 0, 1<<10)
	f := func(name string, req protocol.Request, resp protocol.Response) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				dst = c.Append(dst[:0], &req, &resp)
			}
		})
	}
	item := protocol.Response{Status: protocol.OK, Flags: 12345, CAS: 1 << 40, Value: make([]byte, 100)}
	f("get", protocol.Request{Op: protocol.Get}, item)
	f("getk", protocol.Request{Op: protocol.Get, Verb: 0x0c, Key: []byte("some:key:of:usual:length")}, item)
	f("set", protocol.Request{Op: protocol.Set, Verb: 0x01}, item)
	f("incr", protocol.Request{Op: protocol.Incr, Verb: 0x05}, protocol.Response{Status: protocol.OK, Number: 123456})
	f("miss", protocol.Request{Op: protocol.Get}, protocol.Response{Status: protocol.NotFound})
}

var _ session.Codec = (*binary.Codec)(nil)

// With logins SASL's packets are requests; too long a login is refused without leaving anything of it behind.
func TestLogin(t *testing.T) {
	packet := func(verb byte, key, value string) []byte {
		p := make([]byte, 24, 24+len(key)+len(value))
		p[0], p[1], p[3], p[11] = 0x80, verb, byte(len(key)), byte(len(key)+len(value))
		p[10] = byte((len(key) + len(value)) >> 8)
		return append(append(p, key...), value...)
	}
	f := func(in []byte, op protocol.Op, reason protocol.Status, hangup bool) {
		t.Helper()
		c := binary.New(binary.Config{MaxItemBytes: 1 << 20, Login: true})
		var req protocol.Request
		if used := c.Parse(in, &req); used != len(in) && !hangup || req.Op != op || req.Reason != reason || req.Options.Has(protocol.Hangup) != hangup {
			t.Errorf("%q: used %d of %d: %+v", in[:24], used, len(in), req)
		}
	}
	f(packet(0x20, "", ""), protocol.Mechanisms, protocol.Unset, false)
	f(packet(0x21, "PLAIN", "x"), protocol.Login, protocol.Unset, false)
	f(packet(0x21, strings.Repeat("X", 32), strings.Repeat("x", 16384)), protocol.Login, protocol.Unset, false)
	f(packet(0x22, "PLAIN", ""), protocol.LoginStep, protocol.Unset, false)
	f(packet(0x21, strings.Repeat("X", 33), "x"), protocol.Reject, protocol.BadFormat, false)
	f(packet(0x21, "PLAIN", strings.Repeat("x", 16385)), protocol.Reject, protocol.BadFormat, true)
	f(packet(0x20, "PLAIN", ""), protocol.Reject, protocol.BadFormat, true)
	f(packet(0x21, "", "x"), protocol.Reject, protocol.BadFormat, true)
}
