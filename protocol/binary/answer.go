package binary

import (
	"encoding/binary"

	"github.com/memring/memring/protocol"
)

// Append adds the answer to req to dst (session.Codec).
func (c *Codec) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	switch {
	case req.Op == protocol.None:
		return dst
	case req.Op == protocol.Reject || req.Op == protocol.Discard:
		return appendError(dst, req, req.Reason, nil)
	case resp.Status == protocol.OK:
		return appendDone(dst, req, resp)
	case resp.Status == protocol.Challenge:
		dst = appendHead(dst, req, goOn, 0, 0, len(resp.Value), 0)
		return append(dst, resp.Value...)
	case resp.Status == protocol.NotFound && (req.Op == protocol.Get || req.Op == protocol.Gat):
		return appendMiss(dst, req)
	case resp.Status == protocol.Verbatim && string(resp.Value) == "OK":
		return appendReport(dst, req, nil) // "stat detail on"
	default:
		return appendError(dst, req, resp.Status, resp.Value)
	}
}

// appendDone adds the answer of a request that did what it was asked for. A quiet one has none, but an item that was found is always shown.
func appendDone(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	switch {
	case req.Op == protocol.Get || req.Op == protocol.Gat || req.Op == protocol.Configuration:
		return appendItem(dst, req, resp)
	case req.Options.Has(protocol.Quiet):
		return dst
	case req.Op == protocol.Incr || req.Op == protocol.Decr:
		dst = appendHead(dst, req, done, 0, 0, 8, resp.CAS)
		return binary.BigEndian.AppendUint64(dst, resp.Number)
	case req.Op == protocol.Version || req.Op == protocol.Mechanisms || req.Op == protocol.Login || req.Op == protocol.LoginStep:
		dst = appendHead(dst, req, done, 0, 0, len(resp.Value), 0)
		return append(dst, resp.Value...)
	case string(req.Key) == "detail dump" && req.Op == protocol.Stats:
		return appendDetail(dst, req, resp.Report)
	case req.Op == protocol.Stats || req.Op == protocol.ResetStats:
		return appendReport(dst, req, resp.Report)
	default:
		return appendHead(dst, req, done, 0, 0, 0, resp.CAS)
	}
}

// appendItem adds an item: its flags, its key if the verb shows it, its value.
func appendItem(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	const flagsBytes = 4
	var key []byte
	if verbs[req.Verb].shows {
		key = req.Key
	}
	dst = appendHead(dst, req, done, flagsBytes, len(key), flagsBytes+len(key)+len(resp.Value), resp.CAS)
	dst = binary.BigEndian.AppendUint32(dst, resp.Flags)
	dst = append(dst, key...)
	return append(dst, resp.Value...)
}

// appendMiss adds the answer for an item that is not there. A verb that shows the key shows it instead of an error text, so that a client
// may tell by it which of its requests has missed.
func appendMiss(dst []byte, req *protocol.Request) []byte {
	switch {
	case req.Options.Has(protocol.Quiet):
		return dst
	case verbs[req.Verb].shows:
		dst = appendHead(dst, req, notFound, 0, len(req.Key), len(req.Key), 0)
		return append(dst, req.Key...)
	default:
		return appendError(dst, req, protocol.NotFound, nil)
	}
}

// maxNameBytes is the longest key that a packet can hold.
const maxNameBytes = 1<<16 - 1

// appendReport adds a packet for each line, and an empty one. A packet without a key is the end to a client, so a line without a name goes
// by its label.
func appendReport(dst []byte, req *protocol.Request, report []protocol.ReportLine) []byte {
	for i := range report {
		l := &report[i]
		name := l.Name
		if name == "" {
			name = l.Label
		}
		if name == "" || len(name) > maxNameBytes {
			continue
		}
		dst = appendHead(dst, req, done, 0, len(name), len(name)+len(l.Value), 0)
		dst = append(dst, name...)
		dst = append(dst, l.Value...)
	}
	return appendHead(dst, req, done, 0, 0, 0, 0)
}

// appendDetail adds a report in one packet, as it looks on the text wire, and an empty one: so memcached has it for "stat detail dump".
func appendDetail(dst []byte, req *protocol.Request, report []protocol.ReportLine) []byte {
	const name = "detailed"
	at := len(dst)
	dst = appendHead(dst, req, done, 0, len(name), 0, 0)
	dst = append(dst, name...)
	for i := range report {
		l := &report[i]
		dst = append(dst, l.Label...)
		dst = append(dst, ' ')
		dst = append(dst, l.Name...)
		dst = append(dst, ' ')
		dst = append(dst, l.Value...)
		dst = append(dst, "\r\n"...)
	}
	dst = append(dst, "END\r\n"...)
	binary.BigEndian.PutUint32(dst[at+bodyAt:], uint32(len(dst)-at-headBytes))
	return appendHead(dst, req, done, 0, 0, 0, 0)
}

