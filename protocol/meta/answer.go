package meta

import (
	"strconv"
	"strings"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// Append adds the answer to req to dst (session.Codec).
func (c *Codec) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	nominal, missing, shows := protocol.OK, "NF", ""
	switch req.Op {
	case protocol.None:
		return dst
	case protocol.Reject, protocol.Discard:
		return appendRefusal(dst, req)
	case protocol.Noop:
		return append(dst, "MN\r\n"...)
	case protocol.Get, protocol.Gat, protocol.Inspect:
		nominal, missing = protocol.NotFound, "EN"
	case protocol.Set, protocol.Add, protocol.Replace, protocol.Append, protocol.Prepend:
		shows = "cs"
	}
	if resp.Status == nominal && req.Options.Has(protocol.Quiet) {
		return dst // of every other outcome even who is quiet wants to hear
	}
	switch resp.Status {
	case protocol.OK:
		return appendDone(dst, req, resp, shows)
	case protocol.NotFound:
		dst = append(dst, missing...)
	case protocol.NotStored:
		dst = append(dst, "NS"...)
	case protocol.Exists:
		dst = append(dst, "EX"...)
	default:
		if resp.Status == protocol.OutOfMemory && shows == "" {
			return append(dst, "SERVER_ERROR out of memory\r\n"...)
		}
		return line.AppendError(dst, resp.Status, resp.Value)
	}
	dst = appendShown(dst, req, resp, shows)
	return append(dst, "\r\n"...)
}

// appendRefusal adds the error line of a request that was not run.
func appendRefusal(dst []byte, req *protocol.Request) []byte {
	if req.Reason == protocol.ClientError {
		return appendComplaint(dst, complaint(req.Verb))
	}
	return line.AppendError(dst, req.Reason, nil)
}

// appendDone adds what a command says that did what it was asked for.
func appendDone(dst []byte, req *protocol.Request, resp *protocol.Response, shows string) []byte {
	switch req.Op {
	case protocol.Get, protocol.Gat:
		return appendItem(dst, req, resp)
	case protocol.Inspect:
		return appendInspected(dst, req, resp)
	case protocol.Incr, protocol.Decr:
		return appendNumber(dst, req, resp)
	}
	dst = append(dst, "HD"...)
	dst = appendShown(dst, req, resp, shows)
	return append(dst, "\r\n"...)
}

// appendItem adds an item that was found, its value if that is wanted. With C the client wants it only if it has another one.
func appendItem(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	const shows = "cfhlst"
	if req.Options.Has(protocol.NoValue) || req.Options.Has(protocol.Compare) && req.CAS == resp.CAS {
		dst = append(dst, "HD"...)
		dst = appendShown(dst, req, resp, shows)
		dst = appendMarks(dst, resp.Marks)
		return append(dst, "\r\n"...)
	}
	dst = append(dst, "VA "...)
	dst = strconv.AppendUint(dst, uint64(len(resp.Value)), 10)
	dst = appendShown(dst, req, resp, shows)
	dst = appendMarks(dst, resp.Marks)
	dst = append(dst, "\r\n"...)
	dst = append(dst, resp.Value...)
	return append(dst, "\r\n"...)
}

// appendMarks adds what nobody asks for and everybody is told.
func appendMarks(dst []byte, marks protocol.Marks) []byte {
	if marks.Has(protocol.Leased) {
		dst = append(dst, " Z"...)
	}
	if marks.Has(protocol.Stale) {
		dst = append(dst, " X"...)
	}
	if marks.Has(protocol.Won) {
		dst = append(dst, " W"...)
	}
	return dst
}

// appendNumber adds the result of a count.
func appendNumber(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	const shows = "ct"
	if req.Options.Has(protocol.NoValue) {
		dst = append(dst, "HD"...)
		dst = appendShown(dst, req, resp, shows)
		return append(dst, "\r\n"...)
	}
	var digits [20]byte // 2^64 has no more
	number := strconv.AppendUint(digits[:0], resp.Number, 10)
	dst = append(dst, "VA "...)
	dst = strconv.AppendUint(dst, uint64(len(number)), 10)
	dst = appendShown(dst, req, resp, shows)
	dst = append(dst, "\r\n"...)
	dst = append(dst, number...)
	return append(dst, "\r\n"...)
}

// appendInspected adds all that is known of an item. Its class is 1: we have one, as in our stats.
func appendInspected(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	dst = append(dst, "ME "...)
	dst = appendKey(dst, req.Key, req.Verb)
	dst = append(dst, " exp="...)
	dst = strconv.AppendInt(dst, ttl(resp), 10)
	dst = append(dst, " la="...)
	dst = strconv.AppendInt(dst, resp.Idle, 10)
	dst = append(dst, " cas="...)
	dst = strconv.AppendUint(dst, resp.CAS, 10)
	dst = append(dst, " fetch="...)
	if resp.Marks.Has(protocol.Fetched) {
		dst = append(dst, "yes"...)
	} else {
		dst = append(dst, "no"...)
	}
	dst = append(dst, " cls=1 size="...)
	dst = strconv.AppendInt(dst, int64(protocol.ItemBytes(len(req.Key), resp.Flags, int(resp.Size))), 10)
	return append(dst, "\r\n"...)
}

// ttl is what resp says of the time left. An item that its own request has sent away has none: less would read as for ever.
func ttl(resp *protocol.Response) int64 {
	if resp.TTL < -1 {
		return 0
	}
	return resp.TTL
}

// appendShown adds what the options want to be shown, in their order: what is always (O, k), and which of shows there are.
func appendShown(dst []byte, req *protocol.Request, resp *protocol.Response, shows string) []byte {
	for word, rest := line.Word(req.Raw); len(word) > 0; word, rest = line.Word(rest) {
		letter := word[0]
		switch {
		case letter == 'O':
			dst = append(dst, ' ')
			dst = append(dst, word...)
		case letter == 'k':
			dst = append(dst, " k"...)
			if dst = appendKey(dst, req.Key, req.Verb); req.Verb == base64Key {
				dst = append(dst, " b"...)
			}
		case strings.IndexByte(shows, letter) >= 0:
			dst = append(dst, ' ', letter)
			dst = appendFact(dst, req, resp, letter)
		}
	}
	return dst
}

// appendFact adds what one letter stands for.
func appendFact(dst []byte, req *protocol.Request, resp *protocol.Response, letter byte) []byte {
	if resp.Status != protocol.OK { // of a store: no item has a CAS unique from it, and its size is that of what was sent
		resp = &protocol.Response{Size: uint32(len(req.Value))}
	}
	switch letter {
	case 'c':
		return strconv.AppendUint(dst, resp.CAS, 10)
	case 'f':
		return strconv.AppendUint(dst, uint64(resp.Flags), 10)
	case 'h':
		if resp.Marks.Has(protocol.Fetched) {
			return append(dst, '1')
		}
		return append(dst, '0')
	case 'l':
		return strconv.AppendInt(dst, resp.Idle, 10)
	case 's':
		return strconv.AppendUint(dst, uint64(resp.Size), 10)
	default: // t
		return strconv.AppendInt(dst, ttl(resp), 10)
	}
}
