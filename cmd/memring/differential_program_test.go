//go:build interop

package main

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

// A generator makes the program of one sequence. All it does follows from rng.
type generator struct {
	rng     *rand.Rand
	prefix  string // of all keys: what another sequence left is not met
	version string
	met     map[string]int

	blocks   []string          // of the line under way: the data that follows it
	keys     map[uint32]string // of the packets, by their opaque
	steps    int
	broken   bool  // mutated: it may contradict itself
	counting bool  // it may count; otherwise it may mark items stale (accepted: stale-count)
	waits    []int // before these bytes all that was asked is waited for
}

// lowCAS is a CAS unique that no item has, and below those that items have by themselves; those of grammar's "unique" are given by E alone.
const lowCAS = 2000

// grammar is how the lines of a program are made: a word in braces is replaced by one of its forms. In a form {block} is a length, and after the
// line come the data. A form that stands twice is chosen twice as often.
var grammar = map[string][]string{
	"line": {"{text}", "{text}", "{text}", "{text}", "{meta}", "{meta}", "{meta}", "{meta}", "{meta}", "{operate}"},
	"text": {
		"get {keys}", "get {keys}", "gets {keys}", "gat {exptime} {keys}", "gats {exptime} {keys}",
		"set {key} {flags} {exptime} {block}{noreply}", "set {key} {flags} {exptime} {block}{noreply}", "{store} {key} {flags} {exptime} {block}{noreply}",
		"cas {key} {flags} {exptime} {block} {cas}{noreply}",
		"{count} {key} {delta}{noreply}", "{count} {key} {delta}{noreply}",
		"touch {key} {exptime}{noreply}", "delete {key}{noreply}", "delete {key} {number}{noreply}",
	},
	"store": {"add", "replace", "append", "prepend"},
	"count": {"incr", "decr"},
	"operate": {
		"version", "verbosity 0{noreply}", "mn", "{flush}", "{flush}", "stats nosuch", "nosuch", "nosuch{noreply}", "GET {key}", "get", "gets ", "gat", "gat 0", "gat x {key}",
		"set {key}", "set {key} 0 0", "set {key} 0 0 x", "set {key} 0 0 -1", "add {key} x {exptime} {block}", "set {key} 0 x {block}", "cas {key} 0 0 {block}",
		"cas {key} 0 0 {block} x", "set {key} 0 0 {block} more words", "set {key} 0 0 {block} noreply noreply", "set {long} 0 0 {block}{noreply}",
		"incr {key}", "incr {key} x", "incr {key} -1", "decr {key} 18446744073709551616{noreply}", "incr {long} 1", "touch {key}", "touch {key} x{noreply}", "touch {long} 0",
		"delete", "delete {long}{noreply}", "verbosity", "verbosity x", "flush_all x{noreply}", "", " ", "x", "xy", "{key}", "mq", "mgx {key}", "mg", "mg ", "ms {key}", "ms {key} x", "ma", "md", "me",
		" get {key}", "get\t{key}", "quit now{noreply}x", "stats reset", "cache_memlimit x", "shutdown", "slabs", "slabs automove x", "lru_crawler", "lru", "debugitem", "extstore",
		"ms {key} {block} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option} {option}",
	},
	"flush": {"flush_all{noreply}", "flush_all 0{noreply}", "flush_all 5000{noreply}", "flush_all -1{noreply}", "flush_all 2000000000{noreply}"},
	"meta": {
		"mg {address}{getting}", "mg {address}{getting}", "mg {address}{getting}", "ms {key} {block}{setting}", "ms {key} {block}{setting}", "ms {base64} {block} b{setting}",
		"md {address}{deleting}", "ma {address}{counting}", "ma {address}{counting}", "me {key}", "me {base64} b x",
	},
	"address":  {"{key}", "{key}", "{key}", "{base64} b"},
	"getting":  {"", " {g}", " {g} {g}", " {g} {g} {g}", " {g} {g} {g} {g}", " {g} {g} {g} {g} {g} {g}"},
	"setting":  {"", " {s}", " {s} {s}", " {s} {s} {s}", " {s} {s} {s} {s}"},
	"deleting": {"", " {d}", " {d} {d}", " {d} {d} {d}", " {d} {d} {d} {d}"},
	"counting": {"", " {a}", " {a} {a}", " {a} {a} {a}", " {a} {a} {a} {a}"},
	"g":        {"v", "v", "c", "f", "h", "k", "l", "s", "t", "q", "u", "O{opaque}", "T{exptime}", "N{exptime}", "R{left}", "C{cas}", "E{unique}", "{odd}"},
	"s":        {"T{exptime}", "F{flags}", "M{mode}", "M{mode}", "C{cas}", "E{unique}", "I", "c", "k", "s", "q", "O{opaque}", "N{exptime}", "{odd}"},
	"d":        {"q", "k", "C{cas}", "E{unique}", "I", "I", "x", "T{exptime}", "O{opaque}", "{odd}"},
	"a":        {"v", "t", "c", "k", "q", "D{delta}", "J{delta}", "N{exptime}", "N{exptime}", "T{exptime}", "M{turn}", "C{cas}", "E{unique}", "O{opaque}", "{odd}"},
	"odd": {
		"v", "b", "I", "x", "L1", "Pq", "S1", "z", "9", "-", "M", "Mq", "T", "Tx", "Nx", "Rx", "Cx", "C-1", "Ex", "Fx", "F4294967296", "Dx", "D-1", "Jx", "J",
		"T2147483648", "C18446744073709551616", "O{opaque}{opaque}{opaque}{opaque}", "T-1", "{option}", "{option}",
	},
	"option": {"v", "c", "f", "h", "k", "l", "s", "t", "q", "u", "x", "I", "O1", "C5", "F5", "D5", "J5", "ME", "MI"},
	"left":   {"0", "-1", "100", "3000", "100000"},
	"mode":   {"E", "A", "P", "R", "S", "Append"},
	"turn":   {"I", "D", "+", "-", "Incr"},
	"opaque": {"", "1", "abc", "0123456789"},

	"keys":    {"{key}", "{key}", "{key} {key}", "{key} {key} {key} {key}", " {key}  {key} "},
	"key":     {"{prefix}a", "{prefix}a", "{prefix}b", "{prefix}n", "{prefix}n", "{prefix}z", "{wide}"},
	"noreply": {"", "", "", "", "", " noreply", " noreply "},
	"flags":   {"0", "0", "5", "4294967295", "007"},
	"exptime": {"0", "0", "0", "0", "1000", "5000", "100", "-1", "2000000000", "2592000"},
	"delta":   {"0", "1", "1", "7", "100", "18446744073709551615", "007"},
	"number":  {"0", "1", "5 5"},
	"cas":     {"{unique}", "{unique}", "0", "1999", "18446744073709551615"},
	"unique":  {"700000000001", "700000000002", "700000000003"},
}

