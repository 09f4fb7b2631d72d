package executor_test

import (
	"testing"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

func TestInstall(t *testing.T) {
	const start = start + 100_000_000 // versions begin in 2024
	b := newBench(t, executor.Config{})
	b.clock.Advance(100_000_000)
	install := func(key string, it storage.Item, options protocol.Options) protocol.Request {
		return protocol.Request{Op: protocol.Install, Key: []byte(key), Value: piece.Append(nil, []byte(key), it), Options: options}
	}
	_, now := b.do(request(protocol.Set, "now", "v"))
	item := func(value string, version uint64, expiry int64) storage.Item {
		return storage.Item{Value: []byte(value), Version: version, CAS: 77, Flags: 5, Expiry: expiry}
	}
	before, after := now.CAS-1<<30, now.CAS+1<<30
	get := func(key string) protocol.Request { return request(protocol.Get, key, "") }
	play(t, b,
		step{install("k", item("first", before, 0), 0), "ok"},
		step{get("k"), "ok first"},
		step{install("k", item("first", before, 0), 0), "exists"},
		step{install("k", item("older", before-1, 0), protocol.Vivify), "exists"},
		step{install("k", item("newer", before+1, start+1000), 0), "ok"},
		step{get("k"), "ok newer"},
		step{install("now", item("old", before, 0), 0), "exists"},
		step{get("now"), "ok v"},
		step{install("gone", item("expired", before, start), 0), "notfound"},
		step{get("gone"), "notfound"},
		step{install("k", item("outdated", after, start-1), 0), "ok"}, // what is here is older than what has expired
		step{get("k"), "notfound"},
	)
	if _, resp := b.do(get("now")); resp.CAS == 77 {
		t.Error("an item that stays has got another CAS unique")
	}
	for what, req := range map[string]protocol.Request{
		"another key": {Op: protocol.Install, Key: []byte("k"), Value: piece.Append(nil, []byte("other"), item("v", before, 0))},
		"a tombstone": install("k", storage.Item{Buried: true, Version: before, CAS: before}, 0),
		"no item":     {Op: protocol.Install, Key: []byte("k"), Value: []byte("v")},
	} {
		if _, resp := b.do(req); resp.Status != protocol.BadFormat {
			t.Errorf("%s: answered with %d", what, resp.Status)
		}
	}
	if line, _ := b.do(install("large", item(string(make([]byte, 1<<16)), before, 0), 0)); line != "toolarge" {
		t.Errorf("a large item: %s", line)
	}

	play(t, b, step{install("swept", item("v", before, 0), 0), "ok"})
	b.store.FlushAll(0, 0)
	play(t, b,
		step{install("swept", item("v", before, 0), 0), "notstored"},
		step{get("swept"), "notfound"},
		step{install("swept", item("back", before, start+1000), protocol.Vivify), "ok"},
		step{get("swept"), "ok back"},
		step{install("swept", item("older", before-1, 0), protocol.Vivify), "exists"},
	)
	if _, resp := b.do(get("swept")); resp.CAS <= b.store.Flushed() || resp.Flags != 5 || resp.TTL != 1000 {
		t.Errorf("brought back with CAS unique %d of a mark at %d, flags %d, %d s", resp.CAS, b.store.Flushed(), resp.Flags, resp.TTL)
	}
}
