package executor_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// The lines are memcached 1.6.45's, heard from it with "watch fetchers mutations deletions" under the same requests, but for the session's number,
// the class (1 of 1), an absent "md", and times below 0.
func TestWatchedRequests(t *testing.T) {
	b := newBench(t, executor.Config{})
	stream, _ := b.Watch().Watch(watch.Fetchers | watch.Mutations | watch.Deletions)
	defer stream.Close()
	hear := func() string {
		lines, _ := stream.Next(nil)
		lines = regexp.MustCompile(`(?m)^(OK\r|ts=\S+ gid=\d+ |)`).ReplaceAll(lines, nil)
		return strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(string(lines), "type=", ""), "cfd=7 ", ""))
	}
	hear()
	f := func(req protocol.Request, want ...string) {
		t.Helper()
		req.Origin = 7
		b.do(req)
		if got := hear(); got != strings.Join(want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", req.Op, got, strings.Join(want, "\n"))
		}
	}
	as := func(op protocol.Op, key, value string, options protocol.Options, exptime int64) protocol.Request {
		return with(request(op, key, value), func(r *protocol.Request) { r.Options, r.Exptime, r.VivifyExptime = options, exptime, exptime })
	}
	const (
		absent = "item_get key=k status=not_found clsid=0 size=0"
		three  = "item_get key=k status=found clsid=1 size=3"
	)
	f(as(protocol.Set, "k", "abc", 0, 0), absent, "item_store key=k status=stored cmd=set ttl=0 clsid=1 size=3")
	f(as(protocol.Set, "k", "abd", 0, 100), three, "item_store key=k status=stored cmd=set ttl=100 clsid=1 size=3")
	f(as(protocol.Set, "k", "abe", 0, start+100), three, "item_store key=k status=stored cmd=set ttl=100 clsid=1 size=3")
	f(as(protocol.Add, "k", "a", 0, -1), three, "item_store key=k status=not_stored cmd=add ttl=-1 clsid=1 size=1")
	f(as(protocol.Append, "k", "a", 0, 0), three, "item_store key=k status=stored cmd=append ttl=0 clsid=1 size=4")
	f(as(protocol.Set, "k", "a", protocol.Compare, 0), "item_get key=k status=found clsid=1 size=4", "item_store key=k status=exists cmd=cas ttl=0 clsid=1 size=1")
	f(as(protocol.Set, "j", "a", protocol.Compare, 0), "item_get key=j status=not_found clsid=0 size=0", "item_store key=j status=not_found cmd=cas ttl=0 clsid=1 size=1")
	f(as(protocol.Replace, "k", "abc", 0, 0), "item_get key=k status=found clsid=1 size=4", "item_store key=k status=stored cmd=replace ttl=0 clsid=1 size=3")
	f(as(protocol.Get, "k", "", 0, 0), three)
	f(as(protocol.Gat, "k", "", protocol.SetExptime, 10), three)
	f(as(protocol.Touch, "k", "", 0, 10), three)
	f(as(protocol.Inspect, "k", "", 0, 0), three)
	b.clock.Advance(11)
	f(as(protocol.Get, "k", "", 0, 0), "item_get key=k status=expired clsid=0 size=0")
	f(as(protocol.Incr, "n%", "", protocol.Vivify, 0), "item_get key=n%25 status=not_found clsid=0 size=0", "item_store key=n%25 status=stored cmd=add ttl=0 clsid=1 size=1")
	f(as(protocol.Incr, "n%", "", 0, 0), "item_get key=n%25 status=found clsid=1 size=1")
	f(as(protocol.Delete, "n%", "", protocol.Invalidate, 0), "item_get key=n%25 status=found clsid=1 size=1")
	f(as(protocol.Delete, "n%", "", protocol.Clear, 0), "item_get key=n%25 status=found clsid=1 size=1",
		"item_store key=n%25 status=stored cmd=set ttl=0 clsid=1 size=0", "deleted key=n%25 cmd=delete clsid=1 size=0")
	f(as(protocol.Delete, "n%", "", 0, 0), "item_get key=n%25 status=found clsid=1 size=0", "deleted key=n%25 cmd=delete clsid=1 size=0")
	f(as(protocol.Delete, "n%", "", 0, 0), "item_get key=n%25 status=not_found clsid=0 size=0")
	f(as(protocol.Set, "k", strings.Repeat("x", 1<<17), 0, 0), absent, "item_store key=k status=too_large cmd=set ttl=0 clsid=0 size=0")
	f(with(request(protocol.Discard, "k", ""), func(r *protocol.Request) { r.Reason = protocol.TooLarge }),
		"item_store key=k status=too_large cmd=set ttl=0 clsid=0 size=0")
	f(as(protocol.Noop, "", "", 0, 0))
}

func TestWatchedEvictions(t *testing.T) {
	b := newBench(t, executor.Config{})
	stream, _ := b.Watch().Watch(watch.Evictions)
	defer stream.Close()
	b.Evicted(storage.Eviction{Key: []byte("a b"), ValueBytes: 5, Expiry: start + 9, LastAccess: start - 2, Fetched: true})
	b.Evicted(storage.Eviction{Key: []byte("c"), LastAccess: start})
	b.do(request(protocol.Get, "k", ""))
	const want = `^OK\r\nts=\S+ gid=2 type=eviction key=a%20b fetch=yes ttl=9 la=2 clsid=1 size=5\n` +
		`ts=\S+ gid=3 type=eviction key=c fetch=no ttl=-1 la=0 clsid=1 size=0\n$`
	if lines, _ := stream.Next(nil); !regexp.MustCompile(want).Match(lines) {
		t.Errorf("%q", lines)
	}
}
