package session_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/memring/memring/protocol"
	packets "github.com/memring/memring/protocol/binary"
	"github.com/memring/memring/protocol/login"
	"github.com/memring/memring/protocol/meta"
	"github.com/memring/memring/protocol/session"
	"github.com/memring/memring/protocol/text"
)

// pencil is the password "pencil", as RFC 7677 has it hashed.
const pencil = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

// Who is tried: r, w and a are read, write and admin, p the prefix own:, and all is one whom nothing limits.
func limitedUsers() map[string]string {
	return map[string]string{"r": "rights=read", "w": "rights=write", "rw": "rights=read,write", "a": "rights=admin", "rwp": "prefix=own:", "rp": "rights=read prefix=own: prefix=mine:", "all": ""}
}

func limited(t testing.TB) *login.Users {
	t.Helper()
	users, err := login.New(login.Config{Mechanisms: []string{login.Plain}})
	if err != nil {
		t.Fatal(err)
	}
	file := ""
	for name, words := range limitedUsers() {
		file += name + ":" + pencil + " " + words + "\n"
	}
	if err := users.Load([]byte(file)); err != nil {
		t.Fatal(err)
	}
	return users
}

// rooted are users of whom one is all, whose password can be compared quickly.
func rooted(t testing.TB) *login.Users {
	t.Helper()
	users, err := login.New(login.Config{Mechanisms: []string{login.Plain}})
	if err == nil {
		err = users.Load([]byte("all:pencil"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// smallGated is a gated conversation in which a value of 2000 bytes is too large.
func smallGated(users *login.Users, h protocol.Handler) (*session.Session, *session.Gate) {
	const itemBytes = 1000
	g := session.NewGate(users, h, session.NewWires(text.New(text.Config{MaxItemBytes: itemBytes}), meta.New(meta.Config{MaxItemBytes: itemBytes}), meta.Speaks,
		packets.New(packets.Config{MaxItemBytes: itemBytes, Login: true})))
	return session.New(g, g, 1), g
}

// needs is what this test wants of each op, apart from what the table of ops says: the letters of the rights; "p" where a prefix counts; "members" if no
// client may ask it; "" if every user may.
func needs() map[string]string {
	all := map[string]string{
		"none": "", "reject": "", "noop": "", "quit": "", "version": "", "login mechanisms": "", "login": "", "login step": "",
		"get": "rp", "inspect": "rp", "gat": "rwp", "incr": "rwp", "decr": "rwp",
		"discard": "wp", "touch": "wp", "set": "wp", "add": "wp", "replace": "wp", "append": "wp", "prepend": "wp", "delete": "wp",
		"flush_all": "a", "verbosity": "a", "stats reset": "a", "operate": "a",
		"stats": "", "config get": "", "cluster members": "", "cluster moves": "", "cluster owner": "", "cluster status": "", "explain": "rp", "cluster drain": "a", "cluster forget": "a",
		"export": "ra", "install": "wap",
	}
	for _, op := range strings.Split("flush mark,hello,deliver,collect,take over,offer,fetch,pull,pulled,follow,unfollow,copy,draw,confirm,suspect,uses", ",") {
		all[op] = "members"
	}
	return all
}

// may is what a user of that name is to be told, by its letters.
func may(user, needs, key string) bool {
	if needs == "members" || user == "all" {
		return needs != "members"
	}
	for _, right := range strings.TrimSuffix(needs, "p") {
		if !strings.ContainsRune(user, right) {
			return false
		}
	}
	return !strings.HasSuffix(needs, "p") || !strings.HasSuffix(user, "p") || strings.HasPrefix(key, "own:")
}

// recorder is a chain that writes down what reaches it.
type recorder struct{ asked []string }

func (r *recorder) Handle(req *protocol.Request, resp *protocol.Response) *protocol.Pending {
	r.asked = append(r.asked, req.Op.String())
	resp.Status, resp.Number = protocol.OK, 1
	return nil
}

// words of an op, for a wire on which any op can be said: "OP KEY".
type ops struct{}

func (ops) Parse(buf []byte, req *protocol.Request) int {
	end := bytes.IndexByte(buf, '\n')
	if end < 0 {
		return 0
	}
	number, key, _ := bytes.Cut(buf[:end], []byte{' '})
	op, _ := strconv.Atoi(string(number))
	req.Op, req.Key, req.Options = protocol.Op(op), key, protocol.Last
	return end + 1
}

func (ops) Append(dst []byte, req *protocol.Request, resp *protocol.Response) []byte {
	if resp.Status == protocol.Denied {
		return append(dst, "denied\n"...)
	}
	return append(dst, "done\n"...)
}

func (ops) Between() bool { return true }

// Every op there is, said by every user: what is not in the list of this test fails it.
func TestRightsOfEveryOp(t *testing.T) {
	users, wants := limited(t), needs()
	for user := range limitedUsers() {
		chain := &recorder{}
		var s *session.Session
		for op := protocol.Reject; op.Known(); op++ {
			want, known := wants[op.String()]
			if !known {
				t.Errorf("%s: a new op. What must one have to ask for it?", op)
			}
			if op == protocol.Quit || op == protocol.Reject || strings.HasPrefix(op.String(), "login") {
				continue // the session's and the gate's own
			}
			for _, key := range []string{"own:k", "own", "other", "mine", ""} {
				if s == nil || s.Ended() {
					g := session.NewGate(users, chain, session.NewWires(ops{}, nil, func([]byte) bool { return false }, nil))
					s = session.New(g, g, 1)
					enter(t, s, user, false)
				}
				if op == protocol.Stats {
					key = "" // its key is words: see TestRightsOfEveryCommand
				}
				chain.asked = nil
				answer := converse(s, fmt.Sprintf("%d %s\n", op, key), 100)
				if got := len(chain.asked) == 1 && answer == "done\n"; got != may(user, want, key) || !got && answer != "denied\n" {
					t.Errorf("%s: %s %q: %q, asked %q", user, op, key, answer, chain.asked)
				}
			}
		}
	}
}

// enter logs in, in lines or by SASL.
func enter(t testing.TB, s *session.Session, user string, bySASL bool) {
	t.Helper()
	in, want := fmt.Sprintf("set k 0 0 %d\r\n%s pencil\r\n", len(user)+len(" pencil"), user), ""
	if bySASL {
		in, want = string(packetOf(0x21, login.Plain, "\x00"+user+"\x00pencil")), "Authenticated"
	}
	if got := converse(s, in, len(in)); s.Ended() || !strings.Contains(got, want) || strings.Contains(got, "CLIENT_ERROR") {
		t.Fatalf("%s cannot come in: %q", user, got)
	}
}

// A command is what a client may say, K being the key; needs is empty where its op tells.
type command struct{ said, needs string }

// linesOf are commands of the text and the meta wires. Each word that the text wire looks for must be in one.
func linesOf() (all []command) {
	for said := range strings.SplitSeq("get K|gets K|gat 0 K|gats 0 K|get K K|gat 0 K K|get own:k K own:k|get "+strings.Repeat("own:k ", 20000)+"K|"+
		"delete K|delete K 0|incr K 1|decr K 1|touch K 0|"+
		"flush_all|flush_all 10|verbosity 1|version|quit|config get cluster|cluster members|cluster moves|cluster owner K|cluster status|cluster drain K|cluster forget K|explain K|"+
		"shutdown|shutdown graceful|watch|watch fetchers|lru_crawler metadump all|lru_crawler mgdump all|lru_crawler disable|cache_memlimit 64|debugtime 1|"+
		"lru tune 1 1 1 1|slabs automove 1|refresh_certs|unknown|get|GET / HTTP/|touch K 0 noreply", "|") {
		all = append(all, command{said: said})
	}
	for verb := range strings.FieldsSeq("set add replace append prepend") {
		all = append(all, command{said: verb + " K 0 0 5\r\nvalue"}, command{said: verb + " K 0 0 5\r\nvalue!"}, command{said: verb + " K 0 0 2000\r\n" + strings.Repeat("x", 2000)})
	}
	all = append(all, command{said: "cas K 0 0 5 1\r\nvalue"})
	for _, said := range []string{"install 5 9\r\nKitem", "install 5 9 anew\r\nKitem", "install 5 2000\r\n" + strings.Repeat("x", 2000), "export 0\r\n", "export 1\r\nx"} { // each key has five bytes
		all = append(all, command{said: said})
	}
	for group := range strings.SplitSeq(",settings,items,slabs,sizes,tls,cluster,nodes,partitions", ",") {
		all = append(all, command{said: strings.TrimSpace("stats " + group)})
	}
	for group := range strings.SplitSeq("conns,detail on,detail dump,detail,d,det dump,cachedump 1 1,cachedump 1 0,c,con,set,reset,r,new,detail settings", ",") {
		all = append(all, command{said: "stats " + group, needs: "a"})
	}
	return append(all, metaLines()...)
}

// metaLines are all commands that begin like meta's, each with every option that there could be.
func metaLines() (all []command) {
	options := []string{"", " v q", " v N30 t", " v k O1 b", " D5 N0 J7", " MD v", " ME", " MR", " MA N5", " MP"}
	for option := '!'; option <= '~'; option++ {
		options = append(options, " "+string(option), " "+string(option)+"5")
	}
	for letter := range 256 {
		verb := "m" + string([]byte{byte(letter)})
		if !meta.Speaks([]byte(verb + " ")) {
			continue
		}
		for _, o := range options {
			if letter == 's' {
				all = append(all, command{said: verb + " K 5" + o + "\r\nvalue"}, command{said: verb + " K 2000" + o + "\r\n" + strings.Repeat("x", 2000)})
			} else {
				all = append(all, command{said: verb + " K" + o})
			}
		}
	}
	return all
}

// packetsOf tries every opcode in every shape.
func packetsOf() (all []command) {
	const statistics = 0x10
	for verb := range 256 {
		if verb == 0x21 || verb == 0x22 { // to log in anew
			continue
		}
		keys := []string{"", "K"}
		if verb == statistics {
			keys = []string{"", "settings", "detail dump", "cachedump 1 0", "conns", "reset", "K"}
		}
		for _, extras := range []int{0, 4, 8, 20} {
			for i, key := range keys {
				needs := ""
				if verb == statistics && i > 1 {
					needs = "a"
				}
				for _, value := range []string{"", "1", strings.Repeat("x", 2000)} {
					p := packetOf(byte(verb), key, value)
					p[4] = byte(extras)
					binary.BigEndian.PutUint32(p[8:], uint32(extras+len(key)+len(value)))
					all = append(all, command{said: string(p[:24]) + strings.Repeat("\x00", extras) + key + value, needs: needs})
				}
			}
		}
	}
	return all
}

// filled puts a key in the place of K, in base64 where that is said. In a packet the lengths grow with it.
func filled(said, key string) string {
	if said[0] != 0x80 {
		if said[0] != 'm' {
			return strings.ReplaceAll(said, "K", key)
		}
		if said[1] != 'e' && strings.Contains(said, " b") || said == "me K b" {
			key = base64.StdEncoding.EncodeToString([]byte(key))
		}
		return strings.Replace(said, "K", key, 1) // behind it are options
	}
	p := []byte(said)
	if keyed := int(p[3]) == 1 && p[24+p[4]] == 'K'; !keyed {
		return said
	}
	at := 24 + int(p[4])
	p[3] = byte(len(key))
	binary.BigEndian.PutUint32(p[8:], uint32(len(p)-24-1+len(key)))
	return string(p[:at]) + key + string(p[at+1:])
}

// Every command of every wire: before anybody is in, and said by every user. Nothing that is forbidden reaches the chain, all that is allowed does, and behind
// whatever was refused, its value too, the conversation goes on.
func TestRightsOfEveryCommand(t *testing.T) {
	users, roots := limited(t), rooted(t)
	reached := map[string]bool{"none": true, "quit": true, "reject": true, "login mechanisms": true, "login": true, "login step": true}
	for _, wire := range []struct {
		packets                bool
		commands               []command
		noop, answered, denied string
	}{
		{false, linesOf(), "mn\r\n", "MN\r\n", "CLIENT_ERROR permission denied\r\n"},
		{true, packetsOf(), string(packetOf(0x0a, "", "")), "\x81\x0a" + strings.Repeat("\x00", 22), "Permission denied"},
	} {
		open := map[string]*session.Session{}
		chain := &recorder{}
		// said gives what reached the chain when a user says it, and whether that was refused.
		said := func(user, in string) (asked []string, denied bool) {
			s := open[user]
			if s == nil || s.Ended() {
				known := users
				if user == "all" {
					known = roots
				}
				s, _ = smallGated(known, chain)
				enter(t, s, user, wire.packets)
				open[user] = s
			}
			chain.asked = nil
			answer := converse(s, in, len(in))
			asked = slices.Clone(chain.asked)
			if !s.Ended() {
				if after := converse(s, wire.noop, 100); after != wire.answered {
					t.Fatalf("%s: after %.80q: %.200q", user, in, after)
				}
			}
			return asked, strings.HasSuffix(answer, wire.denied)
		}
		for _, c := range wire.commands {
			for _, key := range []string{"own:k", "other"} {
				in := filled(c.said, key)
				if !wire.packets {
					in += "\r\n"
				}
				before, gate := smallGated(users, chain)
				chain.asked = nil
				converse(before, in, len(in))
				if asked := slices.DeleteFunc(slices.Clone(chain.asked), func(op string) bool { return op == "version" && wire.packets }); len(asked) > 0 || gate.User() != nil {
					t.Errorf("%.80q: %q before a login", in, asked)
				}

				asked, denied := said("all", in)
				if denied {
					t.Errorf("%.80q: refused to who may all", in)
				}
				for _, op := range asked {
					reached[op] = true
				}
				if len(asked) == 0 {
					continue // nobody can ask that: it is malformed, or a quit
				}
				for user := range limitedUsers() {
					want := true
					for _, op := range asked {
						need := needs()[op]
						if c.needs != "" {
							need = c.needs
						}
						want = want && may(user, need, key)
					}
					got, denied := said(user, in)
					switch {
					case want && (denied || !slices.Equal(got, asked)):
						t.Errorf("%s: %.80q: denied %v, asked %q of %q", user, in, denied, got, asked)
					case !want && (!denied && !strings.Contains(in, " q") && !strings.Contains(in, " noreply") || slices.ContainsFunc(got, func(op string) bool { return len(in) < 65536 || op != "get" })):
						t.Errorf("%s: %.80q: denied %v, and %q was asked", user, in, denied, got)
					}
				}
			}
		}
	}
	for op := protocol.None; op.Known(); op++ {
		if needs()[op.String()] != "members" && !reached[op.String()] {
			t.Errorf("%s: no command of this test asks for it", op)
		}
	}
}

// No command of the text wire is forgotten above: each word that its code compares with is said in one. (Of the others all are tried that there could be.)
func TestRightsAreTriedOfEveryWord(t *testing.T) {
	files, err := filepath.Glob("../text/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	var tried []string
	for _, c := range linesOf() {
		tried = append(tried, strings.Fields(c.said[:min(len(c.said), 1000)])...)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, e := range compared(n) {
				if word, ok := e.(*ast.BasicLit); ok && word.Kind == token.STRING {
					found++
					if said, _ := strconv.Unquote(word.Value); said != "" && !slices.Contains(tried, said) {
						t.Errorf("%s: no command says %q", name, said)
					}
				}
			}
			return true
		})
	}
	if found < 30 {
		t.Errorf("%d words found: where does the wire keep them now?", found)
	}
}

// compared gives what n compares with, if that is what it does.
func compared(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.CaseClause:
		return n.List
	case *ast.BinaryExpr:
		if n.Op == token.EQL || n.Op == token.NEQ {
			return []ast.Expr{n.X, n.Y}
		}
	case *ast.CallExpr:
		_, bytes := n.Fun.(*ast.ArrayType) // []byte("HTTP/"): nothing else is looked for in that form
		if called, ok := n.Fun.(*ast.SelectorExpr); bytes || ok && called.Sel.Name == "HasPrefix" {
			return n.Args
		}
	}
	return nil
}
