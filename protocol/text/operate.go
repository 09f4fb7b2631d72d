package text

import (
	"strconv"
	"strings"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// What operators ask is passed on in their own words: the node knows what they mean, and nothing of it is on the path of a request.

// parseStats reads "[GROUP ...]". A name that no key could bear is no group's either.
func parseStats(words, group []byte, req *protocol.Request) {
	words = line.TrimBlanks(words)
	switch {
	case len(group) > 0 && strings.HasPrefix("reset", string(group)): // memcached asks for no more than the beginning
		req.Op = protocol.ResetStats
	case len(words) > protocol.MaxKeyBytes:
		reject(req, protocol.UnknownCommand)
	default:
		req.Op, req.Key = protocol.Stats, words
	}
}

// parseOperate passes on a command that concerns the node alone.
func parseOperate(name, words []byte, req *protocol.Request) {
	if noreply(words) {
		req.Options |= protocol.Quiet
	}
	req.Op, req.Key, req.Value = protocol.Operate, name, words
}

// parseConfiguration reads "get NAME": how clients of Amazon's ElastiCache find the nodes (auto discovery).
func parseConfiguration(what, rest []byte, req *protocol.Request) {
	name, _ := line.Word(rest)
	if string(what) != "get" || len(name) == 0 || len(name) > protocol.MaxKeyBytes {
		reject(req, protocol.UnknownCommand)
		return
	}
	req.Op, req.Key = protocol.Configuration, name
}

// parseCluster reads "members", "moves", "status", "owner KEY", "drain MEMBER" and "forget MEMBER": ours, for whoever asks with telnet.
func parseCluster(what, rest []byte, req *protocol.Request) {
	switch string(what) {
	case "members":
		req.Op = protocol.Members
	case "moves":
		req.Op = protocol.Moves
	case "status":
		req.Op = protocol.ClusterStatus
	case "owner":
		parseAbout(rest, req, protocol.Owner)
	case "drain":
		parseAbout(rest, req, protocol.Drain)
	case "forget":
		parseAbout(rest, req, protocol.Forget)
	case "":
		reject(req, protocol.BadFormat)
	default:
		reject(req, protocol.UnknownCommand)
	}
}

// parseAbout reads the one word that an op is about: a key, or a member.
func parseAbout(words []byte, req *protocol.Request, op protocol.Op) {
	word, _ := line.Word(words)
	if len(word) == 0 || len(word) > protocol.MaxKeyBytes {
		reject(req, protocol.BadFormat)
		return
	}
	req.Op, req.Key = op, word
}

// appendConfiguration adds "CONFIG NAME FLAGS LENGTH", what it says, and END. Clients read LENGTH bytes and look for the end behind.
func appendConfiguration(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	dst = append(dst, "CONFIG "...)
	dst = append(dst, req.Key...)
	dst = append(dst, " 0 "...)
	dst = strconv.AppendInt(dst, int64(len(resp.Value)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, resp.Value...)
	return append(dst, "\r\nEND\r\n"...)
}

// appendVerbatim adds a line as the node has it; nothing if it has nothing to say.
func appendVerbatim(dst, said []byte) []byte {
	if len(said) == 0 {
		return dst
	}
	dst = append(dst, said...)
	return append(dst, "\r\n"...)
}
