package node

import (
	"log/slog"
	"time"

	"github.com/memring/memring/node/sides"
)

// Live are the settings that may change while a node runs, by Change.
type Live struct {
	// LogLevel is what is logged, and what "verbosity 0" returns to. --log-level; default slog.LevelInfo.
	LogLevel slog.Level

	// MaxBytes is the memory for items, their index included. -m; default 64 MiB.
	MaxBytes int64

	// MaxConns is the number of client connections served at once. Fewer hang up on nobody. -c; default 1024.
	MaxConns int

	// IdleTimeout closes client connections without a request for so long; 0: never. --idle-timeout, -o idle_timeout.
	IdleTimeout time.Duration

	// PeerDeadline bounds how long a client waits for another member. --peer-timeout; default 500 ms.
	PeerDeadline time.Duration

	// HandoverRate is how many bytes of items a second are taken over from other members at most, 64 KiB at least: it bounds what of the network they take from requests.
	// What they take of the processors is bounded anyway, to a thirty-second. --handover-rate; default 32 MiB.
	HandoverRate int64

	// DrainTimeout bounds how long a node that stops hands its items over before it leaves; 0: it leaves at once, and what is not taken over while the others hear of it is lost.
	// --drain-timeout; default 30 s.
	DrainTimeout time.Duration

	// OnMinority is what clients are told while this node is on the small side of a split: it has lost at least half of the others at once, without a goodbye and without a
	// sign that their processes have ended, and of two halves it is not on that with the lowest id. Of two nodes the one with the higher id cannot tell a split from a
	// crash of the other. --on-minority serve, miss or refuse; default sides.Serve.
	OnMinority sides.Policy
	// MinMembers is how many active members there must be, this one included; where fewer are here it is a minority as well. --min-members; default 0: any.
	MinMembers int
}

// Change has a running node go by other settings, which are valid (Config.Validate). After an error, which names a flag, none has changed.
func (n *Node) Change(to Live) error {
	was := n.live.Load()
	if was.MaxBytes != to.MaxBytes {
		if err := n.store.SetLimit(to.MaxBytes); err != nil {
			return err
		}
	}
	n.live.Store(&to)
	if was.LogLevel != to.LogLevel && n.cfg.Level != nil {
		n.cfg.Level.Set(to.LogLevel)
	}
	if was.MaxConns != to.MaxConns {
		n.clients.SetMaxConns(to.MaxConns)
	}
	n.peers.SetDeadline(n.laneDeadline())
	n.copies.SetDeadline(n.laneDeadline())
	if was.IdleTimeout != to.IdleTimeout {
		n.clients.SetIdleTimeout(to.IdleTimeout)
	}
	if was.OnMinority != to.OnMinority || was.MinMembers != to.MinMembers {
		n.sides.Judge(to.OnMinority, to.MinMembers)
		note(n.urgent)() // so that it is judged now
	}
	return nil
}

func (n *Node) peerDeadline() time.Duration { return n.live.Load().PeerDeadline }

// laneDeadline bounds how long a request is under way to another member: longer where items may be long.
func (n *Node) laneDeadline() time.Duration { return n.peerDeadline() + itemTime(n.cfg.MaxItemBytes) }

func (n *Node) handoverRate() int64 { return n.live.Load().HandoverRate }

// setVerbosity lets the log tell more, as "verbosity" asks: from level 1 on also what is of use only to find a fault. 0 is what LogLevel says.
func (n *Node) setVerbosity(level uint64) {
	switch {
	case n.cfg.Level == nil:
	case level == 0:
		n.cfg.Level.Set(n.live.Load().LogLevel)
	default:
		n.cfg.Level.Set(slog.LevelDebug)
	}
}
