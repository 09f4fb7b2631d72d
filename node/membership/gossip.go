package membership

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// callbacks are what memberlist calls. It holds its lock meanwhile: they copy and return, and never call it.
type callbacks struct{ m *Membership }

// NodeMeta is what the others are told of us.
func (c callbacks) NodeMeta(int) []byte {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return appendMeta(make([]byte, 0, maxMetaBytes), c.m.view.self, c.m.cfg.Params.Print())
}

// NotifyAlive is asked about each piece of news of a living member, us included, whether to believe it.
func (c callbacks) NotifyAlive(node *memberlist.Node) error {
	_, err := c.check(node)
	return err
}

// NotifyMerge is asked about all that the other side of a join knows. One stranger among them makes the whole side strange: they have accepted it.
func (c callbacks) NotifyMerge(nodes []*memberlist.Node) error {
	for _, node := range nodes {
		if node.State == memberlist.StateDead || node.State == memberlist.StateLeft {
			continue // perhaps the very stranger that was stopped for being one
		}
		if _, err := c.check(node); err != nil {
			return err
		}
	}
	return nil
}

// AckPayload is asked for when a ping of another member has come, which is answered: we hear somebody.
func (c callbacks) AckPayload() []byte {
	c.m.heard.Add(1)
	return nil
}

// NotifyPingComplete is told that a ping of ours was answered.
func (c callbacks) NotifyPingComplete(*memberlist.Node, time.Duration, []byte) { c.m.heard.Add(1) }

// check reads what a node says of itself, and refuses who cannot be of our cluster.
func (c callbacks) check(node *memberlist.Node) (Member, error) {
	m, err := c.read(node)
	if err != nil {
		c.m.metrics.Refused.Add(1)
		if c.m.refusals.due(node.Addr.String(), time.Now()) {
			c.m.log.Warn("member refused", "member", fmt.Sprintf("%.100q", node.Name), "address", node.Address(), "reason", err)
		}
	}
	return m, err
}

