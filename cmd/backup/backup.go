// Package backup is the subcommands that write the items of a running cluster to a file, and bring them back into one of any size.
//
//	backup   cluster members -> export, of each at once -> archive; what was on the move meanwhile is asked of who has it now
//	restore  archive, checked to its end -> archive, read again -> install, to all members at once
//
// Both talk to client ports, in the wire's own words (protocol/text, backup.go), as a user who may do so.
package backup

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/stamp"
	"github.com/memring/memring/node/identity"
)

// A command is what both have in common.
type command struct {
	node    dial.Node
	keyFile string
	timeout time.Duration
	asJSON  bool
	build   string
}

// Commands gives the subcommands; port is that of a member on this machine by default, build is noted in archives.
func Commands(port int, build string) []*cobra.Command {
	return []*cobra.Command{backupCommand(&command{build: build}, port), restoreCommand(&command{build: build}, port)}
}

// flags adds what both take.
func (c *command) flags(cmd *cobra.Command, port int) *cobra.Command {
	set := cmd.Flags()
	c.node.Flags(set, port)
	set.StringVar(&c.keyFile, "key-file", "", "`FILE` with the key of the archive, 32 characters at least (openssl rand -base64 32 makes one); of several lines the first encrypts, and any may fit")
	set.DurationVar(&c.timeout, "timeout", time.Minute, "give up after a `DURATION` in which no items came or went")
	set.BoolVar(&c.asJSON, "json", false, "print JSON")
	return cmd
}

// keys reads the key file; nil for none. It warns of one that is no secret.
func (c *command) keys(warnings io.Writer) ([][]byte, error) {
	if c.keyFile == "" {
		return nil, nil
	}
	if file, err := stamp.Of(c.keyFile); err == nil && file.Exposed() {
		fmt.Fprintf(warnings, "warning: every user of this machine may read or change the key: chmod o= %s\n", c.keyFile)
	}
	content, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	keys, err := identity.ParseKeys(content)
	if err != nil {
		return nil, fmt.Errorf("--key-file %s: %w", c.keyFile, err)
	}
	return keys, nil
}

// members gives the client addresses of all members, by id, as the first of some says that answers.
func (c *command) members(asked []string) (addresses map[string]string, err error) {
	for _, address := range asked {
		lines, failure := cluster.Ask(&c.node, address, "cluster members")
		if failure != nil {
			err = failure
			continue
		}
		addresses = map[string]string{}
		for _, m := range lines {
			if client := m.Get("client"); client != "" && !strings.HasSuffix(client, ":0") {
				addresses[m.ID] = client
			}
		}
		if len(lines) == 1 {
			addresses[lines[0].ID] = address // what reached it reaches it: it may know itself by another address
		}
		return addresses, nil
	}
	return nil, err
}

// lost gives who went without a word and is not back, and how long ago, as the first of some says that answers; nobody if none does.
func (c *command) lost(asked []string) map[string]time.Duration {
	for _, address := range asked {
		lines, err := cluster.Ask(&c.node, address, "cluster status")
		if err != nil {
			continue
		}
		lost := map[string]time.Duration{}
		for _, l := range lines {
			if seconds, err := strconv.ParseInt(l.Get("for"), 10, 32); err == nil && l.Label == "PROBLEM" && l.Get("what") == "down" {
				lost[l.ID] = time.Duration(seconds) * time.Second
			}
		}
		return lost
	}
	return nil
}

// A patient conversation may go on for however long, while what goes on is items: an answer, some items, or a part of a long one, takes no longer than its patience. Bytes
// that come one by one are no progress to who waits for a backup.
type patient struct {
	net.Conn
	patience time.Duration
}

// expect gives what is to be read next its time.
func (p *patient) expect() error { return p.SetReadDeadline(time.Now().Add(p.patience)) }

// Write implements io.Writer. Each part has its time.
func (p *patient) Write(bytes []byte) (written int, err error) {
	for part := range slices.Chunk(bytes, partBytes) {
		if err := p.SetWriteDeadline(time.Now().Add(p.patience)); err != nil {
			return written, err
		}
		n, err := p.Conn.Write(part)
		if written += n; err != nil {
			return written, err
		}
	}
	return written, nil
}

// dial opens a conversation with a member.
func (c *command) dial(address string) (*patient, error) {
	conn, err := c.node.Dial(address, min(c.timeout, dialTimeout))
	if err != nil {
		return nil, err
	}
	return &patient{conn, c.timeout}, nil
}

const (
	// dialTimeout bounds how long a member may take to let us in.
	dialTimeout = 5 * time.Second
	// passing is the pause before what failed is tried again.
	passing = 200 * time.Millisecond
	// partBytes is how much of a long item is progress.
	partBytes = 1 << 20
)
