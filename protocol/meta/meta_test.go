package meta_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/transcript"
)

const maxItemBytes = 1000

func newCodec() *meta.Codec { return meta.New(meta.Config{MaxItemBytes: maxItemBytes}) }

// What memcached said is played in node, where there are items to be asked for; here it must at least be legible.
func TestConversationsAreThere(t *testing.T) {
	all, err := transcript.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 230 {
		t.Errorf("%d conversations; there were more", len(all))
	}
}

func TestSpeaks(t *testing.T) {
	f := func(head string, want bool) {
		t.Helper()
		if got := meta.Speaks([]byte(head)); got != want {
			t.Errorf("%q: %v", head, got)
		}
	}
	for _, head := range []string{"mg ", "ms ", "md ", "ma ", "me ", "mn ", "mn\r", "mn\n", "mg k v\r\n"} {
		f(head, true)
	}
	for _, head := range []string{"", "m", "mg", "\r\n", "m\r\n", "mgx", "mx ", "mG ", "Mg ", "get", " mg", "mg\t", "gm ", "set", "meta"} {
		f(head, false)
	}
}

// asked gives what in asks for, fed to the codec as an engine does: the bytes that it cannot use yet, and next more of them. The buffer is the
// codec's to write to; its memory is spoilt once the request has been looked at.
func asked(t testing.TB, in string, next func(left int) int) (all []string, ended bool) {
	t.Helper()
	c := newCodec()
	var buf []byte
	for left := len(in); left > 0 && !ended; {
		n := min(max(next(left), 1), left)
		buf, left = append(bytes.Clone(buf), in[len(in)-left:][:n]...), left-n
		for !ended {
			var req protocol.Request
			used := c.Parse(buf, &req)
			if used > len(buf) || used < 0 && -used <= len(buf) {
				t.Fatalf("uses %d of %d bytes: %.100q", used, len(buf), buf)
			}
			if used <= 0 {
				break
			}
			check(t, &req)
			if req.Op != protocol.None {
				all = append(all, described(&req))
			}
			ended = req.Options.Has(protocol.Hangup)
			clear(buf[:used])
			buf = buf[used:]
		}
		if len(buf) > 2048+maxItemBytes+n {
			t.Fatalf("holds on to %d bytes", len(buf))
		}
	}
	return all, ended
}

// check holds a request to what the rooms below the session rely on.
func check(t testing.TB, req *protocol.Request) {
	t.Helper()
	switch {
	case !req.Op.Known():
		t.Fatalf("%+v", req)
	case req.Op.Keyed() && (len(req.Key) == 0 || len(req.Key) > protocol.MaxKeyBytes):
		t.Fatalf("%s: a key of %d bytes", req.Op, len(req.Key))
	case len(req.Value) > maxItemBytes:
		t.Fatalf("%s: a value of %d bytes", req.Op, len(req.Value))
	case (req.Op == protocol.Reject || req.Op == protocol.Discard) == (req.Reason == protocol.Unset):
		t.Fatalf("%s: reason %d", req.Op, req.Reason)
	case req.Op == protocol.None && req.Options != 0 && req.Options != protocol.Hangup:
		t.Fatalf("none: options %b", req.Options)
	case req.Options.Has(protocol.FormerTTL) && !req.Options.Has(protocol.SetExptime):
		t.Fatalf("%s: options %b", req.Op, req.Options)
	case req.Op == protocol.Get && req.Options&(protocol.Vivify|protocol.Recache|protocol.SetExptime|protocol.SetCAS) != 0:
		t.Fatalf("a get that writes: options %b", req.Options)
	}
}

