// Package cmd_test holds the whole repository to its plan: which room may import what, what no room may do, how large and how explained it is.
//
//	go list, go/parser -> []room -> rules -> complaints (none, or the test fails)
//
// The rules are those of DESIGN.md ("Import rules") and STYLE.md, as far as a parser can see them. Each of them is shown to fail in
// layout_fails_test.go: a rule that cannot fail guards nothing.
package cmd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/memring/memring"

// plan gives every room its level: it imports only rooms of a lower one. So strangers are those of the same level, and a cycle cannot be.
// A room that is not here is not in the plan: it is added to DESIGN.md first.
var plan = map[string]int{
	"cmd/memring":   60,
	"cmd/certfiles": 55,
	"cmd/userfiles": 55,
	"cmd/settings":  55,
	"cmd/logging":   55,
	"cmd/cluster":   55,
	"cmd/client":    57,
	"cmd/top":       57,
	"cmd/user":      57,
	"cmd/backup":    57, // it asks who the members are
	"cmd/dial":      54,
	"cmd/stamp":     50,
	"cmd/output":    50,

	"node/nodetest": 55,
	"node":          50,

	"node/router":     40,
	"node/handover":   40,
	"node/replicator": 40,
	"node/operator":   40,
	"node/dispatch":   46, // it asks for what the handlers and node/stats tell
	"node/dump":       45,
	"node/discovery":  40,
	"node/placement":  40,
	"node/sides":      40,
	"node/suspicion":  40,
	"node/ease":       40,
	"node/uses":       40, // which items those are the store tells
	"node/meter":      30,
	"node/stats":      45, // it reads the counters of the handlers
	"node/overview":   46,
	"node/metrics":    46, // and makes series of what that says

	"node/server":     30,
	"node/executor":   30,
	"node/peer":       30,
	"node/reception":  35, // a lane's other end: what a peer says of itself is peer.Self at both
	"node/parcel":     25,
	"node/piece":      25, // what handover and replicator have in common
	"node/sweep":      27,
	"node/archive":    26,
	"node/snapshot":   31, // it asks who else is here
	"node/membership": 30,
	"node/admin":      30,
	"node/crawler":    30,
	"node/watch":      25,
	"node/certs":      20,
	"node/identity":   25,
	"node/carrier":    28,
	"node/seal":       5,
	"node/lobby":      5,
	"node/seating":    5,
	"node/socket":     8,
	"node/rawio":      5,
	"node/durable":    5,
	"node/certstest":  15,
	"node/sockettest": 15,

	"protocol/session":    20,
	"protocol/text":       20,
	"protocol/meta":       20,
	"protocol/binary":     20,
	"protocol/frame":      20,
	"protocol/transcript": 20,
	"protocol/frametest":  25,
	"protocol/line":       15,
	"protocol/foresee":    16,
	"protocol/login":      15,

	"protocol":         10,
	"protocol/budget":  5, // a Pending counts what it holds
	"protocol/lent":    5, // which may lie in what is lent
	"storage":          10,
	"ring":             10,
	"storage/arena":    5,
	"storage/prefetch": 5,
}

var (
	// strangers never import one another, at whatever level their inner rooms are.
	strangers = []string{"protocol", "storage", "ring"}

	// meetings are the rooms that may know the store: elsewhere protocol and storage do not meet.
	meetings = []string{"node/executor", "node/handover", "node/replicator", "node/piece", "node/archive", "node/snapshot", "node/crawler", "node/sweep", "node/uses", "node/dump", "node/stats", "node/dispatch", "node", "node/nodetest", "cmd/memring", "cmd/backup"}

	// testRooms exist for tests, like net/http/httptest: only tests and other test rooms import them, and they may do what tests may.
	testRooms = []string{"node/nodetest", "node/certstest", "node/sockettest", "protocol/transcript", "protocol/frametest"}

	// sockets are the rooms that may open one. net/netip is only values, and everybody's.
	sockets = []string{"node/server", "node/peer", "node/socket", "node/rawio", "node/membership", "node/carrier", "node/lobby", "node/admin", "node/suspicion", "cmd/memring", "cmd/cluster", "cmd/dial", "cmd/client", "cmd/top", "cmd/backup"}

	// clockless are the rooms to which storage.Clock gives the time, so that tests can set it.
	clockless = []string{"protocol", "node/executor"}
)

