// Package dispatch tells operators what one member sees of its cluster, and passes on what they ask of another.
//
//	Members, Moves, Owner  from what this member knows
//	Status, Explain        -> every other member, over the forward lanes -> one report
//	Drain                  -> the member it is for, which refuses or begins, once another one has told it that it stays
//	Forget                 -> here, and every other member
//	WatchClocks            -> every other member, from time to time -> the log
//
// It answers clients (Handle) and, for what they have asked of others, lanes (Lane). A member that does not answer in time is told of as silent.
package dispatch

import (
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/memring/memring/node/handover"
	"github.com/memring/memring/node/membership"
	"github.com/memring/memring/node/placement"
	"github.com/memring/memring/node/replicator"
	"github.com/memring/memring/node/stats"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/ring"
	"github.com/memring/memring/storage"
)

// Config says where the answers come from. All functions but Drain must be set, and are called by many sessions at once.
type Config struct {
	Self    membership.Member
	Cluster string // its name

	Placement func() placement.Placement
	Lost      func() []membership.Lost                            // who went without a word
	Members   func(visit func(m membership.Member, state string)) // who is here, and who is down and keeps its place
	Table     func() *ring.Table
	Send      func(m membership.Member, req *protocol.Request) *protocol.Pending // on a forward lane
	Ask       func(id string, req *protocol.Request) *protocol.Pending           // on a copy lane, where nothing waits
	Figures   func() []protocol.ReportLine                                       // what this member has counted: node/stats' lines

	Now        func() int64 // the Unix second
	Milli      func() int64 // the Unix millisecond
	Store      *storage.Store
	Handover   *handover.Handover
	Replicator *replicator.Replicator

	// Drain has this member hand over all it has and leave, as on SIGTERM, or says why it does not. nil: clients may not ask for that (memcached's -A is not given),
	// neither for this member nor, here, for another.
	Drain func() error
	// Leaving reports whether this member is about to leave, for whatever reason.
	Leaving func() bool
	// Forget takes a member that went without a word for one that has left; boot tells which run of it, 0: the last. It gives the boot; false if it is not missed.
	Forget func(id string, boot uint64) (uint64, bool)

	Log *slog.Logger
}

// A Dispatch answers operators.
type Dispatch struct {
	cfg   Config
	wrong map[string]bool // whose clocks were wrong at the last look; WatchClocks'

	departing atomic.Int64 // orders to leave that were given, or are being decided
}

// New makes a Dispatch.
func New(cfg Config) *Dispatch { return &Dispatch{cfg: cfg, wrong: map[string]bool{}} }

// Handle answers what a client asks (protocol.Handler); other ops than those above are unknown.
func (d *Dispatch) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	switch req.Op {
	case protocol.Members:
		resp.Report = d.members()
	case protocol.Moves:
		resp.Report = stats.MoveLines(d.cfg.Handover.Moves())
	case protocol.Owner:
		resp.Report = d.owner(req.Key)
	case protocol.ClusterStatus:
		resp.Report = d.status()
	case protocol.Explain:
		resp.Report = d.explain(req.Key)
	case protocol.Drain:
		return d.drain(string(req.Key), resp)
	case protocol.Forget:
		d.forget(string(req.Key), resp)
	default:
		resp.Status = protocol.UnknownCommand
	}
	return nil
}

// A lane answers what other members pass on, and hands the rest to next.
type lane struct {
	dispatch *Dispatch
	next     protocol.Handler
}

// Lane gives the handler before next for the forward lanes.
func (d *Dispatch) Lane(next protocol.Handler) protocol.Handler { return lane{d, next} }

// Handle implements protocol.Handler.
func (l lane) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	d := l.dispatch
	switch req.Op {
	case protocol.Explain:
		resp.Status, resp.Report = protocol.OK, []protocol.ReportLine{d.explainHere(req.Key)}
	case protocol.Drain:
		return d.drainHere(resp)
	case protocol.Forget:
		resp.Status = protocol.OK
		d.cfg.Forget(string(req.Key), req.Delta)
	default:
		return l.next.Handle(req, resp)
	}
	return nil
}

// isSelf tells this process from another of its id.
func (d *Dispatch) isSelf(m membership.Member) bool {
	return m.ID == d.cfg.Self.ID && m.Boot == d.cfg.Self.Boot
}

// others gives all others who are here, by id.
func (d *Dispatch) others() []membership.Member {
	return slices.DeleteFunc(slices.Clone(d.cfg.Placement().Here), d.isSelf)
}

// An answer is what one member says.
type answer struct {
	member       membership.Member
	report       []protocol.ReportLine
	silent       string // why it says nothing; else empty
	asked, heard int64  // our clock before and after, in Unix milliseconds
}

// ask puts a question to members, all at once, and waits for the answers.
func (d *Dispatch) ask(members []membership.Member, req *protocol.Request) []answer {
	answers, pending := make([]answer, len(members)), make([]*protocol.Pending, len(members))
	asked := d.cfg.Milli()
	for i, m := range members {
		pending[i] = d.cfg.Send(m, req)
		pending[i].Flush()
	}
	for i, p := range pending {
		p.Wait()
		answers[i] = answer{member: members[i], report: p.Response.Report, silent: silence(p.Response.Status), asked: asked, heard: d.cfg.Milli()}
		p.Release()
	}
	return answers
}

// silence says why a member has not answered; nothing if it has.
func silence(status protocol.Status) string {
	switch status {
	case protocol.OK:
		return ""
	case protocol.PeerTimeout:
		return "no_answer_in_time"
	case protocol.PeerOverloaded:
		return "overloaded"
	case protocol.PeerLost:
		return "unreachable"
	default:
		return "refused"
	}
}

// seconds tells how long ago something was.
func seconds(since, now time.Time) int64 { return int64(max(now.Sub(since), 0).Seconds()) }

// refuse answers with an error of the client's.
func refuse(resp *protocol.Response, words ...string) *protocol.Pending {
	resp.Status = protocol.ClientError
	resp.Scratch = append(resp.Scratch[:0], strings.Join(words, "")...)
	resp.Value = resp.Scratch
	return nil
}