// data are the blocks that follow a line.
var data = []string{
	"", "1", "5", "9", "99", "100", "18446744073709551615", "18446744073709551616", "abc", "12 ", " 12", "1x", "a\r\nb", "get a\r\n", "\x00\xff",
	"0123456789012345678901234567890123456789012345678901234567890123456789",
}

// program makes a program, all of it.
func (g *generator) program() []byte {
	for {
		g.steps, g.waits = 0, nil
		g.broken, g.counting = g.rng.IntN(4) == 0, g.rng.IntN(2) == 0
		if g.broken && g.version == old {
			g.broken = false
			g.met["old-broken"]++
		}
		said := g.lines
		if g.rng.IntN(3) == 0 {
			said = g.packets
		}
		program := said()
		if g.broken && len(program) > 0 {
			program = g.mutate(program)
		}
		switch {
		case len(program) == 0 || len(g.waits) > 0 && g.waits[len(g.waits)-1] == len(program):
		case program[0] == 0x80 && g.meetsPackets(program) || program[0] != 0x80 && g.meets(string(program)):
		default:
			return program
		}
	}
}

// lines makes a program on the wires of lines.
func (g *generator) lines() []byte {
	var b []byte
	for range 1 + g.rng.IntN(16) {
		for {
			g.blocks = g.blocks[:0]
			end := "\r\n"
			if g.rng.IntN(12) == 0 && g.version != old {
				end = "\n"
			}
			step := g.expand("{line}") + end
			for _, block := range g.blocks {
				step += block + "\r\n"
			}
			if g.meets(step) || !g.allowed(step) {
				continue
			}
			if !g.broken && countLine.MatchString(step) {
				b = g.wait(append(b, "mn\r\n"...))
			}
			b = append(b, step...)
			break
		}
		g.steps++
	}
	if g.rng.IntN(2) == 0 {
		b = append(b, "quit\r\n"...)
	}
	return b
}

