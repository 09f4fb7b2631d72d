package text_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/protocol/transcript"
)

const maxItemBytes = 1 << 20

// Every recorded conversation, played against a session alone: its bytes whole, and cut. Those with an operator are played in node, which
// knows the answers.
func TestConversations(t *testing.T) {
	all, err := transcript.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(c transcript.Conversation) bool { return strings.HasPrefix(c.At, "operate.txt") })
	if len(all) < 180 {
		t.Errorf("%d conversations; there were more", len(all))
	}
	items := newItems()
	transcript.Run(t, all, "memring", func() (transcript.Conn, error) {
		s := session.New(items, text.New(text.Config{MaxItemBytes: maxItemBytes}), 0)
		return transcript.Alone(s.Answer, s.Ended), nil
	})
}

// asked gives what buf asks for, fed to the codec as an engine does: never more than step bytes beyond what it could not use.
func asked(t testing.TB, in []byte, step int) (all []string, ended bool) {
	t.Helper()
	c := text.New(text.Config{MaxItemBytes: 1000})
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
			if used <= 0 {
				break
			}
			check(t, &req)
			if req.Op != protocol.None {
				all = append(all, described(&req))
			}
			ended = req.Options.Has(protocol.Hangup) || req.Op == protocol.Quit
			buf = buf[used:]
		}
		if len(buf) > 64<<10+step {
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
	case len(req.Key) > protocol.MaxKeyBytes:
		t.Fatalf("%s: an argument of %d bytes", req.Op, len(req.Key))
	case req.Op.Keyed() && req.Op != protocol.Install && bytes.ContainsAny(req.Key, " \n"): // what the binary wire has stored is restored, too
		t.Fatalf("%s: key %q", req.Op, req.Key)
	case len(req.Value) > 1000 && (req.Op != protocol.Export || len(req.Value) > 8192):
		t.Fatalf("%s: a value of %d bytes", req.Op, len(req.Value))
	case (req.Op == protocol.Reject || req.Op == protocol.Discard) == (req.Reason == protocol.Unset):
		t.Fatalf("%s: reason %d", req.Op, req.Reason)
	case req.Op == protocol.None && req.Options != 0 && req.Options != protocol.Hangup:
		t.Fatalf("none: options %b", req.Options)
	}
}

func described(req *protocol.Request) string {
	s := fmt.Sprintf("%s key=%q value=%q", req.Op, req.Key, req.Value)
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
		{"delta", int64(req.Delta)},
	} {
		if n.value != 0 {
			s += fmt.Sprintf(" %s=%d", n.name, n.value)
		}
	}
	return s
}

// What is asked for does not depend on how the bytes arrive.
func TestCuts(t *testing.T) {
	f := func(in string) {
		t.Helper()
		want, wantEnded := asked(t, []byte(in), len(in))
		for _, step := range []int{1, 2, 3, 7, 251, 2048, 2049, 65536} {
			if len(in)/step > 4000 {
				continue
			}
			if got, ended := asked(t, []byte(in), step); !reflect.DeepEqual(got, want) || ended != wantEnded {
				t.Errorf("%.60q in pieces of %d: %.1000q, %v; want %.1000q, %v", in, step, got, ended, want, wantEnded)
			}
		}
	}
	long := strings.Repeat("k", 251)
	f("get a\r\nget b c\nset k 1 2 3\r\nabc\r\ndelete k\r\n")
	f("gats 5 a  b \r\ngat 5\r\ngat x a\r\ntouch a 5\r\n")
	f("set k 0 0 3\r\nabcdef\r\nset k 0 0 x\r\nset k x 0 3\r\nabc\r\nget a\r\n")
	f("set k 0 0 5000\r\n" + strings.Repeat("x", 5000) + "\r\nget a\r\n")
	f("cas k 0 0 1 9 noreply\r\nx\r\nincr k 1\r\ndecr k x noreply\r\n\r\n\nquit\r\nget a\r\n")
	f("install 3 9\r\nkeyan item\r\ninstall 3 x\r\ninstall 3 8 anew\r\nkeyvalue\r\nexport 3\r\nabc\r\nexport 9999\r\n" + strings.Repeat("x", 9999) + "\r\nget a\r\n")
	f("GET / HTTP/1.1\r\nset k 0 0 1\r\nx\r\n")
	f(strings.Repeat("x", 2048) + "\r\nget a\r\n")
	f(strings.Repeat("x", 2047) + "\r\nget a\r\n")
	f(strings.Repeat("x", 3000) + "\r\nget a\r\n")
	f("get a " + long + " b\r\nget c\r\n")
	f("get " + strings.Repeat("key ", 1000) + "\r\nget a\r\n")
	f("get " + strings.Repeat("key ", 20000) + "last\r\nget a\r\n")
	f("gats 7 " + strings.Repeat("key ", 20000) + "last \r\nget a\r\n")
	f("get " + strings.Repeat("key ", 20000) + long + " more\r\nget a\r\n")
	f("get " + strings.Repeat("key ", 20000) + long + "\r\nget a\r\n")
	f("get " + strings.Repeat("key ", 20000) + long[1:] + "\r\nget a\r\n")
	f("get " + strings.Repeat("key ", 20000) + "\r \r\r\nget a\r\n")
	f("get " + strings.Repeat(" ", 70000) + "a\r\nget a\r\n")
	f("gat x " + strings.Repeat("key ", 20000) + "\r\nget a\r\n")
	f("get a " + strings.Repeat("x", 70000) + " b\r\nget a\r\n")
}

