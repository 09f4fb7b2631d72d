package client

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
	"github.com/memring/memring/node"
	"github.com/memring/memring/node/nodetest"
	"github.com/memring/memring/protocol/login"
)

// run runs a command line with what standard input has.
func run(stdin string, args ...string) (printed string, err error) {
	var out strings.Builder
	err = start(&out, stdin, args...)
	return out.String(), err
}

func start(out io.Writer, stdin string, args ...string) error {
	root := &cobra.Command{Use: "memring", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands(11211, "127.0.0.1:9150")...)
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(out)
	root.SetErr(io.Discard)
	return root.Execute()
}

// What is stored through one node is there through the other.
func TestKeys(t *testing.T) {
	c := nodetest.Start(t, 2)
	n := 0
	f := func(stdin, line, want string, code int) {
		t.Helper()
		n++
		args := strings.Split(line, "|")
		printed, err := run(stdin, append(args, "--addr", c.Addr(n%2).String())...)
		if output.ExitCode(err) != code || printed != want {
			t.Errorf("%s: %q, %v (%d); want %q, %d", line, printed, err, output.ExitCode(err), want, code)
		}
	}
	f("", "get|a", "", 1)
	f("", "set|a|hello", "", 0)
	f("", "get|a", "hello", 0)
	f("line\r\n\x00\xff", "set|a", "", 0)
	f("", "get|a", "line\r\n\x00\xff", 0)
	f("", "set|empty", "", 0)
	f("", "get|empty", "", 0)
	f("", "set|a|x|--mode|add", "", 1)
	f("", "set|b|x|--mode|replace", "", 1)
	f("", "set|b|two|--mode|add", "", 0)
	f("", "set|b| three|--mode|append", "", 0)
	f("", "set|b|one |--mode|prepend", "", 0)
	f("", "get|b", "one two three", 0)
	f("", "set|b|x|--cas|1", "", 1)
	f("", "set|b|x|--mode|bogus", "", 2)
	f("", "set|b|x|--expiry|soon", "", 2)
	f("", "set|with blank\n|x", "", 0)
	f("", "get|with blank\n", "x", 0)
	f("", "delete|with blank\n", "", 0)
	f("", "delete|with blank\n", "", 1)
	f("", "incr|n", "", 1)
	f("", "incr|n|5|--initial|9", "9\n", 0)
	f("", "incr|n|5", "14\n", 0)
	f("", "decr|n|6", "8\n", 0)
	f("", "decr|n|100", "0\n", 0)
	f("", "incr|b", "", 1)
	f("", "incr|n|x", "", 2)
	f("", "touch|nobody|--expiry|1h", "", 1)
	f("", "touch|b|--expiry|-1s", "", 0)
	f("", "get|b", "", 1)
	f("", "get|"+strings.Repeat("k", 300), "", 1)
	f("", "get|", "", 2)
}

func TestKeysAsJSON(t *testing.T) {
	c := nodetest.Start(t, 1)
	f := func(stdin, line string, want map[string]any) {
		t.Helper()
		printed, err := run(stdin, append(strings.Fields(line), "--json", "--addr", c.Addr(0).String())...)
		var got map[string]any
		if err := errors.Join(err, json.Unmarshal([]byte(printed), &got)); err != nil {
			t.Fatalf("%s: %v: %s", line, err, printed)
		}
		if cas, _ := got["cas"].(string); len(cas) < 5 && !strings.HasPrefix(line, "delete") {
			t.Errorf("%s: CAS unique %v", line, got["cas"])
		}
		delete(got, "cas")
		wanted, _ := json.Marshal(want)
		if said, _ := json.Marshal(got); string(said) != string(wanted) {
			t.Errorf("%s: %s, want %s", line, said, wanted)
		}
	}
	f("", "set k v --flags 4294967295", map[string]any{"key": "k", "done": true})
	f("", "get k", map[string]any{"key": "k", "value": "v", "flags": 4294967295, "ttl": nil})
	f("\xff\n", "set k --expiry 1000h", map[string]any{"key": "k", "done": true})
	f("", "touch k --expiry 0", map[string]any{"key": "k", "done": true})
	f("", "get k", map[string]any{"key": "k", "value_base64": "/wo=", "flags": 0, "ttl": nil})
	f("", "incr n --initial 18446744073709551615", map[string]any{"key": "n", "value": "18446744073709551615"})
	f("", "delete k", map[string]any{"key": "k", "done": true})
}

