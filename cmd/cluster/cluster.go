// Package cluster is the subcommand that asks a running cluster about itself, and tells it who is to leave: over a member's client port, in the wire's own words.
//
//	members, moves, owner, explain, status -> Ask -> a report -> a table, lines, or JSON
//	drain, forget                          -> tell -> OK, or why not; drain goes on asking for the status until the member is gone
package cluster

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/memring/memring/cmd/dial"
	"github.com/memring/memring/cmd/output"
)

// A command is what all subcommands have in common.
type command struct {
	node   dial.Node
	asJSON bool
}

// Command gives the subcommand; port is that of a member on this machine by default.
func Command(port int) *cobra.Command {
	c := &command{}
	root := &cobra.Command{Use: "cluster", Short: "Ask a running cluster about itself.", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return cmd.Help()
	}}
	c.node.Flags(root.PersistentFlags(), port)
	root.PersistentFlags().BoolVar(&c.asJSON, "json", false, "print JSON")
	root.AddCommand(
		c.question("members", "Who is in the cluster, as one member sees it.", printTable),
		c.question("moves", "What one member takes over and hands over now, and how far it is.", printTable),
		c.question("owner KEY", "Which member answers for a key.", printTable),
		c.question("explain KEY", "Where a key lives, and why it is there or not, as each holder knows it.", printLines),
		c.status(), c.drain(), c.forget(),
	)
	return root
}

// question is a subcommand whose words are the question, and whose answer is shown.
func (c *command) question(use, short string, show func(io.Writer, []Line) error) *cobra.Command {
	words := strings.Fields(use)
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(len(words) - 1), RunE: func(cmd *cobra.Command, args []string) error {
		what := "cluster " + words[0]
		if words[0] == "explain" {
			what = words[0]
		}
		for _, arg := range args {
			if err := checkWord(words[1], arg); err != nil {
				return err
			}
			what += " " + arg
		}
		lines, err := c.ask(what)
		if err != nil {
			return err
		}
		if c.asJSON {
			return output.JSON(cmd.OutOrStdout(), objects(lines))
		}
		return show(cmd.OutOrStdout(), lines)
	}}
}

func (c *command) forget() *cobra.Command {
	return &cobra.Command{
		Use:   "forget MEMBER",
		Short: "Reckon no more with a member that went without a word: its copies are restored at once.",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return c.tell("forget", args[0]) },
	}
}

// ask puts a question to the member at --addr.
func (c *command) ask(question string) ([]Line, error) { return Ask(&c.node, c.node.Address, question) }

// tell has the member at --addr do something about another.
func (c *command) tell(what, member string) error {
	if err := checkWord("MEMBER", member); err != nil {
		return err
	}
	return tell(&c.node, "cluster "+what+" "+member)
}

// checkWord refuses what could not be said in one word of a line.
func checkWord(name, word string) error {
	if word == "" || strings.ContainsAny(word, " \r\n") {
		return output.Exit(output.Usage, fmt.Errorf("%s %q: has neither blanks nor line ends", name, word))
	}
	return nil
}

// timeoutFlag adds --timeout.
func timeoutFlag(set *pflag.FlagSet, to *time.Duration, usual time.Duration, about string) {
	set.DurationVar(to, "timeout", usual, about)
}