func TestParse(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		if got, _ := asked(t, []byte(in), len(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%.60q: %q, want %q", in, got, want)
		}
	}
	options := func(o protocol.Options) string { return fmt.Sprint(" options=", int(o)) }
	last, quiet, compare := options(protocol.Last), options(protocol.Quiet), options(protocol.Compare)
	reason := func(s protocol.Status) string { return fmt.Sprint(" reason=", int(s)) }
	reject := `reject key="" value=""`

	f("get a\r\n", `get key="a" value=""`+last)
	f("get a bb\r\n", `get key="a" value=""`, `get key="bb" value=""`+last)
	f("gets a b\r\n", `get key="a" value="" verb=1`, `get key="b" value="" verb=1`+last)
	f("gat -1 a b\r\n", `gat key="a" value=""`+options(protocol.SetExptime)+" exptime=-1",
		`gat key="b" value=""`+options(protocol.SetExptime|protocol.Last)+" exptime=-1")
	f("set k 1 2 3 noreply\r\nabc\r\n", `set key="k" value="abc"`+quiet+" flags=1 exptime=2")
	f("cas k 1 2 3 4\r\nabc\r\n", `set key="k" value="abc"`+compare+" flags=1 exptime=2 cas=4")
	f("set k 0 0 2000\r\n"+strings.Repeat("x", 2000)+"\r\n", `discard key="k" value=""`+reason(protocol.TooLarge))
	f("add k 0 0 2000\r\n"+strings.Repeat("x", 2000)+"\r\n", reject+reason(protocol.TooLarge))
	f("set k 0 4294967295 1\r\nx\r\n", `set key="k" value="x" exptime=-1`)
	f("incr k 18446744073709551615\r\n", `incr key="k" value="" delta=-1`)
	f("decr k 5 noreply\r\n", `decr key="k" value=""`+quiet+" delta=5")
	f("delete k noreply\r\n", `delete key="k" value=""`+quiet)
	f("touch k -5\r\n", `touch key="k" value="" exptime=-5`)
	f("flush_all\r\n", `flush_all key="" value=""`)
	f("flush_all 10\r\n", `flush_all key="" value="" exptime=10`)
	f("flush_all -10 noreply\r\n", `flush_all key="" value=""`+quiet)
	f("verbosity 1\r\n", `verbosity key="" value="" delta=1`)
	f("verbosity 9\r\n", `verbosity key="" value="" delta=2`)
	f("version\r\n", `version key="" value=""`)
	f("stats\r\n", `stats key="" value=""`)
	f("stats items\r\n", `stats key="items" value=""`)
	f("stats reset\r\n", `stats reset key="" value=""`)
	f("cluster members\r\n", `cluster members key="" value=""`)
	f("cluster moves\r\n", `cluster moves key="" value=""`)
	f("cluster owner k\r\n", `cluster owner key="k" value=""`)
	f("cluster owner\r\n", reject+reason(protocol.BadFormat))
	f("cluster status\r\n", `cluster status key="" value=""`)
	f("cluster drain n1\r\n", `cluster drain key="n1" value=""`)
	f("cluster forget n1\r\n", `cluster forget key="n1" value=""`)
	f("cluster drain\r\n", reject+reason(protocol.BadFormat))
	f("cluster forget\r\n", reject+reason(protocol.BadFormat))
	f("explain k\r\n", `explain key="k" value=""`)
	f("explain\r\n", reject+reason(protocol.BadFormat))
	f("explain "+strings.Repeat("k", 251)+"\r\n", reject+reason(protocol.BadFormat))
	f("install 1 3\r\nkit\r\n", `install key="k" value="it"`)
	f("install 2 4 anew\r\nk it\r\n", `install key="k " value="it"`+options(protocol.Vivify))
	f("install 3 3\r\nkit\r\nexport 0\r\n\r\n", reject+reason(protocol.BadFormat), `export key="" value=""`)
	f("install 0 3\r\nkit\r\n", reject+reason(protocol.BadFormat))
	f("install 1 3 now\r\nkit\r\n", reject+reason(protocol.BadFormat))
	f("install 251 300\r\n"+strings.Repeat("k", 300)+"\r\n", reject+reason(protocol.BadFormat))
	f("install 1 1002\r\n"+strings.Repeat("k", 1002)+"\r\n", reject+reason(protocol.TooLarge))
	f("install 1 3\r\nkits\r\n", reject+reason(protocol.BadChunk), reject+reason(protocol.BadFormat))
	f("install k\r\n", reject+reason(protocol.BadFormat))
	f("export 2\r\n\xff\x01\r\n", `export key="" value="\xff\x01"`)
	f("export 2 1500\r\n\xff\x01\r\nexport 0 soon\r\n\r\n", `export key="" value="\xff\x01" delta=1500`, reject+reason(protocol.BadFormat))
	f("export 8193\r\n"+strings.Repeat("k", 8193)+"\r\n", reject+reason(protocol.TooLarge))
	f("export\r\n", reject+reason(protocol.BadFormat))
	f("bogus\r\n", reject+reason(protocol.UnknownCommand))
	f("quit\r\nget a\r\n", `quit key="" value=""`)

	// A line of keys too long to be checked whole ends with a request of its own.
	f("get "+strings.Repeat(strings.Repeat("k", 250)+" ", 262)+"\r\n",
		append(slicesRepeat(`get key="`+strings.Repeat("k", 250)+`" value=""`, 262), `noop key="" value=""`+last)...)
}

