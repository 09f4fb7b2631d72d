//go:build chaos

package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
)

// Items longer than what members may say to each other in one frame (64 MiB) are moved, and copied, like others; and those beside them as well.
func TestChaosHugeItemsAreMoved(t *testing.T) {
	const small, huge = 500, 3
	for _, copies := range []int{1, 2} {
		options := func(cfg *node.Config) {
			cfg.MaxItemBytes, cfg.MaxBytes, cfg.PeerDeadline, cfg.Ring.Copies = 100<<20, 512<<20, 20*time.Second, copies
		}
		c := nodetest.Start(t, 1, nodetest.AllPartitions, options)
		k := newAsker(t, c.Dial(0))
		setAll(t, k, small)
		value := strings.Repeat("x", 70<<20)
		for i := range huge {
			if got := k.line("set huge%d 0 0 %d\r\n%s", i, len(value), value); got != "STORED" {
				t.Fatal(got)
			}
		}
		c.Launch(options)
		c.WaitAgreed()
		c.WaitSettled()
		if copies > 1 {
			c.WaitCopied()
		}
		expectAll(t, k, "after a join", small)
		for i := range huge {
			if got, found := k.get(fmt.Sprintf("huge%d", i)); !found || got != value {
				t.Errorf("%d copies: huge%d: found %v, %d bytes", copies, i, found, len(got))
			}
		}
	}
}
