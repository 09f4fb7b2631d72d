package node

import (
	"context"
	"time"

	"github.com/memring/memring/node/sides"
)

const (
	// lookEvery is how often a node looks who is on its side although nobody has come or gone: with time, who is lost is not reckoned with any more.
	lookEvery = time.Second
	// stallTime is how long it may stand still (a paused machine, SIGSTOP, a processor that others have) before it must ask whether the others took it for
	// dead meanwhile. They need half a second longer at the least (membership.DefaultTimings).
	stallTime = 1300 * time.Millisecond
)

// beat notes that the node runs, and whether it hears others, until ctx is done.
func (n *Node) beat(ctx context.Context) {
	tick, look := time.NewTicker(sides.BeatEvery), time.NewTicker(lookEvery)
	defer tick.Stop()
	defer look.Stop()
	for {
		n.awake()
		n.beaten.Store(int64(time.Since(n.started)))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n.sides.Beat(n.members.Heard(), time.Now()) {
				n.lookAround()
			}
		case <-look.C:
			n.lookAround()
			n.ease.End(n.cfg.Moving, n.moves)
		}
	}
}

// awake is called before each batch of requests: if the node has stood still, nothing is answered from its memory before the others were asked.
func (n *Node) awake() {
	before, now := n.beaten.Load(), int64(time.Since(n.started))
	if now-before > int64(stallTime) {
		n.doubt()
		n.beaten.CompareAndSwap(before, now)
	}
}
