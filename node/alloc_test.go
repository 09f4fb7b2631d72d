//go:build !race

package node_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
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
	value := strings.Repeat("v", 100)
	f := func(name, request, answer string) {
		t.Helper()
		conn := c.Dial(0) // its first byte says which protocol it speaks
		out, in := []byte(request), make([]byte, len(answer))
		run := func() {
			if _, err := conn.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, in); err != nil {
				t.Fatalf("%s: %v after %q", name, err, in)
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
		item := fmt.Sprintf("VALUE %s 0 100\r\n%s\r\n", key, value)
		f(where+" set", fmt.Sprintf("set %s 0 0 100\r\n%s\r\n", key, value), "STORED\r\n")
		f(where+" get", fmt.Sprintf("get %s\r\n", key), item+"END\r\n")
		f(where+" get of 10 keys", "get"+strings.Repeat(" "+key, 10)+"\r\n", strings.Repeat(item, 10)+"END\r\n")
		f(where+" touch", fmt.Sprintf("touch %s 0\r\n", key), "TOUCHED\r\n")
		f(where+" set and get, pipelined", fmt.Sprintf("set %s 0 0 1\r\nx\r\nget %[1]s\r\n", key), fmt.Sprintf("STORED\r\nVALUE %s 0 1\r\nx\r\nEND\r\n", key))
		f(where+" meta set", fmt.Sprintf("ms %s 100\r\n%s\r\n", key, value), "HD\r\n")
		f(where+" meta get", fmt.Sprintf("mg %s v k t\r\n", key), fmt.Sprintf("VA 100 k%s t-1\r\n%s\r\n", key, value))
		f(where+" meta gets, quiet", strings.Repeat(fmt.Sprintf("mg %s v q\r\n", key), 10)+"mn\r\n", strings.Repeat("VA 100\r\n"+value+"\r\n", 10)+"MN\r\n")
		f(where+" binary set", packet(0x01, "\x00\x00\x00\x00\x00\x00\x00\x00", key, value), packet(0, "", "", ""))
		f(where+" binary get", packet(0x00, "", key, ""), packet(0, "flag", "", value))
		f(where+" binary gets, quiet", strings.Repeat(packet(0x09, "", key, ""), 10)+packet(0x0a, "", "", ""), strings.Repeat(packet(0, "flag", "", value), 10)+packet(0, "", "", ""))
	}
}

// Nor does a long value leave much behind, whatever was asked before it: its memory is lent. What is counted is bytes, and the best of three tries, since the nodes'
// own life and the collector, which may take what can be lent, are counted with it.
func TestLongValuesLeaveNoGarbage(t *testing.T) {
	c := nodetest.Start(t, 1)
	long := strings.Repeat("v", 64<<10)
	set, found := fmt.Sprintf("set long 0 0 %d\r\n%s\r\n", len(long), long), fmt.Sprintf("VALUE long 0 %d\r\n%s\r\nEND\r\n", len(long), long)
	f := func(name, request, answer string) {
		t.Helper()
		conn := c.Dial(0)
		out, in := []byte(request), make([]byte, len(answer))
		run := func() {
			if _, err := conn.Write(out); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(conn, in); err != nil || string(in) != answer {
				t.Fatalf("%s: %v after %d bytes", name, err, len(in))
			}
		}
		const runs = 500
		least := uint64(math.MaxUint64)
		for range 3 {
			var before, after runtime.MemStats
			run()
			runtime.ReadMemStats(&before)
			for range runs {
				run()
			}
			runtime.ReadMemStats(&after)
			least = min(least, (after.TotalAlloc-before.TotalAlloc)/runs)
		}
		if least > 8<<10 {
			t.Errorf("%s: %d bytes of garbage for a value of %d, want some hundred", name, least, len(long))
		}
	}
	f("set and got", set+"get long\r\n", "STORED\r\n"+found)
	f("got between misses", "get missing\r\nget long\r\n", "END\r\n"+found)
	f("got after a touch", "touch long 0\r\nget long\r\n", "TOUCHED\r\n"+found)
}

// packet is one of the binary protocol: a request, or as long as an answer.
func packet(opcode byte, extras, key, value string) string {
	head := make([]byte, 24)
	head[0], head[1], head[4] = 0x80, opcode, byte(len(extras))
	binary.BigEndian.PutUint16(head[2:], uint16(len(key)))
	binary.BigEndian.PutUint32(head[8:], uint32(len(extras)+len(key)+len(value)))
	return string(head) + extras + key + value
}