var (
	countLine = regexp.MustCompile(`^(incr|decr|ma) `)
	readLine  = regexp.MustCompile(`^(get|gets|gat|gats|mg) `)
	namedLine = regexp.MustCompile(`^ms .* E`)
	staleLine = regexp.MustCompile(`^m[ds] .* I[ \r\n]`)
)

// allowed reports whether a line may stand in this program. What memcached makes of a count depends on whether an answer with the item is still to
// be sent (accepted: pending-count): so all is waited for before one, or where a broken program might wait for ever, no item is read.
func (g *generator) allowed(step string) bool {
	if g.broken && namedLine.MatchString(step) {
		g.met["leaked-unique"]++
		return false
	}
	if g.counting && staleLine.MatchString(step) || !g.counting && countLine.MatchString(step) {
		g.met["stale-count"]++
		return false
	}
	return !g.counting || !g.broken || !readLine.MatchString(step)
}

func (g *generator) wait(b []byte) []byte {
	g.met["pending-count"]++
	g.waits = append(g.waits, len(b))
	return b
}

// expand replaces the words in braces.
func (g *generator) expand(form string) string {
	before, rest, found := strings.Cut(form, "{")
	if !found {
		return form
	}
	word, after, _ := strings.Cut(rest, "}")
	var by string
	switch word {
	case "prefix":
		by = g.prefix
	case "base64":
		by = g.base64Key()
	case "wide":
		by = g.prefix + strings.Repeat("w", 250-len(g.prefix))
	case "long":
		by = g.prefix + strings.Repeat("w", 251-len(g.prefix))
	case "block":
		block := g.block()
		g.blocks = append(g.blocks, block)
		length := len(block)
		if g.broken && g.rng.IntN(8) == 0 {
			length = max(0, length+g.rng.IntN(7)-3)
		}
		by = strconv.Itoa(length)
	default:
		by = g.expand(g.pick(grammar[word]))
	}
	return before + by + g.expand(after)
}

// base64Key is the key PREFIXz as it is said in base64.
func (g *generator) base64Key() string {
	return base64.StdEncoding.EncodeToString([]byte(g.prefix + "z"))
}

func (g *generator) pick(from []string) string { return from[g.rng.IntN(len(from))] }

// block is a block of data, a large one now and then.
func (g *generator) block() string {
	if !g.broken && g.rng.IntN(40) == 0 {
		return strings.Repeat("0123456789", g.rng.IntN(1200))
	}
	return g.pick(data)
}

// forms are the packets of a program. What a form has stands for one of these: k a key, v a value; f flags, t an exptime, d a delta, each of its
// length, in the order of the extras.
var forms = []struct{ verbs, has string }{
	{"\x00\x09\x0c\x0d", "k"},
	{"\x00\x0c", "k"},
	{"\x01\x11", "ftkv"},
	{"\x01\x02\x03\x11\x12\x13", "ftkv"},
	{"\x0e\x0f\x19\x1a", "kv"},
	{"\x04\x14", "k"},
	{"\x05\x06\x15\x16", "ddtk"},
	{"\x1c\x1d\x1e\x23\x24", "tk"},
	{"\x08\x18", ""},
	{"\x08\x18", "t"},
	{"\x0a\x0b", ""},
	{"\x20\x30\x3b\x40\xfe", ""}, // nobody's, without -S
	{"\x1b\x21\x22", ""},         // nor these; some without a key end the conversation
}