// checkAnswers holds the answers to the requests of in to what clients rely on: whatever the response is, there is one, and it ends its line;
// only the nominal one of a quiet request is missing.
func checkAnswers(t testing.TB, in string) {
	t.Helper()
	c := newCodec()
	for buf := []byte(in); len(buf) > 0; {
		var req protocol.Request
		used := c.Parse(buf, &req)
		if used <= 0 || req.Options.Has(protocol.Hangup) {
			return
		}
		buf = buf[used:]
		for status := protocol.Unset; status.Known(); status++ {
			resp := protocol.Response{Status: status, Marks: 0xff, CAS: math.MaxUint64, TTL: math.MinInt64, Value: []byte("v\r\n")}
			answer, nominal := c.Append([]byte("before"), &req, &resp), protocol.OK
			if req.Op == protocol.Get || req.Op == protocol.Gat {
				nominal = protocol.NotFound
			}
			run := req.Op != protocol.Reject && req.Op != protocol.Discard
			hidden := req.Op == protocol.None || run && status == nominal && req.Options.Has(protocol.Quiet)
			if said, ok := bytes.CutPrefix(answer, []byte("before")); !ok || hidden != (len(said) == 0) || !hidden && !bytes.HasSuffix(said, []byte("\r\n")) {
				t.Fatalf("%s, options %b, status %d: %q", req.Op, req.Options, status, answer)
			}
		}
	}
}

