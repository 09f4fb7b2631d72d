package text

import (
	"strconv"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// Append adds the answer to req to dst (session.Codec).
func (c *Codec) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	switch {
	case req.Op == protocol.Get || req.Op == protocol.Gat:
		return c.appendItem(dst, req, resp)
	case c.lost != protocol.Unset && req.Op == protocol.Noop && resp.Status == protocol.OK:
		return c.appendEnd(dst)
	case req.Options.Has(protocol.Quiet) || req.Op == protocol.Quit || req.Op == protocol.None:
		return dst
	case req.Op == protocol.Reject || req.Op == protocol.Discard:
		if req.Options.Has(protocol.Last) {
			c.lost = protocol.Unset
		}
		return line.AppendError(dst, req.Reason, nil)
	case resp.Stream != nil:
		return dst // its pieces follow
	}
	switch resp.Status {
	case protocol.OK:
		return appendDone(dst, req, resp)
	case protocol.Verbatim:
		return appendVerbatim(dst, resp.Value)
	case protocol.NotFound:
		return append(dst, "NOT_FOUND\r\n"...)
	case protocol.NotStored:
		return append(dst, "NOT_STORED\r\n"...)
	case protocol.Exists:
		return append(dst, "EXISTS\r\n"...)
	case protocol.OutOfMemory:
		if req.Op == protocol.Incr || req.Op == protocol.Decr {
			return append(dst, "SERVER_ERROR out of memory\r\n"...)
		}
	}
	return line.AppendError(dst, resp.Status, resp.Value)
}

// appendItem adds "VALUE KEY FLAGS LENGTH [CAS]" and the data, and after the last key of the line, END.
//
// A client reads on until END or an error. So an error can only stand where END would; before that, the key is a miss.
func (c *Codec) appendItem(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	last := req.Options.Has(protocol.Last)
	switch resp.Status {
	case protocol.OK:
		dst = append(dst, "VALUE "...)
		dst = append(dst, req.Key...)
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, uint64(resp.Flags), 10)
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, uint64(len(resp.Value)), 10)
		if req.Verb == withCAS {
			dst = append(dst, ' ')
			dst = strconv.AppendUint(dst, resp.CAS, 10)
		}
		dst = append(dst, "\r\n"...)
		dst = append(dst, resp.Value...)
		dst = append(dst, "\r\n"...)
	case protocol.NotFound:
	default:
		switch {
		case last:
			c.lost = protocol.Unset
			return line.AppendError(dst, resp.Status, resp.Value)
		case c.getErrors && resp.Status.FromPeer():
			c.lost = resp.Status
		}
	}
	if last {
		dst = c.appendEnd(dst)
	}
	return dst
}

// appendEnd ends the answer to a line of keys.
func (c *Codec) appendEnd(dst []byte) []byte {
	if why := c.lost; why != protocol.Unset {
		c.lost = protocol.Unset
		return line.AppendError(dst, why, nil)
	}
	return append(dst, "END\r\n"...)
}

// appendDone adds what a command says that did what it was asked for.
func appendDone(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	switch req.Op {
	case protocol.Delete:
		return append(dst, "DELETED\r\n"...)
	case protocol.Touch:
		return append(dst, "TOUCHED\r\n"...)
	case protocol.Incr, protocol.Decr:
		dst = strconv.AppendUint(dst, resp.Number, 10)
		return append(dst, "\r\n"...)
	case protocol.Noop:
		return append(dst, "END\r\n"...) // of a streamed line of keys
	case protocol.Flush, protocol.Verbosity, protocol.Drain, protocol.Forget:
		return append(dst, "OK\r\n"...)
	case protocol.Version:
		dst = append(dst, "VERSION "...)
		dst = append(dst, resp.Value...)
		return append(dst, "\r\n"...)
	case protocol.ResetStats:
		return append(dst, "RESET\r\n"...)
	case protocol.Configuration:
		return appendConfiguration(dst, req, resp)
	case protocol.Stats, protocol.Members, protocol.Moves, protocol.Owner, protocol.ClusterStatus, protocol.Explain:
		return appendReport(dst, resp.Report)
	default:
		return append(dst, "STORED\r\n"...)
	}
}

// appendReport adds a line for each, "STAT pid 42", and END.
func appendReport(dst []byte, report []protocol.ReportLine) []byte {
	for _, l := range report {
		dst = append(dst, l.Label...)
		for _, part := range [...]string{l.Name, l.Value} {
			if part != "" {
				dst = append(dst, ' ')
				dst = append(dst, part...)
			}
		}
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "END\r\n"...)
}
