package client

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
)

// groups are those of stats, for completion; what a node knows it says itself.
var groups = []string{
	"cluster\tof all nodes together", "nodes\tof each node", "partitions\tof each node", "hotkeys\tkeys that are asked for most", "settings", "items", "slabs", "conns", "tls", "reset\tbegin to count anew",
}

// maxStatLines bounds an answer: far above what a large cluster says of all its nodes.
const maxStatLines = 1 << 20

func (c *client) stats() *cobra.Command {
	return &cobra.Command{
		Use:       "stats [GROUP]",
		Short:     "Print what a node has counted: all that memcached counts, or a GROUP: cluster, nodes, partitions, hotkeys, settings, items, slabs, conns, tls; reset begins anew.",
		ValidArgs: groups,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if !plain(arg) || arg == "" {
					return output.Exit(output.Usage, fmt.Errorf("GROUP %q: has neither blanks nor line ends", arg))
				}
			}
			return c.do(func(to *conn) error {
				lines, err := to.report(strings.Join(append([]string{"stats"}, args...), " "))
				if err != nil {
					return err
				}
				if c.asJSON {
					return output.JSON(cmd.OutOrStdout(), statsObject(lines))
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, l := range lines {
					fmt.Fprintf(table, "%s\t%s\n", l[0], l[1])
				}
				return table.Flush()
			})
		},
	}
}

// report asks for lines up to END, and gives the name and the value of each.
func (c *conn) report(question string) (lines [][2]string, err error) {
	if err := c.Say(question); err != nil {
		return nil, err
	}
	for {
		line, err := c.Line()
		if err != nil {
			return nil, err
		}
		label, said, _ := strings.Cut(line, " ")
		switch {
		case label == "END" || len(lines) == 0 && (line == "RESET" || line == "OK"):
			return lines, nil
		case label != "STAT" && label != "ITEM" && label != "PREFIX":
			return nil, c.Refused(line)
		case len(lines) == maxStatLines:
			return nil, c.Wrap(fmt.Errorf("answered more than %d lines", maxStatLines))
		}
		name, value, _ := strings.Cut(said, " ")
		lines = append(lines, [2]string{name, value})
	}
}

// statsObject is what --json shows: an object, in which numbers are numbers.
func statsObject(lines [][2]string) map[string]any {
	all := make(map[string]any, len(lines))
	for _, l := range lines {
		all[l[0]] = l[1]
		if number := json.Number(l[1]); json.Valid([]byte(l[1])) && strings.Trim(l[1], "-.0123456789") == "" {
			all[l[0]] = number
		}
	}
	return all
}
