package client

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/cluster"
	"github.com/memring/memring/cmd/output"
)

// kinds are what can be watched.
var kinds = []string{
	"fetchers\tkeys looked up", "mutations\titems stored, or not", "deletions", "evictions", "connevents\tconnections that begin and end", "sysevents\twhat goes on in the background",
}

func (c *client) watch() *cobra.Command {
	var all bool
	watch := &cobra.Command{
		Use: "watch [KIND...]",
		Short: "Print what happens on a node as it happens, a line each, until Ctrl-C: fetchers (the default), mutations, deletions, evictions, connevents, sysevents. " +
			"An item's events are told by the node that answers for it: --all watches all.",
		ValidArgs: kinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if !plain(arg) || arg == "" {
					return output.Exit(output.Usage, fmt.Errorf("KIND %q: has neither blanks nor line ends", arg))
				}
			}
			w := &watching{w: cmd.OutOrStdout(), asJSON: c.asJSON}
			question := strings.Join(append([]string{"watch"}, args...), " ")
			if !all {
				return c.follow(w, "", c.node.Address, question)
			}
			return c.followAll(w, question)
		},
	}
	watch.Flags().BoolVar(&all, "all", false, "watch all who are members now")
	return watch
}

// watching is where the events of one or more nodes go.
type watching struct {
	mu     sync.Mutex // guards w
	w      io.Writer
	asJSON bool
}

// tell prints an event: ts=1.000001 gid=2 type=item_get key=a ...
func (w *watching) tell(node, line string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asJSON {
		if node != "" {
			line = "node=" + node + " " + line
		}
		_, err := fmt.Fprintln(w.w, line)
		return err
	}
	event := map[string]string{}
	if node != "" {
		event["node"] = node
	}
	for word := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(word, "=")
		event[name] = value
	}
	return output.JSONLine(w.w, event)
}

// follow watches one node until it ends the connection.
func (c *client) follow(w *watching, node, address, question string) error {
	to, err := c.open(address)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := to.Say(question); err != nil {
		return err
	}
	switch line, err := to.Line(); {
	case err != nil:
		return err
	case line != "OK":
		return to.Refused(line)
	}
	if err := to.SetDeadline(time.Time{}); err != nil {
		return to.Lost(err)
	}
	for {
		line, err := to.Line()
		if err == nil {
			err = w.tell(node, line)
		}
		if err != nil {
			return err
		}
	}
}

// followAll watches all members until one of them ends the connection.
func (c *client) followAll(w *watching, question string) error {
	members, err := cluster.Ask(&c.node, c.node.Address, "cluster members")
	if err != nil {
		return fmt.Errorf("--addr %s: %w", c.node.Address, err)
	}
	ended := make(chan error, len(members))
	watched := 0
	for _, m := range members {
		address := m.Get("client")
		if address == "" || strings.HasSuffix(address, ":0") {
			continue
		}
		watched++
		go func() { ended <- c.follow(w, m.ID, address, question) }() // the process ends with the first of them
	}
	if watched == 0 {
		return fmt.Errorf("--addr %s: no member has a port for clients", c.node.Address)
	}
	return <-ended
}
