package dial_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
)

// patience is for a busy machine: nothing here waits for its end.
const patience = 20 * time.Second

// saying gives the address of a node that answers line by line, up to the last of its answers, and all that it was told by then.
func saying(t *testing.T, answers ...string) (address string, told <-chan string) {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { port.Close() })
	lines := make(chan string, 1)
	go func() {
		all := ""
		defer func() { lines <- all }()
		conn, err := port.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for _, answer := range answers {
			line, _ := in.ReadString('\n')
			all += line
			if strings.HasPrefix(line, "set ") {
				line, _ = in.ReadString('\n')
				all += line
			}
			_, _ = io.WriteString(conn, answer)
		}
	}()
	return port.Addr().String(), lines
}

// node gives what the flags say.
func node(t *testing.T, flags ...string) *dial.Node {
	t.Helper()
	n, set := &dial.Node{}, pflag.NewFlagSet("", pflag.ContinueOnError)
	n.Flags(set, 11211)
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return n
}

func passwordFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A password goes to a node that asks for it, and to no other: that one would keep it as an item.
func TestPasswordsGoToWhoAsks(t *testing.T) {
	f := func(wantTold, wantErr string, answers ...string) {
		t.Helper()
		address, told := saying(t, answers...)
		conn, err := node(t, "--login", "me", "--password-file", passwordFile(t, "secret word\r\nmore\n")).Dial(address, patience)
		if got := <-told; got != wantTold {
			t.Errorf("told %q, want %q", got, wantTold)
		}
		if wantErr == "" {
			if err != nil {
				t.Error(err)
			} else {
				conn.Close()
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), wantErr) || strings.Contains(err.Error(), "secret") || !strings.HasPrefix(err.Error(), "--addr "+address) {
			t.Errorf("%v, want %q", err, wantErr)
		}
	}
	whole := "version\r\nset login 0 0 14\r\nme secret word\r\n"
	f(whole, "", "CLIENT_ERROR unauthenticated\r\n", "STORED\r\n")
	f(whole, "--login me: authentication failure", "CLIENT_ERROR unauthenticated\r\n", "CLIENT_ERROR authentication failure\r\n")
	f("version\r\n", "", "VERSION 1.6.45\r\n")
	f("version\r\n", "is it a memring node?", "HTTP/1.1 400 Bad Request\r\n")
	f("version\r\n", "--tls", "") // hangs up
}

func TestLoginsThatAreNone(t *testing.T) {
	f := func(want string, flags ...string) {
		t.Helper()
		if _, err := node(t, flags...).Dial("127.0.0.1:1", patience); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", flags, err, want)
		}
	}
	f("need each other", "--login", "me")
	f("need each other", "--password-file", "/none")
	f("--password-file: open /none", "--login", "me", "--password-file", "/none")
	f("first line is empty", "--login", "me", "--password-file", passwordFile(t, "\nx"))
	f("blanks", "--login", "a b", "--password-file", passwordFile(t, "x"))
	f("need --tls", "--tls-server-name", "x")
}

// What a node says against a question is told in its words; what is no node, hangs up or says nothing has an exit code of its own.
func TestAnswersThatAreNone(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	conn := dial.NewConn(near, "node")
	f := func(line string, code int, want string) {
		t.Helper()
		if err := conn.Refused(line); err == nil || err.Error() != "--addr node: "+want || output.ExitCode(err) != code {
			t.Errorf("%q: %v (%d), want %q (%d)", line, err, output.ExitCode(err), want, code)
		}
	}
	f("CLIENT_ERROR bad key", output.No, "bad key")
	f("SERVER_ERROR out of memory", output.No, "out of memory")
	f("CLIENT_ERROR permission denied", output.No, "permission denied: the user of --login may not ask that")
	f("CLIENT_ERROR unauthenticated", output.Unreachable, "the node asks for a login: --login and --password-file")
	f("ERROR", output.No, "this node does not know the command: is it a memring node?")
	f("220 mail.example ESMTP", output.Unreachable, `answered "220 mail.example ESMTP": is it a memring or memcached node?`)

	if err := near.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Line(); err == nil || !strings.Contains(err.Error(), "no answer in time") || output.ExitCode(err) != output.Unreachable {
		t.Errorf("silent: %v", err)
	}
	if err := near.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	far.Close()
	if _, err := conn.Line(); err == nil || !strings.Contains(err.Error(), "ended the connection") || output.ExitCode(err) != output.Unreachable {
		t.Errorf("ended: %v", err)
	}
}