func described(req *protocol.Request) string {
	s := req.Op.String()
	for _, text := range []struct {
		name  string
		value []byte
	}{{"key", req.Key}, {"value", req.Value}, {"raw", req.Raw}} {
		if len(text.value) > 0 {
			s += fmt.Sprintf(" %s=%q", text.name, text.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"verb", int64(req.Verb)},
		{"options", int64(req.Options)},
		{"reason", int64(req.Reason)},
		{"flags", int64(req.Flags)},
		{"exptime", req.Exptime},
		{"cas", int64(req.CAS)},
		{"newcas", int64(req.NewCAS)},
		{"delta", int64(req.Delta)},
		{"initial", int64(req.Initial)},
		{"vivify", req.VivifyExptime},
		{"recache", req.RecacheTTL},
	} {
		if n.value != 0 {
			s += fmt.Sprintf(" %s=%d", n.name, n.value)
		}
	}
	return s
}

func whole(left int) int { return left }

// What is asked for does not depend on how the bytes arrive: cut once, at every byte, and cut all the time.
func TestCuts(t *testing.T) {
	f := func(in string) {
		t.Helper()
		checkAnswers(t, in)
		want, wantEnded := asked(t, in, whole)
		pieces := func(what string, next func(left int) int) {
			t.Helper()
			if got, ended := asked(t, in, next); !reflect.DeepEqual(got, want) || ended != wantEnded {
				t.Errorf("%.60q, %s: %.1000q, %v; want %.1000q, %v", in, what, got, ended, want, wantEnded)
			}
		}
		for _, step := range []int{1, 2, 3, 7, 251} {
			pieces(fmt.Sprint("in pieces of ", step), func(int) int { return step })
		}
		for at := 1; at < len(in); at += 1 + at/200*37 { // every byte of what is short
			pieces(fmt.Sprint("cut at ", at), func(left int) int { return left - (len(in) - at) })
		}
	}
	f("mn\r\nmg k v\r\nmg k\nmd k q\r\nma k\r\nme k b\r\n")
	f("ms k 3 c\r\nabc\r\nms k 0\r\n\r\nms k 3\r\nabcdef\r\nmn\r\n")
	f("ms Zm9v 3 b k\r\nabc\r\nmg Zm9v b k\r\nma Zm9v b\r\nmd Zm9v b k\r\nme Zm9v b\r\n")
	f("ms k 3 S\r\nabc\r\nms k x\r\nms k 2 !\r\nmn\r\nms k 3 Mx\r\nabc\r\nmn\r\n")
	f("ms Zm9v 2000 b\r\n" + strings.Repeat("x", 2000) + "\r\nmn\r\n")
	f("ms k 2000 S\r\n" + strings.Repeat("x", 2000) + "\r\nmn\r\n")
	f("mg " + strings.Repeat("k", 251) + "\r\nmg " + strings.Repeat("k", 250) + "\r\n\r\n\n")
	f("mg k" + strings.Repeat(" ", 2043) + "\nmn\r\n")
	f("mg k" + strings.Repeat(" ", 2044) + "\nmn\r\n")
	f("mg k" + strings.Repeat(" ", 2045) + "\nmn\r\n")
	f("mn" + strings.Repeat("x", 3000))
}

func TestParse(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		if got, _ := asked(t, in, whole); !reflect.DeepEqual(got, want) {
			t.Errorf("%.60q: %q, want %q", in, got, want)
		}
	}
	options := func(all ...protocol.Options) string {
		var o protocol.Options
		for _, one := range all {
			o |= one
		}
		return fmt.Sprint(" options=", int(o))
	}
	const (
		lease, noValue, noBump, quiet = protocol.Lease, protocol.NoValue, protocol.NoBump, protocol.Quiet
		vivify, recache, setExptime   = protocol.Vivify, protocol.Recache, protocol.SetExptime
		formerTTL, compare, setCAS    = protocol.FormerTTL, protocol.Compare, protocol.SetCAS
		invalidate, emptied           = protocol.Invalidate, protocol.Clear
	)
	f("mn\r\n", "noop")
	f("mg k\r\n", `get key="k"`+options(lease, noValue))
	f("mg k v\r\n", `get key="k" raw=" v"`+options(lease))
	f("mg k v u q\r\n", `get key="k" raw=" v u q"`+options(lease, noBump, quiet))
	f("mg k v C5\r\n", `get key="k" raw=" v C5"`+options(lease, compare)+" cas=5")
	f("mg k v E5\r\n", `get key="k" raw=" v E5"`+options(lease))
	f("mg k v T-5\r\n", `gat key="k" raw=" v T-5"`+options(lease, setExptime)+" exptime=-5")
	f("mg k v t T5\r\n", `gat key="k" raw=" v t T5"`+options(lease, setExptime, formerTTL)+" exptime=5")
	f("mg k v T5 t\r\n", `gat key="k" raw=" v T5 t"`+options(lease, setExptime)+" exptime=5")
	f("mg k v R5\r\n", `gat key="k" raw=" v R5"`+options(lease, recache)+" recache=5")
	f("mg k v N5 E6\r\n", `gat key="k" raw=" v N5 E6"`+options(lease, vivify, setCAS)+" newcas=6 vivify=5")
	f("mg k v N5 E0\r\n", `gat key="k" raw=" v N5 E0"`+options(lease, vivify)+" vivify=5")
	f("mg k v N5 T6\r\n", `gat key="k" raw=" v N5 T6"`+options(lease, vivify, setExptime)+" exptime=6 vivify=6")
	f("mg k v T6 N5\r\n", `gat key="k" raw=" v T6 N5"`+options(lease, vivify, setExptime)+" exptime=6 vivify=5")
	f("me k\r\n", `inspect key="k"`)

	f("ms k 2\r\nab\r\n", `set key="k" value="ab"`)
	f("ms k 2 MS F5 T6 q\r\nab\r\n", `set key="k" value="ab" raw=" MS F5 T6 q"`+options(quiet)+" flags=5 exptime=6")
	f("ms k 2 C5 E6\r\nab\r\n", `set key="k" value="ab" raw=" C5 E6"`+options(compare, setCAS)+" cas=5 newcas=6")
	f("ms k 2 C5 I\r\nab\r\n", `set key="k" value="ab" raw=" C5 I"`+options(compare, invalidate)+" cas=5")
	f("ms k 2 C0 I\r\nab\r\n", `set key="k" value="ab" raw=" C0 I"`+options(compare))
	f("ms k 2 I\r\nab\r\n", `set key="k" value="ab" raw=" I"`)
	f("ms k 2 MR C5 I\r\nab\r\n", `replace key="k" value="ab" raw=" MR C5 I"`+options(compare, invalidate)+" cas=5")
	f("ms k 2 ME C5 I N1\r\nab\r\n", `add key="k" value="ab" raw=" ME C5 I N1"`)
	f("ms k 2 MA C5 I\r\nab\r\n", `append key="k" value="ab" raw=" MA C5 I"`+options(compare)+" cas=5")
	f("ms k 2 MP C0 N5\r\nab\r\n", `prepend key="k" value="ab" raw=" MP C0 N5"`+options(vivify)+" vivify=5")

	f("md k\r\n", `delete key="k"`)
	f("md k C5 E6 T7\r\n", `delete key="k" raw=" C5 E6 T7"`+options(compare)+" cas=5")
	f("md k I E6 T7\r\n", `delete key="k" raw=" I E6 T7"`+options(invalidate, setCAS, setExptime)+" exptime=7 newcas=6")
	f("md k x F5 q\r\n", `delete key="k" raw=" x F5 q"`+options(emptied, quiet)+" flags=5")

	f("ma k\r\n", `incr key="k"`+options(noValue)+" delta=1")
	f("ma k v MI D5 J6\r\n", `incr key="k" raw=" v MI D5 J6" delta=5 initial=6`)
	f("ma k MD D0 N5 J6\r\n", `decr key="k" raw=" MD D0 N5 J6"`+options(noValue, vivify)+" initial=6 vivify=5")
	f("ma k M- t T5 C6 E7 q\r\n", `decr key="k" raw=" M- t T5 C6 E7 q"`+
		options(noValue, setExptime, formerTTL, compare, setCAS, quiet)+" exptime=5 cas=6 newcas=7 delta=1")
	f("ma k M+ C0\r\n", `incr key="k" raw=" M+ C0"`+options(noValue)+" delta=1")

	const base64 = " verb=1"
	f("mg Zm9v b\r\n", `get key="foo" raw=" b"`+base64+options(lease, noValue))
	f("ms Zm9v 2 b\r\nab\r\n", `set key="foo" value="ab" raw=" b"`+base64)
	f("md Zm9v b\r\n", `delete key="foo" raw=" b"`+base64)
	f("ma Zm9v b\r\n", `incr key="foo" raw=" b"`+base64+options(noValue)+" delta=1")
	f("me Zm9v b\r\n", `inspect key="foo"`+base64)
	f("me Zm9v v b\r\n", `inspect key="Zm9v"`)

	tooLarge := fmt.Sprint(" reason=", int(protocol.TooLarge))
	f("ms k 2000 q ME\r\n"+strings.Repeat("x", 2000)+"\r\nmn\r\n", `discard key="k" raw=" q ME"`+options(quiet)+tooLarge, "noop")
	f("ms Zm9v 2000 b\r\n"+strings.Repeat("x", 2000)+"\r\n", `discard key="foo" raw=" b"`+base64+tooLarge)
}

