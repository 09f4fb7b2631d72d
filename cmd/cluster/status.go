package cluster

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memring/memring/cmd/output"
)

// A view is the answer to "cluster status", sorted.
type view struct {
	head              Line
	members, problems []Line
}

// look asks a member for the status of the cluster.
func (c *command) look(address string) (v view, err error) {
	lines, err := Ask(&c.node, address, "cluster status")
	if err != nil {
		return v, err
	}
	for _, l := range lines {
		switch l.Label {
		case "CLUSTER":
			v.head = l
		case "MEMBER":
			v.members = append(v.members, l)
		case "PROBLEM":
			v.problems = append(v.problems, l)
		}
	}
	if v.head.Label == "" {
		return v, fmt.Errorf("--addr %s: answered no status: is it a memring node?", address)
	}
	return v, nil
}

// member gives the line of a member; false if it is not there.
func (v view) member(id string) (Line, bool) {
	for _, l := range v.members {
		if l.ID == id {
			return l, true
		}
	}
	return Line{}, false
}

func (c *command) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "How the cluster is, on one screen; exit code 1 if there are problems.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, err := c.look(c.node.Address)
			if err != nil {
				return err
			}
			if c.asJSON {
				err = output.JSON(cmd.OutOrStdout(), map[string]any{"cluster": objects([]Line{v.head})[0], "members": objects(v.members), "problems": objects(v.problems)})
			} else {
				err = v.print(cmd.OutOrStdout())
			}
			if err == nil && len(v.problems) > 0 {
				err = fmt.Errorf("%d problems", len(v.problems))
			}
			return err
		},
	}
}

// print shows a view on one screen.
func (v view) print(w io.Writer) error {
	h := v.head
	fmt.Fprintf(w, "cluster %s, as %s sees it: %s members, %s down; %s partitions, %s moving; copies: %s of each, %s missing\n\n",
		h.ID, h.Get("asked"), h.Get("members"), h.Get("down"), h.Get("partitions"), h.Get("moving"), h.Get("copies"), h.Get("copies_missing"))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MEMBER\tSTATE\tBUILD\tUP\tOWNED\tCOMING\tGOING\tCOPIES\tITEMS\tMEMORY\tCLIENTS")
	for _, m := range v.members {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Get("state"), orDash(m.Get("build")), since(m.Get("uptime")), orDash(m.Get("owned")),
			number(m, "wanted")+number(m, "arriving"), orDash(m.Get("given")), orDash(m.Get("copies_kept")), orDash(m.Get("items")), memory(m), m.Get("client"))
	}
	errs := []error{table.Flush()}
	p := output.Colours(w)
	if len(v.problems) == 0 {
		_, err := fmt.Fprintln(w, "\n"+p.Good("no problems"))
		return errors.Join(append(errs, err)...)
	}
	fmt.Fprintln(w)
	for _, l := range v.problems {
		_, err := fmt.Fprintf(w, "%s %s %s\n", p.Bad("problem:"), l.ID, explain(l))
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// explain puts a problem into words.
func explain(p Line) string {
	switch what := p.Get("what"); what {
	case "down":
		return "went without a word " + since(p.Get("for")) + " ago"
	case "silent":
		return "does not say how it is: " + strings.ReplaceAll(p.Get("why"), "_", " ")
	case "minority":
		return "is cut off from most of the cluster"
	case "clock":
		return fmt.Sprintf("has a clock that is off by %s s: items expire at the wrong time, set it right and restart the node", p.Get("ahead"))
	case "table":
		return fmt.Sprintf("routes by another table (%s, here %s): it sees other members", p.Get("says"), p.Get("here"))
	case "setting":
		return fmt.Sprintf("has another %s: %s, here %s", strings.ReplaceAll(p.Get("name"), "_", "-"), p.Get("says"), p.Get("here"))
	default:
		return fmt.Sprintf("differs in its %s: %s, here %s", what, p.Get("says"), p.Get("here"))
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// number gives a figure, 0 where there is none.
func number(l Line, name string) int64 {
	n, _ := strconv.ParseInt(l.Get(name), 10, 64)
	return n
}

// since puts seconds into words.
func since(seconds string) string {
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "-"
	}
	d := time.Duration(n) * time.Second
	if d >= 24*time.Hour {
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
	return d.String()
}

// memory tells the bytes of items and the limit.
func memory(m Line) string {
	if m.Get("limit") == "" {
		return "-"
	}
	return fmt.Sprintf("%d of %d MB", number(m, "bytes")>>20, number(m, "limit")>>20)
}
