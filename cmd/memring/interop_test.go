//go:build interop

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/memring/memring/protocol/transcript"
)

// TestInterop lets other people's clients talk to one node of the real binary, and to three at whichever they like.
// The same talks are held with Debian's memcached, in all three seats: what fails there as well is not our fault, and no proof either.
func TestInterop(t *testing.T) {
	modules := npmInstall(t, "memjs@1.3.2", "memcache-plus@0.3.1")
	scraper := buildExporter(t)
	run := func(name, version string, servers []string) {
		t.Run(name, func(t *testing.T) {
			t.Run("transcripts", func(t *testing.T) { transcripts(t, version, servers[0]) })
			t.Run("memccapable", func(t *testing.T) { memccapable(t, servers) })
			t.Run("pymemcache", func(t *testing.T) { python(t, "pymemcache_talk.py", servers) })
			t.Run("pylibmc", func(t *testing.T) { python(t, "pylibmc_talk.py", servers) })
			t.Run("php-memcached", func(t *testing.T) { talk(t, servers, "php", "php_talk.php") })
			t.Run("Dalli", func(t *testing.T) { talk(t, servers, "ruby", "dalli_talk.rb") })
			t.Run("Cache::Memcached::Fast", func(t *testing.T) { talk(t, servers, "/usr/bin/perl", "fast_talk.pl") })
			t.Run("memjs", func(t *testing.T) { talk(t, servers, "env", "NODE_PATH="+modules, "node", "memjs_talk.js") })
			t.Run("gomemcache", func(t *testing.T) { goMemcache(t, servers) })
			t.Run("libmemcached tools", func(t *testing.T) { libmemcachedTools(t, servers) })
			t.Run("memcached-tool", func(t *testing.T) { memcachedTool(t, version, servers) })
			t.Run("damemtop", func(t *testing.T) { damemtop(t, servers) })
			t.Run("memcached_exporter", func(t *testing.T) { exporter(t, version, scraper, servers) })
			if version == "memring" { // memcached has no auto discovery
				t.Run("auto discovery", func(t *testing.T) { python(t, "discovery_talk.py", servers) })
				t.Run("memcache-plus", func(t *testing.T) { talk(t, servers, "env", "NODE_PATH="+modules, "node", "discovery_talk.js") })
			}
		})
	}
	for _, n := range []int{1, 3} {
		var servers []string
		// What is asked here is what is said, not how soon: a busy machine takes its time.
		for _, node := range startCluster(t, n, "--peer-timeout", "10s") {
			servers = append(servers, node.address)
		}
		run(fmt.Sprintf("%d memring", n), "memring", servers)
	}
	one := startMemcached(t)
	run("memcached", "1.6.18", []string{one, one, one})
}

// python runs a script with Debian's Python, which has Debian's clients; another in PATH has not.
func python(t *testing.T, script string, args []string) { talk(t, args, "/usr/bin/python3", script) }

// talk runs a script of testdata/interop, its name the last of command, with the servers as its arguments. It prints "ok" last when all its
// assertions hold, and may say before what it talked with.
func talk(t *testing.T, servers []string, command ...string) {
	script := filepath.Join("testdata", "interop", command[len(command)-1])
	args := append(command[1:len(command)-1:len(command)-1], script)
	said, whole := strings.CutSuffix(execute(t, command[0], append(args, servers...)...), "ok\n")
	if !whole {
		t.Errorf("%s did not come to its end:\n%s", script, said)
	}
	if said != "" {
		t.Log(strings.TrimSpace(said))
	}
}

// npmInstall installs packages from the npm registry, for the length of the test, and returns where they are.
func npmInstall(t *testing.T, packages ...string) (modules string) {
	dir := t.TempDir()
	fetched(t, append([]string{"npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--no-save", "--ignore-scripts"}, packages...)...)
	return filepath.Join(dir, "node_modules")
}