// largeRooms may be larger than others, each for a reason.
var largeRooms = map[string]int{
	"node":            1765, // it names every setting and every room once, to wire them
	"node/membership": 1040, // the only room that knows memberlist, so all that gossip tells is told here
	"node/handover":   1990, // taking, giving and what is said between are one lock's states: a rule of one is a duty of the other
	"node/replicator": 1850, // what a holder promises its replicas, what they keep of it and who may read that are sides of one number
	"cmd/memring":     1680, // every flag and word that memcached has, a line or two each
	"cmd/backup":      950,  // there and back: what a cluster gave, and what of it may be missing
	"node/peer":       1040, // one lane's seats, deadlines, parts and loss are states of one lock; who receives stands apart (node/reception, node/parcel)
	"node/server":     1210, // what a connection promises holds for sockets, TLS and datagrams, so it is told once for all
	"storage":         2940, // one lock guards logs, index and ghost of a stripe: rooms between them would share it (storage/DESIGN.md)
}

// homes says which rooms may import a foreign module (any room below "x" for "x/..."); "x_test" are the tests of x
// (they may compare with what it is made of), "tests" all test files. No home, no import.
var homes = map[string][]string{
	"github.com/VictoriaMetrics/fastcache":    {"storage/arena", "storage_test"},
	"github.com/buraksezer/consistent":        {"ring"},
	"github.com/hashicorp/memberlist":         {"node/membership", "node/carrier"},
	"github.com/cespare/xxhash/v2":            {"ring", "storage/..."},
	"github.com/klauspost/compress":           {"node/archive"},
	"github.com/spf13/cobra":                  {"cmd/memring", "cmd/cluster", "cmd/client", "cmd/top", "cmd/backup", "cmd/user"},
	"github.com/spf13/pflag":                  {"cmd/memring", "cmd/cluster", "cmd/dial", "cmd/settings"},
	"go.yaml.in/yaml/v4":                      {"cmd/settings"},
	"github.com/prometheus/client_golang":     {"node", "node/admin", "node/metrics", "tests"},
	"github.com/coreos/go-systemd/v22":        {"cmd/memring"}, // tells systemd that we serve
	"golang.org/x/term":                       {"cmd/output", "cmd/top", "cmd/user"},
	"golang.org/x/sys":                        {"node/rawio", "node/server_test", "storage_test", "cmd/memring", "cmd/top_test", "benchmarks/..."},
	"github.com/bradfitz/gomemcache/memcache": {"tests", "benchmarks/..."},
	"github.com/HdrHistogram/hdrhistogram-go": {"benchmarks/..."},
	"gonum.org/v1/plot":                       {"benchmarks/..."},
	"github.com/xdg-go/scram":                 {"protocol/login", "tests"},
	"go.uber.org/goleak":                      {"tests"},
	"github.com/anishathalye/porcupine":       {"tests"}, // one order of a key's requests that explains all answers, or that there is none
	"pgregory.net/rapid":                      {"tests"},
}

const (
	wantRoomLines = 500 // above it the test says so
	maxRoomLines  = 900 // above it the room is two rooms
	maxFuncLines  = 100 // "about 70" fit a screen
)

// topLevel is all that the repository's root may hold, besides dot files.
var topLevel = []string{
	"cmd", "node", "ring", "protocol", "storage", "deploy", "benchmarks", "go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
	"bin", // built, and ignored by git
}

