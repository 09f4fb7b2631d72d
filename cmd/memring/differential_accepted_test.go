//go:build interop

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// accepted are the differences that are meant to be, each with a name that protocol/DESIGN.md gives the reason for. Those with a pattern are steered
// round: a program does not hold a line that looks so. The others are seen through where answers are read, or kept out where programs are made.
var accepted = []struct {
	name string
	only string         // the version of memcached that differs; "": all
	line *regexp.Regexp // what is not said
	but  *regexp.Regexp // save what looks so
}{
	{name: "unsent"},
	{name: "shown-key"},
	{name: "class"},
	{name: "played-again"},
	{name: "shared-unique"},
	{name: "blank-number"},
	{name: "pending-count"},
	{name: "stale-count"},
	{name: "leaked-unique"},
	{name: "gat-value"},
	{name: "unknown-body"},

	{name: "get-long-key", line: regexp.MustCompile(`^g(et|ets|at|ats) .*[^ ]{251}`)},
	{name: "long-line", line: regexp.MustCompile(`[^ ]{1000}.{1000}`)},
	{name: "delete-words", line: regexp.MustCompile(`^delete +[^ ]`), but: regexp.MustCompile(`^delete +[^ ]+( +([0-9]{1,20}|noreply))* *$`)},
	{name: "lone-sign", line: regexp.MustCompile(`^m.* [TNR]-0*( |$)|^(touch +[^ ]+|flush_all|gats?|ms +[^ ]+) +-0*( |$)|` + store + `[^ ]+ +([^ ]+ +)?-0*( |$)`)},
	{name: "plus-sign", line: regexp.MustCompile(` \+[0-9]|^m.* [TNRFCEDJ]\+`)},
	{name: "tab-number", line: regexp.MustCompile(`[\t\v\f\r][-+0-9]|[0-9][\t\v\f\r]`)},
	{name: "wide-number", line: regexp.MustCompile(`^m.* [TNR]-?[0-9]{11}|` + store + wide + ` |` + store + `[^ ]+ +-?` + wide + ` `)},
	{name: "meta-E0", line: regexp.MustCompile(`^m.* E0+( |$)`)},
	{name: "ma-TE", line: regexp.MustCompile(`^ma .* [TE]`)},
	{name: "t-before-N", line: regexp.MustCompile(`^m[ga] .* t (.* )?N`)},
	{name: "R-after-T", line: regexp.MustCompile(`^mg .* T(.* )R`)},
	{name: "N-t-T", line: regexp.MustCompile(`^mg .* N.* t (.* )?T`)},
	{name: "gone-ttl", line: regexp.MustCompile(`^m[ga] .* [TN]-.* t( |$)|^m[ga] .* t .*[TN]-`)},
	{name: "opaque-done", line: regexp.MustCompile(`^m[ga] .* O[^ ]{32}`)},
	{name: "me-base64", line: regexp.MustCompile(`^me +[^ ]+ +b *$`)},
	{name: "unique-order", line: regexp.MustCompile(`^ms .* C7.* I( |$)|^ms .* I .*C7`)},
	{name: "figures", line: regexp.MustCompile(`^stats`), but: regexp.MustCompile(`^stats (nosuch|reset)$`)},
	{name: "soon", line: regexp.MustCompile(`^m.* [TNR][1-9][0-9]?( |$)|^(touch +[^ ]+|flush_all|gats?) +[1-9][0-9]?( |$)|` + store + `[^ ]+ +[1-9][0-9]? `)},

	{name: "old-broken", only: old},
	{name: "old-flush", only: old, line: regexp.MustCompile(`^flush_all -?[1-9]`)},
	{name: "old-lines", only: old, line: regexp.MustCompile(``), but: regexp.MustCompile(`^(gets? +[^ ].*|gats? [0-9-]+ [^ ].*|` +
		`(set|add|replace|append|prepend) [^ ]{1,250} [0-9]+ [0-9-]+ [0-9]+( noreply)?|cas [^ ]{1,250} [0-9]+ [0-9-]+ [0-9]+ [0-9]+( noreply)?|` +
		`(incr|decr) [^ ]+ [0-9]+( noreply)?|delete [^ ]+( 0)?( noreply)?|touch [^ ]+ [0-9-]+( noreply)?|` +
		`version|flush_all( [0-9-]+)?( noreply)?|mn|m[gsda] [^ ]+ .*|nosuch|GET .*)$`)},
	{name: "old-options", only: old, line: regexp.MustCompile(`^m`), but: regexp.MustCompile(`^(mn|mg [^ ]+( [vcfhklstqu]| O[0-9a-z]+| [TNR][0-9]{1,8})*|` +
		`ms [^ ]+ [0-9]+( [kq]| [TF][0-9]{1,8})*|md [^ ]+( [kq])*)$`)},
}

// old is Debian's memcached, which differs in more.
const old = "1.6.18"

const (
	store = `^(?:set|add|replace|append|prepend|cas) +[^ ]+ +`                                                                               // up to the flags
	wide  = `(?:[0-9]{11,}|[5-9][0-9]{9}|4[3-9][0-9]{8}|429[5-9][0-9]{6}|42949[7-9][0-9]{4}|429496(?:729[6-9]|7[3-9][0-9]{2}|[89][0-9]{3}))` // 2^32 or more
)

// meets reports whether something said has a line that is accepted to differ.
func (g *generator) meets(said string) bool {
	first := !g.broken // what follows it in a step are data
	for line := range strings.Lines(said) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		for i := range accepted {
			a := &accepted[i]
			if a.line != nil && (a.only == "" || a.only == g.version && first) && a.line.MatchString(line) && (a.but == nil || !a.but.MatchString(line)) {
				g.met[a.name]++
				return true
			}
		}
		first = false
	}
	return false
}

