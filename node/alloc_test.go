//go:build !race

package node_test

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/memring/memring/node/nodetest"
)

// A request costs no allocation on its whole way: socket, session, chain and store of this node, or of the owner and back.
// The nodes' own life (gossip, clocks) allocates now and then: so little that it is far below one in ten requests, but while
// members ask each other for their clocks, every ten seconds: so what counts is the best of three tries.
func TestNoAllocationPerRequest(t *testing.T) {
	c := nodetest.Start(t, 2)
	table := c.Nodes[0].Table()
	keys := map[int]string{} // by owner
	for k := 0; len(keys) < 2; k++ {
		key := fmt.Sprintf("key%d", k)
		keys[table.Owner(table.Partition([]byte(key)))] = key
	}
	conn := c.Dial(0)
	in := bufio.NewReader(conn)
	f := func(name, request string, lines int) {
		t.Helper()
		out := []byte(request)
		run := func() {
			if _, err := conn.Write(out); err != nil {
				t.Fatal(err)
			}
			for range lines {
				if _, err := in.ReadSlice('\n'); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 100 {
			run()
		}
		got := testing.AllocsPerRun(3000, run)
		for try := 0; try < 2 && got >= 0.1; try++ {
			got = testing.AllocsPerRun(3000, run)
		}
		if got >= 0.1 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
	mine := table.Index(c.Nodes[0].Self().ID)
	for owner, key := range keys {
		where := "forwarded"
		if owner == mine {
			where = "local"
		}
		f(where+" set", fmt.Sprintf("set %s 0 0 100\r\n%s\r\n", key, strings.Repeat("v", 100)), 1)
		f(where+" get", fmt.Sprintf("get %s\r\n", key), 3)
		f(where+" get of 10 keys", "get"+strings.Repeat(" "+key, 10)+"\r\n", 21)
		f(where+" touch", fmt.Sprintf("touch %s 0\r\n", key), 1)
		f(where+" set and get, pipelined", fmt.Sprintf("set %s 0 0 1\r\nx\r\nget %s\r\n", key, key), 4)
	}
}