func (c callbacks) read(node *memberlist.Node) (Member, error) {
	ip, ok := netip.AddrFromSlice(node.Addr)
	if !ok || node.Port == 0 {
		return Member{}, errors.New("has no address to answer to")
	}
	m, print, err := parseMeta(node.Meta, netip.AddrPortFrom(ip.Unmap(), node.Port))
	if ours := c.m.cfg.Params.Print(); print != 0 && print != ours {
		return Member{}, fmt.Errorf("its ring parameters are %016x, ours %016x: start all members with the same partitions, vnodes and load", print, ours)
	}
	if err != nil {
		return Member{}, err
	}
	if node.Name != gossipName(m) {
		return Member{}, fmt.Errorf("calls itself %.100q, but describes itself as %s", node.Name, gossipName(m))
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.m.view.full(node.Name) {
		return Member{}, fmt.Errorf("the cluster has %d members already", maxMembers)
	}
	return m, nil
}

// NotifyJoin brings a member that was not there.
func (c callbacks) NotifyJoin(node *memberlist.Node) { c.take(node, "member joined") }

// NotifyUpdate brings a member that describes itself anew.
func (c callbacks) NotifyUpdate(node *memberlist.Node) { c.take(node, "member changed") }

func (c callbacks) take(node *memberlist.Node, what string) {
	m, err := c.read(node)
	if err != nil {
		return // cannot be: NotifyAlive has seen it
	}
	self := c.m.cfg.Self
	c.m.mu.Lock()
	if node.Name == gossipName(self) {
		// The state is ours to know: this may be an echo of an earlier one.
		m.State = c.m.view.self.State
		c.m.view.self = m
		c.m.mu.Unlock()
		return
	}
	c.m.view.join(node.Name, m)
	c.m.mu.Unlock()

	c.m.log.Info(what, "member", m.ID, "state", m.State, "gossip", m.Gossip, "client", m.Client)
	if m.ID == self.ID && m.Boot > self.Boot {
		c.m.log.Error("a later start of this member's id is in the cluster, which now ignores this one: each member needs an id of its own",
			"member", m.ID, "gossip", m.Gossip)
	}
	if c.m.asked.Load() && m.ID != self.ID {
		c.m.settle()
	}
	c.m.note()
}

// NotifyLeave tells of a member that is dead or has left.
func (c callbacks) NotifyLeave(node *memberlist.Node) {
	c.m.mu.Lock()
	m, missed := c.m.view.leave(node.Name, node.State == memberlist.StateLeft, time.Now())
	c.m.mu.Unlock()
	if m.ID == "" {
		return // ourselves, leaving
	}
	if missed {
		c.m.metrics.Lost.Add(1)
		c.m.log.Warn("member lost", "member", m.ID, "gossip", m.Gossip)
	} else {
		c.m.metrics.Left.Add(1)
		c.m.log.Info("member left", "member", m.ID, "gossip", m.Gossip)
	}
	c.m.note()
}

// NotifyConflict tells of two processes of one name: the same id, started in the same nanosecond, or a copied memory.
func (c callbacks) NotifyConflict(existing, other *memberlist.Node) {
	if c.m.refusals.due(other.Addr.String(), time.Now()) {
		c.m.log.Error("two processes claim to be one member", "member", existing.Name, "address", existing.Address(), "other", other.Address())
	}
}

// We send no messages of our own over gossip.
func (c callbacks) NotifyMsg([]byte)                {}
func (c callbacks) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState is what a full exchange tells beside the living: mark 8 | the lost.
func (c callbacks) LocalState(bool) []byte {
	mark := uint64(0)
	if c.m.cfg.Mark != nil {
		mark = c.m.cfg.Mark()
	}
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return appendLost(binary.BigEndian.AppendUint64(nil, mark), c.m.view.recentlyLost(time.Now()), c.m.cfg.Params.Print(), time.Now())
}

// MergeRemoteState takes in whom the other side misses: gossip tells a newcomer of the living only, and it shall keep the same places free as all others.
func (c callbacks) MergeRemoteState(told []byte, _ bool) {
	if len(told) < markBytes {
		return
	}
	if c.m.cfg.Marked != nil {
		c.m.cfg.Marked(binary.BigEndian.Uint64(told))
	}
	missed := parseLost(told[markBytes:], c.m.cfg.Params.Print(), time.Now())
	c.m.mu.Lock()
	news := c.m.view.hear(missed)
	c.m.mu.Unlock()
	if news {
		c.m.note()
	}
}

const markBytes = 8

// refuseStranger counts who has not our key, and says so.
func (m *Membership) refuseStranger(from net.Addr, why error) {
	m.metrics.Strangers.Add(1)
	host, _, _ := net.SplitHostPort(from.String())
	if m.strangers.due(host, time.Now()) {
		m.log.Warn("gossip refused", "from", from.String(), "reason", why)
	}
}

// refusals remembers whom it was said of lately, since who is refused keeps asking. Who forges many names is bounded by the log, like all who have one message written often (cmd/logging).
type refusals struct {
	mu   sync.Mutex // guards said
	said map[string]time.Time
}

const (
	refusalEvery = 10 * time.Minute // of one offender
	maxRefusals  = 64               // offenders known at a time: of one more the oldest is forgotten, so who forges many names keeps nobody else from being told of
)

// due reports whether it is time to speak of an offender.
func (r *refusals) due(offender string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, known := r.said[offender]; known && now.Sub(at) < refusalEvery {
		return false
	}
	if r.said == nil {
		r.said = map[string]time.Time{}
	}
	if r.said[offender] = now; len(r.said) > maxRefusals {
		oldest := offender
		for other, at := range r.said {
			if at.Before(r.said[oldest]) {
				oldest = other
			}
		}
		delete(r.said, oldest)
	}
	return true
}

// A gossipLog passes memberlist's log on, all of it as one message, whose number the log bounds: anybody who reaches the port can cause a line with a packet.
type gossipLog struct {
	log       *slog.Logger
	strangers *atomic.Uint64 // Metrics.Strangers
}

// Write takes one line, such as "[WARN] memberlist: Refuting a suspect message (from: a)".
func (l *gossipLog) Write(line []byte) (int, error) {
	text := bytes.TrimSpace(line)
	level := slog.LevelDebug
	if bytes.HasPrefix(text, []byte("[WARN]")) || bytes.HasPrefix(text, []byte("[ERR]")) {
		level = slog.LevelWarn
	}
	if _, after, found := bytes.Cut(text, []byte("] memberlist: ")); found {
		text = after
	}
	if bytes.HasPrefix(text, []byte("Binding to public address")) { // encryption is not its business here
		return len(line), nil
	}
	// Of refusals check has said more than this.
	refusal := bytes.HasPrefix(text, []byte("ignoring alive message")) || bytes.HasPrefix(text, []byte("Failed push/pull merge"))
	if bytes.HasPrefix(text, []byte("discarding ")) { // "packet", or "stream with unacceptable label"
		l.strangers.Add(1)
	}
	if refusal {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, "memberlist", "says", string(text))
	return len(line), nil
}