func TestLayout(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms(t) {
		if !r.apart() && r.path != "cmd" && !bytes.Contains(readme, []byte("`"+r.path+"`")) {
			t.Errorf("%s: README.md does not say what it does (\"Rooms\")", r.path)
		}
		for _, complaint := range complaints(r) {
			t.Error(complaint)
		}
		if n := r.lines(); n > wantRoomLines {
			t.Logf("%s has %d lines: is it two rooms?", r.path, n)
		}
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !atTopLevel(entry.Name()) {
			t.Errorf("%s: the top level holds only %s", entry.Name(), strings.Join(topLevel, " "))
		}
	}
}

func atTopLevel(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(topLevel, name)
}

// A room is one package directory with all its files, whichever build tags they ask for.
type room struct {
	path  string // below the module, "node/router"
	files []source
}

type source struct {
	name  string // below the module, "node/router/router.go"
	lines int
	*ast.File
	set *token.FileSet
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// at names a place as editors understand it.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.set.Position(n.Pos()).Line)
}

// imports calls f with every import of the file.
func (s source) imports(f func(spec *ast.ImportSpec, path string)) {
	for _, spec := range s.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			f(spec, p)
		}
	}
}

// uses calls f with every x.Name in the file, x being the package imported as from ("os" for "os", "Getenv").
func (s source) uses(from string, f func(sel *ast.SelectorExpr)) {
	name := ""
	s.imports(func(spec *ast.ImportSpec, p string) {
		if p == from {
			name = path.Base(p)
			if spec.Name != nil {
				name = spec.Name.Name
			}
		}
	})
	if name == "" {
		return
	}
	ast.Inspect(s.File, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, name) {
			f(sel)
		}
		return true
	})
}

// lines counts the code of the room.
func (r room) lines() (n int) {
	for _, s := range r.code() {
		n += s.lines
	}
	return n
}

// code gives the files that are not tests.
func (r room) code() (code []source) {
	for _, s := range r.files {
		if !s.test() {
			code = append(code, s)
		}
	}
	return code
}

func (r room) apart() bool { return within(r.path, "benchmarks") }

