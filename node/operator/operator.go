// Package operator answers what is asked of the node itself: its version, statistics, the cluster's members, the owner of a key.
//
// It stands before the router, and passes on what concerns a key.
package operator

import "github.com/memring/memring/protocol"

// Config says where the answers come from. All are called by many sessions at once.
type Config struct {
	Version string // three numbers with dots: clients parse it

	// Stats gives the lines of a group of statistics ("" for the general ones), and false if there is no such group.
	Stats      func(group string) (lines []protocol.ReportLine, known bool)
	ResetStats func()
	Members    func() []protocol.ReportLine
	Owner      func(key []byte) []protocol.ReportLine
	Verbosity  func(level uint64)
}

// An Operator is the first link of the chain behind a client's session.
type Operator struct {
	cfg  Config
	next protocol.Handler
}

// New makes an operator before next.
func New(cfg Config, next protocol.Handler) *Operator { return &Operator{cfg: cfg, next: next} }

// Handle implements protocol.Handler.
func (o *Operator) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	resp.Status = protocol.OK
	switch req.Op {
	case protocol.Version:
		resp.Scratch = append(resp.Scratch[:0], o.cfg.Version...)
		resp.Value = resp.Scratch
	case protocol.Verbosity:
		o.cfg.Verbosity(req.Delta)
	case protocol.Stats:
		lines, known := o.cfg.Stats(string(req.Key))
		if resp.Report = lines; !known {
			resp.Status = protocol.UnknownCommand
		}
	case protocol.ResetStats:
		o.cfg.ResetStats()
	case protocol.Members:
		resp.Report = o.cfg.Members()
	case protocol.Owner:
		resp.Report = o.cfg.Owner(req.Key)
	default:
		resp.Status = protocol.Unset
		return o.next.Handle(req, resp)
	}
	return nil
}
