//go:build !race

package executor_test

import (
	"testing"

	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/protocol"
)

func TestNoAllocationPerRequest(t *testing.T) {
	b := newBench(t, executor.Config{})
	b.do(request(protocol.Set, "number", "1"))
	f := func(req protocol.Request) {
		t.Helper()
		var resp protocol.Response
		run := func() { resp.Reset(); b.Handle(&req, &resp) }
		run()
		if got := testing.AllocsPerRun(1000, run); got != 0 {
			t.Errorf("%s: %v allocations, want 0", req.Op, got)
		}
	}
	f(request(protocol.Set, "key", "value"))
	f(request(protocol.Get, "key", ""))
	f(request(protocol.Get, "absent", ""))
	f(request(protocol.Gat, "key", ""))
	f(request(protocol.Touch, "key", ""))
	f(request(protocol.Add, "key", "value"))
	f(request(protocol.Append, "number", ""))
	f(request(protocol.Incr, "number", ""))
	f(request(protocol.Delete, "absent", ""))
}
