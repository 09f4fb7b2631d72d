// Package top is the subcommand that shows what a cluster does, node by node, as it goes on.
//
//	"stats nodes" to any node, every --interval -> sample -> rows (rates since the sample before) -> a screen, a table each, or JSON
//
// A request is counted at the node that answers it, and its time is measured where the client asks.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
)

const (
	// usualInterval is between two looks by default.
	usualInterval = 2 * time.Second
	// leastInterval bounds what looking costs the nodes.
	leastInterval = 100 * time.Millisecond
	// askTimeout bounds a look. The node that is asked waits for the others for --peer-timeout at most.
	askTimeout = 5 * time.Second
)

// A looker asks for samples. One goroutine uses it.
type looker struct {
	node dial.Node
	conn *dial.Conn // nil: there is none at the moment
}

// look asks for a sample.
func (l *looker) look() (s sample, err error) {
	if l.conn == nil {
		if l.conn, err = l.node.Open(l.node.Address, askTimeout); err != nil {
			return s, err
		}
	}
	if err = l.conn.SetDeadline(time.Now().Add(askTimeout)); err == nil {
		err = l.conn.Say("stats nodes")
	}
	if err == nil {
		s, err = read(l.conn, time.Now())
	}
	if err != nil {
		l.close()
	}
	return s, err
}

func (l *looker) close() {
	if l.conn != nil {
		_ = l.conn.Close()
		l.conn = nil
	}
}

// Command gives the subcommand; port is that of a node on this machine by default.
func Command(port int) *cobra.Command {
	l := &looker{}
	var interval time.Duration
	var count int
	var asJSON bool
	command := &cobra.Command{
		Use:   "top",
		Short: "Show what each node and the whole cluster does, live; q or Ctrl-C ends it. Not on a terminal: a table every --interval.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < leastInterval {
				return output.Exit(output.Usage, fmt.Errorf("--interval %v: at least %v", interval, leastInterval))
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			first, err := l.look()
			if err != nil {
				return err
			}
			t := &top{looker: l, interval: interval, count: count, before: first, out: cmd.OutOrStdout()}
			switch {
			case asJSON:
				return t.print(ctx, t.printJSON)
			case output.IsTerminal(t.out):
				return t.show(ctx, cmd.InOrStdin())
			default:
				return t.print(ctx, t.printTable)
			}
		},
	}
	set := command.Flags()
	set.SortFlags = false
	set.DurationVar(&interval, "interval", usualInterval, "`DURATION` between two looks")
	set.IntVar(&count, "count", 0, "end after a `NUMBER` of looks; 0: never")
	l.node.Flags(set, port)
	set.BoolVar(&asJSON, "json", false, "print JSON, an object every --interval")
	return command
}

// A top is one run of the command.
type top struct {
	looker   *looker
	interval time.Duration
	count    int
	before   sample
	out      io.Writer
}

// print has each look printed, until it cannot be looked any more.
func (t *top) print(ctx context.Context, show func(sample) error) error {
	defer t.looker.close()
	tick := time.NewTicker(t.interval)
	defer tick.Stop()
	for n := 0; t.count == 0 || n < t.count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, err := t.looker.look()
		if err == nil {
			err = show(now)
		}
		if err != nil {
			return err
		}
		t.before = now
	}
	return nil
}

func (t *top) printTable(now sample) error {
	rows, all := now.rows(t.before)
	errs := []error{}
	for _, line := range append(table(rows, all, 0, 0, output.Palette{}), "") {
		_, err := fmt.Fprintln(t.out, line)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (t *top) printJSON(now sample) error {
	rows, all := now.rows(t.before)
	return output.JSONLine(t.out, map[string]any{"time": now.at.UTC(), "all": all, "nodes": rows})
}
