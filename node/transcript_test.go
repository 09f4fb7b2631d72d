package node_test

import (
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/executor"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/node/operator"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
	"github.com/memring/memring/protocol/transcript"
	"github.com/memring/memring/storage"
)

// recorded are the conversations of all wires.
func recorded(t *testing.T) []transcript.Conversation {
	t.Helper()
	var all []transcript.Conversation
	for _, dir := range []string{"../protocol/text/testdata"} {
		some, err := transcript.Load(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	if len(all) < 150 {
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
	nothing := func() []protocol.ReportLine { return nil }
	chain := operator.New(operator.Config{
		Version:    node.Default().Version,
		Stats:      func(group string) ([]protocol.ReportLine, bool) { return nil, group != "bogus" },
		ResetStats: func() {},
		Members:    nothing,
		Owner:      func([]byte) []protocol.ReportLine { return nil },
		Verbosity:  func(uint64) {},
	}, executor.New(executor.Config{Store: store, Clock: clock}))
	return func() (transcript.Conn, error) {
		s := session.New(chain, text.New(text.Config{MaxItemBytes: 1 << 20}), 1)
		return transcript.Alone(s.Answer, s.Ended), nil
	}
}