// meetsPackets does so with packets.
func (g *generator) meetsPackets(said []byte) bool {
	const headBytes = 24
	for len(said) >= headBytes && said[0] == 0x80 {
		named := headBytes + int(said[4]) + int(binary.BigEndian.Uint16(said[2:]))
		whole := headBytes + int(binary.BigEndian.Uint32(said[8:]))
		name := ""
		switch verb := rune(said[1]); {
		case strings.ContainsRune("\x1c\x1d\x1e\x23\x24", verb) && whole > named:
			name = "gat-value"
		case !strings.ContainsRune(known, verb) && whole > headBytes:
			name = "unknown-body"
		}
		if name != "" {
			g.met[name]++
			return true
		}
		said = said[min(whole, len(said)):]
	}
	return false
}

// known are the verbs of packets that memcached knows. SASL's it knows without -S as well, and says that it does not.
const known = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e\x23\x24"

// A reading turns answers into what must be alike. Times are near enough; CAS uniques are put aside, in the order in which they are shown.
type reading struct {
	g       *generator
	said    string
	uniques []unique
}

// A unique is a CAS unique as shown, and of which key, as far as the answer tells.
type unique struct {
	n   uint64
	key string
}

func read(said []byte, g *generator) *reading {
	r := &reading{g: g}
	if len(said) > 0 && said[0] == 0x81 {
		r.packets(said)
		return r
	}
	for line := range bytes.Lines(said) {
		r.said += r.line(string(line))
	}
	return r
}

// renamed reports whether the uniques of one are those of the other by different names: the same item has the same, and changes it when the other
// does. Items that share theirs with another one are counted: in memring a CAS unique tells the versions of one item, no more.
func renamed(theirs, ours []unique, met map[string]int) bool {
	for i := range theirs {
		for j := range i {
			switch same := ours[i].n == ours[j].n; {
			case same == (theirs[i].n == theirs[j].n):
			case same && (ours[i].key == "" || ours[i].key != ours[j].key):
				met["shared-unique"]++
			default:
				return false
			}
		}
	}
	return true
}

var (
	valueLine = regexp.MustCompile(`^(VALUE ([^ ]+) \d+ \d+ )(\d+)(\r\n)$`)
	metaLine  = regexp.MustCompile(`^(HD|VA \d+|EN|NS|NF|EX|ME [^ ]+)( .*)?\r\n$`)
	fact      = regexp.MustCompile(`( |^)(exp=|la=|cas=|cls=|c|t|l|k)([^ \r]+)( b)?`)
)

func (r *reading) line(line string) string {
	if m := valueLine.FindStringSubmatch(line); m != nil {
		return m[1] + r.unique(m[3], m[2]) + m[4]
	}
	if m := metaLine.FindStringSubmatch(line); m != nil {
		kind, inspected, _ := strings.Cut(m[1], " ")
		if kind == "ME" {
			if inspected == r.g.base64Key() {
				r.g.met["shown-key"]++
				inspected = r.g.prefix + "z"
			}
			m[1] = "ME " + inspected
		}
		return m[1] + fact.ReplaceAllStringFunc(m[2], r.fact) + "\r\n"
	}
	if r.g.version == old && strings.HasPrefix(line, "CLIENT_ERROR ") {
		return "CLIENT_ERROR\r\n" // old-options: it has other words
	}
	if strings.HasPrefix(line, "VERSION ") {
		return "VERSION\r\n"
	}
	return line
}

// fact reads one that is shown.
func (r *reading) fact(said string) string {
	m := fact.FindStringSubmatch(said)
	before, letter, shown, after := m[1], m[2], m[3], m[4]
	switch letter {
	case "c", "cas=":
		shown = r.unique(shown, "")
	case "t", "exp=":
		shown = near(shown)
	case "l", "la=":
		if n, err := strconv.Atoi(shown); err == nil && n <= 3 {
			shown = "0"
		}
	case "cls=":
		r.g.met["class"]++
		shown = "1"
	case "k":
		if key, err := base64.StdEncoding.DecodeString(shown); err == nil && after != "" {
			r.g.met["shown-key"]++
			shown, after = string(key), ""
		}
	}
	return before + letter + shown + after
}

// unique puts a CAS unique aside, unless a program has named it.
func (r *reading) unique(shown, key string) string {
	n, err := strconv.ParseUint(shown, 10, 64)
	if err != nil || n < lowCAS || n >= 700000000000 && n < 700000000010 || n == 1<<64-1 {
		return shown
	}
	r.uniques = append(r.uniques, unique{n, key})
	return "#"
}

// near is the exptime that a TTL comes from.
func near(shown string) string {
	n, err := strconv.ParseInt(shown, 10, 64)
	if err != nil {
		return shown
	}
	for _, whole := range []int64{100, 1000, 5000, 2592000, 2000000000 - time.Now().Unix()} {
		if n > whole-5 && n <= whole+2 {
			return fmt.Sprintf("~%d", whole)
		}
	}
	return shown
}

// packets reads answers of the binary wire.
func (r *reading) packets(said []byte) {
	const headBytes, opaqueAt, casAt = 24, 12, 16
	for len(said) >= headBytes {
		whole := min(len(said), headBytes+int(binary.BigEndian.Uint32(said[8:])))
		shown := strconv.FormatUint(binary.BigEndian.Uint64(said[casAt:]), 10)
		shown = r.unique(shown, r.g.keys[binary.BigEndian.Uint32(said[opaqueAt:])])
		body := string(said[headBytes:whole])
		if said[1] == 0x0b {
			body = "version"
		}
		r.said += fmt.Sprintf("%x %s %q\n", said[:casAt], shown, body)
		said = said[whole:]
	}
	r.said += string(said)
}
