// Package client is the subcommands that talk to a node as any client does: get, set, delete, touch, incr, decr, stats, watch, health.
//
//	one key -> a meta command (protocol.txt, "Meta Get" and what follows) -> reply -> bytes, or JSON, and an exit code
//	stats, watch -> lines -> a table, lines, or JSON
//
// Any node takes any key. The meta commands are memcached's own since 1.6, so these work on a memcached as well.
package client

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
)

// askTimeout bounds how long a node may take to answer, and to take a value, by default.
const askTimeout = 5 * time.Second

// A client is what all these subcommands have in common.
type client struct {
	node    dial.Node
	timeout time.Duration
	asJSON  bool
}

// Commands gives the subcommands; port is that of a node on this machine by default, and admin its address for operators.
func Commands(port int, admin string) []*cobra.Command {
	c := &client{}
	all := []*cobra.Command{c.get(), c.set(), c.delete(), c.touch(), c.count("incr"), c.count("decr"), c.stats(), c.watch()}
	for _, command := range all {
		c.flags(command, port, askTimeout)
	}
	return append(all, health(port, admin))
}

// flags adds those that say which node is asked, and how it answers.
func (c *client) flags(command *cobra.Command, port int, timeout time.Duration) {
	set := command.Flags()
	set.SortFlags = false
	c.node.Flags(set, port)
	set.DurationVar(&c.timeout, "timeout", timeout, "longest wait for an answer, a `DURATION`")
	set.BoolVar(&c.asJSON, "json", false, "print JSON")
}

// A conn is a conversation with a node.
type conn struct{ *dial.Conn }

// open begins a conversation with a node, which is over within --timeout.
func (c *client) open(address string) (*conn, error) {
	to, err := c.node.Open(address, c.timeout)
	if err != nil {
		return nil, err
	}
	return &conn{to}, nil
}

// A reply is what is said to a meta command.
type reply struct {
	code  string          // "HD", "EN", "NS" ...
	value []byte          // of VA
	flags map[byte]string // what comes back, each behind its letter
}

// meta asks one meta command about a key and reads the reply. data is sent as its data block unless it is nil.
func (c *conn) meta(command, key string, data []byte, flags ...string) (r reply, err error) {
	words := []string{command, key}
	if !plain(key) {
		words[1] = base64.StdEncoding.EncodeToString([]byte(key))
		flags = append(flags, "b")
	}
	if key == "" {
		return r, output.Exit(output.Usage, errors.New("a key has one byte at least"))
	}
	var block [][]byte
	if data != nil {
		words, block = append(words, strconv.Itoa(len(data))), [][]byte{data}
	}
	if err := c.Say(strings.Join(append(words, flags...), " "), block...); err != nil {
		return r, err
	}
	line, err := c.Line()
	if err != nil {
		return r, err
	}
	return c.parse(line)
}

// plain reports whether a key may stand in a line as it is.
func plain(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// parse reads a reply whose line is there, and its value if it has one.
func (c *conn) parse(line string) (r reply, err error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return r, c.Refused(line)
	}
	r.code, words = words[0], words[1:]
	switch r.code {
	case "HD", "EN", "NS", "EX", "NF":
	case "VA":
		if len(words) == 0 {
			return r, c.Refused(line)
		}
		size, err := strconv.ParseUint(words[0], 10, 31)
		if err != nil {
			return r, c.Refused(line)
		}
		words = words[1:]
		r.value = make([]byte, size+2)
		if _, err := io.ReadFull(c, r.value); err != nil {
			return r, c.Lost(err)
		}
		if !bytes.HasSuffix(r.value, []byte("\r\n")) {
			return r, c.Refused(line)
		}
		r.value = r.value[:size]
	default:
		return r, c.Refused(line)
	}
	r.flags = make(map[byte]string, len(words))
	for _, word := range words {
		r.flags[word[0]] = word[1:]
	}
	return r, nil
}

// number gives a figure that came back behind a letter.
func (r reply) number(letter byte) (n int64) {
	n, _ = strconv.ParseInt(r.flags[letter], 10, 64)
	return n
}