// The largest value is the one that memcached takes: what the key weighs is told by its bytes, not by its letters.
func TestLargest(t *testing.T) {
	f := func(in string, length int, want bool) {
		t.Helper()
		got, _ := asked(t, fmt.Sprintf(in, length)+strings.Repeat("x", length)+"\r\n", whole)
		if stored := strings.HasPrefix(got[0], "set"); len(got) != 1 || stored != want {
			t.Errorf("%q of %d: %.60q", in, length, got)
		}
	}
	const most = maxItemBytes - 48 - 8 - 3 - 1 - 2
	f("ms foo %d\r\n", most, true)
	f("ms foo %d\r\n", most+1, false)
	f("ms foo %d F1\r\n", most-4, true)
	f("ms foo %d F1\r\n", most-3, false)
	f("ms Zm9v %d b\r\n", most, true)
	f("ms Zm9v %d b\r\n", most+1, false)
}

// Missing bytes are announced, so that an engine reads a large data block at once; and what is not whole is not touched.
func TestNeed(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		var req protocol.Request
		buf := []byte(in)
		if used := newCodec().Parse(buf, &req); used != want || string(buf) != in && used <= 0 {
			t.Errorf("%q: %d, want %d; then %q", in, used, want, buf)
		}
	}
	f("", 0)
	f("mg k", 0)
	f("mg Zm9v b", 0)
	f("ms k 100\r\n", -112)
	f("ms k 100\r\nabc", -112)
	f("ms k 0\r\n\r", -10)
	f("ms Zm9v 3 b\r\nabc", -18)
	f("ms k 0\r\n\r\n", 10)
	f("ms k 2000\r\n", 11)
	f("ms k 2147483645\r\n", 17)
}

