package node_test

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/node/watch"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/binary"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/protocol/transcript"
	"github.com/memring/memring/storage"
)

// recorded are the conversations of all wires.
func recorded(t *testing.T) []transcript.Conversation {
	t.Helper()
	var all []transcript.Conversation
	for _, dir := range []string{"../protocol/text/testdata", "../protocol/meta/testdata", "../protocol/binary/testdata"} {
		some, err := transcript.Load(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	if len(all) < 600 {
		t.Fatalf("only %d conversations found", len(all))
	}
	return all
}

// The same bytes must come from the session alone, from one node, and from each of three: the routing must not show.
func TestConversations(t *testing.T) {
	all := recorded(t)
	t.Run("session alone", func(t *testing.T) { transcript.Run(t, all, "memring", aloneDial(t)) })
	for _, size := range []int{1, 3} {
		t.Run(strconv.Itoa(size)+" nodes", func(t *testing.T) {
			c := nodetest.Start(t, size)
			for i := range c.Nodes {
				t.Run("through node "+strconv.Itoa(i), func(t *testing.T) {
					transcript.Run(t, all, "memring", func() (transcript.Conn, error) { return net.Dial("tcp", c.Addr(i).String()) })
				})
			}
		})
	}
}

// aloneDial gives connections to sessions over one store, with nothing between them and it.
func aloneDial(t *testing.T) func() (transcript.Conn, error) {
	t.Helper()
	clock := storage.NewClock()
	t.Cleanup(clock.Stop)
	store, err := storage.Open(storage.Config{MaxBytes: 64 << 20, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	chain := operator.New(nobody(store), executor.New(executor.Config{Store: store, Clock: clock}))
	return func() (transcript.Conn, error) {
		const itemBytes = 1 << 20
		wires := session.NewWires(text.New(text.Config{MaxItemBytes: itemBytes}), meta.New(meta.Config{MaxItemBytes: itemBytes}), meta.Speaks,
			binary.New(binary.Config{MaxItemBytes: itemBytes}))
		s := session.New(chain, wires, 1)
		return transcript.Alone(s.Answer, s.Ended), nil
	}
}

// nobody is what an operator knows of a node that is not there: just enough for what is recorded.
func nobody(store *storage.Store) operator.Config {
	nothing := func() []protocol.ReportLine { return nil }
	var crawling atomic.Bool
	crawling.Store(true)
	return operator.Config{
		Version: node.Default().Version,
		Stats: func(group string) ([]protocol.ReportLine, bool) {
			switch group {
			case "sizes":
				return []protocol.ReportLine{{Label: "STAT", Name: "sizes_status", Value: "disabled"}}, true
			case "", "settings":
				return nil, true
			}
			return nil, false
		},
		ResetStats:  func() {},
		Verbosity:   func(uint64) {},
		SetLimit:    store.SetLimit,
		Crawling:    crawling.Load,
		SetCrawling: func(on bool) bool { return crawling.Swap(on) != on },
		Crawl:       func() {},
		Dump:        func(_ func([]byte, operator.Item) []byte, end string) protocol.Stream { return emptyDump(end) },
		Some:        func(int, int) []operator.Item { return nil },
		Watch:       new(watch.Board).Watch,
		SetDetail:   func(bool) {},
		Detail:      nothing,
	}
}

// An emptyDump is that of an empty cache.
type emptyDump string

func (end emptyDump) Next(dst []byte) ([]byte, bool) {
	return append(append(dst, "OK\r\n"...), end...), false
}
func (emptyDump) Close() {}