// appendError adds an error with its text, which is message for a ClientError or ServerError. No verb is so quiet that it hides one.
func appendError(dst []byte, req *protocol.Request, status protocol.Status, message []byte) []byte {
	code, text := failure(req.Op, status)
	if text != "" {
		message = nil
	}
	dst = appendHead(dst, req, code, 0, 0, len(text)+len(message), 0)
	dst = append(dst, text...)
	return append(dst, message...)
}

// The statuses of an answer (protocol-binary.txt, "Response Status"; noAccess and the last three are of its later revisions).
const (
	done           uint16 = 0x0000
	notFound       uint16 = 0x0001
	exists         uint16 = 0x0002
	tooLarge       uint16 = 0x0003
	badArguments   uint16 = 0x0004
	notStored      uint16 = 0x0005
	nonNumeric     uint16 = 0x0006
	notAllowed     uint16 = 0x0020
	goOn           uint16 = 0x0021
	noAccess       uint16 = 0x0024
	unknownCommand uint16 = 0x0081
	outOfMemory    uint16 = 0x0082
	internalError  uint16 = 0x0084
	busy           uint16 = 0x0085
	cannotNow      uint16 = 0x0086
)

// failure gives the status and text of an error, in the words of memcached where it has them; no text for those that bring their own.
//
// memcached never fails between members. Of the statuses there are for it, spymemcached takes "busy" and "temporary failure" for an operation
// that has failed, but "internal error" for a reason to drop the connection with all that is under way on it; libmemcached drops it on every
// status but the outcomes below.
func failure(op protocol.Op, status protocol.Status) (code uint16, text string) {
	switch status {
	case protocol.NotFound:
		return notFound, "Not found"
	case protocol.Exists:
		return exists, "Data exists for key."
	case protocol.NotStored:
		switch op {
		case protocol.Add:
			return exists, "Data exists for key."
		case protocol.Replace:
			return notFound, "Not found"
		}
		return notStored, "Not stored."
	case protocol.TooLarge:
		return tooLarge, "Too large."
	case protocol.BadFormat, protocol.BadChunk, protocol.BadExptime, protocol.BadDelta:
		return badArguments, "Invalid arguments"
	case protocol.NonNumeric:
		return nonNumeric, "Non-numeric server-side value for incr or decr"
	case protocol.NotAllowed:
		return notAllowed, "Auth failure."
	case protocol.Denied:
		return noAccess, "Permission denied" // by an incr that is answered notAllowed libmemcached is killed, by an assertion of its own
	case protocol.UnknownCommand:
		if op == protocol.Stats {
			return notFound, "Not found" // the group
		}
		return unknownCommand, "Unknown command"
	case protocol.Verbatim:
		return notFound, "Not found" // what was said of a group is not understood, or not allowed
	case protocol.OutOfMemory:
		if op == protocol.Incr || op == protocol.Decr {
			return outOfMemory, "Out of memory incrementing value"
		}
		return outOfMemory, "Out of memory allocating item"
	case protocol.PeerTimeout:
		return cannotNow, "peer timeout"
	case protocol.PeerLost:
		return cannotNow, "peer unreachable"
	case protocol.PeerOverloaded:
		return busy, "peer overloaded"
	case protocol.PeerMoved:
		return cannotNow, "partition is moving"
	case protocol.ClientError:
		return badArguments, ""
	case protocol.ServerError:
		return cannotNow, ""
	default:
		return internalError, "no answer" // a handler's mistake, but the client keeps its place
	}
}

// appendHead adds the head of the answer to req. Lengths are in bytes; body is all of them.
func appendHead(dst []byte, req *protocol.Request, status uint16, extras, key, body int, cas uint64) []byte {
	dst = append(dst, answerMagic, req.Verb)
	dst = binary.BigEndian.AppendUint16(dst, uint16(key))
	dst = append(dst, uint8(extras), 0)
	dst = binary.BigEndian.AppendUint16(dst, status)
	dst = binary.BigEndian.AppendUint32(dst, uint32(body))
	dst = binary.BigEndian.AppendUint32(dst, req.Opaque)
	return binary.BigEndian.AppendUint64(dst, cas)
}