// rooms reads the whole module.
func rooms(t *testing.T) (all []room) {
	list := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles", "./...")
	list.Dir, list.Stderr = "..", os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var pkg struct {
			ImportPath, Dir                                    string
			GoFiles, TestGoFiles, XTestGoFiles, IgnoredGoFiles []string
		}
		if err := dec.Decode(&pkg); err != nil {
			t.Fatalf("go list: %v", err)
		}
		r := room{path: strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")}
		for _, name := range slices.Concat(pkg.GoFiles, pkg.TestGoFiles, pkg.XTestGoFiles, pkg.IgnoredGoFiles) {
			text, err := os.ReadFile(filepath.Join(pkg.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			r.files = append(r.files, parse(t, path.Join(r.path, name), string(text)))
		}
		all = append(all, r)
	}
	if len(all) < 3 {
		t.Fatalf("go list found only %d rooms", len(all))
	}
	return all
}

func parse(t *testing.T, name, text string) source {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{name: name, lines: linesOfCode(set, file, text), File: file, set: set}
}

// linesOfCode leaves out blank lines and comments: explaining more makes no room too large.
func linesOfCode(set *token.FileSet, file *ast.File, text string) int {
	code := []byte(text)
	for _, group := range file.Comments {
		for _, comment := range group.List {
			for i := set.Position(comment.Pos()).Offset; i < set.Position(comment.End()).Offset; i++ {
				if code[i] != '\n' {
					code[i] = ' '
				}
			}
		}
	}
	return len(slices.DeleteFunc(bytes.Split(code, []byte("\n")), func(line []byte) bool { return len(bytes.TrimSpace(line)) == 0 }))
}

// complaints holds a room against every rule.
func complaints(r room) (all []string) {
	if r.path == "cmd" {
		return nil // this test
	}
	complain := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, rule := range []func(room, func(string, ...any)){
		isPlanned, importsDownward, keepsModulesHome, opensNoSocket, startsNothing, readsNoEnvironment, readsNoClock,
		hasNoInit, keepsNoState, isExplained, isSmall, leavesNothingUndone,
	} {
		rule(r, complain)
	}
	return all
}

func isPlanned(r room, complain func(string, ...any)) {
	if _, ok := plan[r.path]; !ok && !r.apart() {
		complain("%s: this room is not in the plan (DESIGN.md, and plan in cmd/layout_test.go)", r.path)
	}
	switch name := path.Base(r.path); name {
	case "util", "utils", "common", "helper", "helpers", "types", "manager", "service", "misc":
		complain("%s: %q says nothing about what is in the room", r.path, name)
	}
}

func importsDownward(r room, complain func(string, ...any)) {
	for _, s := range r.files {
		s.imports(func(spec *ast.ImportSpec, p string) {
			to, ours := strings.CutPrefix(p, module+"/")
			if !ours || to == r.path {
				return
			}
			switch {
			case family(r.path) != "" && family(to) != "" && family(r.path) != family(to):
				complain("%s: %s and %s are strangers", s.at(spec), family(r.path), family(to))
			case family(r.path) != "" && within(to, "node"):
				complain("%s: %s knows nothing of %s", s.at(spec), r.path, to)
			case s.test():
				// A test may stand above what it tests.
			case slices.Contains(testRooms, to) && !slices.Contains(testRooms, r.path):
				complain("%s: %s is for tests", s.at(spec), to)
			case within(to, "benchmarks") && !r.apart():
				complain("%s: the benchmarks stand apart", s.at(spec))
			case within(to, "storage") && family(r.path) != "storage" && !slices.Contains(meetings, r.path) && !r.apart():
				complain("%s: only %s know the store", s.at(spec), strings.Join(meetings, ", "))
			case strings.HasPrefix(to, "storage/") && r.path != "storage":
				complain("%s: what is below the storage is the storage's own", s.at(spec))
			case plan[to] >= plan[r.path] && !r.apart():
				complain("%s: %s is not below %s", s.at(spec), to, r.path)
			}
		})
	}
}

func keepsModulesHome(r room, complain func(string, ...any)) {
	for _, s := range r.files {
		s.imports(func(spec *ast.ImportSpec, p string) {
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") || within(p, module) {
				return
			}
			for foreign, rooms := range homes {
				if !within(p, foreign) {
					continue
				}
				for _, home := range rooms {
					below, tree := strings.CutSuffix(home, "/...")
					if home == r.path || home == r.path+"_test" && s.test() || tree && within(r.path, below) || home == "tests" && (s.test() || slices.Contains(testRooms, r.path)) {
						return
					}
				}
				complain("%s: %s belongs in %s only", s.at(spec), foreign, strings.Join(rooms, ", "))
				return
			}
			complain("%s: %s has no home (homes in cmd/layout_test.go): what does it spare us?", s.at(spec), p)
		})
	}
}

func opensNoSocket(r room, complain func(string, ...any)) {
	if r.apart() || slices.Contains(sockets, r.path) || slices.Contains(testRooms, r.path) {
		return
	}
	for _, s := range r.code() {
		s.imports(func(spec *ast.ImportSpec, p string) {
			if within(p, "net") && p != "net/netip" && p != "net/url" {
				complain("%s: %s opens sockets; only %s do", s.at(spec), p, strings.Join(sockets, ", "))
			}
		})
	}
}

// startsNothing: no goroutine below node; only the clock ticks.
func startsNothing(r room, complain func(string, ...any)) {
	if family(r.path) == "" || slices.Contains(testRooms, r.path) {
		return
	}
	for _, s := range r.code() {
		if s.name == "storage/clock.go" {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if n, ok := n.(*ast.GoStmt); ok {
				complain("%s: no goroutine is started in %s", s.at(n), family(r.path))
			}
			return true
		})
	}
}

