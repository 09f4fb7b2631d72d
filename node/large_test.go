package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// large lets items have up to 8 MiB. Copying many of them takes a busy machine its time.
func large(cfg *node.Config) {
	cfg.MaxItemBytes, cfg.MaxBytes, cfg.PeerDeadline = 8<<20, 192<<20, 10*time.Second
}

// clientsOf gives a client of each node.
func clientsOf(c *nodetest.Cluster) []*memcache.Client {
	var clients []*memcache.Client
	for i := range c.Nodes {
		client := memcache.New(c.Addr(i).String())
		client.Timeout = 20 * time.Second
		clients = append(clients, client)
	}
	return clients
}

// Values far longer than what goes between members in one frame: stored, extended and read through every node, whoever owns them.
func TestLargeValues(t *testing.T) {
	c := nodetest.Start(t, 3, large)
	clients := clientsOf(c)
	for _, size := range []int{1<<20 + 1, 6<<20 + 5} {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte(i ^ i>>8 ^ i>>16)
		}
		want := append(append([]byte("begin"), value...), value[:1<<20+1]...)
		for i, client := range clients {
			key := fmt.Sprintf("large-%d-%d", size, i)
			for _, err := range []error{
				client.Set(&memcache.Item{Key: key, Value: value, Flags: 7}),
				client.Append(&memcache.Item{Key: key, Value: value[:1<<20+1]}),
				client.Prepend(&memcache.Item{Key: key, Value: []byte("begin")}),
			} {
				if err != nil {
					t.Fatalf("%s through node %d: %v", key, i, err)
				}
			}
			meta := fmt.Sprintf("HD s%d h0\r\nMN\r\n", len(want))
			if got := talk(t, c.Dial(i), "mg "+key+" s h\r\nmn\r\nquit\r\n"); got != meta {
				t.Errorf("%s: %q, want %q", key, got, meta)
			}
			for k := range clients {
				if item, err := clients[k].Get(key); err != nil || !bytes.Equal(item.Value, want) || item.Flags != 7 {
					t.Fatalf("%s through node %d: %v, %d bytes, flags %d, want %d bytes", key, k, err, len(item.Value), item.Flags, len(want))
				}
			}
		}
	}
}

// What is over the limit is refused, through every node alike, and what was there is gone.
func TestTooLargeValues(t *testing.T) {
	c := nodetest.Start(t, 3, large)
	clients := clientsOf(c)
	for i, client := range clients {
		key := fmt.Sprintf("over-%d", i)
		if err := client.Set(&memcache.Item{Key: key, Value: []byte("small")}); err != nil {
			t.Fatal(err)
		}
		if err := client.Set(&memcache.Item{Key: key, Value: make([]byte, 8<<20)}); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("set of a value that is too large: %v", err)
		}
		if _, err := clients[(i+1)%len(clients)].Get(key); !errors.Is(err, memcache.ErrCacheMiss) {
			t.Errorf("the old value: %v", err)
		}
	}
}

// Clients that ask for large values and do not read them hold up nobody else.
func TestReadersThatStall(t *testing.T) {
	c := nodetest.Start(t, 3, large)
	client, ask := clientsOf(c)[0], "get"
	for n := range 6 { // so that each node has some
		key := fmt.Sprintf("stalled-%d", n)
		if err := client.Set(&memcache.Item{Key: key, Value: make([]byte, 7<<20)}); err != nil {
			t.Fatal(err)
		}
		ask += " " + key
	}
	for range 4 {
		if _, err := io.WriteString(c.Dial(0), strings.Repeat(ask+"\r\n", 3)); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 200 {
		key := fmt.Sprintf("other-%d", n)
		if err := client.Set(&memcache.Item{Key: key, Value: []byte(key)}); err != nil {
			t.Fatal(err)
		}
		if item, err := client.Get(key); err != nil || string(item.Value) != key {
			t.Fatalf("%s: %v", key, err)
		}
	}
}

// More uploads at once than there is memory for: some are refused, and whoever asks for little is served on.
func TestMoreUploadsThanMemory(t *testing.T) {
	c := nodetest.Start(t, 1, func(cfg *node.Config) { cfg.MaxBufferBytes = 1 }) // four of the largest all the same
	for range 20 {
		upload := c.Dial(0)
		go func() { _, _ = io.WriteString(upload, "set k 0 0 1000000\r\n"+strings.Repeat("x", 600_000)) }() // until it is refused, or the test is over
	}
	small := c.Dial(0)
	refused := func() bool {
		stats := talk(t, c.Dial(0), "stats\r\nquit\r\n")
		return strings.Contains(stats, "STAT read_buf_oom ") && !strings.Contains(stats, "STAT read_buf_oom 0\r\n")
	}
	c.Wait("an upload is refused", refused)
	if got, want := talk(t, small, "set s 0 0 1\r\nx\r\nget s\r\nquit\r\n"), "STORED\r\nVALUE s 0 1\r\nx\r\nEND\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