// packets makes a program on the binary wire.
func (g *generator) packets() []byte {
	g.keys = map[uint32]string{}
	var b []byte
	for range 1 + g.rng.IntN(16) {
		form := forms[g.rng.IntN(len(forms))]
		switch counts, reads := form.has == "ddtk", form.verbs[0] == 0 || form.verbs[0] == 0x1c; {
		case form.verbs[0] == 0x1b && !g.broken || counts && !g.counting || reads && g.counting && g.broken:
			continue
		case form.verbs[0] == 0x08 && form.has == "t" && g.version == old:
			g.met["old-flush"]++
			continue
		case counts && !g.broken:
			b = g.wait(g.packet(b, 0x0a, ""))
		}
		b = g.packet(b, form.verbs[g.rng.IntN(len(form.verbs))], form.has)
		g.steps++
	}
	if g.rng.IntN(2) == 0 {
		b = g.packet(b, "\x07\x17"[g.rng.IntN(2)], "")
	}
	return b
}

// packet adds one. Its lengths are right, but for those that are not.
func (g *generator) packet(b []byte, verb byte, has string) []byte {
	var extras, key, value []byte
	for _, part := range has {
		switch part {
		case 'f':
			extras = binary.BigEndian.AppendUint32(extras, pickOf(g, []uint32{0, 0, 5, 0xffffffff}))
		case 't':
			extras = binary.BigEndian.AppendUint32(extras, pickOf(g, []uint32{0, 0, 0, 1000, 5000, 2592000, 2000000000, 0xffffffff}))
		case 'd':
			extras = binary.BigEndian.AppendUint64(extras, pickOf(g, []uint64{0, 1, 7, 100, 1<<64 - 1}))
		case 'k':
			key = []byte(g.expand("{key}"))
		case 'v':
			value = []byte(g.block())
		}
	}
	body := len(extras) + len(key) + len(value)
	if g.broken && g.rng.IntN(10) == 0 {
		switch g.rng.IntN(4) {
		case 0:
			extras = append(extras, 0, 0, 0, 0)
		case 1:
			key = nil
		case 2:
			key = []byte(g.expand("{long}"))
		case 3:
			body += g.rng.IntN(60) - 30
		}
	}
	var cas uint64
	if g.rng.IntN(8) == 0 {
		cas = pickOf(g, []uint64{1, 1999, 1<<64 - 1})
	}
	b = append(b, 0x80, verb)
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, byte(len(extras)), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(body))
	opaque := g.rng.Uint32()
	g.keys[opaque] = string(key)
	b = binary.BigEndian.AppendUint32(b, opaque)
	b = binary.BigEndian.AppendUint64(b, cas)
	return append(append(append(b, extras...), key...), value...)
}

func pickOf[T any](g *generator, from []T) T { return from[g.rng.IntN(len(from))] }

// mutate changes, adds and takes some bytes, or what comes after one. The first byte of packets stays: it chooses the wire.
func (g *generator) mutate(program []byte) []byte {
	const likely = "0123456789 \r\n\tabgkmqvTNCM-+"
	start := 0
	if program[0] == 0x80 {
		start = 1
	}
	for range g.rng.IntN(4) {
		if len(program) <= start+1 {
			break
		}
		at := start + g.rng.IntN(len(program)-start)
		c := likely[g.rng.IntN(len(likely))]
		if g.rng.IntN(4) == 0 {
			c = byte(g.rng.Uint32())
		}
		end := min(len(program), at+1+g.rng.IntN(12))
		switch g.rng.IntN(6) {
		case 0, 1:
			program[at] = c
		case 2:
			program = append(program[:at:at], append([]byte{c}, program[at:]...)...)
		case 3:
			program = append(program[:at:at], program[end:]...)
		case 4:
			program = append(program[:end:end], program[at:]...)
		case 5:
			program = program[:end]
		}
	}
	return program
}

// cut cuts a program into pieces, as many as are known to be answered before the next is said.
func (g *generator) cut(program []byte) (parts [][][]byte) {
	from := 0
	for _, to := range append(g.waits, len(program)) {
		parts = append(parts, g.pieces(program[from:to]))
		from = to
	}
	return parts
}

// pieces are none, some, or every byte.
func (g *generator) pieces(program []byte) (pieces [][]byte) {
	cuts := []int{0, 1, 3, 8, 1000}[g.rng.IntN(5)]
	for len(program) > 1 && cuts > 0 {
		at := 1 + g.rng.IntN(len(program)-1)
		if cuts == 1000 {
			if len(program) > 150 {
				at = min(at, 10)
			} else {
				at = 1
			}
		} else {
			cuts--
		}
		pieces, program = append(pieces, program[:at]), program[at:]
	}
	return append(pieces, program)
}