// transcripts plays the recorded conversations, as they stand and cut into pieces; with three nodes about two requests of three are forwarded, and
// nobody must notice. Of memcached only those of the text wire are asked: an old one does not know all that the others record.
func transcripts(t *testing.T, version, server string) {
	wires := []string{"text", "meta", "binary"}
	if version != "memring" {
		wires = wires[:1]
	}
	dial := func() (transcript.Conn, error) { return net.Dial("tcp", server) }
	for _, wire := range wires {
		conversations, err := transcript.Load(os.DirFS(filepath.Join("..", "..", "protocol", wire, "testdata")))
		if err != nil {
			t.Fatal(err)
		}
		if len(conversations) == 0 {
			t.Fatalf("there are no conversations on the %s wire to play", wire)
		}
		for _, c := range conversations {
			if c.Skip(version) != "" {
				continue
			}
			for _, cut := range []int{0, 1, 3, 7} {
				if cut > 0 && c.Uncut(version) != "" {
					continue
				}
				if err := c.Play(dial, transcript.Options{Version: version, Cut: cut}); err != nil {
					t.Errorf("%s, in pieces of %d: %v", wire, cut, err)
				}
			}
		}
	}
}

// memccapable is libmemcached's test of a server's text and binary wires, one node at a time. It empties the server.
func memccapable(t *testing.T, servers []string) {
	verdict := regexp.MustCompile(`((?:ascii|binary) [a-z ]*[a-z])\s+(?:\d+ of \d+ tests failed\s+)?\[(pass|FAIL)\]`)
	for _, server := range servers {
		host, port, _ := net.SplitHostPort(server)
		ctx, cancel := context.WithTimeout(t.Context(), executeBound)
		printed, _ := exec.CommandContext(ctx, "memccapable", "-v", "-h", host, "-p", port).CombinedOutput() // the verdicts tell more than its status
		cancel()
		verdicts := verdict.FindAllStringSubmatch(string(printed), -1)
		if len(verdicts) < 54 {
			t.Errorf("memccapable has tested %d things at %s, want 54:\n%s", len(verdicts), server, printed)
		}
		for _, v := range verdicts {
			if v[2] == "FAIL" {
				t.Errorf("%s fails at %s:\n%s", v[1], server, printed)
			}
		}
	}
}

