// Package dial reaches a running node as its clients do: at an address, over TLS or not, logged in or not, as flags say.
//
//	Flags -> Node -> Dial: connect -> TLS -> a login, if the node asks for one -> a conversation on the text wire
//	                 Open: the same -> Conn: Say, Line
package dial

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/output"
)

// A Node is how one is reached, and others of its cluster in the same way: the zero value in clear, by nobody. Many goroutines may dial at once.
type Node struct {
	Address string // --addr, the client port

	login        string
	passwordFile string
	over         encryption

	read   sync.Once // the rest, on the first dial
	secure *tls.Config
	words  []byte // of the login; nil: none
	err    error
}

// Flags adds those that say where the node is and how it is reached; port is that of a node on this machine by default. There is none for a password: other users of
// a machine see the arguments of its processes.
func (n *Node) Flags(set *pflag.FlagSet, port int) {
	set.StringVar(&n.Address, "addr", fmt.Sprintf("127.0.0.1:%d", port), "client `ADDRESS` of any member")
	set.StringVar(&n.login, "login", "", "`NAME` of the user to log in as, at a node with -Y")
	set.StringVar(&n.passwordFile, "password-file", "", "`FILE` with the password of --login on its first line; - is standard input")
	n.over.flags(set)
}

// Dial opens a conversation with the node at an address, --addr or another member's, on the text wire. All of it, the login included, must be over after the timeout: to go on for
// longer set another deadline. Errors name the flag to change, and no password, and have the exit code of the process (cmd/output).
func (n *Node) Dial(address string, timeout time.Duration) (conn net.Conn, err error) {
	n.read.Do(func() {
		if n.secure, n.err = n.over.config(); n.err == nil {
			n.words, n.err = n.loginWords()
		}
	})
	if n.err != nil {
		return nil, n.err
	}
	deadline := time.Now().Add(timeout)
	dialer := &net.Dialer{Deadline: deadline}
	if n.secure == nil {
		conn, err = dialer.Dial("tcp", address)
	} else {
		conn, err = tls.DialWithDialer(dialer, "tcp", address, n.secure)
	}
	if err != nil {
		return nil, output.Exit(output.Unreachable, fmt.Errorf("--addr %s: %w", address, err))
	}
	if err = conn.SetDeadline(deadline); err == nil && n.words != nil {
		err = n.logIn(conn)
	}
	if err != nil {
		conn.Close()
		return nil, output.Exit(output.Unreachable, fmt.Errorf("--addr %s: %w", address, err))
	}
	return conn, nil
}

// maxPasswordBytes bounds what is read of a password: far more than a node takes.
const maxPasswordBytes = 64 << 10

// loginWords gives "name password" as the text wire takes it, nil if nobody is to log in.
func (n *Node) loginWords() (words []byte, err error) {
	switch {
	case n.login == "" && n.passwordFile == "":
		return nil, nil
	case n.login == "" || n.passwordFile == "":
		return nil, output.Exit(output.Usage, errors.New("--login and --password-file need each other"))
	case strings.ContainsAny(n.login, " \r\n"):
		return nil, output.Exit(output.Usage, fmt.Errorf("--login %q: a name has neither blanks nor line ends here", n.login))
	}
	from := os.Stdin
	if n.passwordFile != "-" {
		if from, err = os.Open(n.passwordFile); err != nil {
			return nil, fmt.Errorf("--password-file: %w", err)
		}
		defer from.Close()
	}
	line, err := bufio.NewReader(io.LimitReader(from, maxPasswordBytes)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("--password-file: %w", err)
	}
	password := bytes.TrimRight(line, "\r\n")
	if len(password) == 0 {
		return nil, fmt.Errorf("--password-file %s: its first line is empty", n.passwordFile)
	}
	return append([]byte(n.login+" "), password...), nil
}

// logIn does that by a first set, if the node asks for it: one that does not would keep the password as an item, so it is asked for something harmless first.
func (n *Node) logIn(conn net.Conn) error {
	in := bufio.NewReader(io.LimitReader(conn, 4096)) // nothing comes that was not asked for, so it takes no more than the two answers
	if _, err := io.WriteString(conn, "version\r\n"); err != nil {
		return err
	}
	switch answer, err := readAnswer(in); {
	case err != nil:
		return err
	case strings.HasPrefix(answer, "VERSION "):
		return nil
	case answer != unauthenticated:
		return fmt.Errorf("answered %q: is it a memring node?", answer)
	}
	if _, err := fmt.Fprintf(conn, "set login 0 0 %d\r\n%s\r\n", len(n.words), n.words); err != nil {
		return err
	}
	switch answer, err := readAnswer(in); {
	case err != nil:
		return err
	case answer != "STORED":
		return fmt.Errorf("--login %s: %s", n.login, strings.TrimPrefix(answer, "CLIENT_ERROR "))
	}
	return nil
}

// unauthenticated is what a node with -Y, and memcached, says to whoever has not logged in.
const unauthenticated = "CLIENT_ERROR unauthenticated"

// Refusal puts into words why an answer is an error, if it is that of a node which does not let us ask: nil if it is anything else.
func Refusal(answer string) error {
	switch answer {
	case unauthenticated:
		return output.Exit(output.Unreachable, errors.New("the node asks for a login: --login and --password-file"))
	case "CLIENT_ERROR permission denied":
		return errors.New("permission denied: the user of --login may not ask that")
	}
	return nil
}

func readAnswer(in *bufio.Reader) (string, error) {
	answer, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no answer (a port on TLS is asked with --tls; one with -S, and not -Y as well, has no text wire): %w", err)
	}
	return strings.TrimRight(answer, "\r\n"), nil
}