func readsNoEnvironment(r room, complain func(string, ...any)) {
	if within(r.path, "cmd") || r.apart() {
		return
	}
	for _, s := range r.code() {
		s.imports(func(spec *ast.ImportSpec, p string) {
			if p == "flag" || p == "os/signal" {
				complain("%s: flags and signals are cmd's", s.at(spec))
			}
		})
		s.uses("os", func(sel *ast.SelectorExpr) {
			switch sel.Sel.Name {
			case "Getenv", "LookupEnv", "Environ", "ExpandEnv", "Args", "Exit":
				complain("%s: os.%s is cmd's", s.at(sel), sel.Sel.Name)
			}
		})
	}
}

// readsNoClock also keeps tests from sleeping, save in a bubble of testing/synctest, where sleeping costs nothing.
func readsNoClock(r room, complain func(string, ...any)) {
	for _, s := range r.files {
		bubble := false
		s.imports(func(_ *ast.ImportSpec, p string) { bubble = bubble || p == "testing/synctest" })
		s.uses("time", func(sel *ast.SelectorExpr) {
			switch name := sel.Sel.Name; {
			case s.test() && name == "Sleep" && !bubble:
				complain("%s: tests wait for a condition, not for a while", s.at(sel))
			case s.test() || slices.Contains(testRooms, r.path) || !slices.ContainsFunc(clockless, func(c string) bool { return within(r.path, c) }):
			case name == "Now" || name == "Since" || name == "Until" || name == "Sleep" || name == "After" || name == "Tick":
				complain("%s: time.%s: storage.Clock gives the second", s.at(sel), name)
			}
		})
	}
}

func hasNoInit(r room, complain func(string, ...any)) {
	for _, s := range r.files {
		for _, decl := range s.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				complain("%s: init() runs unasked", s.at(f))
			}
		}
	}
}

// keepsNoState allows package-level variables that are never written: tables, sentinel errors, and pools of buffers.
func keepsNoState(r room, complain func(string, ...any)) {
	for _, s := range r.code() {
		for _, decl := range s.Decls {
			vars, ok := decl.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			for _, spec := range vars.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, name := range spec.Names {
					var value ast.Expr
					if len(spec.Values) > 0 {
						value = spec.Values[min(i, len(spec.Values)-1)]
					}
					if why := mutable(r, name.Name, spec.Type, value, vars.Doc, spec.Doc); why != "" {
						complain("%s: package-level %s %s", s.at(name), name.Name, why)
					}
				}
			}
		}
	}
}

// mutable says why a package-level variable may change, or nothing.
func mutable(r room, name string, typ, value ast.Expr, docs ...*ast.CommentGroup) string {
	if lit, ok := value.(*ast.CompositeLit); ok && typ == nil {
		typ = lit.Type
	}
	switch {
	case name == "_", isSelector(typ, "sync", "Pool"), slices.ContainsFunc(docs, embeds):
		return ""
	case value == nil && !isArray(typ):
		return "starts empty: something must fill it"
	case isSelector(typ, "sync", ""), isSelector(typ, "atomic", ""):
		return "is made to change"
	}
	switch v := value.(type) {
	case *ast.UnaryExpr:
		if v.Op == token.AND {
			return "points at memory that all share"
		}
	case *ast.CallExpr:
		if isIdent(v.Fun, "make") || isIdent(v.Fun, "new") {
			return "is made to change"
		}
	}
	for _, s := range r.code() {
		for _, decl := range s.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && writes(f, name) {
				return "is written by " + f.Name.Name
			}
		}
	}
	return ""
}