func goMemcache(t *testing.T, servers []string) {
	clients := make([]*memcache.Client, len(servers))
	for i, server := range servers {
		clients[i] = memcache.New(server)
		clients[i].Timeout = waitBound
		defer clients[i].Close()
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	is := func(got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	must(clients[0].Ping())
	for i, c := range clients {
		other := clients[(i+1)%len(clients)]
		key := func(n int) string { return fmt.Sprintf("go-%d-%d", i, n) }

		keys := make([]string, 200)
		for n := range keys {
			keys[n] = key(n)
			must(c.Set(&memcache.Item{Key: keys[n], Value: []byte(keys[n]), Flags: uint32(n)}))
		}
		items, err := other.GetMulti(append(keys, "go-absent"))
		must(err)
		if len(items) != len(keys) {
			t.Fatalf("multi-get: %d items, want %d", len(items), len(keys))
		}
		for n, k := range keys {
			if item := items[k]; string(item.Value) != k || item.Flags != uint32(n) {
				t.Fatalf("%s: got %q, flags %d", k, item.Value, item.Flags)
			}
		}

		is(c.Add(&memcache.Item{Key: key(0), Value: []byte("x")}), memcache.ErrNotStored)
		is(c.Replace(&memcache.Item{Key: "go-absent", Value: []byte("x")}), memcache.ErrNotStored)
		must(c.Append(&memcache.Item{Key: key(0), Value: []byte(">")}))
		must(other.Prepend(&memcache.Item{Key: key(0), Value: []byte("<")}))
		item, err := c.Get(key(0))
		must(err)
		if want := "<" + key(0) + ">"; string(item.Value) != want {
			t.Fatalf("appended and prepended: %q, want %q", item.Value, want)
		}

		// A value that has changed since it was read is not overwritten, whoever changed it.
		must(other.Set(&memcache.Item{Key: key(0), Value: []byte("changed")}))
		is(c.CompareAndSwap(item), memcache.ErrCASConflict)
		item, err = c.Get(key(0))
		must(err)
		item.Value = []byte("swapped")
		must(c.CompareAndSwap(item))

		must(c.Set(&memcache.Item{Key: key(1), Value: []byte("18446744073709551614")}))
		for _, want := range []uint64{18446744073709551615, 0, 1} {
			if got, err := other.Increment(key(1), 1); err != nil || got != want {
				t.Fatalf("increment: %d, %v, want %d", got, err, want)
			}
		}
		if got, err := c.Decrement(key(1), 5); err != nil || got != 0 {
			t.Fatalf("decrement: %d, %v, want 0", got, err)
		}
		_, err = c.Increment("go-absent", 1)
		is(err, memcache.ErrCacheMiss)

		must(c.Touch(key(2), 3600))
		_, err = other.GetAndTouch(key(2), -1)
		must(err)
		_, err = c.Get(key(2))
		is(err, memcache.ErrCacheMiss)
		must(c.Delete(key(3)))
		is(other.Delete(key(3)), memcache.ErrCacheMiss)

		large := bytes.Repeat([]byte("0123456789abcde\n"), 60<<10) // 960 KiB
		must(c.Set(&memcache.Item{Key: key(4), Value: large}))
		item, err = other.Get(key(4))
		must(err)
		if !bytes.Equal(item.Value, large) {
			t.Fatal("a large value came back changed")
		}
		if err := c.Set(&memcache.Item{Key: key(4), Value: bytes.Repeat(large, 2)}); err == nil {
			t.Fatal("a value of 1920 KiB was stored")
		}
		_, err = other.Get(key(4))
		is(err, memcache.ErrCacheMiss) // what was refused has removed what was there
	}
	must(clients[0].FlushAll())
	for i, c := range clients {
		_, err := c.Get(fmt.Sprintf("go-%d-10", i))
		is(err, memcache.ErrCacheMiss)
	}
}

// libmemcachedTools copies a file in through one node and out through another, asks for it, and removes it; then a short load.
func libmemcachedTools(t *testing.T, servers []string) {
	text := strings.Repeat("a line of the file\n", 500)
	file := filepath.Join(t.TempDir(), "copied.txt")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, server := range servers {
		here, there := "--servers="+server, "--servers="+servers[(i+1)%len(servers)]
		execute(t, "memcping", here)
		execute(t, "memccp", here, "--set", "--flags=7", "--expire=3600", file)
		if got := execute(t, "memccat", there, "copied.txt"); strings.TrimRight(got, "\n") != strings.TrimRight(text, "\n") {
			t.Errorf("copied in through %s, out came %.100q", server, got)
		}
		if got := execute(t, "memccat", there, "--flags", "copied.txt"); !strings.HasPrefix(got, "7\n") {
			t.Errorf("flags: %.10q, want 7", got)
		}
		execute(t, "memcexist", there, "copied.txt")
		execute(t, "memctouch", there, "--expire=60", "copied.txt")
		execute(t, "memcrm", there, "copied.txt")
		if err := exec.Command("memcexist", here, "copied.txt").Run(); err == nil {
			t.Error("removed, and still there")
		}
		if printed := execute(t, "memcstat", here); !strings.Contains(printed, "curr_items") {
			t.Errorf("memcstat: %.300q", printed)
		}
	}
	all := "--servers=" + strings.Join(servers, ",")
	for _, load := range []string{"set", "get", "mget"} {
		execute(t, "memcslap", all, "--concurrency=4", "--execute-number=200", "--initial-load=200", "--test="+load)
	}
	execute(t, "memcflush", all)
}

// startMemcached starts Debian's memcached and returns its address once it answers.
func startMemcached(t *testing.T) (address string) {
	port := freePorts(t, 1)[0]
	address = net.JoinHostPort("127.0.0.1", port)
	keep(t, &process{name: "memcached", args: []string{"-u", "nobody", "-l", "127.0.0.1", "-p", port, "-U", "0"}})
	waitFor(t, "memcached answers", func() error { return memcache.New(address).Ping() })
	return address
}

const (
	// executeBound is far more than any client here needs: it ends one that waits for an answer that does not come.
	executeBound = 4 * time.Minute

	// fetchBound is for what comes from the network, or is compiled for the first time on a slow machine.
	fetchBound = 8 * time.Minute
)

// execute runs a command to its end and gives what it printed; it must end well.
func execute(t *testing.T, name string, args ...string) string {
	t.Helper()
	return executeWithin(t, executeBound, name, args...)
}

// fetched runs a command that asks the network for something, a few times if need be.
func fetched(t *testing.T, command ...string) {
	t.Helper()
	executeWithin(t, fetchBound, filepath.Join(root, ".make", "again"), command...)
}

func executeWithin(t *testing.T, bound time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 10 * time.Second // for what it has begun itself
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, printed)
	}
	return string(printed)
}
