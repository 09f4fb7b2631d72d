package cmd_test

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// Each rule is broken by a small room, and must be the only one to complain; and is kept by another, and must be silent.
func TestLayoutComplains(t *testing.T) {
	// f puts text below the package clause of the file and wants one complaint that contains want, or none if want is empty.
	// A file that is not named as its package has the named one beside it.
	f := func(file, text, want string) {
		t.Helper()
		dir, name := path.Dir(file), path.Base(path.Dir(file))
		clause, comment := "package "+name+"\n", "// Package "+name+" is made up.\n"
		r := room{path: dir}
		switch main := dir + "/" + name + ".go"; {
		case strings.Contains(text, "package "):
			r.files = []source{parse(t, file, text)}
		case file == main:
			r.files = []source{parse(t, file, comment+clause+text)}
		default:
			r.files = []source{parse(t, main, comment+clause), parse(t, file, clause+text)}
		}
		got := complaints(r)
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
			t.Errorf("%s: %s: got %q, want %q", file, text, got, want)
		}
	}
	ours := func(rooms ...string) (text string) {
		for _, r := range rooms {
			text += "import _ \"" + module + "/" + r + "\"\n"
		}
		return text
	}

	// The plan.
	f("node/gateway/gateway.go", "", "not in the plan")
	f("benchmarks/load/load.go", "", "")

	// Levels.
	f("node/node.go", ours("node/router", "node/server", "storage", "protocol", "ring"), "")
	f("node/router/router.go", ours("protocol", "ring", "node/peer"), "")
	f("node/router/router.go", ours("node/replicator"), "node/replicator is not below node/router")
	f("node/router/router.go", ours("node"), "node is not below node/router")
	f("node/server/server.go", ours("node/router"), "not below")
	f("node/executor/executor.go", ours("protocol", "storage"), "")
	f("node/executor/executor.go", ours("node/peer"), "not below")
	f("protocol/text/text.go", ours("protocol", "protocol/line"), "")
	f("protocol/text/text.go", ours("protocol/binary"), "protocol/binary is not below protocol/text")
	f("protocol/protocol.go", ours("protocol/session"), "not below")
	f("protocol/session/session.go", ours("node/server"), "knows nothing of")
	f("storage/storage.go", ours("storage/arena"), "")
	f("storage/arena/arena.go", ours("storage"), "not below")
	f("cmd/memring/main.go", "// Command memring is made up.\npackage main\n"+ours("node", "protocol"), "")
	f("node/node.go", ours("cmd/memring"), "not below")
	f("node/node.go", ours("benchmarks/load"), "stand apart")

	// Strangers, in tests too.
	f("ring/ring.go", ours("storage"), "ring and storage are strangers")
	f("protocol/frame/frame.go", ours("storage"), "strangers")
	f("storage/storage_test.go", ours("protocol/text"), "strangers")
	f("ring/ring_test.go", ours("node/nodetest"), "knows nothing of")

	// Where protocol and storage meet, and who knows the arena.
	f("node/peer/peer.go", ours("storage"), "know the store")
	f("node/node.go", ours("storage/arena"), "the storage's own")

	// Rooms for tests.
	f("node/node.go", ours("node/nodetest"), "is for tests")
	f("node/node_test.go", ours("node/nodetest", "protocol/transcript"), "")
	f("node/nodetest/nodetest.go", ours("node", "protocol/transcript"), "")

	// Modules at home.
	f("storage/arena/arena.go", `import _ "github.com/VictoriaMetrics/fastcache"`, "")
	f("storage/storage.go", `import _ "github.com/VictoriaMetrics/fastcache"`, "fastcache belongs in storage/arena, storage_test only")
	f("storage/speed_test.go", `import _ "github.com/VictoriaMetrics/fastcache"`, "")
	f("node/router/router.go", `import _ "github.com/buraksezer/consistent"`, "consistent belongs in ring only")
	f("node/node.go", `import _ "github.com/hashicorp/memberlist"`, "memberlist belongs in node/membership, node/carrier only")
	f("storage/arena/arena.go", `import _ "github.com/cespare/xxhash/v2"`, "")
	f("node/router/router.go", `import _ "github.com/cespare/xxhash/v2"`, "xxhash/v2 belongs in ring, storage/... only")
	f("node/peer/peer.go", `import _ "go.uber.org/goleak"`, "belongs in tests only")
	f("node/peer/peer_test.go", `import _ "go.uber.org/goleak"`, "")
	f("node/admin/admin.go", `import _ "github.com/prometheus/client_golang/prometheus/promhttp"`, "")
	f("node/admin/admin.go", `import _ "github.com/sirupsen/logrus"`, "has no home")

	// Sockets and goroutines.
	f("node/peer/peer.go", `import _ "net"`, "")
	f("node/router/router.go", `import _ "net"`, "net opens sockets")
	f("node/router/router.go", `import _ "net/http"`, "net/http opens sockets")
	f("node/router/router.go", `import _ "net/netip"`, "")
	f("node/router/router_test.go", `import _ "net"`, "")
	f("protocol/transcript/transcript.go", `import _ "net"`, "")
	f("storage/storage.go", "func start() { go start() }", "no goroutine is started in storage")
	f("storage/clock.go", "func start() { go start() }", "")
	f("node/peer/peer.go", "func start() { go start() }", "")

	// Flags, environment, signals, time.
	f("node/node.go", `import _ "flag"`, "flags and signals are cmd's")
	f("node/node.go", `import _ "os/signal"`, "flags and signals are cmd's")
	f("node/node.go", `import "os"; func name() string { return os.Getenv("NAME") }`, "os.Getenv is cmd's")
	f("node/node.go", `import "os"; func name() (string, error) { return os.Hostname() }`, "")
	f("cmd/memring/main.go", "// Command memring is made up.\npackage main\nimport \"os\"; func name() string { return os.Getenv(\"NAME\") }", "")
	f("node/executor/executor.go", `import "time"; func now() time.Time { return time.Now() }`, "storage.Clock gives the second")
	f("protocol/line/line.go", `import t "time"; func now() t.Time { return t.Now() }`, "storage.Clock gives the second")
	f("node/peer/peer.go", `import "time"; func now() time.Time { return time.Now() }`, "")
	f("node/peer/peer_test.go", `import "time"; func nap() { time.Sleep(1) }`, "tests wait for a condition")
	f("node/peer/peer_test.go", `import ("time"; _ "testing/synctest"); func nap() { time.Sleep(1) }`, "")

	// What runs unasked, what changes behind one's back.
	f("node/node.go", "func init() {}", "init() runs unasked")
	f("node/node.go", "type wire struct{}; func (wire) init() {}", "")
	f("node/node.go", "var count int", "starts empty")
	f("node/node.go", "var zeros [8]byte", "")
	f("node/node.go", "var zeros [8]byte; func fill() { zeros[0] = 1 }", "is written by fill")
	f("node/node.go", "var zeros []byte", "starts empty")
	f("node/node.go", "var seen = make(map[string]bool)", "made to change")
	f("node/node.go", "var seen = map[string]bool{}; func see(s string) { seen[s] = true }", "is written by see")
	f("node/node.go", "var seen = map[string]bool{}; func forget() { clear(seen) }", "is written by forget")
	f("node/node.go", "var count = 1; func next() int { count++; return count }", "is written by next")
	f("node/node.go", "var count = 1; func lend() *int { return &count }", "is written by lend")
	f("node/node.go", "type conn struct{}; var shared = &conn{}", "points at memory")
	f("node/node.go", `import "sync"; var mu = sync.Mutex{}`, "made to change")
	f("node/node.go", `import "sync/atomic"; var n atomic.Int64`, "starts empty")
	f("node/node.go", `import "sync"; var buffers = sync.Pool{New: func() any { return new([4096]byte) }}`, "")
	f("node/node.go", `import "errors"; var errGone = errors.New("gone")`, "")
	f("node/node.go", "var names = [...]string{`a`}; func name(i int) string { return names[i] }", "")
	f("node/node.go", "var n = 1; func local() int { n := 2; n++; return n }", "")
	f("node/node.go", "import _ \"embed\"\n//go:embed page.html\nvar page string", "")
	f("node/node.go", "var _ error = error(nil)", "")
	f("node/node_test.go", "var count int", "")

	// What a reader is told.
	f("node/node.go", "package node", "no package comment in node.go")
	f("node/start.go", "", "")
	f("node/node.go", "// Package node is made up.\npackage node", "")
	f("node/node.go", "// Node is made up.\npackage node", `begins "Package node "`)
	f("node/node.go", "// Package node is made up. It really is.\npackage node", "one sentence")
	f("node/node.go", "// Package node is made up\npackage node", "one sentence")
	f("node/node.go", "// Package node asks: is it made up? Then it is not.\n//\n// More of it. And more.\npackage node", "")
	f("cmd/memring/main.go", "// Package main is made up.\npackage main", `begins "Command memring "`)
	f("node/node.go", "// TODO: all of it\nvar _ = 0", "has an issue's number")
	f("node/node.go", "// TODO(#12): the rest of it\nvar _ = 0", "")

	// How much of it.
	f("ring/ring.go", strings.Repeat("var _ = 0\n", maxRoomLines), "more than one room")
	f("ring/ring.go", strings.Repeat("// Why.\n\n", maxRoomLines), "")
	f("ring/ring.go", "func long() {"+strings.Repeat("\n", maxFuncLines)+"}", "fits no screen")
	f("ring/ring_test.go", strings.Repeat("var _ = 0\n", maxRoomLines), "")
}

func TestOnePackageComment(t *testing.T) {
	got := complaints(room{path: "node", files: []source{
		parse(t, "node/node.go", "// Package node is made up.\npackage node"),
		parse(t, "node/start.go", "// Package node is made up elsewhere too.\npackage node"),
	}})
	if len(got) != 1 || !strings.Contains(got[0], "belongs in node.go") {
		t.Errorf("got %q", got)
	}
}

func TestNamesThatSayNothing(t *testing.T) {
	for _, name := range []string{"util", "common", "helpers", "manager", "service"} {
		got := complaints(room{path: "node/" + name})
		if !slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, "says nothing") }) {
			t.Errorf("node/%s: got %q", name, got)
		}
	}
}

func TestTopLevel(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := atTopLevel(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	f("node", true)
	f(".ci", true)
	f("Makefile", true)
	f("internal", false)
	f("main.go", false)
	f("docker-compose.yml", false)
}
