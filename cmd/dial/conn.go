package dial

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/memring/memring/cmd/output"
)

// A Conn is a conversation with a node on the text wire. Its errors begin with --addr, say which flag may help, and have the exit code of the process (cmd/output).
type Conn struct {
	net.Conn
	in      *bufio.Reader
	address string
}

// Open opens a conversation with a member of the cluster, as Dial does.
func (n *Node) Open(address string, timeout time.Duration) (*Conn, error) {
	conn, err := n.Dial(address, timeout)
	if err != nil {
		return nil, err
	}
	return NewConn(conn, address), nil
}

// NewConn makes a Conn of a connection to an address.
func NewConn(conn net.Conn, address string) *Conn {
	return &Conn{Conn: conn, in: bufio.NewReader(conn), address: address}
}

// Read implements io.Reader: it goes on behind the last Line.
func (c *Conn) Read(to []byte) (int, error) { return c.in.Read(to) }

// Say sends a line, and each block of data behind it, and ends them.
func (c *Conn) Say(line string, data ...[]byte) error {
	out := bufio.NewWriter(c.Conn) // it keeps the first error
	_, _ = out.WriteString(line + "\r\n")
	for _, d := range data {
		_, _ = out.Write(d)
		_, _ = out.WriteString("\r\n")
	}
	if err := out.Flush(); err != nil {
		// What the node refuses, it may refuse before it has heard all of it; then it says why.
		if answer, heard := c.Line(); heard == nil {
			return c.Refused(answer)
		}
		return c.Lost(err)
	}
	return nil
}

// Line reads one, without its end.
func (c *Conn) Line() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", c.Lost(err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// Lost is the error of a conversation that has ended too early, or of an answer that does not come.
func (c *Conn) Lost(err error) error {
	timeout := net.Error(nil)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the node ended the connection (a port on TLS is asked with --tls)")
	case errors.As(err, &timeout) && timeout.Timeout():
		err = errors.New("no answer in time (a port on TLS is asked with --tls)")
	}
	return c.Wrap(output.Exit(output.Unreachable, err))
}

// Refused is the error of a line that is no answer to what was asked: what the node says against it in its words.
func (c *Conn) Refused(line string) error {
	kind, words, _ := strings.Cut(line, " ")
	switch err := Refusal(line); {
	case err != nil:
		return c.Wrap(err)
	case (kind == "CLIENT_ERROR" || kind == "SERVER_ERROR") && words != "":
		return c.Wrap(errors.New(words))
	case kind == "ERROR":
		return c.Wrap(errors.New("this node does not know the command: is it a memring node?"))
	default:
		return c.Wrap(output.Exit(output.Unreachable, fmt.Errorf("answered %q: is it a memring or memcached node?", line)))
	}
}

// Wrap says of an error whose it is.
func (c *Conn) Wrap(err error) error { return fmt.Errorf("--addr %s: %w", c.address, err) }