// writes reports whether f changes the package's variable, or lends its address. A local name of its own hides the variable.
func writes(f *ast.FuncDecl, name string) (written bool) {
	hidden := false
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			hidden = hidden || slices.ContainsFunc(n.Names, func(id *ast.Ident) bool { return id.Name == name })
		case *ast.ValueSpec:
			hidden = hidden || slices.ContainsFunc(n.Names, func(id *ast.Ident) bool { return id.Name == name })
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				hidden = hidden || n.Tok == token.DEFINE && isIdent(left, name)
				written = written || n.Tok != token.DEFINE && root(left) == name
			}
		case *ast.RangeStmt:
			hidden = hidden || n.Tok == token.DEFINE && (isIdent(n.Key, name) || isIdent(n.Value, name))
		case *ast.IncDecStmt:
			written = written || root(n.X) == name
		case *ast.UnaryExpr:
			written = written || n.Op == token.AND && root(n.X) == name
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.Ident); ok && slices.Contains([]string{"delete", "clear", "copy"}, fun.Name) && len(n.Args) > 0 {
				written = written || root(n.Args[0]) == name
			}
		}
		return true
	})
	return written && !hidden
}

// isExplained: one package comment, in the file named as the package, whose first paragraph is one sentence about it.
func isExplained(r room, complain func(string, ...any)) {
	code := r.code()
	if len(code) == 0 {
		return
	}
	name, file, begins := code[0].Name.Name, path.Base(r.path)+".go", "Package "+code[0].Name.Name+" "
	if name == "main" {
		file, begins = "main.go", "Command "+path.Base(r.path)+" "
	}
	explained := false
	for _, s := range code {
		if s.Doc == nil {
			continue
		}
		first, _, _ := strings.Cut(s.Doc.Text(), "\n\n")
		first = strings.TrimSpace(first)
		switch {
		case path.Base(s.name) != file:
			complain("%s: the package comment belongs in %s", s.name, file)
		case !strings.HasPrefix(first, begins):
			complain("%s: the package comment begins %q", s.name, begins)
		case !strings.HasSuffix(first, ".") || sentenceEnd.MatchString(first):
			complain("%s: the package comment begins with one sentence, alone in its paragraph", s.name)
		}
		explained = explained || path.Base(s.name) == file
	}
	if !explained {
		complain("%s: no package comment in %s", r.path, file)
	}
}

// sentenceEnd finds a second sentence: a stop and a capital letter. (A question may be asked within one.)
var sentenceEnd = regexp.MustCompile(`\.\s+[A-Z]`)

func isSmall(r room, complain func(string, ...any)) {
	limit := max(maxRoomLines, largeRooms[r.path])
	if n := r.lines(); n > limit && !r.apart() {
		complain("%s: %d lines are more than one room (%d)", r.path, n, limit)
	}
	for _, s := range r.code() {
		for _, decl := range s.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > maxFuncLines {
					complain("%s: %s has %d lines and fits no screen", s.at(f), f.Name.Name, n)
				}
			}
		}
	}
}

func leavesNothingUndone(r room, complain func(string, ...any)) {
	for _, s := range r.files {
		for _, group := range s.Comments {
			if undone.MatchString(group.Text()) && !issue.MatchString(group.Text()) {
				complain("%s: work left undone has an issue's number", s.at(group))
			}
		}
	}
}

var (
	undone = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)
	issue  = regexp.MustCompile(`#[0-9]+`)
)

// family names the stranger that a room belongs to, "" for none.
func family(room string) string {
	for _, s := range strangers {
		if within(room, s) {
			return s
		}
	}
	return ""
}

// within reports whether a path is root or below it.
func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// isArray tells [4]byte from []byte: it may be meant to stay as empty as it starts.
func isArray(e ast.Expr) bool {
	array, ok := e.(*ast.ArrayType)
	return ok && array.Len != nil
}

// isSelector matches pkg.name, any name if it is empty.
func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && isIdent(sel.X, pkg) && (name == "" || sel.Sel.Name == name)
}

// root gives the variable that an expression like x[i].f writes through.
func root(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.IndexExpr:
		return root(e.X)
	case *ast.SelectorExpr:
		return root(e.X)
	case *ast.StarExpr:
		return root(e.X)
	case *ast.ParenExpr:
		return root(e.X)
	}
	return ""
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}