func TestExpiry(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	f := func(text, want string) {
		t.Helper()
		if got, err := parseExpiry(text, now); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	f("0", "0")
	f("0s", "0")
	f("1ms", "1")
	f("1500ms", "2")
	f("300", "300")
	f("36h", "129600")
	f("720h", "2592000")
	f("721h", "2002595600")
	f("2592001", "2002592001")
	f("-5", "-1")
	f("-1h", "-1")
	f("-500ms", "-1")
	for _, text := range []string{"", "x", "1d", "99999999999"} {
		if got, err := parseExpiry(text, now); output.ExitCode(err) != output.Usage {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestStats(t *testing.T) {
	c := nodetest.Start(t, 2)
	at := []string{"--addr", c.Addr(0).String()}
	printed, err := run("", append(at, "stats")...)
	if err != nil || !strings.HasPrefix(printed, "pid   ") || !strings.Contains(printed, "\nget_hits ") {
		t.Errorf("%s, %v", printed, err)
	}
	printed, err = run("", append(at, "stats", "nodes", "--json")...)
	var said map[string]any
	if err := errors.Join(err, json.Unmarshal([]byte(printed), &said)); err != nil {
		t.Fatal(err, printed)
	}
	if said["n1:cluster_members"] != 2.0 || said["n0:cluster_state"] != "active" || said["n0:version"] != "1.6.45" {
		t.Errorf("%v", said)
	}
	if printed, err = run("", append(at, "stats", "reset")...); err != nil || printed != "" {
		t.Errorf("reset: %q, %v", printed, err)
	}
	if _, err = run("", append(at, "stats", "bogus")...); output.ExitCode(err) != output.No {
		t.Errorf("bogus: %v", err)
	}
	if _, err = run("", append(at, "stats", "a\r\nflush_all")...); output.ExitCode(err) != output.Usage {
		t.Errorf("two lines: %v", err)
	}
}

// Whoever watches all nodes is told which of them answers for a key.
func TestWatch(t *testing.T) {
	c := nodetest.Start(t, 2)
	f := func(question string, want ...string) {
		t.Helper()
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- start(w, "", append(strings.Fields(question), "--addr", c.Addr(1).String())...) }()
		lines := make(chan string)
		go func() {
			defer close(lines)
			for in := bufio.NewScanner(r); in.Scan(); {
				lines <- in.Text()
			}
		}()
		told := ""
		c.Wait(question+" tells of a key of each node", func() bool { // it may not watch yet
			for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
				if _, err := run("", "set", key, "v", "--addr", c.Addr(0).String()); err != nil {
					t.Error(err)
				}
			}
			for {
				select {
				case line := <-lines:
					told += line + "\n"
				case <-time.After(100 * time.Millisecond):
					for _, words := range want {
						if !strings.Contains(told, words) {
							return false
						}
					}
					return true
				}
			}
		})
		r.Close() // who reads no more ends it at the next event
		c.Wait(question+" ends", func() bool {
			_, _ = run("", "set", "a", "v", "--addr", c.Addr(0).String())
			_, _ = run("", "set", "b", "v", "--addr", c.Addr(0).String())
			_, _ = run("", "set", "c", "v", "--addr", c.Addr(0).String())
			_, _ = run("", "set", "d", "v", "--addr", c.Addr(0).String())
			select {
			case err := <-ended:
				return err != nil
			default:
				return false
			}
		})
	}
	f("watch mutations --all", "node=n0 ts=", "node=n1 ts=", " type=item_store key=a status=stored ")
	f("watch mutations --all --json", `"node":"n0"`, `"node":"n1"`, `"key":"a"`, `"type":"item_store"`)
	if _, err := run("", "watch", "bogus", "--addr", c.Addr(0).String()); output.ExitCode(err) != output.No {
		t.Errorf("bogus: %v", err)
	}
}

func TestHealth(t *testing.T) {
	ready := true
	pages := http.NewServeMux()
	pages.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	pages.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready {
			http.Error(w, "leaving the cluster", http.StatusServiceUnavailable)
		}
	})
	admin := httptest.NewServer(pages)
	address := admin.Listener.Addr().String()
	f := func(line, want string, code int) {
		t.Helper()
		printed, err := run("", strings.Fields(line)...)
		if output.ExitCode(err) != code || !strings.Contains(printed, want) {
			t.Errorf("%s: %q, %v; want %q, %d", line, printed, err, want, code)
		}
	}
	f("health --admin-listen "+address, "", 0)
	ready = false
	f("health --admin-listen "+address, "", 1)
	f("health --json --admin-listen "+address, `"said": "leaving the cluster"`, 1)
	f("health --live --admin-listen "+address, "ok\n", 0)
	admin.Close()
	f("health --admin-listen "+address, "", 3)
	f("health --admin-listen off", "", 2)
	c := nodetest.Start(t, 1)
	f("health --wire --addr "+c.Addr(0).String(), "ok\n", 0)
	users, err := node.NewUsers(login.Config{})
	if err != nil {
		t.Fatal(err)
	}
	closed := nodetest.Start(t, 1, func(cfg *node.Config) { cfg.Users, cfg.AuthFile = users, "/etc/users" })
	f("health --wire --addr "+closed.Addr(0).String(), "ok; it lets only users in\n", 0)
	f("health --wire --addr 127.0.0.1:1", "", 3) // nobody listens there
}

// What is no memcached, hangs up or lets only users in is told apart from a miss.
func TestStrangeAnswers(t *testing.T) {
	answer := make(chan string, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	defer func() { l.Close(); <-served }()
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, <-answer)
			conn.Close()
		}
	}()
	f := func(said string, code int, want string) {
		t.Helper()
		answer <- said
		_, err := run("", "get", "k", "--addr", l.Addr().String())
		if output.ExitCode(err) != code || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v (%d), want %q, %d", said, err, output.ExitCode(err), want, code)
		}
	}
	f("", 3, "ended the connection")
	f("\r\n", 3, "is it a memring")
	f("220 mail.example ESMTP\r\n", 3, "is it a memring")
	f("VA\r\n", 3, "is it a memring")
	f("VA x\r\n", 3, "is it a memring")
	f("VA 5\r\nab", 3, "")
	f("VA 1\r\nabc", 3, "is it a memring")
	f("ERROR\r\n", 1, "does not know the command")
	f("CLIENT_ERROR bad key\r\n", 1, "bad key")
	f("CLIENT_ERROR unauthenticated\r\n", 3, "--login")
}