// Between says when another wire may speak.
func TestBetween(t *testing.T) {
	c := newCodec()
	f := func(in string, want bool) {
		t.Helper()
		for buf := []byte(in); len(buf) > 0; {
			var req protocol.Request
			buf = buf[c.Parse(buf, &req):]
		}
		if c.Between() != want {
			t.Errorf("after %q: %v", in, !want)
		}
	}
	f("", true)
	f("mg k\r\n", true)
	f("ms k 2\r\nab\r\n", true)
	f("ms k 3 S\r\n", false)
	f("abc", false)
	f("\r", false)
	f("\n", true)
}

func TestAppend(t *testing.T) {
	f := func(line string, resp protocol.Response, want string) {
		t.Helper()
		var req protocol.Request
		c := newCodec()
		if used := c.Parse([]byte(line+"\r\nab\r\n"), &req); used < len(line) {
			t.Fatalf("%q: %d", line, used)
		}
		if got := c.Append([]byte("x"), &req, &resp); string(got) != "x"+want {
			t.Errorf("%q, status %d: %q, want %q", line, resp.Status, got, want)
		}
	}
	ok := protocol.Response{Status: protocol.OK}
	is := func(status protocol.Status) protocol.Response { return protocol.Response{Status: status} }
	item := protocol.Response{
		Status: protocol.OK, Value: []byte("ab"), Size: 2, Flags: math.MaxUint32, CAS: math.MaxUint64, TTL: 77, Idle: 5, Marks: protocol.Fetched,
	}
	f("mn", ok, "MN\r\n")

	f("mg k", item, "HD\r\n")
	f("mg k v", item, "VA 2\r\nab\r\n")
	f("mg k v t s O123 f k c h l q", item, "VA 2 t77 s2 O123 f4294967295 kk c18446744073709551615 h1 l5\r\nab\r\n")
	f("mg k C18446744073709551615 v s", item, "HD s2\r\n")
	f("mg k C1 v s", item, "VA 2 s2\r\nab\r\n")
	f("mg k v s", protocol.Response{Status: protocol.OK, Value: []byte{}}, "VA 0 s0\r\n\r\n")
	f("mg k h t", protocol.Response{Status: protocol.OK, TTL: -1}, "HD h0 t-1\r\n")
	f("mg k t T-1", protocol.Response{Status: protocol.OK, TTL: -1_700_000_000}, "HD t0\r\n")
	f("mg k k", protocol.Response{Status: protocol.OK, Marks: protocol.Won}, "HD kk W\r\n")
	f("mg k k", protocol.Response{Status: protocol.OK, Marks: protocol.Won | protocol.Stale}, "HD kk X W\r\n")
	f("mg k k", protocol.Response{Status: protocol.OK, Marks: protocol.Leased | protocol.Stale | protocol.Fetched}, "HD kk Z X\r\n")
	f("mg Zm9vYg== b O1 k s", item, "HD O1 kZm9vYg== b s2\r\n")
	f("mg k v", is(protocol.NotFound), "EN\r\n")
	f("mg k v s O1 t k N1", is(protocol.NotFound), "EN O1 kk\r\n")
	f("mg k q O1 k", is(protocol.NotFound), "")
	f("mg k q", is(protocol.PeerTimeout), "SERVER_ERROR peer timeout\r\n")

	f("ms k 2", ok, "HD\r\n")
	f("ms k 2 O1 c s k", protocol.Response{Status: protocol.OK, CAS: 7, Size: 9}, "HD O1 c7 s9 kk\r\n")
	f("ms k 2 O1 c s k f t h l v", protocol.Response{Status: protocol.Exists, CAS: 7, Size: 9}, "EX O1 c0 s2 kk\r\n")
	f("ms k 2 c q", ok, "")
	f("ms k 2 c q", is(protocol.NotStored), "NS c0\r\n")
	f("ms k 2 c q", is(protocol.NotFound), "NF c0\r\n")
	f("ms k 2 q", is(protocol.OutOfMemory), "SERVER_ERROR out of memory storing object\r\n")
	f("ms k 2 q", is(protocol.PeerLost), "SERVER_ERROR peer unreachable\r\n")
	f("ms k 2000 q", is(protocol.PeerLost), "SERVER_ERROR object too large for cache\r\n")
	f("ms k 1", is(protocol.BadChunk), "CLIENT_ERROR bad data chunk\r\n")

	f("md k O1 k c s t", ok, "HD O1 kk\r\n")
	f("md k q", ok, "")
	f("md k q k", is(protocol.NotFound), "NF kk\r\n")
	f("md k q", is(protocol.Exists), "EX\r\n")
	f("md k x", is(protocol.OutOfMemory), "SERVER_ERROR out of memory\r\n")

	number := protocol.Response{Status: protocol.OK, Number: math.MaxUint64, CAS: 7, TTL: -1, Size: 20}
	f("ma k", number, "HD\r\n")
	f("ma k v", number, "VA 20\r\n18446744073709551615\r\n")
	f("ma k t c O1 k s f v", number, "VA 20 t-1 c7 O1 kk\r\n18446744073709551615\r\n")
	f("ma k v q", number, "")
	f("ma k v q t O1", is(protocol.NotFound), "NF O1\r\n")
	f("ma k c", is(protocol.Exists), "EX\r\n")
	f("ma k", is(protocol.NonNumeric), "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	f("ma k N0", is(protocol.OutOfMemory), "SERVER_ERROR out of memory\r\n")

	f("me k", item, "ME k exp=77 la=5 cas=18446744073709551615 fetch=yes cls=1 size=66\r\n")
	f("me Zm9v b", protocol.Response{Status: protocol.OK, TTL: -1, CAS: 1}, "ME Zm9v exp=-1 la=0 cas=1 fetch=no cls=1 size=62\r\n")
	f("me k", is(protocol.NotFound), "EN\r\n")
	f("me k", is(protocol.PeerOverloaded), "SERVER_ERROR peer overloaded\r\n")

	f("mg k S", is(protocol.ClientError), "CLIENT_ERROR invalid flag\r\n")
	f("mg k ?", is(protocol.ClientError), "CLIENT_ERROR bad command line format\r\n")
	f("mx k", is(protocol.UnknownCommand), "ERROR\r\n")
	f("mgk", is(protocol.UnknownCommand), "ERROR\r\n")
}

func FuzzParse(f *testing.F) {
	f.Add("mg k v t f\r\nms k 3 c\r\nabc\r\nmn\r\n", 3)
	f.Add("ms Zm9v 3 b k S\r\nabc\r\nmd Zm9v b\nma k N0 J5 Mx\r\n", 5)
	f.Add("ms k 3000 q\r\nabc", 1)
	f.Add("me Zm8= b\r\nmg Zm8 b T-1 N5 R6 C7 E8\r\n", 2)
	f.Fuzz(func(t *testing.T, in string, step int) {
		checkAnswers(t, in)
		step = max(step, len(in)/1000, 1)
		want, wantEnded := asked(t, in, whole)
		if got, ended := asked(t, in, func(int) int { return step }); !reflect.DeepEqual(got, want) || ended != wantEnded {
			t.Fatalf("in pieces of %d: %q, want %q", step, got, want)
		}
	})
}

func TestNothingAllocated(t *testing.T) {
	f := func(in string, resp protocol.Response) {
		t.Helper()
		c, buf, dst := newCodec(), make([]byte, len(in)), make([]byte, 0, 4<<10)
		var req protocol.Request
		if n := testing.AllocsPerRun(100, func() {
			copy(buf, in)
			for rest := buf; len(rest) > 0; {
				req = protocol.Request{}
				rest = rest[c.Parse(rest, &req):]
				dst = c.Append(dst[:0], &req, &resp)
			}
		}); n != 0 {
			t.Errorf("%.40q: %v allocations", in, n)
		}
	}
	found := protocol.Response{Status: protocol.OK, Value: []byte("v"), CAS: math.MaxUint64, Number: math.MaxUint64, Marks: 0xff}
	const all = "mg k v t f c h l s k O1 q\r\nms k 1 c s k O1\r\na\r\nmd Zm9v b k I T5\r\nma k v t c N0 J5\r\nme Zm9v b\r\nmn\r\n"
	f(all, found)
	f(all, protocol.Response{Status: protocol.NotFound})
	f(all, protocol.Response{Status: protocol.ServerError, Value: []byte("why")})
	f("mg k S\r\nms k 2000 k\r\n"+strings.Repeat("x", 2000)+"\r\nms k 1 Mx\r\na\r\nma k Tx\r\nmg Z b\r\n\r\n", found)
}

func BenchmarkParse(b *testing.B) {
	f := func(name, in string) {
		b.Run(name, func(b *testing.B) {
			c, buf := meta.New(meta.Config{MaxItemBytes: 1 << 20}), make([]byte, len(in))
			var req protocol.Request
			for b.Loop() {
				copy(buf, in)
				req = protocol.Request{}
				if c.Parse(buf, &req) != len(in) {
					b.Fatal("not whole")
				}
			}
		})
	}
	f("mg", "mg some:key:of:usual:length v\r\n")
	f("mg-all", "mg some:key:of:usual:length s v t f c k O12345 q\r\n")
	f("mg-base64", "mg c29tZTprZXk6b2Y6dXN1YWw6bGVuZ3Ro b v\r\n")
	f("ms", "ms some:key:of:usual:length 100 T86400 F5\r\n"+strings.Repeat("x", 100)+"\r\n")
	f("md", "md some:key:of:usual:length q\r\n")
	f("ma", "ma some:key:of:usual:length N0 J1 D2 v\r\n")
}

func BenchmarkAppend(b *testing.B) {
	f := func(name, in string) {
		b.Run(name, func(b *testing.B) {
			c, dst := meta.New(meta.Config{MaxItemBytes: 1 << 20}), make([]byte, 0, 1<<10)
			resp := protocol.Response{Status: protocol.OK, Flags: 12345, CAS: 1 << 40, TTL: 3600, Value: make([]byte, 100), Size: 100}
			var req protocol.Request
			c.Parse([]byte(in), &req)
			for b.Loop() {
				dst = c.Append(dst[:0], &req, &resp)
			}
		})
	}
	f("mg", "mg some:key:of:usual:length v\r\n")
	f("mg-all", "mg some:key:of:usual:length s v t f c k O12345 q\r\n")
	f("mg-base64", "mg c29tZTprZXk6b2Y6dXN1YWw6bGVuZ3Ro b v k\r\n")
	f("ms", "ms some:key:of:usual:length 3 c\r\nabc\r\n")
	f("ma", "ma some:key:of:usual:length v\r\n")
}

var _ session.LineCodec = (*meta.Codec)(nil)