func slicesRepeat(s string, n int) (all []string) {
	for range n {
		all = append(all, s)
	}
	return all
}

// Missing bytes are announced, so that an engine reads a large data block at once.
func TestNeed(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		var req protocol.Request
		if used := text.New(text.Config{MaxItemBytes: maxItemBytes}).Parse([]byte(in), &req); used != want {
			t.Errorf("%q: %d, want %d", in, used, want)
		}
	}
	f("", 0)
	f("get a", 0)
	f("set k 0 0 100\r\n", -117)
	f("set k 0 0 100\r\nabc", -117)
	f("set k 0 0 0\r\n\r", -15)
	f("set k 0 0 0\r\n\r\n", 15)
	f("set k 0 0 1000000\n", -1000020)
	f("get "+strings.Repeat("a ", 2000), 0)
}

func TestAppend(t *testing.T) {
	f := func(req protocol.Request, resp protocol.Response, want string) {
		t.Helper()
		if got := text.New(text.Config{}).Append([]byte("x"), &req, &resp); string(got) != "x"+want {
			t.Errorf("%s, status %d: %q, want %q", req.Op, resp.Status, got, want)
		}
	}
	ok := protocol.Response{Status: protocol.OK}
	found := protocol.Response{Status: protocol.OK, Flags: math.MaxUint32, CAS: math.MaxUint64, Value: []byte("v")}
	f(protocol.Request{Op: protocol.Get, Key: []byte("k")}, found, "VALUE k 4294967295 1\r\nv\r\n")
	f(protocol.Request{Op: protocol.Get, Key: []byte("k"), Verb: 1, Options: protocol.Last}, found,
		"VALUE k 4294967295 1 18446744073709551615\r\nv\r\nEND\r\n")
	for _, op := range []protocol.Op{protocol.Get, protocol.Gat} {
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.NotFound}, "")
		f(protocol.Request{Op: op, Options: protocol.Last}, protocol.Response{Status: protocol.NotFound}, "END\r\n")

		// An error stands where END would, or nowhere.
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.PeerTimeout}, "")
		f(protocol.Request{Op: op, Options: protocol.Last}, protocol.Response{Status: protocol.PeerTimeout}, "SERVER_ERROR peer timeout\r\n")
	}

	for _, op := range []protocol.Op{protocol.Set, protocol.Add, protocol.Replace, protocol.Append, protocol.Prepend} {
		f(protocol.Request{Op: op}, ok, "STORED\r\n")
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.NotStored}, "NOT_STORED\r\n")
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.Exists}, "EXISTS\r\n")
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.NotFound}, "NOT_FOUND\r\n")
		f(protocol.Request{Op: op}, protocol.Response{Status: protocol.OutOfMemory}, "SERVER_ERROR out of memory storing object\r\n")
	}
	f(protocol.Request{Op: protocol.Incr}, protocol.Response{Status: protocol.OK, Number: math.MaxUint64}, "18446744073709551615\r\n")
	f(protocol.Request{Op: protocol.Decr}, protocol.Response{Status: protocol.OutOfMemory}, "SERVER_ERROR out of memory\r\n")
	f(protocol.Request{Op: protocol.Decr}, protocol.Response{Status: protocol.NonNumeric}, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	f(protocol.Request{Op: protocol.Delete}, ok, "DELETED\r\n")
	f(protocol.Request{Op: protocol.Touch}, ok, "TOUCHED\r\n")
	f(protocol.Request{Op: protocol.Flush}, ok, "OK\r\n")
	f(protocol.Request{Op: protocol.Flush}, protocol.Response{Status: protocol.NotAllowed}, "CLIENT_ERROR flush_all not allowed\r\n")
	f(protocol.Request{Op: protocol.Verbosity}, ok, "OK\r\n")
	f(protocol.Request{Op: protocol.Version}, protocol.Response{Status: protocol.OK, Value: []byte("1.6.45")}, "VERSION 1.6.45\r\n")
	f(protocol.Request{Op: protocol.ResetStats}, ok, "RESET\r\n")
	f(protocol.Request{Op: protocol.Noop, Options: protocol.Last}, ok, "END\r\n")
	f(protocol.Request{Op: protocol.Quit}, ok, "")
	f(protocol.Request{Op: protocol.Reject, Reason: protocol.BadExptime}, protocol.Response{Status: protocol.BadExptime},
		"CLIENT_ERROR invalid exptime argument\r\n")

	// The reason of a Discard is its answer, whether the old value could be removed or not.
	f(protocol.Request{Op: protocol.Discard, Reason: protocol.TooLarge}, ok, "SERVER_ERROR object too large for cache\r\n")
	f(protocol.Request{Op: protocol.Discard, Reason: protocol.TooLarge}, protocol.Response{Status: protocol.PeerLost},
		"SERVER_ERROR object too large for cache\r\n")
	f(protocol.Request{Op: protocol.Set}, protocol.Response{Status: protocol.ServerError, Value: []byte("no\r\nSTORED")}, "SERVER_ERROR no\r\n")

	report := []protocol.ReportLine{{Label: "STAT", Name: "pid", Value: "42"}, {Label: "STAT", Name: "empty"}, {Label: "ITEM", Value: "k"}}
	f(protocol.Request{Op: protocol.Stats}, protocol.Response{Status: protocol.OK, Report: report}, "STAT pid 42\r\nSTAT empty\r\nITEM k\r\nEND\r\n")
	f(protocol.Request{Op: protocol.Stats}, protocol.Response{Status: protocol.UnknownCommand}, "ERROR\r\n")
	f(protocol.Request{Op: protocol.Members}, ok, "END\r\n")

	// noreply silences everything, whatever went wrong.
	for op := protocol.None; op.Known(); op++ {
		for status := protocol.OK; status.Known(); status++ {
			if op != protocol.Get && op != protocol.Gat {
				f(protocol.Request{Op: op, Options: protocol.Quiet, Reason: status}, protocol.Response{Status: status}, "")
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("get a b\r\nset k 0 0 3\r\nabc\r\n"), 3)
	f.Add([]byte("set k 0 0 3000 noreply\r\nabc"), 5)
	f.Add([]byte("gats 1 a\ncas a 1 2 3 4\nabc\r\nincr a 1\n"), 1)
	f.Add([]byte("get "+strings.Repeat("k ", 40000)+"\r\n"), 4000)
	f.Fuzz(func(t *testing.T, in []byte, step int) {
		step = max(step, len(in)/1000, 1)
		want, wantEnded := asked(t, in, max(len(in), 1))
		if got, ended := asked(t, in, step); !reflect.DeepEqual(got, want) || ended != wantEnded {
			t.Fatalf("in pieces of %d: %q, want %q", step, got, want)
		}
		c, req := text.New(text.Config{MaxItemBytes: 1000}), &protocol.Request{}
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
	f := func(in string, resp protocol.Response) {
		t.Helper()
		c, buf, dst := text.New(text.Config{MaxItemBytes: 1000}), []byte(in), make([]byte, 0, 1<<10)
		var req protocol.Request
		if n := testing.AllocsPerRun(100, func() {
			for rest := buf; len(rest) > 0; {
				req = protocol.Request{}
				rest = rest[c.Parse(rest, &req):]
				dst = c.Append(dst[:0], &req, &resp)
			}
		}); n != 0 {
			t.Errorf("%.40q: %v allocations", in, n)
		}
	}
	found := protocol.Response{Status: protocol.OK, Value: []byte("v"), CAS: math.MaxUint64, Number: math.MaxUint64}
	f("get a b c\r\n", found)
	f("gets "+strings.Repeat("key ", 20000)+"\r\n", found)
	f("set k 0 0 1\r\nx\r\nset k 0 0 2000\r\n"+strings.Repeat("x", 2000)+"\r\n", found)
	f("incr k 1\r\ndecr k x\r\ntouch k 0\r\ndelete k noreply\r\nbogus\r\n\r\n", found)
	f("stats items\r\n", protocol.Response{Status: protocol.OK, Report: []protocol.ReportLine{{Label: "STAT", Name: "a", Value: "b"}}})
	f("get k\r\n", protocol.Response{Status: protocol.ServerError, Value: []byte("why")})
}

func BenchmarkParse(b *testing.B) {
	f := func(name, in string) {
		b.Run(name, func(b *testing.B) {
			c, buf, n := text.New(text.Config{MaxItemBytes: maxItemBytes}), []byte(in), 0
			var req protocol.Request
			for b.Loop() {
				for rest := buf; len(rest) > 0; n++ {
					req = protocol.Request{}
					rest = rest[c.Parse(rest, &req):]
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/request")
		})
	}
	f("get", "get some:key:of:usual:length\r\n")
	f("set", "set some:key:of:usual:length 0 86400 100\r\n"+strings.Repeat("x", 100)+"\r\n")
	f("multi", "get "+strings.Repeat("some:key:of:usual:length ", 100)+"\r\n")
	f("incr", "incr some:key:of:usual:length 1\r\n")
	f("delete", "delete some:key:of:usual:length noreply\r\n")
}

func BenchmarkAppend(b *testing.B) {
	c, dst := text.New(text.Config{}), make([]byte, 0, 1<<10)
	f := func(name string, req protocol.Request, resp protocol.Response) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				dst = c.Append(dst[:0], &req, &resp)
			}
		})
	}
	item := protocol.Response{Status: protocol.OK, Flags: 12345, CAS: 1 << 40, Value: make([]byte, 100)}
	f("get", protocol.Request{Op: protocol.Get, Key: []byte("some:key:of:usual:length"), Options: protocol.Last}, item)
	f("gets", protocol.Request{Op: protocol.Get, Verb: 1, Key: []byte("some:key:of:usual:length"), Options: protocol.Last}, item)
	f("set", protocol.Request{Op: protocol.Set}, item)
	f("incr", protocol.Request{Op: protocol.Incr}, protocol.Response{Status: protocol.OK, Number: 123456})
}

// items is a cache of the simplest kind: enough of one to hold a conversation with.
type items struct {
	held   map[string]item
	unique uint64
}

type item struct {
	flags uint32
	cas   uint64
	value []byte
}

func newItems() *items { return &items{held: map[string]item{}} }

// gone reports whether exptime is in the past; no conversation waits for one to come.
func gone(exptime int64) bool { return exptime < 0 || exptime > 30*24*3600 && exptime < 1_700_000_000 }

func (m *items) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	key := string(req.Key)
	old, found := m.held[key]
	resp.Status = protocol.OK
	switch req.Op {
	case protocol.Get, protocol.Gat, protocol.Touch:
		if !found {
			resp.Status = protocol.NotFound
			break
		}
		resp.Flags, resp.CAS = old.flags, old.cas
		resp.Scratch = append(resp.Scratch[:0], old.value...)
		resp.Value = resp.Scratch
		if req.Op != protocol.Get && gone(req.Exptime) {
			delete(m.held, key)
		}
	case protocol.Discard, protocol.Delete:
		if !found {
			resp.Status = protocol.NotFound
		}
		delete(m.held, key)
	case protocol.Incr, protocol.Decr:
		resp.Status, resp.Number = m.count(req, key)
	case protocol.Flush:
		if req.Exptime == 0 {
			clear(m.held)
		}
	case protocol.Noop, protocol.Verbosity, protocol.ResetStats:
	case protocol.Version:
		resp.Value = []byte("1.6.45")
	case protocol.Stats:
		resp.Status = protocol.UnknownCommand
	default:
		resp.Status = m.store(req, key)
	}
	return nil
}

func (m *items) store(req *protocol.Request, key string) protocol.Status {
	old, found := m.held[key]
	value, flags := bytes.Clone(req.Value), req.Flags
	switch {
	case req.Op == protocol.Add && found || (req.Op == protocol.Replace || req.Op == protocol.Append || req.Op == protocol.Prepend) && !found:
		return protocol.NotStored
	case req.Options.Has(protocol.Compare) && !found:
		return protocol.NotFound
	case req.Options.Has(protocol.Compare) && old.cas != req.CAS:
		return protocol.Exists
	case req.Op == protocol.Append:
		value, flags = append(bytes.Clone(old.value), value...), old.flags
	case req.Op == protocol.Prepend:
		value, flags = append(value, old.value...), old.flags
	}
	if len(value) > maxItemBytes {
		return protocol.NotStored
	}
	m.put(key, item{flags: flags, value: value})
	if gone(req.Exptime) && req.Op != protocol.Append && req.Op != protocol.Prepend {
		delete(m.held, key)
	}
	return protocol.OK
}

func (m *items) count(req *protocol.Request, key string) (protocol.Status, uint64) {
	old, found := m.held[key]
	if !found {
		return protocol.NotFound, 0
	}
	digits, _, _ := strings.Cut(strings.TrimSpace(string(old.value)), "\x00")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return protocol.NonNumeric, 0
	}
	switch {
	case req.Op == protocol.Incr:
		n += req.Delta
	case n < req.Delta:
		n = 0
	default:
		n -= req.Delta
	}
	m.put(key, item{flags: old.flags, value: fmt.Appendf(nil, "%-*d", len(old.value), n)})
	return protocol.OK, n
}

func (m *items) put(key string, it item) {
	m.unique++
	it.cas = m.unique
	m.held[key] = it
}

var _ session.Codec = (*text.Codec)(nil)
