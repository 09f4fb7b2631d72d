package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/memring/memring/benchmarks/load"
	"github.com/memring/memring/benchmarks/progress"
)

func TestMixOf(t *testing.T) {
	f := func(list string, want load.Mix, right bool) {
		t.Helper()
		if got, err := mixOf(list); (err == nil) != right || right && got != want {
			t.Errorf("%q is %+v, %v", list, got, err)
		}
	}
	f("get=1", load.Mix{Get: 1}, true)
	f("get=90,set=10,mget=1,touch=2,incr=3", load.Mix{Get: 90, Set: 10, MultiGet: 1, Touch: 2, Incr: 3}, true)
	f("", load.Mix{}, false)
	f("get", load.Mix{}, false)
	f("get=-1", load.Mix{}, false)
	f("gat=1", load.Mix{}, false)
}

func TestRangeOf(t *testing.T) {
	f := func(text string, want load.Range, right bool) {
		t.Helper()
		if got, err := rangeOf(text); (err == nil) != right || right && got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	f("100", load.Range{Least: 100, Most: 100}, true)
	f("50-5000", load.Range{Least: 50, Most: 5000}, true)
	f("", load.Range{}, false)
	f("5-", load.Range{}, false)
	f("much", load.Range{}, false)
}

func TestTell(t *testing.T) {
	report := &load.Report{Requests: 200, Hits: 200, Elapsed: 2 * time.Second, Times: hdrhistogram.New(1000, 1e9, 3)}
	if err := report.Times.RecordValue(5000); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tell(&out, report, true); err != nil {
		t.Fatal(err)
	}
	var got result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.PerSecond != 100 || int(got.Micros["p50"]+0.5) != 5 {
		t.Errorf("%v\n%s", err, out.Bytes())
	}
	out.Reset()
	if err := tell(&out, report, false); err != nil || !bytes.Contains(out.Bytes(), []byte("100 a second")) {
		t.Errorf("%v\n%s", err, out.Bytes())
	}
}

func TestSoFarWords(t *testing.T) {
	times := hdrhistogram.New(1000, 1e9, 3)
	if err := times.RecordValue(5_000_000); err != nil {
		t.Fatal(err)
	}
	soFar := load.Report{Requests: 700, Errors: 3, Wrong: 1, Elapsed: 4 * time.Second, Times: times}
	f := func(c load.Config, before load.Report, want string) {
		t.Helper()
		if got := soFarWords(&soFar, &before, &c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	const all = ", p99 so far 5001 us, 3 refused, 1 wrong" // the histogram has three digits
	f(load.Config{Duration: 10 * time.Second}, load.Report{}, "6 s left, 175 a second"+all)
	f(load.Config{Duration: 10 * time.Second}, load.Report{Requests: 600, Elapsed: 3 * time.Second}, "6 s left, 100 a second"+all)
	f(load.Config{Duration: 10 * time.Second, Requests: 1000}, load.Report{}, "700 of 1000 requests, 175 a second"+all)
	f(load.Config{Duration: 3 * time.Second}, load.Report{}, "0 s left, 175 a second"+all)
}

func TestRunRefuses(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		if err := run(context.Background(), args, &bytes.Buffer{}, progress.New(io.Discard)); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	f("-wire", "html")
	f("-mix", "gat=1")
	f("-conns", "-1")
	f("word")
	f("-tls")
}
