package text

import (
	"bytes"
	"math"

	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// parseCommand reads text, a whole line that takes used bytes of buf. The commands stand in the order of their frequency.
func (c *Codec) parseCommand(buf, text []byte, used int, req *protocol.Request) int {
	name, rest := verbOf(text)
	if c.op, c.verb = fetchOf(name); c.op != protocol.None {
		return c.beginKeys(buf, text, rest, used, req)
	}
	switch string(name) {
	case "set":
		return c.parseStore(buf, rest, used, req, protocol.Set)
	case "delete":
		parseDelete(rest, req)
	case "incr":
		parseDelta(rest, req, protocol.Incr)
	case "decr":
		parseDelta(rest, req, protocol.Decr)
	case "add":
		return c.parseStore(buf, rest, used, req, protocol.Add)
	case "cas":
		req.Options |= protocol.Compare
		return c.parseStore(buf, rest, used, req, protocol.Set)
	case "touch":
		parseTouch(rest, req)
	case "replace":
		return c.parseStore(buf, rest, used, req, protocol.Replace)
	case "append":
		return c.parseStore(buf, rest, used, req, protocol.Append)
	case "prepend":
		return c.parseStore(buf, rest, used, req, protocol.Prepend)
	case "install":
		return c.parseInstall(buf, rest, used, req)
	case "export":
		return c.parseExport(buf, rest, used, req)
	default:
		parseRare(text, name, rest, req)
	}
	return used
}

// parseStore reads "KEY FLAGS EXPTIME LENGTH [CAS] [noreply]" and the data block.
//
// Without a length there is no block to be skipped; what follows is read as a line. After it, whatever is wrong, the block is swallowed.
func (c *Codec) parseStore(buf, rest []byte, used int, req *protocol.Request, op protocol.Op) int {
	key, rest := line.Word(rest)
	flagsWord, rest := line.Word(rest)
	exptimeWord, rest := line.Word(rest)
	lengthWord, rest := line.Word(rest)
	n, ok := line.Uint(lengthWord, line.MaxBlockBytes)
	if !ok {
		reject(req, protocol.BadFormat)
		return used
	}
	length := int(n)
	if noreply(rest) {
		req.Options |= protocol.Quiet
	}
	flags, flagsOK := line.Uint(flagsWord, math.MaxUint32)
	exptime, exptimeOK := storeExptime(exptimeWord)
	casOK := true
	if req.Options.Has(protocol.Compare) {
		casWord, _ := line.Word(rest)
		req.CAS, casOK = line.Uint(casWord, math.MaxUint64)
	}
	switch {
	case len(key) > protocol.MaxKeyBytes || !flagsOK || !exptimeOK || !casOK:
		return c.refuse(req, protocol.BadFormat, used, length)
	case protocol.ItemBytes(len(key), uint32(flags), length) > c.maxItemBytes:
		used = c.refuse(req, protocol.TooLarge, used, length)
		if op == protocol.Set && !req.Options.Has(protocol.Compare) {
			// The client has said that the old value is out of date: only of this command memcached takes it at its word.
			req.Op, req.Key = protocol.Discard, key
		}
		return used
	}
	whole, data := c.block(buf, used, length, req)
	if data == nil {
		return whole
	}
	req.Op, req.Key, req.Flags, req.Exptime, req.Value = op, key, uint32(flags), exptime, data
	return whole
}

// refuse rejects a store whose data block has not been read and is not wanted.
func (c *Codec) refuse(req *protocol.Request, reason protocol.Status, used, length int) int {
	c.place, c.left = inRefused, length+line.BlockEnd
	reject(req, reason)
	return used
}

// storeExptime reads the exptime of a store, which memcached cuts to 32 bits: 2^31 and above are in the past. (gat and touch refuse them.)
func storeExptime(word []byte) (exptime int64, ok bool) {
	exptime, ok = line.Int(word, math.MaxUint32)
	return int64(int32(exptime)), ok && exptime >= math.MinInt32
}

// parseDelete reads "KEY [number...] [noreply]". Old clients send a time, which is ignored. 1.6.45 ignores other words too; the versions before it
// refuse them, and so does memccapable ask: a mistyped delete that answers DELETED helps nobody.
func parseDelete(words []byte, req *protocol.Request) {
	key, rest := line.Word(words)
	for word, rest := line.Word(rest); len(word) > 0; word, rest = line.Word(rest) {
		if _, number := line.Uint(word, math.MaxUint64); !number && string(word) != "noreply" {
			reject(req, protocol.BadFormat)
			return
		}
	}
	keyed(req, protocol.Delete, key, words)
}

// parseDelta reads "KEY DELTA [noreply]".
func parseDelta(words []byte, req *protocol.Request, op protocol.Op) {
	key, rest := line.Word(words)
	delta, _ := line.Word(rest)
	if len(delta) == 0 {
		reject(req, protocol.BadFormat)
		return
	}
	if keyed(req, op, key, words) {
		var ok bool
		if req.Delta, ok = line.Uint(delta, math.MaxUint64); !ok {
			reject(req, protocol.BadDelta)
		}
	}
}

// parseTouch reads "KEY EXPTIME [noreply]".
func parseTouch(words []byte, req *protocol.Request) {
	key, rest := line.Word(words)
	exptime, _ := line.Word(rest)
	if len(exptime) == 0 {
		reject(req, protocol.BadFormat)
		return
	}
	if keyed(req, protocol.Touch, key, words) {
		var ok bool
		if req.Exptime, ok = line.Int(exptime, math.MaxInt32); !ok {
			reject(req, protocol.BadExptime)
		}
	}
}

// keyed makes req an op on key, or rejects it for its key. words are all that followed the verb: the last of them, even the key, may be
// noreply. That is not looked for while words are missing: the error then shows.
func keyed(req *protocol.Request, op protocol.Op, key, words []byte) bool {
	if len(key) == 0 {
		reject(req, protocol.BadFormat)
		return false
	}
	if noreply(words) {
		req.Options |= protocol.Quiet
	}
	if len(key) > protocol.MaxKeyBytes {
		reject(req, protocol.BadFormat)
		return false
	}
	req.Op, req.Key = op, key
	return true
}

// noreply reports whether the last of words says so. It also hides the errors of what is found wrong later: memcached 1.6.45 keeps it so,
// and a client that asked for no answer would take an error for the answer to its next command.
func noreply(words []byte) bool { return string(line.LastWord(words)) == "noreply" }

// parseRare reads the commands that concern no item, and those nobody knows.
func parseRare(text, name, words []byte, req *protocol.Request) {
	first, more := line.Word(words)
	switch string(name) {
	case "version":
		req.Op = protocol.Version
	case "quit":
		req.Op = protocol.Quit
	case "stats":
		parseStats(words, first, req)
	case "cluster":
		parseCluster(first, more, req)
	case "explain":
		parseAbout(words, req, protocol.Explain)
	case "flush_all":
		parseFlush(words, first, more, req)
	case "verbosity":
		parseVerbosity(words, first, req)
	case "config":
		parseConfiguration(first, more, req)
	case "cache_memlimit", "debugtime", "lru", "lru_crawler", "refresh_certs", "shutdown", "slabs", "watch":
		parseOperate(name, words, req)
	default:
		parseUnknown(text, req)
	}
}

// parseFlush reads "[EXPTIME] [noreply]"; what is past is now.
func parseFlush(words, first, more []byte, req *protocol.Request) {
	if noreply(words) {
		req.Options |= protocol.Quiet
		if len(line.TrimBlanks(more)) == 0 {
			first = nil // it is the noreply
		}
	}
	exptime, ok := line.Int(first, math.MaxInt32)
	if !ok && len(first) > 0 {
		reject(req, protocol.BadExptime)
		return
	}
	req.Op, req.Exptime = protocol.Flush, max(exptime, 0)
}

// maxVerbosity is memcached's: more is no more talkative.
const maxVerbosity = 2

// parseVerbosity reads "LEVEL [noreply]".
func parseVerbosity(words, first []byte, req *protocol.Request) {
	if noreply(words) {
		req.Options |= protocol.Quiet
	}
	level, ok := line.Uint(first, math.MaxUint32)
	if !ok {
		reject(req, protocol.BadFormat)
		return
	}
	req.Op, req.Delta = protocol.Verbosity, min(level, maxVerbosity)
}

// parseUnknown hangs up on those who speak HTTP, without a word: a browser made to post here must learn nothing, and do nothing.
func parseUnknown(text []byte, req *protocol.Request) {
	_, rest := line.Word(text)
	last := line.LastWord(rest)
	if bytes.HasPrefix(last, []byte("HTTP/")) {
		req.Options |= protocol.Hangup
		return
	}
	if noreply(text) {
		req.Options |= protocol.Quiet
	}
	reject(req, protocol.UnknownCommand)
}
